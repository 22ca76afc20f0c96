package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/router"
	"portalhook/storage"
	"portalhook/storage/storagetest"
)

// TestWebhooksOfAnOlderBuilderAreRevised opens a store as an upgraded server does.
func TestWebhooksOfAnOlderBuilderAreRevised(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testWebhooksOfAnOlderBuilderAreRevised)
}

func testWebhooksOfAnOlderBuilderAreRevised(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, w := seededAt(t, config)
	receipts, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	set := `json_set(body, '$.builder', 1)`
	if config.URL != "" {
		set = `jsonb_set(body::jsonb, '{builder}', '1')::text`
	}
	store.Script(t, `UPDATE revision SET body = `+set)
	require.NoError(t, store.Close())

	store, err = tryOpenAt(t, config)
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
