package storage_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/triggers"
)

// limited has a webhook be tried no more than so often a minute, and gives it n deliveries that wait.
func limited(t *testing.T, store *storage.Postgres, w *triggers.Webhook, limit, n int) {
	t.Helper()
	w.RateLimit = limit
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	batch := make([]delivery.Acceptance, n)
	for i := range batch {
		batch[i] = shared(t, store, w, i, "", waitingFor(w))
	}
	_, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
}

// claimAt claims as much as there is room for at a time.
func claimAt(t *testing.T, store *storage.Postgres, now time.Time, room int) int {
	t.Helper()
	store.Look()
	claimed, _, err := store.Claim(t.Context(), now, 1000, func(uint32) int { return room })
	require.NoError(t, err)
	return len(claimed)
}

// Whichever nodes claim, and however often, in no minute is more claimed of a webhook than its limit and what a bucket holds; and where there is
// work all the time, no less than the limit over time.
func TestRateLimitOverNodes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit   int
		ordered bool
		nodes   int           // that claim, of three
		step    time.Duration // the longest between two claims
	}{
		"one a second, all claim":          {limit: 60, nodes: 3, step: 300 * time.Millisecond},
		"one a second, one has all":        {limit: 60, nodes: 1, step: time.Second},
		"one a second, two, ordered":       {limit: 60, nodes: 2, step: time.Second, ordered: true},
		"one in 20 s, all claim":           {limit: 3, nodes: 3, step: 2 * time.Second},
		"several a second, all claim late": {limit: 300, nodes: 3, step: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := nodes(t, 3)
			w := sharedHook(t, all[0])
			w.Ordered = test.ordered
			const minutes = 4
			limited(t, all[0], w, test.limit, test.limit*(minutes+1))
			random := rand.New(rand.NewPCG(1, uint64(test.limit)))
			began := all[0].Now().Add(time.Second)
			now := began
			var times []time.Time
			for now.Sub(began) < minutes*time.Minute {
				for range claimAt(t, all[random.IntN(test.nodes)], now, 64) {
					times = append(times, now)
				}
				now = now.Add(time.Duration(random.Int64N(int64(test.step))) + time.Millisecond)
			}
			most := test.limit + max(test.limit/60, 1)
			for first, last := 0, 0; last < len(times); last++ {
				for times[last].Sub(times[first]) >= time.Minute {
					first++
				}
				require.LessOrEqual(t, last-first+1, most, "in the minute before %s", times[last].Sub(began))
			}
			if test.ordered {
				return // the next in a line waits for the one that was claimed
			}
			// A claim that comes when the bucket has been full for a while finds no more than that.
			require.GreaterOrEqual(t, len(times), test.limit*minutes*2/3)
		})
	}
}

// What may not be claimed now is left for later; what has no limit, or no room, asks no bucket; a bucket that was lost, or is of a clock that was
// set, is a new one.
func TestRateLimitOfOneWebhookOnly(t *testing.T) {
	t.Parallel()
	store := nodes(t, 1)[0]
	w := sharedHook(t, store)
	other := hookOf(t, store, w.Tenant, 2)
	limited(t, store, w, 6, 10)
	batch := make([]delivery.Acceptance, 20)
	for i := range batch {
		batch[i] = shared(t, store, w, 100+i, "", waitingFor(other))
	}
	_, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	now := store.Now().Add(time.Second)
	require.Zero(t, claimAt(t, store, now, 0))
	require.Equal(t, 1+20, claimAt(t, store, now, 100))
	require.EqualValues(t, 1, store.Number(t, `SELECT count(*) FROM rate`))
	require.Zero(t, claimAt(t, store, now.Add(9*time.Second), 100))
	require.Zero(t, claimAt(t, store, now.Add(10*time.Second), 0), "without room nothing is taken out of it")
	require.Equal(t, 1, claimAt(t, store, now.Add(10*time.Second), 100))
	require.Zero(t, claimAt(t, store, now.Add(15*time.Second), 100))
	require.Equal(t, 1, claimAt(t, store, now.Add(20*time.Second), 100), "what fell due before counts")
	require.Equal(t, 1, claimAt(t, store, now.Add(90*time.Second), 100), "a bucket holds no more than one")

	require.Zero(t, claimAt(t, store, now.Add(30*time.Second), 100), "the clock was set back")
	require.Zero(t, claimAt(t, store, now.Add(39*time.Second), 100))
	require.Equal(t, 1, claimAt(t, store, now.Add(40*time.Second+10*time.Millisecond), 100))
	store.Exec(t, `TRUNCATE rate`)
	require.Equal(t, 1, claimAt(t, store, now.Add(40*time.Second+20*time.Millisecond), 100))

	w.RateLimit = 0
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	require.Equal(t, 4, claimAt(t, store, now.Add(41*time.Second), 100))
}

// A node hears within a beat how many there are.
func TestNodesAreCounted(t *testing.T) {
	t.Parallel()
	all := nodes(t, 3)
	require.Equal(t, []int{1, 2, 3}, []int{all[0].Nodes(), all[1].Nodes(), all[2].Nodes()})
	all[0].Beat(t)
	require.Equal(t, 3, all[0].Nodes())
	require.NoError(t, all[2].Close())
	all[0].Beat(t)
	require.Equal(t, 2, all[0].Nodes())
	require.True(t, all[0].Leads())
}
