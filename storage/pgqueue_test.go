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
