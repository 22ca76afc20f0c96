package storage_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery/deliverytest"
	"portalhook/storage"
	"portalhook/storage/storagetest"
)

func open(tb testing.TB, config storage.Config) *storage.Store {
	tb.Helper()
	store, err := storage.OpenSQLite(tb.Context(), config)
	require.NoError(tb, err)
	return store
}

func harness(t *testing.T, now func() time.Time) deliverytest.Harness {
	t.Helper()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "test.db"), Now: now}
	store := open(t, config)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return deliverytest.Harness{Store: store, Reopen: func() deliverytest.Store {
		require.NoError(t, store.Close())
		store = open(t, config)
		return store
	}}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	deliverytest.TestQueue(t, harness)
}

func TestStore(t *testing.T) {
	t.Parallel()
	storagetest.TestStore(t, func(t *testing.T, now func() time.Time) storagetest.Harness {
		t.Helper()
		h := harness(t, now)
		return storagetest.Harness{
			Store:  h.Store.(*storage.Store),
			Reopen: func() storagetest.Store { return h.Reopen().(*storage.Store) },
		}
	})
}
