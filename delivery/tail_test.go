package delivery_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/router"
	"portalhook/triggers"
)

// TestTail lets listeners of every kind follow the same story: who hears everything hears it in order, and the others hear what a look at
// each moment says that they should.
func TestTail(t *testing.T) {
	w := &wire{answer: func(r *http.Request, n int) (int, http.Header, time.Duration, error) {
		if r.URL.Host == "b.example.com" {
			return always(500)(r, n)
		}
		return always(200)(r, n)
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		once := func(w *triggers.Webhook) {
			w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, time.Minute}}
		}
		a := h.subscribe("https://a.example.com/hook", nil, "/items")
		b := h.subscribe("https://b.example.com/hook", once, "/items/*/update", "/webhooks/**")
		own := h.subscribe("https://c.example.com/hook", func(w *triggers.Webhook) { w.Level, w.OwnerID = triggers.UserLevel, "ann" }, "/items")
		off := h.subscribe("https://d.example.com/hook", func(w *triggers.Webhook) { w.Enabled, w.DisabledReasonCode = false, "GONE" }, "/groups")
		trigger, err := triggers.Default().ParseTrigger("/items/x*")
		require.NoError(t, err)
		all := h.listen(delivery.TailQuery{Tenant: h.tenant})
		foreign := h.listen(delivery.TailQuery{Tenant: h.tenant + 1})
		queries := []delivery.TailQuery{
			{Tenant: h.tenant, Kinds: []delivery.MomentKind{delivery.MomentEvent}},
			{Tenant: h.tenant, Kinds: []delivery.MomentKind{delivery.MomentAttempt, delivery.MomentEnd}},
			{Tenant: h.tenant, Webhook: a.Key},
			{Tenant: h.tenant, Webhook: b.Key, Kinds: []delivery.MomentKind{delivery.MomentEnd}},
			{Tenant: h.tenant, Trigger: &trigger},
			{Tenant: h.tenant, Sees: func(w *triggers.Webhook) bool { return w.OwnerID == "ann" }},
		}
		var listeners []*delivery.Listener
		for _, q := range queries {
			listeners = append(listeners, h.listen(q))
		}

		mine := event(t, "/items/x2/update")
		mine.OwnerID = "ann"
		receipts := h.emit(event(t, "/items/x1/update"), event(t, "/groups/g/update"), mine, event(t, "/users/u/update"))
		pass(time.Hour)
		told, missed := all.Take(nil)
		require.Zero(t, missed)
		nothing, _ := foreign.Take(nil)
		require.Empty(t, nothing)
		require.Equal(t, 4, count(told, func(m *delivery.Moment) bool {
			return m.Kind == delivery.MomentEvent && m.URI.Resource != triggers.Webhooks
		}))
		require.Equal(t, 2, count(told, func(m *delivery.Moment) bool {
			return m.Kind == delivery.MomentEnd && m.State == delivery.Exhausted && m.URI.Resource == triggers.Items
		}))
		require.Equal(t, 4, count(told, func(m *delivery.Moment) bool {
			return m.Kind == delivery.MomentAttempt && m.Webhook.Key == b.Key && m.Attempt.StatusCode == 500 && m.URI.Resource == triggers.Items
		}))
		require.Equal(t, 1, count(told, func(m *delivery.Moment) bool {
			return m.Kind == delivery.MomentEnd && m.State == delivery.Skipped && m.Webhook.Key == off.Key && m.Event == receipts[1].ID
		}))
		require.Equal(t, 2, count(told, func(m *delivery.Moment) bool { return m.Webhook != nil && m.Webhook.Key == own.Key }), "its attempt and its end")
		for i, q := range queries {
			got, missed := listeners[i].Take(nil)
			require.Zero(t, missed)
			require.NotEmpty(t, got)
			var want []delivery.Moment
			for k := range told {
				if naivelyWanted(q, &told[k], h) {
					want = append(want, told[k])
				}
			}
			require.Len(t, got, len(want), "%+v", q)
			for k := range want {
				require.Equal(t, want[k].Kind, got[k].Kind)
				require.Equal(t, want[k].Event, got[k].Event)
				require.Equal(t, want[k].Delivery, got[k].Delivery)
			}
		}

		all.Close()
		all.Close()
		h.emit(event(t, "/items/x3/update"))
		pass(time.Hour)
		told, _ = all.Take(nil)
		require.Empty(t, told, "whoever has gone hears nothing")
	})
}

func (h *house) listen(q delivery.TailQuery) *delivery.Listener {
	h.t.Helper()
	l, err := h.Listen(q)
	require.NoError(h.t, err)
	return l
}

func count(list []delivery.Moment, is func(*delivery.Moment) bool) (n int) {
	for i := range list {
		if is(&list[i]) {
			n++
		}
	}
	return n
}

// naivelyWanted says in plain words what a query asks for.
func naivelyWanted(q delivery.TailQuery, m *delivery.Moment, h *house) bool {
	if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, m.Kind) {
		return false
	}
	if q.Trigger != nil && !router.Explain([]triggers.Trigger{*q.Trigger}, &m.URI).Matched {
		return false
	}
	if q.Sees != nil && (m.Kind == delivery.MomentEvent || !q.Sees(m.Webhook)) {
		return false
	}
	if q.Webhook == 0 {
		return true
	}
	if m.Kind != delivery.MomentEvent {
		return m.Webhook.Key == q.Webhook
	}
	// Whether the event led to a delivery to the webhook.
	for id := m.Event + 1; id <= m.Event+triggers.ID(m.Matched); id++ {
		record, err := h.queue.Delivery(h.t.Context(), h.tenant, id)
		require.NoError(h.t, err)
		if record.Webhook == q.Webhook {
			return true
		}
	}
	return false
}

// TestTailCountsWhatIsMissed never waits for a listener that takes nothing, and tells it how much it missed.
func TestTailCountsWhatIsMissed(t *testing.T) {
	inBubble(t, &wire{answer: always(200)}, nil, func(h *house) {
		t := h.t
		l := h.listen(delivery.TailQuery{Tenant: h.tenant})
		var events []*triggers.Event
		for range 1500 {
			events = append(events, event(t, "/users/u/update"))
		}
		h.emit(events...)
		first, missed := l.Take(nil)
		require.Len(t, first, 1024)
		require.Equal(t, 1500-1024, missed)
		last := first[len(first)-1].Event
		h.emit(event(t, "/users/u/update"))
		next, missed := l.Take(first)
		require.Len(t, next, 1)
		require.Zero(t, missed, "it was told")
		require.Greater(t, next[0].Event, last)
	})
}

func TestTailIsBounded(t *testing.T) {
	var tail delivery.Tail
	var first *delivery.Listener
	for tenant := range uint32(4) {
		for range 16 {
			l, err := tail.Listen(delivery.TailQuery{Tenant: tenant})
			require.NoError(t, err)
			if first == nil {
				first = l
			}
		}
		var overload *delivery.Overload
		_, err := tail.Listen(delivery.TailQuery{Tenant: tenant})
		require.ErrorAs(t, err, &overload)
		require.Equal(t, http.StatusTooManyRequests, overload.Status)
	}
	_, err := tail.Listen(delivery.TailQuery{Tenant: 9})
	require.Error(t, err)
	first.Close()
	last, err := tail.Listen(delivery.TailQuery{Tenant: 9})
	require.NoError(t, err)
	tail.Close()
	<-last.Done
	_, err = tail.Listen(delivery.TailQuery{Tenant: 9})
	var overload *delivery.Overload
	require.ErrorAs(t, err, &overload)
	require.Equal(t, http.StatusServiceUnavailable, overload.Status)
}

func TestBreakersAreToldToWhomTheyConcern(t *testing.T) {
	refused := func(*http.Request, int) (int, http.Header, time.Duration, error) { return 0, nil, 0, errRefused }
	inBubble(t, &wire{answer: refused}, nil, func(h *house) {
		t := h.t
		h.subscribe("https://sick.example.com/a", nil, "/items")
		h.subscribe("https://sick.example.com/b", nil, "/items")
		h.subscribe("https://well.example.com/", nil, "/roles")
		require.Empty(t, h.Breakers(h.tenant))
		for range 10 {
			h.emit(event(t, "/items/a/update"))
		}
		pass(time.Second)
		open := h.Breakers(h.tenant)
		require.Len(t, open, 1)
		require.Equal(t, "https://sick.example.com:443", open[0].Host)
		require.Equal(t, 2, open[0].Webhooks)
		require.True(t, open[0].Until.After(time.Now()))
		require.Empty(t, h.Breakers(h.tenant+1))
	})
}

func TestRanks(t *testing.T) {
	total := func(key uint32, attempts, failed, exhausted int64, took time.Duration) delivery.WebhookTotal {
		return delivery.WebhookTotal{Webhook: key, HourCounts: delivery.HourCounts{Attempts: attempts, Failed: failed, Exhausted: exhausted, Took: took}}
	}
	list := []delivery.WebhookTotal{
		total(1, 10, 0, 0, time.Second), total(2, 1, 1, 1, time.Second), total(3, 5, 5, 0, 500*time.Millisecond),
		total(4, 5, 5, 1, 0), total(5, 0, 0, 0, 0),
	}
	keys := func(list []delivery.WebhookTotal) (keys []uint32) {
		for _, t := range list {
			keys = append(keys, t.Webhook)
		}
		return keys
	}
	require.Equal(t, []uint32{2, 1, 3, 4}, keys(delivery.Slowest(list, 4)))
	require.Equal(t, []uint32{4, 3, 2}, keys(delivery.MostFailing(list, 4)))
	require.Equal(t, []uint32{4}, keys(delivery.MostFailing(list, 1)))
	require.Empty(t, delivery.Slowest(nil, 4))
}

// BenchmarkTellNobody is what an event, and an attempt, pay for the tail while nobody listens.
func BenchmarkTellNobody(b *testing.B) {
	var tail delivery.Tail
	for b.Loop() {
		if tail.Heard() {
			b.Fatal("nobody listens")
		}
	}
}
