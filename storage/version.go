package storage

import "github.com/mattn/go-sqlite3"

// SQLiteVersion is the version of SQLite that is built in, as in 3.50.4.
func SQLiteVersion() string {
	version, _, _ := sqlite3.Version()
	return version
}
