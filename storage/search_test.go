package storage_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

// sealing is a store that writes the tail of its search index every few events.
type sealing struct {
	*storage.Store
	t     *testing.T
	calls int
}

func (s *sealing) Enqueue(ctx context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	receipts, err := s.Store.Enqueue(ctx, batch)
	if s.calls++; s.calls%7 == 0 {
		s.Seal(s.t)
	}
	return receipts, err
}

// TestStoreInSegments also asks SQLite how it goes about every statement that the suite had it run.
func TestStoreInSegments(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the suite is run as it is; what is done to it here comes between its calls, one after the other")
	}
	var plans plans
	storagetest.TestStore(t, func(t *testing.T, now func() time.Time) storagetest.Harness {
		t.Helper()
		h := harness(t, now)
		var s *storage.Store
		t.Cleanup(func() { plans.written(t, s) })
		watched := func(store deliverytest.Store) storagetest.Store {
			s = store.(*storage.Store)
			s.Observe(t, plans.read)
			return &sealing{Store: s, t: t}
		}
		return storagetest.Harness{Store: watched(h.Store), Reopen: func() storagetest.Store { return watched(h.Reopen()) }}
	})
	plans.requireNoScan(t)
}

// TestSearchIndexGrows accepts more events than are held in memory, and searches them before and after a restart.
func TestSearchIndexGrows(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testSearchIndexGrows)
}

func testSearchIndexGrows(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, w := seededAt(t, config)
	const events, atOnce = 60_000, 10_000
	for n := 0; n < events; n += atOnce {
		batch := make([]delivery.Acceptance, atOnce)
		for i := range batch {
			batch[i] = acceptance(t, w, n+i, "", 1)
			batch[i].Planned, batch[i].Event.Username = nil, fmt.Sprint("user ", (n+i)%7000)
		}
		_, err := store.Enqueue(t.Context(), batch)
		require.NoError(t, err)
	}
	for range 2 {
		for _, n := range []int{0, 31_234, events - 1} {
			q := delivery.EventQuery{Tenant: w.Tenant, URI: acceptance(t, w, n, "", 1).Event.URI, Scope: delivery.WholeURI, Limit: 10}
			page, err := store.Events(t.Context(), q)
			require.NoError(t, err)
			require.Len(t, page.Events, 1, n)
			require.Equal(t, q.URI.String(), page.Events[0].URI)
		}
		page, err := store.Events(t.Context(), delivery.EventQuery{Tenant: w.Tenant, Username: "User 17", Limit: 100})
		require.NoError(t, err)
		require.Len(t, page.Events, 9)
		page, err = store.Events(t.Context(), delivery.EventQuery{Tenant: w.Tenant, Outcome: delivery.EventDelivered, Limit: 100})
		require.NoError(t, err)
		require.Empty(t, page.Events)
		require.NotZero(t, page.Stopped, "it does not look at all of them at once")
		require.NoError(t, store.Close())
		store = openAt(t, config)
	}
	require.NoError(t, store.Close())
}

// TestDeliveriesIndexedAgain opens a store with more events outside segments than are read at once.
func TestDeliveriesIndexedAgain(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testDeliveriesIndexedAgain)
}

func testDeliveriesIndexedAgain(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, w := seededAt(t, config)
	const events = 10_500
	rare, err := triggers.Default().ParseURI("/items/a/update")
	require.NoError(t, err)
	batch := make([]delivery.Acceptance, events)
	for i := range batch {
		batch[i] = acceptance(t, w, i, "", 1)
		if i == 0 || i == 9_998 || i == 9_999 || i == 10_000 || i == events-1 {
			batch[i].Event.URI = rare
		}
	}
	receipts, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	again, err := store.Resend(t.Context(), w.Tenant, receipts[0].ID+1, time.Now())
	require.NoError(t, err)
	want := []triggers.ID{
		again.ID, receipts[events-1].ID + 1, receipts[10_000].ID + 1, receipts[9_999].ID + 1, receipts[9_998].ID + 1, receipts[0].ID + 1,
	}
	for range 2 {
		page, err := store.Deliveries(t.Context(), delivery.HistoryQuery{Tenant: w.Tenant, Webhook: w.Key, EventType: "/items/update", Limit: 10})
		require.NoError(t, err)
		require.Zero(t, page.Stopped)
		var got []triggers.ID
		for _, record := range page.Deliveries {
			got = append(got, record.ID)
		}
		require.Equal(t, want, got)
		require.NoError(t, store.Close())
		store = openAt(t, config)
	}
	require.NoError(t, store.Close())
}
