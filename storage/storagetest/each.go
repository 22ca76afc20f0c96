package storagetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

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

// Place makes the place of a new store: a file of SQLite's that is not there yet, or a database of PostgreSQL's without a row, but with its tables and
// those of today, and with its key file, so that a test does not wait for them to be made. The test is skipped where PostgreSQL is not installed.
func Place(tb testing.TB, database string) storage.Config {
	tb.Helper()
	config := storage.Config{Path: filepath.Join(tb.TempDir(), "test.db")}
	if database == Postgres {
		config = storage.Config{KeyFile: filepath.Join(tb.TempDir(), "test.key")}
		config.URL = postgrestest.Database(tb, "opened", opened)
		require.NoError(tb, os.WriteFile(config.KeyFile, openedKeys, 0o600))
	}
	return config
}

// openedKeys is the key file of the database that others are copies of.
var openedKeys []byte

// opened makes a database that has been opened once, and closed.
func opened(ctx context.Context, url string) error {
	folder, err := os.MkdirTemp("", "opened-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	config := storage.Config{URL: url, KeyFile: filepath.Join(folder, "test.key")}
	store, err := storage.OpenPostgres(ctx, config)
	if err != nil {
		return err
	}
	if err := store.Close(); err != nil {
		return err
	}
	openedKeys, err = os.ReadFile(config.KeyFile)
	return err
}
