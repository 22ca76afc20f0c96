package storage_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/postgrestest"
)

// Several nodes make the tables of a new database at the same time; an older node may run beside a newer one, and start.
func TestNodesMigrateTogether(t *testing.T) {
	t.Parallel()
	config := storage.Config{URL: postgrestest.Database(t, "", nil), KeyFile: filepath.Join(t.TempDir(), "test.key")}
	first := openPostgres(t, config) // it makes the key file, which the others are given
	require.NoError(t, first.Close())
	config.URL = postgrestest.Database(t, "", nil)
	opened := make([]*storage.Postgres, 4)
	var group sync.WaitGroup
	for i := range opened {
		group.Go(func() {
			var err error
			if opened[i], err = storage.OpenPostgres(t.Context(), config); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	w := sharedHook(t, opened[0])
	opened[0].Exec(t, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
	opened[0].Exec(t, `ALTER TABLE webhook ADD COLUMN later text`)
	opened[0].Exec(t, `ALTER TABLE event ADD COLUMN later text`)
	older := openPostgres(t, config)
	for _, node := range append(opened, older) {
		_, err := node.Enqueue(t.Context(), []delivery.Acceptance{shared(t, node, w, 1, "", waitingFor(w))})
		require.NoError(t, err, "a newer node has added to the tables")
		require.NoError(t, node.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
		require.NoError(t, node.Close())
	}
}

// All nodes need the same key file.
func TestNodesShareKeys(t *testing.T) {
	t.Parallel()
	config := postgresConfig(t, nil)
	store := openPostgres(t, config)
	defer func() { require.NoError(t, store.Close()) }()
	sessions, err := store.SessionKeys()
	require.NoError(t, err)
	other := config
	other.KeyFile = filepath.Join(t.TempDir(), "other.key")
	_, err = storage.OpenPostgres(t.Context(), other)
	require.ErrorIs(t, err, storage.ErrSecrets, "a second node makes no keys of its own")
	require.NoFileExists(t, other.KeyFile)
	other.KeyFile = ""
	_, err = storage.OpenPostgres(t.Context(), other)
	require.ErrorContains(t, err, "key file")
	second := openPostgres(t, config)
	defer func() { require.NoError(t, second.Close()) }()
	same, err := second.SessionKeys()
	require.NoError(t, err)
	require.Equal(t, sessions, same)
}

// When the database's clock was set, every node finds so, and the dates move once.
func TestNodesShiftOnce(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2)
	w := sharedHook(t, all[0])
	_, err := all[0].Enqueue(t.Context(), []delivery.Acceptance{shared(t, all[0], w, 1, "", waitingFor(w))})
	require.NoError(t, err)
	due := all[0].Number(t, `SELECT due_ms FROM work`)
	require.NoError(t, all[0].ShiftDue(t.Context(), time.Hour))
	require.NoError(t, all[1].ShiftDue(t.Context(), time.Hour+time.Second))
	require.Equal(t, due+time.Hour.Milliseconds(), all[0].Number(t, `SELECT due_ms FROM work`))
	require.NoError(t, all[0].ShiftDue(t.Context(), time.Hour))
	require.Equal(t, due+2*time.Hour.Milliseconds(), all[0].Number(t, `SELECT due_ms FROM work`), "it was set again")
}

// Whatever a sender or a receiver writes is stored, though PostgreSQL has no character zero and takes UTF-8 only.
func TestPostgresKeepsAnyText(t *testing.T) {
	t.Parallel()
	store := nodes(t, 1)[0]
	w := sharedHook(t, store)
	a := shared(t, store, w, 1, "id \x00", waitingFor(w))
	a.Event.Username = "a\x00b"
	receipts, err := store.Enqueue(t.Context(), []delivery.Acceptance{a})
	require.NoError(t, err)
	again, err := store.Enqueue(t.Context(), []delivery.Acceptance{a})
	require.NoError(t, err)
	require.Equal(t, receipts[0].ID, again[0].ID)
	require.True(t, again[0].Duplicate)
	c := claimAll(t, store)[0]
	s := succeeded(c)
	s.Reason = "200 \xff\x00 fine"
	s.Attempt = &delivery.Attempt{StartedAt: store.Now(), Outcome: delivery.Delivered, StatusCode: 200, ResponseBody: []byte{0, 255}}
	_, err = store.Settle(t.Context(), []delivery.Settlement{s})
	require.NoError(t, err)
	record, err := store.Delivery(t.Context(), w.Tenant, c.ID)
	require.NoError(t, err)
	require.Equal(t, "200 \uFFFD\uFFFD fine", record.Reason)
	require.Equal(t, []byte{0, 255}, record.Attempts[0].ResponseBody, "an attempt is kept as it was")
	event, err := store.Event(t.Context(), w.Tenant, receipts[0].ID)
	require.NoError(t, err)
	require.Equal(t, "a\uFFFDb", event.Username)
}
