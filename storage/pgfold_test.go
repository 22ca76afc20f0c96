package storage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/triggers"
)

// folding are nodes of one database on a clock of the test's, and webhooks that things happen to.
type folding struct {
	*testing.T
	nodes    []*storage.Postgres
	clock    atomic.Int64 // milliseconds since 1970
	webhooks []*triggers.Webhook
	sums     map[uint32]map[int64]*delivery.HourCounts // by webhook and hour: what was counted, one after the other
	last     map[uint32]delivery.LastAttempt
	mu       sync.Mutex
	events   atomic.Int64
}

func newFolding(t *testing.T, nodes, webhooks int) *folding {
	t.Helper()
	f := &folding{T: t, sums: make(map[uint32]map[int64]*delivery.HourCounts), last: make(map[uint32]delivery.LastAttempt)}
	f.clock.Store(time.Now().Truncate(time.Hour).UnixMilli())
	config := postgresConfig(t, func() time.Time { return time.UnixMilli(f.clock.Load()) })
	for range nodes {
		node := openPostgres(t, config)
		t.Cleanup(func() { _ = node.Close() })
		f.nodes = append(f.nodes, node)
	}
	f.webhooks = append(f.webhooks, sharedHook(t, f.nodes[0]))
	for n := 1; n < webhooks; n++ {
		f.webhooks = append(f.webhooks, hookOf(t, f.nodes[0], f.webhooks[0].Tenant, byte(n+1)))
	}
	return f
}

// happen has a node make a delivery for each webhook, and end it with an attempt that takes some milliseconds.
func (f *folding) happen(node *storage.Postgres, n int) error {
	a := shared(f.T, node, f.webhooks[0], n, "")
	for _, w := range f.webhooks {
		planned := waitingFor(w)
		planned.Lease = true
		a.Planned = append(a.Planned, planned)
	}
	receipts, err := node.Enqueue(f.Context(), []delivery.Acceptance{a})
	if err != nil {
		return err
	}
	f.events.Add(1)
	var list []delivery.Settlement
	for i, w := range f.webhooks {
		s := delivery.Settlement{
			Delivery: receipts[0].ID + 1 + triggers.ID(i), Tenant: w.Tenant, Webhook: w.Key, Fence: 1, State: delivery.Succeeded,
			Attempt: &delivery.Attempt{StartedAt: a.AcceptedAt, Total: time.Duration(1+n%2000) * time.Millisecond, StatusCode: 200, Outcome: delivery.Delivered},
		}
		if (n+i)%3 == 0 {
			s.State, s.Attempt.StatusCode, s.Attempt.Outcome = delivery.Exhausted, 500, delivery.Rejected
		}
		list = append(list, s)
	}
	if stale, err := node.Settle(f.Context(), list); err != nil || stale != 0 {
		return fmt.Errorf("settle: %d stale, %w", stale, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range list {
		f.count(&list[i])
	}
	return nil
}

// count is the naive specification: one thing after the other.
func (f *folding) count(s *delivery.Settlement) {
	at := s.Attempt.StartedAt.Add(s.Attempt.Total)
	if f.sums[s.Webhook] == nil {
		f.sums[s.Webhook] = make(map[int64]*delivery.HourCounts)
	}
	c := f.sums[s.Webhook][at.Unix()/3600]
	if c == nil {
		c = &delivery.HourCounts{Hour: at.Truncate(time.Hour).UTC()}
		f.sums[s.Webhook][at.Unix()/3600] = c
	}
	c.Attempts++
	if s.State == delivery.Succeeded {
		c.Succeeded++
	} else {
		c.Failed++
		c.Exhausted++
	}
	c.Took += s.Attempt.Total
	class := 0
	for class < len(delivery.LatencyBounds) && delivery.LatencyBounds[class] < s.Attempt.Total {
		class++
	}
	c.Latency[class]++
	if last := f.last[s.Webhook]; at.After(last.At) {
		f.last[s.Webhook] = delivery.LastAttempt{Delivery: s.Delivery, At: at.UTC(), State: s.State, StatusCode: s.Attempt.StatusCode}
	}
}

// requireSums holds every counter to the specification.
func (f *folding) requireSums() {
	f.Helper()
	now := f.nodes[0].Now()
	from, to := now.Add(-48*time.Hour), now.Add(time.Hour)
	var all delivery.HourCounts
	var totals []delivery.WebhookTotal
	for _, w := range f.webhooks {
		hours, err := f.nodes[0].Hourly(f.Context(), w.Tenant, w.Key, from, to)
		require.NoError(f, err)
		var want []delivery.HourCounts
		total := delivery.WebhookTotal{Webhook: w.Key}
		for _, c := range f.sums[w.Key] {
			want = append(want, *c)
			all.Add(c)
			total.Attempts, total.Succeeded, total.Failed = total.Attempts+c.Attempts, total.Succeeded+c.Succeeded, total.Failed+c.Failed
			total.Exhausted, total.Took = total.Exhausted+c.Exhausted, total.Took+c.Took
		}
		slices.SortFunc(want, func(a, b delivery.HourCounts) int { return a.Hour.Compare(b.Hour) })
		require.Equal(f, want, hours)
		totals = append(totals, total)
		summaries, err := f.nodes[0].Summaries(f.Context(), []uint32{w.Key}, from, to)
		require.NoError(f, err)
		require.NotNil(f, summaries[0].Last)
		require.Equal(f, f.last[w.Key].At.UnixMilli(), summaries[0].Last.At.UnixMilli())
	}
	got, err := f.nodes[1].WebhookTotals(f.Context(), f.webhooks[0].Tenant, from, to)
	require.NoError(f, err)
	require.Equal(f, totals, got)
	hours, err := f.nodes[1].TenantHours(f.Context(), f.webhooks[0].Tenant, from, to)
	require.NoError(f, err)
	var sum delivery.TenantHour
	for i := range hours {
		sum.Add(&hours[i])
	}
	all.Hour, sum.Hour = time.Time{}, time.Time{}
	require.Equal(f, all, sum.HourCounts)
	require.Equal(f, f.events.Load(), sum.Events)
	require.Equal(f, f.events.Load()*int64(len(f.webhooks)), sum.Planned)
}

const rowsOfWriters = `SELECT (SELECT count(*) FROM hour WHERE slot <> 0) + (SELECT count(*) FROM tenant_hour WHERE slot <> 0)`

// Hours are folded while three nodes count in them, and nothing is counted twice or lost.
func TestFoldWhileOthersCount(t *testing.T) {
	t.Parallel()
	f := newFolding(t, 3, 5)
	const writers, each = 4, 25
	ctx, stop := context.WithCancel(t.Context())
	var counting, folding sync.WaitGroup
	for i, node := range f.nodes {
		for writer := range writers {
			counting.Go(func() {
				for n := range each {
					if err := f.happen(node, (i*writers+writer)*each+n); err != nil {
						t.Errorf("node %d: %v", i, err)
						return
					}
					f.clock.Add(2 * time.Minute.Milliseconds() / writers)
				}
			})
		}
	}
	for _, node := range f.nodes[:2] { // the one that leads, and one that believes that it does
		folding.Go(func() {
			for ctx.Err() == nil {
				node.Fold(t)
			}
		})
	}
	counting.Wait()
	stop()
	folding.Wait()
	f.requireSums()
	f.nodes[0].Fold(t)
	require.Zero(t, f.nodes[0].Number(t, rowsOfWriters))
	f.requireSums()
}

// The oldest node folds an hour a minute after its end, and looks at it again an hour later; while none has ended it asks nothing.
func TestFoldsWhenAnHourIsOver(t *testing.T) {
	t.Parallel()
	f := newFolding(t, 2, 2)
	rows := func() int64 { return f.nodes[0].Number(t, rowsOfWriters) }
	require.NoError(t, f.happen(f.nodes[0], 1))
	require.NoError(t, f.happen(f.nodes[1], 2))
	f.clock.Add(time.Hour.Milliseconds())
	f.nodes[0].FoldDue(t)
	require.EqualValues(t, 6, rows(), "some may still be counting")
	f.clock.Add(time.Minute.Milliseconds())
	f.nodes[1].FoldDue(t)
	require.EqualValues(t, 6, rows(), "another one leads")
	f.nodes[0].FoldDue(t)
	require.Zero(t, rows())
	f.requireSums()

	f.clock.Add(-2 * time.Minute.Milliseconds())
	require.NoError(t, f.happen(f.nodes[1], 3))
	f.clock.Add(2 * time.Minute.Milliseconds())
	f.nodes[0].FoldDue(t)
	require.EqualValues(t, 3, rows(), "what comes late waits")
	f.requireSums()
	f.clock.Add(time.Hour.Milliseconds())
	f.nodes[0].FoldDue(t)
	require.Zero(t, rows())
	f.requireSums()

	// The next one that leads goes on where this one was.
	require.NoError(t, f.nodes[0].Close())
	f.nodes = f.nodes[1:]
	f.nodes = append(f.nodes, f.nodes[0])
	f.nodes[0].Beat(t)
	f.nodes[0].Exec(t, `UPDATE hour SET slot = 1, hour = hour - 100 WHERE webhook = $1`, int64(f.webhooks[0].Key))
	f.nodes[0].FoldDue(t)
	require.EqualValues(t, len(f.sums[f.webhooks[0].Key]), rows(), "long ago")
}

// However full the tables, and whatever is known of them, counters are read hour by hour: with statistics of a thousand webhooks and six days,
// PostgreSQL once began with all hours of a webhook.
func TestFoldedHoursAreReadOneByOne(t *testing.T) {
	t.Parallel()
	var plans pgPlans
	config := storage.Observed(postgresConfig(t, nil), plans.read)
	store := openPostgres(t, config)
	t.Cleanup(func() { _ = store.Close() })
	w := sharedHook(t, store)
	now := store.Now()
	_, err := store.Hourly(t.Context(), w.Tenant, w.Key, now.Add(-time.Hour), now)
	require.NoError(t, err)
	_, err = store.WebhookTotals(t.Context(), w.Tenant, now.Add(-time.Hour), now)
	require.NoError(t, err)
	for _, keys := range [][]uint32{{w.Key}, {w.Key, w.Key + 1000}} {
		_, err = store.Summaries(t.Context(), keys, now.Add(-time.Hour), now)
		require.NoError(t, err)
	}
	plans.mu.Lock()
	statements := slices.Collect(maps.Keys(plans.statements))
	plans.mu.Unlock()
	store.Script(t, `INSERT INTO webhook SELECT key + n, decode(lpad(to_hex(n), 32, '0'), 'hex'), tenant, revision, name, name_folded, url, url_folded,
    enabled, ordered, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, settings, secrets, version
  FROM webhook, generate_series(2, 999) AS n;
INSERT INTO hour SELECT h, tenant, key, 0, 20, 18, 2, 1, 123456, array_fill(1::bigint, ARRAY[15]), h * 3600000::bigint, h, 2, 200
  FROM webhook, generate_series(1, 144) AS h`)
	for _, known := range []string{`SELECT`, `ANALYZE`} {
		store.Script(t, known)
		explained := 0
		for _, statement := range statements {
			if !strings.Contains(statement, "hour = n") {
				continue
			}
			explained++
			var plan []struct{ Plan planNode }
			require.NoError(t, json.Unmarshal([]byte(store.Explain(t, statement, func(kind string) string { return sample(kind, now) })), &plan), statement)
			require.Regexp(t, `^\(\(hour = asked\.n\) AND \(tenant = `, plan[0].Plan.condOf("hour"), statement)
		}
		require.Equal(t, 6, explained)
	}
}

// condOf is by what a table's index is read.
func (n *planNode) condOf(table string) string {
	if n.Relation == table {
		return n.Cond
	}
	for i := range n.Plans {
		if cond := n.Plans[i].condOf(table); cond != "" {
			return cond
		}
	}
	return ""
}
