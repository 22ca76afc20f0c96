package storage

// MigratePostgres makes the fixed tables of a database.
var MigratePostgres = migratePostgres
