package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

// A database that refuses a delivery refuses its event as well, and with it the others of its transaction that are of the same request; what is sent again
// afterwards is stored as if it had never come.
func TestCase04RefusedBetweenEventAndDeliveries(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testCase04RefusedBetweenEventAndDeliveries)
}

func testCase04RefusedBetweenEventAndDeliveries(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, w := seededAt(t, config)
	defer func() { require.NoError(t, store.Close()) }()
	refuse, accept := `CREATE TRIGGER refuse BEFORE INSERT ON work WHEN (SELECT count(*) FROM work) >= 5 BEGIN SELECT RAISE(ABORT, 'refused here'); END`, `DROP TRIGGER refuse`
	if config.URL != "" {
		refuse = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN IF (SELECT count(*) FROM work) >= 5 THEN RAISE ''refused here''; END IF; RETURN NEW; END';
CREATE TRIGGER refuse BEFORE INSERT ON work FOR EACH ROW EXECUTE FUNCTION refuse()`
		accept = `DROP TRIGGER refuse ON work`
	}
	store.Script(t, refuse)
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

	store.Script(t, accept)
	receipts, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	for _, receipt := range receipts {
		require.False(t, receipt.Duplicate)
	}
	require.Equal(t, len(batch), store.Open())
	require.Len(t, everyEvent(t, store, w.Tenant), len(batch))
}

func everyEvent(t *testing.T, store eachStore, tenant uint32) []triggers.ID {
	t.Helper()
	found, err := allEvents(t, store, tenant)
	require.NoError(t, err)
	return found
}

// allEvents walks all events and reads each.
func allEvents(t *testing.T, store eachStore, tenant uint32) (found []triggers.ID, err error) {
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

// fillDisk takes the database's room: SQLite's file may not grow; PostgreSQL says what it says when the disk of its server is full.
func fillDisk(t *testing.T, store eachStore) {
	t.Helper()
	if file, ok := store.(*storage.Store); ok {
		require.NoError(t, file.Limit(t.Context(), 1))
		return
	}
	store.Script(t, `CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE ''could not extend file: No space left on device'' USING ERRCODE = ''disk_full''; END';
CREATE TRIGGER fill BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION fill();
CREATE TRIGGER fill BEFORE INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION fill()`)
}

func emptyDisk(t *testing.T, store eachStore) {
	t.Helper()
	if file, ok := store.(*storage.Store); ok {
		require.NoError(t, file.Limit(t.Context(), 0))
		return
	}
	store.Script(t, `DROP FUNCTION fill() CASCADE`)
}

func TestCase05FullDisk(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testCase05FullDisk)
}

func testCase05FullDisk(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	store, w := seededAt(t, place(t))
	defer func() { require.NoError(t, store.Close()) }()
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	fillDisk(t, store)

	var stored, refused atomic.Int64
	var group sync.WaitGroup
	for c := range 8 {
		group.Go(func() {
			for n := range 20 {
				batch := []delivery.Acceptance{
					acceptance(t, w, n, fmt.Sprintf("%d-%d", c, n), 3000), acceptance(t, w, n, fmt.Sprintf("%d-%d-b", c, n), 3000),
				}
				_, err := store.Enqueue(context.Background(), batch)
				var failed *delivery.CommitError
				switch {
				case err == nil:
					stored.Add(1)
				case errors.As(err, &failed) && failed.Full:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.NotZero(t, refused.Load())
	require.Equal(t, 1+2*int(stored.Load()), store.Open(), "nothing is half stored")
	claimed, _, err := store.Claim(t.Context(), time.Now(), 1, func(uint32) int { return 1 })
	if err == nil {
		require.Len(t, claimed, 1)
	}

	emptyDisk(t, store)
	for c := range 8 {
		for n := range 20 {
			_, err := store.Enqueue(t.Context(), []delivery.Acceptance{
				acceptance(t, w, n, fmt.Sprintf("%d-%d", c, n), 3000), acceptance(t, w, n, fmt.Sprintf("%d-%d-b", c, n), 3000),
			})
			require.NoError(t, err, "what was sent again under its id is stored once")
		}
	}
	require.Equal(t, 1+2*8*20, store.Open())
}

func TestCase05SettleOnFullDisk(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testCase05SettleOnFullDisk)
}

func testCase05SettleOnFullDisk(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	store, w := seededAt(t, place(t))
	defer func() { require.NoError(t, store.Close()) }()
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	claimed, _, err := store.Claim(t.Context(), time.Now(), 1, func(uint32) int { return 1 })
	require.NoError(t, err)
	settlement := delivery.Settlement{
		Delivery: claimed[0].ID, Tenant: w.Tenant, Webhook: w.Key, Fence: claimed[0].Fence, State: delivery.Succeeded,
		Attempt: &delivery.Attempt{StartedAt: time.Now(), ResponseBody: bytes.Repeat([]byte("x"), 16<<10)},
	}
	fillDisk(t, store)
	_, err = store.Settle(t.Context(), []delivery.Settlement{settlement})
	var failed *delivery.CommitError
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Full)
	require.Equal(t, 1, store.Open())
	emptyDisk(t, store)
	stale, err := store.Settle(t.Context(), []delivery.Settlement{settlement})
	require.NoError(t, err)
	require.Zero(t, stale, "the lease is still held")
	counts, err := store.Hourly(t.Context(), w.Tenant, w.Key, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, 1, counts[len(counts)-1].Attempts, "counted once")
	require.Zero(t, store.Open())
}
