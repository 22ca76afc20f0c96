package storage_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/router"
	"portalhook/storage"
)

// TestWebhooksOfAnOlderBuilderAreRevised opens a store as an upgraded server does.
func TestWebhooksOfAnOlderBuilderAreRevised(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store, w := seeded(t, storage.Config{Path: path})
	receipts, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	store.Exec(t, `UPDATE revision SET body = json_set(body, '$.builder', 1)`)
	require.NoError(t, store.Close())

	store, err = storage.OpenSQLite(t.Context(), storage.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	for range 2 { // the second finds nothing to do
		directory, err := delivery.NewDirectory(t.Context(), delivery.DirectoryConfig{Store: store, Table: router.NewTable(), MaxWebhooks: 1})
		require.NoError(t, err)
		require.Equal(t, w.Revision+1, directory.Get(w.Key).Revision)
	}
	w, err = store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	again, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 1, "", 100)})
	require.NoError(t, err)
	for id, builder := range map[delivery.Receipt]int{receipts[0]: 1, again[0]: payload.Version} {
		record, err := store.Delivery(t.Context(), w.Tenant, id.ID+1)
		require.NoError(t, err)
		require.Equal(t, builder, record.Revision.Builder, "what was planned before keeps its bytes")
	}
}
