package storage_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/triggers"
)

// A database that refuses a delivery refuses its event as well, and with it the others of its transaction that are of the same request; what is sent again
// afterwards is stored as if it had never come.
func TestCase04RefusedBetweenEventAndDeliveries(t *testing.T) {
	t.Parallel()
	store, w := seeded(t, storage.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	defer func() { require.NoError(t, store.Close()) }()
	store.Exec(t, `CREATE TRIGGER refuse BEFORE INSERT ON work WHEN (SELECT count(*) FROM work) >= 5 BEGIN SELECT RAISE(ABORT, 'refused here'); END`)
	batch := make([]delivery.Acceptance, 10)
	for n := range batch {
		batch[n] = acceptance(t, w, n, fmt.Sprint("e", n), 10)
	}
	_, err := store.Enqueue(t.Context(), batch)
	failed, ok := errors.AsType[*delivery.CommitError](err)
	require.True(t, ok, err)
	require.False(t, failed.Full)
	require.ErrorContains(t, err, "refused here")
	require.Zero(t, store.Open())
	require.Empty(t, everyEvent(t, store, w.Tenant))

	store.Exec(t, `DROP TRIGGER refuse`)
	receipts, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	for _, receipt := range receipts {
		require.False(t, receipt.Duplicate)
	}
	require.Equal(t, len(batch), store.Open())
	require.Len(t, everyEvent(t, store, w.Tenant), len(batch))
}

func everyEvent(t *testing.T, store *storage.Store, tenant uint32) []triggers.ID {
	t.Helper()
	found, err := allEvents(t, store, tenant)
	require.NoError(t, err)
	return found
}

// allEvents walks all events and reads each.
func allEvents(t *testing.T, store *storage.Store, tenant uint32) (found []triggers.ID, err error) {
	t.Helper()
	query := delivery.EventQuery{Tenant: tenant, Limit: 100}
	for {
		page, err := store.Events(t.Context(), query)
		if err != nil {
			return nil, err
		}
		for i := range page.Events {
			event, err := store.Event(t.Context(), tenant, page.Events[i].ID)
			if err != nil {
				return nil, err
			}
			if len(event.Matches) != 1 {
				return nil, fmt.Errorf("%d matches", len(event.Matches))
			}
			found = append(found, event.ID)
		}
		switch {
		case page.Stopped != 0:
			query.After = page.Stopped
		case len(page.Events) < query.Limit:
			return found, nil
		default:
			query.After = found[len(found)-1]
		}
	}
}

// A database with a page that a disk has ruined is refused, or says so when the page is read: nothing is missing without a word.
func TestCase06RuinedPages(t *testing.T) {
	t.Parallel()
	const events = 120
	path := filepath.Join(t.TempDir(), "test.db")
	store, w := seeded(t, storage.Config{Path: path})
	for n := range events {
		_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, n, fmt.Sprint("e", n), 100)})
		require.NoError(t, err)
	}
	require.NoError(t, store.Close())
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	key, err := os.ReadFile(filepath.Join(filepath.Dir(path), "test.key"))
	require.NoError(t, err)

	const page = 4096
	random := rand.New(rand.NewPCG(1, 2))
	var refused, later, harmless int
	step := page
	if testing.Short() {
		step = 5 * page
	}
	for at := 0; at < len(good); at += step {
		ruined := append([]byte(nil), good...)
		for i := range page {
			ruined[at+i] = byte(random.Uint32())
		}
		copied := filepath.Join(t.TempDir(), "test.db")
		require.NoError(t, os.WriteFile(copied, ruined, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(copied), "test.key"), key, 0o600))
		store, err := storage.OpenSQLite(t.Context(), storage.Config{Path: copied})
		if err != nil {
			require.ErrorContains(t, err, copied)
			refused++
			continue
		}
		found, err := allEvents(t, store, w.Tenant)
		if err == nil {
			require.Len(t, found, events, "page %d", at/page)
			var claimed []delivery.Claimed
			claimed, _, err = store.Claim(t.Context(), time.Now(), 2*events, func(uint32) int { return 2 * events })
			if err == nil {
				require.Len(t, claimed, events, "page %d", at/page)
				harmless++
			}
		}
		if err != nil {
			later++
		}
		_ = store.Close() // it may be unable to
	}
	t.Logf("of %d pages, %d keep the server from starting, %d are noticed when they are read, %d are of nothing that was read", refused+later+harmless, refused, later, harmless)
	require.NotZero(t, refused)
	require.NotZero(t, later)
}
