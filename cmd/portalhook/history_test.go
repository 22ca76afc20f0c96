package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/storage"
	"portalhook/storage/postgrestest"
	"portalhook/triggers"
)

// A long history's span and shape.
const (
	historyDays     = 6
	historyBatch    = 500 // events stored together
	broadShare      = 10  // a tenth of the deliveries are of events that every webhook gets
	failingEvery    = 50  // of so many webhooks one takes nothing
	unmatchedEvery  = 40  // of so many events one matches no webhook
	unfinishedHours = 5   // how long deliveries still wait whose first attempt has failed
)

// pastStore is what a history is written through.
type pastStore interface {
	delivery.Queue
	SaveTenant(ctx context.Context, tenant *triggers.Tenant) error
	CreateWebhook(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error
	Close() error
}

// longHistory is a store as days of work leave it, written by the store itself on a clock that has been set back. Each delivery had an
// attempt. Nearly all arrived; some webhooks take nothing, and the last deliveries to them are still open.
type longHistory struct {
	store    pastStore
	clock    atomic.Int64 // milliseconds since 1970
	step     int64        // by which it moves from batch to batch
	random   *rand.Rand
	webhooks []*triggers.Webhook
	events   int
	// broad is the last event that every webhook got.
	broad triggers.ID
}

// writeHistory fills a process's store before it is first started.
func writeHistory(tb testing.TB, p *process, webhooks, deliveries int) *longHistory {
	tb.Helper()
	began := time.Now()
	h := &longHistory{random: rand.New(rand.NewPCG(1, 2))}
	h.clock.Store(began.Add(-historyDays * 24 * time.Hour).UnixMilli())
	h.open(tb, p)
	h.subscribe(tb, webhooks)
	broad := deliveries / broadShare / webhooks
	batches := max(1, (deliveries-broad*webhooks)/historyBatch)
	h.step = (began.UnixMilli() - h.clock.Load()) / int64(batches)
	for n := range batches {
		last := n == batches-1
		h.batch(tb, n, last)
		if broad > 0 && (n%max(1, batches/broad) == 0 || last) {
			h.everyone(tb)
		}
		h.clock.Add(h.step)
		if tenth := max(1, batches/10); (n+1)%tenth == 0 {
			tb.Logf("%3d %% of the history written after %.0f s", 100*(n+1)/batches, time.Since(began).Seconds())
		}
	}
	require.NoError(tb, h.store.Close())
	if p.database != "" {
		// Its daemon would have kept up with days, but not with minutes: counters are changed over and over.
		postgrestest.Exec(tb, p.database, "VACUUM (FULL, ANALYZE) hour")
		postgrestest.Exec(tb, p.database, "VACUUM (FULL, ANALYZE) tenant_hour")
		postgrestest.Exec(tb, p.database, "VACUUM ANALYZE")
	}
	return h
}

func (h *longHistory) now() time.Time { return time.UnixMilli(h.clock.Load()) }

func (h *longHistory) open(tb testing.TB, p *process) {
	tb.Helper()
	config := storage.Config{KeyFile: p.store + ".key", Now: h.now}
	var err error
	if config.URL = p.database; config.URL != "" {
		h.store, err = storage.OpenPostgres(tb.Context(), config)
	} else {
		config.Path = p.store
		h.store, err = storage.OpenSQLite(tb.Context(), config)
	}
	require.NoError(tb, err)
}

// subscribe makes the tenant that a server makes at its first start, and its webhooks.
func (h *longHistory) subscribe(tb testing.TB, webhooks int) {
	tb.Helper()
	tenant := triggers.Tenant{Name: "default", PortalID: "0123456789ABCDEF", PortalURL: "https://portal.example.com/"}
	require.NoError(tb, h.store.SaveTenant(tb.Context(), &tenant))
	for i := range webhooks {
		own, err := triggers.Default().ParseTrigger(fmt.Sprintf("/groups/g%d", i))
		require.NoError(tb, err)
		every, err := triggers.Default().ParseTrigger("/items/*/delete")
		require.NoError(tb, err)
		w := &triggers.Webhook{
			Tenant: tenant.Key, Name: fmt.Sprintf("Webhook %04d", i), URL: fmt.Sprintf("http://127.0.0.1:9/%d", i), Enabled: true,
			Level: triggers.TenantLevel, Format: triggers.FormatAuto, Triggers: []triggers.Trigger{every, own}, CreatedAt: h.now(), UpdatedAt: h.now(),
		}
		copy(w.ID[:], fmt.Sprintf("%016d", i))
		require.NoError(tb, h.store.CreateWebhook(tb.Context(), w, delivery.WebhookLimits{}))
		h.webhooks = append(h.webhooks, w)
	}
}

func failing(w *triggers.Webhook) bool { return w.Key%failingEvery == 0 }

// batch stores events of one webhook each, and what became of their deliveries.
func (h *longHistory) batch(tb testing.TB, n int, last bool) {
	tb.Helper()
	events := make([]delivery.Acceptance, historyBatch)
	to := make([]*triggers.Webhook, historyBatch)
	for i := range events {
		w := h.webhooks[h.random.IntN(len(h.webhooks))]
		events[i] = h.event(tb, fmt.Sprintf("/groups/g%d/update", w.Key-1))
		if i%unmatchedEvery == 0 && i > 0 {
			events[i] = h.event(tb, fmt.Sprintf("/users/user%d/update", n))
			continue
		}
		to[i] = w
		events[i].Planned = []delivery.Planned{{Webhook: w.Key, Revision: w.Revision, Trigger: 1, State: delivery.Waiting, Lease: true}}
	}
	receipts, err := h.store.Enqueue(tb.Context(), events)
	require.NoError(tb, err)
	var settled []delivery.Settlement
	for i, receipt := range receipts {
		if to[i] != nil {
			settled = append(settled, h.outcome(to[i], receipt.ID+1, last))
		}
	}
	h.settle(tb, settled)
}

// everyone stores an event that every webhook gets.
func (h *longHistory) everyone(tb testing.TB) {
	tb.Helper()
	a := h.event(tb, fmt.Sprintf("/items/%032x/delete", h.events))
	for _, w := range h.webhooks {
		a.Planned = append(a.Planned, delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting, Lease: true})
	}
	receipts, err := h.store.Enqueue(tb.Context(), []delivery.Acceptance{a})
	require.NoError(tb, err)
	h.broad = receipts[0].ID
	settled := make([]delivery.Settlement, len(h.webhooks))
	for i, w := range h.webhooks {
		settled[i] = h.outcome(w, h.broad+1+triggers.ID(i), false)
	}
	for len(settled) > 0 {
		n := min(len(settled), historyBatch)
		h.settle(tb, settled[:n])
		settled = settled[n:]
	}
}

func (h *longHistory) settle(tb testing.TB, settled []delivery.Settlement) {
	tb.Helper()
	stale, err := h.store.Settle(tb.Context(), settled)
	require.NoError(tb, err)
	require.Zero(tb, stale)
}

// event is an event of about 600 bytes.
func (h *longHistory) event(tb testing.TB, uri string) delivery.Acceptance {
	tb.Helper()
	h.events++
	parsed, err := triggers.Default().ParseURI(uri)
	require.NoError(tb, err)
	event := &triggers.Event{
		URI: parsed, Username: fmt.Sprintf("user%d", h.events%1000), UserID: "173dd04b69134bdf99c5000aad0b6298", When: h.now().UnixMilli(), HasWhen: true,
		EventID:    fmt.Sprintf("%012x-%016x", h.clock.Load(), h.random.Uint64()), // as UUIDs of version 7
		Properties: fmt.Appendf(nil, `{"n":%d,"text":"%0300d"}`, h.events, h.events),
	}
	body, err := payload.Render(event, h.now())
	require.NoError(tb, err)
	a := delivery.Acceptance{Tenant: h.webhooks[0].Tenant, AcceptedAt: h.now(), Event: event, Body: body}
	copy(a.Digest[:], a.Event.EventID[len(a.Event.EventID)-16:])
	return a
}

// outcome is what an attempt made of a delivery.
func (h *longHistory) outcome(w *triggers.Webhook, id triggers.ID, last bool) delivery.Settlement {
	s := delivery.Settlement{
		Delivery: id, Tenant: w.Tenant, Webhook: w.Key, Fence: 1, State: delivery.Succeeded, Reason: "200 OK",
		Attempt: &delivery.Attempt{
			StartedAt: h.now(), FirstByte: 2 * time.Millisecond, Total: time.Duration(3+h.random.IntN(40)) * time.Millisecond, Revision: w.Revision,
			Outcome: delivery.Delivered, StatusCode: 200,
			Signed:          [][2]string{{"webhook-id", id.Delivery()}, {"webhook-timestamp", "1543192196"}},
			ResponseHeaders: [][2]string{{"Content-Length", "2"}, {"Date", "Sun, 22 Nov 2026 12:00:00 GMT"}},
			ResponseBody:    []byte("ok"),
		},
	}
	if failing(w) {
		s.State, s.Reason = delivery.Exhausted, "500 Internal Server Error"
		s.Attempt.Outcome, s.Attempt.StatusCode = delivery.Rejected, 500
		if last {
			s.State, s.DueAt = delivery.Waiting, h.now().Add(unfinishedHours*time.Hour)
		}
	}
	return s
}
