package storagetest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"portalhook/storage"
	"portalhook/storage/postgrestest"
)

// The databases that a store may lie in.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// OnEach runs a test on each database, as two tests of these names. Place makes a new store's place, each time it is called.
func OnEach(t *testing.T, test func(t *testing.T, place func(tb testing.TB) storage.Config)) {
	t.Helper()
	for _, database := range []string{SQLite, Postgres} {
		t.Run(database, func(t *testing.T) {
			test(t, func(tb testing.TB) storage.Config {
				tb.Helper()
				return Place(tb, database)
			})
		})
	}
}

// Place makes the place of a new store: a file of SQLite's that is not there yet, or a database of PostgreSQL's without a row, whose tables are there
// so that a test does not wait for them to be made. The test is skipped where PostgreSQL is not installed.
func Place(tb testing.TB, database string) storage.Config {
	tb.Helper()
	folder := tb.TempDir()
	if database == Postgres {
		return storage.Config{URL: postgrestest.Database(tb, "opened", opened), KeyFile: filepath.Join(folder, "test.key")}
	}
	return storage.Config{Path: filepath.Join(folder, "test.db")}
}

// opened makes a database that a node has opened, and left without a trace.
func opened(ctx context.Context, url string) (err error) {
	folder, err := os.MkdirTemp("", "opened-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	store, err := storage.OpenPostgres(ctx, storage.Config{URL: url, KeyFile: filepath.Join(folder, "test.key")})
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	db, err := sql.Open("pgx", url) // the driver is the store's
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, `DELETE FROM meta WHERE name = 'keys'`)
	return err
}
