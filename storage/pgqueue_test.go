package storage_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery/deliverytest"
	"portalhook/storage"
	"portalhook/storage/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// migrated makes a database that has its tables already.
func migrated(ctx context.Context, url string) error { return storage.MigratePostgres(ctx, url) }

func postgresConfig(tb testing.TB, now func() time.Time) storage.Config {
	tb.Helper()
	return storage.Config{
		URL: postgrestest.Database(tb, "migrated", migrated), KeyFile: filepath.Join(tb.TempDir(), "test.key"), Now: now,
	}
}

func openPostgres(tb testing.TB, config storage.Config) *storage.Postgres {
	tb.Helper()
	store, err := storage.OpenPostgres(tb.Context(), config)
	require.NoError(tb, err)
	return store
}

func postgresHarness(t *testing.T, config storage.Config) deliverytest.Harness {
	t.Helper()
	store := openPostgres(t, config)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return deliverytest.Harness{Store: store, Reopen: func() deliverytest.Store {
		require.NoError(t, store.Close())
		store = openPostgres(t, config)
		return store
	}}
}

// emptied gives one new database over and over again, each time as it was when it was made, but for the partitions of days: a property that looks at a
// hundred histories would spend its time on making databases.
func emptied(tb testing.TB, config storage.Config) func() storage.Config {
	tb.Helper()
	used := false
	return func() storage.Config {
		if used {
			postgrestest.Exec(tb, config.URL, `SET session_replication_role = replica;
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT c.oid::regclass AS name FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND relname NOT IN ('day', 'goose_db_version') LOOP
    EXECUTE 'DELETE FROM ' || one.name;
  END LOOP;
  FOR one IN SELECT c.oid::regclass AS name FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'S' AND relname NOT LIKE 'goose%' LOOP
    EXECUTE 'ALTER SEQUENCE ' || one.name || ' RESTART';
  END LOOP;
END $$`)
		}
		used = true
		return config
	}
}
