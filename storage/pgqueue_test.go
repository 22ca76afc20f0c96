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
	"portalhook/storage/storagetest"
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

func TestQueueOnPostgres(t *testing.T) {
	t.Parallel()
	deliverytest.TestQueue(t, func(t *testing.T, now func() time.Time) deliverytest.Harness {
		t.Helper()
		return postgresHarness(t, postgresConfig(t, now))
	})
}

func TestStoreOnPostgres(t *testing.T) {
	t.Parallel()
	storagetest.TestStore(t, func(t *testing.T, now func() time.Time) storagetest.Harness {
		t.Helper()
		h := postgresHarness(t, postgresConfig(t, now))
		return storagetest.Harness{
			Store:  h.Store.(*storage.Postgres),
			Reopen: func() storagetest.Store { return h.Reopen().(*storage.Postgres) },
		}
	})
}
