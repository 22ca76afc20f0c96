package storage_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/triggers"
)

// earlyDay is the day of the events in testdata/early.db.gz, and a time after them.
var (
	earlyDay  = "20261125"
	earlyTime = time.Date(2026, 11, 25, 19, 40, 0, 0, time.UTC)
)

// early is a store as it was before events said who may hear of them, deliveries were indexed by how they ended, and segments held
// their event types: 45 events and 6 that the server told itself; the webhooks well, down, lost and off; segments and open work.
func early(t *testing.T) storage.Config {
	t.Helper()
	packed, err := os.Open("testdata/early.db.gz")
	require.NoError(t, err)
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	require.NoError(t, err)
	content, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "early.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return storage.Config{Path: path, Now: func() time.Time { return earlyTime }}
}

// TestEarlierDaysAreBroughtUpToDate does with the days of an earlier version what is done with days.
func TestEarlierDaysAreBroughtUpToDate(t *testing.T) {
	t.Parallel()
	config := early(t)
	var log bytes.Buffer
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	store := open(t, config)
	require.Equal(t, 3, strings.Count(log.String(), "brought up to date"), "the kept rows, two days: %s", log.String())
	ctx := t.Context()

	// The tables are those of a new store.
	fresh, w := seeded(t, storage.Config{Path: filepath.Join(t.TempDir(), "fresh.db"), Now: config.Now})
	_, err := fresh.Enqueue(ctx, []delivery.Acceptance{acceptance(t, w, 1, "", 1)})
	require.NoError(t, err)
	require.Equal(t, fresh.DayForms(t), store.DayForms(t))
	require.NoError(t, fresh.Close())

	tenants, err := store.Tenants(ctx)
	require.NoError(t, err)
	tenant := tenants[0].Key
	hooks := make(map[string]*triggers.Webhook)
	list, err := store.Webhooks(ctx, delivery.WebhookQuery{Tenant: tenant, Limit: 10})
	require.NoError(t, err)
	for _, w := range list {
		hooks[w.Name] = w
	}
	require.Len(t, hooks, 4)

	emit := func(n int) delivery.Receipt {
		a := acceptance(t, hooks["well"], n, fmt.Sprintf("late-%d", n), 10)
		a.AcceptedAt, a.Event.OwnerID, a.Event.Username = earlyTime, "ann", "ann"
		receipts, err := store.Enqueue(ctx, []delivery.Acceptance{a})
		require.NoError(t, err)
		return receipts[0]
	}
	late := emit(1000)

	// Events are searched, old ones and new.
	search := func(q delivery.EventQuery) int {
		q.Tenant, q.Limit = tenant, 100
		page, err := store.Events(ctx, q)
		require.NoError(t, err)
		require.Zero(t, page.Stopped)
		return len(page.Events)
	}
	share := acceptance(t, hooks["well"], 3, "", 0).Event.URI
	require.Equal(t, 52, search(delivery.EventQuery{}))
	require.Equal(t, 15+1, search(delivery.EventQuery{Scope: delivery.SameOperation, URI: share}))
	require.Equal(t, 1, search(delivery.EventQuery{Scope: delivery.WholeURI, URI: share}))
	require.Equal(t, 1, search(delivery.EventQuery{EventID: "early-7"}))
	again, err := store.Enqueue(ctx, []delivery.Acceptance{func() delivery.Acceptance {
		a := acceptance(t, hooks["well"], 1000, "late-1000", 10)
		a.Event.OwnerID = "ann"
		return a
	}()})
	require.NoError(t, err)
	require.True(t, again[0].Duplicate)

	// Deliveries are listed by how they ended and by event type, which their segments did not know.
	listed := func(q delivery.HistoryQuery) int {
		q.Tenant, q.Limit = tenant, 100
		page, err := store.Deliveries(ctx, q)
		require.NoError(t, err)
		require.Zero(t, page.Stopped)
		return len(page.Deliveries)
	}
	well := hooks["well"].Key
	for range 2 {
		require.Equal(t, 46, listed(delivery.HistoryQuery{Webhook: well}))
		require.Equal(t, 45, listed(delivery.HistoryQuery{Webhook: well, States: []delivery.State{delivery.Succeeded}}))
		require.Equal(t, 6, listed(delivery.HistoryQuery{Webhook: hooks["lost"].Key, States: []delivery.State{delivery.Exhausted}}))
		require.Equal(t, 15, listed(delivery.HistoryQuery{Webhook: well, EventType: "/items/update"}))
		require.Equal(t, 16, listed(delivery.HistoryQuery{Webhook: well, EventType: "/items/share"}))
		require.Equal(t, 46, listed(delivery.HistoryQuery{Webhook: well, EventType: "/items"}))
		require.Equal(t, 15, listed(delivery.HistoryQuery{Webhook: hooks["down"].Key, EventType: "/items/share"}))
		require.NoError(t, store.Close())
		log.Reset()
		store = open(t, config)
		require.NotContains(t, log.String(), "brought up to date", "once is enough")
	}

	// What was open is claimed and ends.
	claimed, _, err := store.Claim(ctx, earlyTime.Add(2*time.Hour), 100, func(uint32) int { return 100 })
	require.NoError(t, err)
	require.Len(t, claimed, 24+1)
	var settled []delivery.Settlement
	var left *delivery.Claimed // an early one that stays open
	for i, c := range claimed {
		if left == nil && c.Webhook == hooks["down"].Key {
			left = &claimed[i]
			continue
		}
		settled = append(settled, delivery.Settlement{
			Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, State: delivery.Succeeded, Reason: "200 OK",
			Attempt: &delivery.Attempt{StartedAt: earlyTime, StatusCode: 200, Revision: c.Revision.Number},
		})
	}
	stale, err := store.Settle(ctx, settled)
	require.NoError(t, err)
	require.Zero(t, stale)

	// Days end: what open work needs is kept, the rest goes.
	require.NoError(t, store.Retain(ctx, earlyTime.Add(48*time.Hour)))
	require.NotContains(t, store.Tables(t, "event_"), earlyDay)
	_, err = store.Event(ctx, tenant, late.ID)
	require.ErrorIs(t, err, triggers.ErrNotFound)
	kept, err := store.Delivery(ctx, tenant, left.ID)
	require.NoError(t, err)
	require.Equal(t, delivery.Sending, kept.State)
	require.Len(t, kept.Events, 1)
	require.NoError(t, store.Close())
}

// TestFormsOfALaterVersionAreRefused opens stores that another version has changed.
func TestFormsOfALaterVersionAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ statement, says string }{
		"a further column": {`ALTER TABLE delivery_$day ADD COLUMN region TEXT`, "table delivery_$day is of a form that this version does not know"},
		"another column":   {`ALTER TABLE event_$day RENAME COLUMN uri TO address`, "table event_$day is of a form that this version does not know"},
		"further segments": {`PRAGMA user_version = 1000`, "made by a later one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := early(t)
			store := open(t, config)
			store.Script(t, strings.ReplaceAll(c.statement, "$day", earlyDay))
			require.NoError(t, store.Close())
			_, err := storage.OpenSQLite(t.Context(), config)
			require.ErrorContains(t, err, strings.ReplaceAll(c.says, "$day", earlyDay))
		})
	}
}

// TestIndexesOfDaysAreMadeAnew has tables without their indexes, with a strange one, and without a table.
func TestIndexesOfDaysAreMadeAnew(t *testing.T) {
	t.Parallel()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "test.db")}
	store, w := seeded(t, config)
	receipts, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 1, "a", 1)})
	require.NoError(t, err)
	want := store.DayForms(t)
	day := store.Tables(t, "event_")[0]
	store.Script(t, strings.ReplaceAll(`DROP INDEX delivery_$day_missed; DROP INDEX event_$day_identity; DROP TABLE job_$day;
CREATE INDEX event_$day_identity ON event_$day (username); CREATE INDEX event_$day_strange ON event_$day (source)`, "$day", day))
	require.NotEqual(t, want, store.DayForms(t))
	require.NoError(t, store.Close())
	store = open(t, config)
	require.Equal(t, want, store.DayForms(t))
	_, err = store.Event(t.Context(), w.Tenant, receipts[0].ID)
	require.NoError(t, err)
	require.NoError(t, store.Close())
}
