package storage_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/triggers"
)

// TestJobsInAStoreFromBefore takes the tables of jobs away, and makes identities unique as they were then.
func TestJobsInAStoreFromBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store, w := seeded(t, storage.Config{Path: path})
	named := acceptance(t, w, 0, "e1", 100)
	first, err := store.Enqueue(t.Context(), []delivery.Acceptance{named})
	require.NoError(t, err)
	suffixes := store.Tables(t, "event_")
	require.Len(t, suffixes, 3, "today, tomorrow, and what is kept")
	for _, suffix := range suffixes {
		store.Exec(t, strings.ReplaceAll(`DROP TABLE job_$day; DROP INDEX event_$day_identity;
CREATE UNIQUE INDEX event_$day_identity ON event_$day (tenant, event_id, source) WHERE event_id IS NOT NULL;`, "$day", suffix))
	}
	require.NoError(t, store.Close())

	store, err = storage.OpenSQLite(t.Context(), storage.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	job := acceptance(t, w, 1, "e1", 100)
	job.Event.URI, err = triggers.Default().ParseURI("/services/Buffer/GPServer")
	require.NoError(t, err)
	job.Event.Service = &triggers.ServiceFacts{JobID: "j1", Status: "failed"}
	receipts, err := store.Enqueue(t.Context(), []delivery.Acceptance{job, job, named})
	require.NoError(t, err)
	require.False(t, receipts[0].Duplicate, "another event's id is no matter")
	require.Equal(t, delivery.Receipt{ID: receipts[0].ID, Matched: 1, Duplicate: true}, receipts[1])
	require.Equal(t, delivery.Receipt{ID: first[0].ID, Matched: 1, Duplicate: true}, receipts[2])
}
