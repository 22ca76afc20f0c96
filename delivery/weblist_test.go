package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Pages by how webhooks have fared are the whole sorted list, cut; and what a filter leaves out is what its words say.
func TestPickByFate(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	start := time.UnixMilli(1763848800000)
	states := []delivery.State{delivery.Succeeded, delivery.Waiting, delivery.Exhausted}
	var all []delivery.SummedWebhook
	for key := range uint32(60) {
		w := delivery.SummedWebhook{Webhook: &triggers.Webhook{Key: key + 1, Name: fmt.Sprint(random.IntN(9)), CreatedAt: start}}
		if attempts := int64(random.IntN(4)); attempts > 0 {
			w.Summary.Counts = delivery.HourCounts{Attempts: attempts, Failed: random.Int64N(attempts + 1)}
			w.Summary.Last = &delivery.LastAttempt{At: start.Add(time.Duration(random.IntN(5)) * time.Second), State: states[random.IntN(len(states))]}
		}
		all = append(all, w)
	}
	half, whole := 0.5, 1.0
	share := func(w *delivery.SummedWebhook) float64 {
		if w.Summary.Counts.Attempts == 0 {
			return -1
		}
		return float64(w.Summary.Counts.Attempts-w.Summary.Counts.Failed) / float64(w.Summary.Counts.Attempts)
	}
	at := func(w *delivery.SummedWebhook) time.Time {
		if w.Summary.Last == nil {
			return time.Time{}
		}
		return w.Summary.Last.At
	}
	for name, c := range map[string]struct {
		fared delivery.Fared
		holds func(w *delivery.SummedWebhook) bool
	}{
		"all":      {delivery.Fared{}, func(*delivery.SummedWebhook) bool { return true }},
		"at least": {delivery.Fared{Least: &half}, func(w *delivery.SummedWebhook) bool { return share(w) >= half }},
		"at most":  {delivery.Fared{Most: &half}, func(w *delivery.SummedWebhook) bool { return share(w) >= 0 && share(w) <= half }},
		"whole":    {delivery.Fared{Least: &whole, Most: &whole}, func(w *delivery.SummedWebhook) bool { return share(w) == 1 }},
		"never":    {delivery.Fared{Last: []delivery.State{""}}, func(w *delivery.SummedWebhook) bool { return w.Summary.Last == nil }},
		"not arrived": {delivery.Fared{Last: states[1:]}, func(w *delivery.SummedWebhook) bool {
			return w.Summary.Last != nil && w.Summary.Last.State != delivery.Succeeded
		}},
	} {
		var want []uint32
		for i := range all {
			if c.holds(&all[i]) {
				want = append(want, all[i].Key)
			}
		}
		require.NotEmpty(t, want, name)
		for sort, before := range map[delivery.WebhookSort]func(a, b *delivery.SummedWebhook) bool{
			delivery.SortSuccessShare: func(a, b *delivery.SummedWebhook) bool { return share(a) <= share(b) },
			delivery.SortLastDelivery: func(a, b *delivery.SummedWebhook) bool { return !at(a).After(at(b)) },
			delivery.SortName:         func(a, b *delivery.SummedWebhook) bool { return a.Name <= b.Name },
		} {
			for _, down := range []bool{false, true} {
				q := delivery.WebhookQuery{Sort: sort, Descending: down, Fared: c.fared, Limit: 7}
				var pages []delivery.SummedWebhook
				for {
					page := q.Pick(slices.Clone(all))
					if len(page) == 0 {
						break
					}
					require.LessOrEqual(t, len(page), q.Limit)
					pages = append(pages, page...)
					place := q.PlaceOfSummed(&page[len(page)-1])
					q.After = &place
				}
				if down {
					slices.Reverse(pages)
				}
				var got []uint32
				for i := range pages {
					got = append(got, pages[i].Key)
					require.True(t, i == 0 || before(&pages[i-1], &pages[i]), "%s by %s", name, sort)
				}
				require.ElementsMatch(t, want, got, "%s by %s", name, sort)
			}
		}
	}
}
