package delivery_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// talk is how nodes of a test tell each other what passes.
type talk struct {
	mu    sync.Mutex
	nodes map[*speaker]func(text string)
	cut   bool
}

// speaker is a node's end of it.
type speaker struct {
	*talk

	texts []string // that it has told
}

func (s *speaker) Tell(_ context.Context, texts []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return errors.New("cut off")
	}
	s.texts = append(s.texts, texts...)
	for other, hear := range s.nodes {
		if other == s {
			continue
		}
		for _, text := range texts {
			hear(text)
		}
	}
	return nil
}

func (s *speaker) count(containing string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.texts {
		if strings.Contains(text, containing) {
			n++
		}
	}
	return n
}

// talking has two nodes, each with a store of its own, whose webhooks have the same keys.
func talking(t *testing.T, w *wire, test func(t *testing.T, nodes [2]*house, says [2]*speaker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		between := &talk{nodes: make(map[*speaker]func(string))}
		var nodes [2]*house
		var says [2]*speaker
		for i := range nodes {
			says[i] = &speaker{talk: between}
			nodes[i] = open(t, func(c *delivery.Config) { c.Transport, c.Others = w, says[i] })
			between.mu.Lock()
			between.nodes[says[i]] = nodes[i].HearOther
			between.mu.Unlock()
		}
		synctest.Wait()
		test(t, nodes, says)
	})
}

// Who listens at one node hears what happens at another as who listens there, whatever he asks for. Nothing is told while nobody listens.
func TestTailOfAllNodes(t *testing.T) {
	w := &wire{answer: func(r *http.Request, n int) (int, http.Header, time.Duration, error) {
		if r.URL.Host == "b.example.com" {
			return always(500)(r, n)
		}
		return always(200)(r, n)
	}}
	talking(t, w, func(t *testing.T, nodes [2]*house, says [2]*speaker) {
		t.Helper()
		var a *triggers.Webhook
		for _, h := range nodes {
			a = h.subscribe("https://a.example.com/hook", nil, "/items")
			h.subscribe("https://b.example.com/hook", func(w *triggers.Webhook) {
				w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, time.Minute}}
			}, "/items/*/update")
			h.subscribe("https://c.example.com/hook", func(w *triggers.Webhook) { w.Level, w.OwnerID = triggers.UserLevel, "ann" }, "/items")
		}
		nodes[0].emit(event(t, "/items/x0/update"))
		pass(time.Hour)
		require.Empty(t, says[0].texts)
		require.Empty(t, says[1].texts)

		trigger, err := triggers.Default().ParseTrigger("/items/x*")
		require.NoError(t, err)
		queries := []delivery.TailQuery{
			{Tenant: nodes[0].tenant},
			{Tenant: nodes[0].tenant, Kinds: []delivery.MomentKind{delivery.MomentEvent}},
			{Tenant: nodes[0].tenant, Webhook: a.Key},
			{Tenant: nodes[0].tenant, Trigger: &trigger},
			{Tenant: nodes[0].tenant, Sees: func(w *triggers.Webhook) bool { return w.Level == triggers.UserLevel && w.OwnerID == "ann" }},
			{Tenant: nodes[0].tenant + 1},
		}
		var here, there []*delivery.Listener
		for _, q := range queries {
			here = append(here, nodes[0].listen(q))
		}
		pass(time.Second) // the other node hears of it at once, or with the next text
		for _, q := range queries {
			there = append(there, nodes[1].listen(q))
		}
		mine := event(t, "/items/x2/update")
		mine.OwnerID, mine.EventID = "ann", "with \x00 in it and\u2028"
		for range 3 {
			nodes[1].emit(event(t, "/items/x1/update"), event(t, "/groups/g/update"), mine, event(t, "/users/u/update"))
			pass(10 * time.Minute)
		}
		for i := range queries {
			want, _ := there[i].Take(nil)
			got, missed := here[i].Take(nil)
			require.Zero(t, missed)
			require.Equal(t, queries[i].Tenant == nodes[0].tenant, len(want) > 0)
			require.Len(t, got, len(want), "%+v", queries[i])
			for k := range want {
				requireToldAlike(t, &want[k], &got[k])
			}
		}

		// What happens here goes the other way as well, and is not told back.
		nodes[0].emit(event(t, "/items/x5/update"))
		pass(10 * time.Minute)
		want, _ := here[0].Take(nil)
		got, _ := there[0].Take(nil)
		require.NotEmpty(t, want)
		require.Len(t, got, len(want))

		for i := range queries {
			here[i].Close()
			there[i].Close()
		}
		pass(time.Minute)
		before := says[0].count("") + says[1].count("")
		nodes[1].emit(event(t, "/items/x6/update"))
		pass(time.Hour)
		require.Equal(t, before, says[0].count("")+says[1].count(""), "when all have gone nothing is told any more")
	})
}

func requireToldAlike(t *testing.T, want, got *delivery.Moment) {
	t.Helper()
	require.Equal(t, want.At.Truncate(time.Millisecond).UTC(), got.At)
	require.Equal(t, want.URI.String(), got.URI.String())
	require.Equal(t, []any{want.Kind, want.Tenant, want.Event, want.EventID, want.Username, want.Matched, want.Delivery, want.State, want.Attempts, want.Reason},
		[]any{got.Kind, got.Tenant, got.Event, got.EventID, got.Username, got.Matched, got.Delivery, got.State, got.Attempts, got.Reason})
	require.Equal(t, want.Webhook == nil, got.Webhook == nil)
	if want.Webhook != nil {
		require.Equal(t, want.Webhook.ID, got.Webhook.ID)
		require.Equal(t, want.Webhook.Name, got.Webhook.Name)
	}
	require.Equal(t, want.Attempt == nil, got.Attempt == nil)
	if a := want.Attempt; a != nil {
		require.Equal(t, []any{a.Outcome, a.StatusCode, a.Total}, []any{got.Attempt.Outcome, got.Attempt.StatusCode, got.Attempt.Total})
		require.Equal(t, want.DueAt.Truncate(time.Millisecond).UTC(), got.DueAt)
	}
}

// What is too much to be told is counted, and so what nobody could be told; a node that is killed while somebody listens there is forgotten.
func TestTailOfAllNodesIsBounded(t *testing.T) {
	talking(t, &wire{answer: always(200)}, func(t *testing.T, nodes [2]*house, says [2]*speaker) {
		t.Helper()
		l := nodes[0].listen(delivery.TailQuery{Tenant: nodes[0].tenant})
		pass(time.Second)
		var events []*triggers.Event
		for range 3000 {
			events = append(events, event(t, "/users/u/update"))
		}
		nodes[1].emit(events...)
		heard, lost := 0, 0
		for range 10 {
			pass(time.Second)
			moments, missed := l.Take(nil)
			heard, lost = heard+len(moments), lost+missed
		}
		require.Equal(t, 1024, heard)
		require.Equal(t, 3000-1024, lost)
		for _, text := range says[1].texts {
			require.LessOrEqual(t, len(text), delivery.MaxTold+100)
		}

		says[0].mu.Lock()
		delete(says[0].nodes, says[0])
		says[0].cut = true
		says[0].mu.Unlock()
		pass(time.Minute)
		says[0].mu.Lock()
		says[0].cut = false
		says[0].mu.Unlock()
		l.Close()
		before := says[1].count(`"m":`)
		nodes[1].emit(event(t, "/users/u/update"))
		pass(time.Minute)
		require.Equal(t, before, says[1].count(`"m":`))
	})
}
