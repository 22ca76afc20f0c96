package storage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/router"
	"portalhook/storage"
	"portalhook/triggers"
)

// nodes are several nodes of one database.
func nodes(t *testing.T, n int) []*storage.Postgres {
	t.Helper()
	config := postgresConfig(t, nil)
	list := make([]*storage.Postgres, n)
	for i := range list {
		list[i] = openPostgres(t, config)
		t.Cleanup(func() { _ = list[i].Close() })
	}
	return list
}

func sharedHook(t *testing.T, store *storage.Postgres) *triggers.Webhook {
	t.Helper()
	tenant := triggers.Tenant{Name: "t", PortalID: "t", PortalURL: "https://t.example.com/", CreatedAt: store.Now()}
	require.NoError(t, store.SaveTenant(t.Context(), &tenant))
	return hookOf(t, store, tenant.Key, 1)
}

func hookOf(t *testing.T, store *storage.Postgres, tenant uint32, n byte) *triggers.Webhook {
	t.Helper()
	all, err := triggers.Default().ParseTrigger("/items")
	require.NoError(t, err)
	w := &triggers.Webhook{
		Tenant: tenant, ID: triggers.WebhookID{n}, Name: fmt.Sprint("webhook ", n), URL: "https://r.example.com/", Enabled: true, Format: triggers.FormatPortal,
		Triggers: []triggers.Trigger{all}, CreatedAt: store.Now(), UpdatedAt: store.Now(),
	}
	require.NoError(t, store.CreateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	return w
}

func waitingFor(w *triggers.Webhook) delivery.Planned {
	return delivery.Planned{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting}
}

func shared(t *testing.T, store *storage.Postgres, w *triggers.Webhook, n int, eventID string, planned ...delivery.Planned) delivery.Acceptance {
	t.Helper()
	a := acceptance(t, w, n, eventID, 0)
	a.AcceptedAt, a.Planned = store.Now(), planned
	return a
}

func claimAll(t *testing.T, store *storage.Postgres) []delivery.Claimed {
	t.Helper()
	store.Look()
	claimed, _, err := store.Claim(t.Context(), store.Now(), 1000, func(uint32) int { return 1000 })
	require.NoError(t, err)
	return claimed
}

func succeeded(c delivery.Claimed) delivery.Settlement {
	return delivery.Settlement{Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, State: delivery.Succeeded}
}

// A dead node's work is taken over, also what it was about to send, and what it says later changes nothing.
func TestCase09DeadNodeIsTakenOver(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2)
	w := sharedHook(t, all[0])
	leased := waitingFor(w)
	leased.Lease = true
	receipts, err := all[0].Enqueue(t.Context(), []delivery.Acceptance{shared(t, all[0], w, 1, "", leased), shared(t, all[0], w, 2, "", waitingFor(w))})
	require.NoError(t, err)
	atOnce := delivery.Claimed{ID: receipts[0].ID + 1, Tenant: w.Tenant, Webhook: w.Key, Fence: 1}
	late := claimAll(t, all[0])
	require.Len(t, late, 1)
	require.Empty(t, claimAll(t, all[1]), "what one node has is nobody else's")

	all[1].Exec(t, `UPDATE node SET seen_at = clock_timestamp() - interval '11 seconds' WHERE id = $1`, all[0].Node())
	all[1].Beat(t)
	require.Empty(t, claimAll(t, all[1]), "it may only be slow")
	all[1].Exec(t, `UPDATE node SET seen_at = clock_timestamp() - interval '13 seconds' WHERE id = $1`, all[0].Node())
	all[1].Beat(t)
	taken := claimAll(t, all[1])
	require.Len(t, taken, 2)
	require.Equal(t, 2, all[1].Open())

	// The frozen one wakes up, with what it had in hand.
	before := all[0].Node()
	stale, err := all[0].Settle(t.Context(), []delivery.Settlement{succeeded(atOnce), succeeded(late[0])})
	require.NoError(t, err)
	require.Equal(t, 2, stale)
	require.NotEqual(t, before, all[0].Node(), "it has joined anew")
	again, err := all[0].Enqueue(t.Context(), []delivery.Acceptance{shared(t, all[0], w, 3, "", leased)})
	require.NoError(t, err)
	require.Empty(t, claimAll(t, all[1]))
	stale, err = all[0].Settle(t.Context(), []delivery.Settlement{succeeded(delivery.Claimed{ID: again[0].ID + 1, Fence: 1})})
	require.NoError(t, err)
	require.Zero(t, stale)
	for _, c := range taken {
		stale, err := all[1].Settle(t.Context(), []delivery.Settlement{succeeded(c)})
		require.NoError(t, err)
		require.Zero(t, stale)
	}
	for _, node := range all {
		node.Beat(t)
		require.Zero(t, node.Open())
	}
}

// A node that has gone without a word leaves its leases to others, and its part of the count.
func TestNodeThatVanished(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2)
	w := sharedHook(t, all[0])
	_, err := all[0].Enqueue(t.Context(), []delivery.Acceptance{shared(t, all[0], w, 1, "", waitingFor(w), waitingFor(w))})
	require.NoError(t, err)
	require.Len(t, claimAll(t, all[0]), 2)
	require.Equal(t, []bool{true, false}, []bool{all[0].Leads(), all[1].Leads()})
	all[0].Die(t)
	all[1].Exec(t, `UPDATE node SET seen_at = clock_timestamp() - interval '1 minute' WHERE id <> $1`, all[1].Node())
	all[1].Beat(t)
	require.Len(t, claimAll(t, all[1]), 2)
	require.Equal(t, 2, all[1].Open())
	require.True(t, all[1].Leads())
	require.Zero(t, all[1].Number(t, `SELECT count(*) FROM opened WHERE slot <> 0`))
	require.EqualValues(t, 1, all[1].Number(t, `SELECT count(*) FROM node`))
}

// A node that was taken for dead joins once, however much finds that out at the same time, and counts what is open as the others do.
func TestNodeJoinsAnewOnce(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2)
	w := sharedHook(t, all[0])
	n := 0
	for range 5 {
		before := all[0].Node()
		all[1].Exec(t, `UPDATE node SET seen_at = clock_timestamp() - interval '13 seconds' WHERE id = $1`, before)
		all[1].Beat(t)
		var group sync.WaitGroup
		for range 12 {
			n++
			batch := []delivery.Acceptance{shared(t, all[0], w, n, "", waitingFor(w))}
			group.Go(func() {
				if _, err := all[0].Enqueue(t.Context(), batch); err != nil {
					t.Errorf("enqueue: %v", err)
				}
			})
			group.Go(func() {
				if _, err := all[0].Settle(t.Context(), []delivery.Settlement{succeeded(delivery.Claimed{ID: 1})}); err != nil {
					t.Errorf("settle: %v", err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 2, all[1].Number(t, `SELECT count(*) FROM node`))
	}
	for _, node := range all {
		node.Beat(t)
		require.Equal(t, n, node.Open())
	}
}

// The same event at several nodes at once is stored once, and answered alike.
func TestCase19SameEventOnAllNodes(t *testing.T) {
	t.Parallel()
	all := nodes(t, 3)
	w := sharedHook(t, all[0])
	const events, callers = 40, 6
	var fresh atomic.Int32
	answers := make([]sync.Map, events)
	var group sync.WaitGroup
	for caller := range callers {
		batches := make([][]delivery.Acceptance, events)
		for n := range events {
			batches[n] = []delivery.Acceptance{shared(t, all[0], w, n, fmt.Sprint("event ", n), waitingFor(w))}
		}
		group.Go(func() {
			for n := range events {
				receipts, err := all[caller%len(all)].Enqueue(t.Context(), batches[n])
				if err != nil {
					t.Errorf("caller %d, event %d: %v", caller, n, err)
					return
				}
				answers[n].Store(receipts[0].ID, true)
				if !receipts[0].Duplicate {
					fresh.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, events, fresh.Load())
	for n := range answers {
		count := 0
		answers[n].Range(func(any, any) bool { count++; return true })
		require.Equal(t, 1, count, "event %d has one number", n)
	}
	all[1].Beat(t)
	require.Equal(t, events, all[1].Open())
	require.EqualValues(t, events, all[1].Number(t, `SELECT count(*) FROM event`))
}

// Whatever node claims and settles, each delivery is made once, and the counters say so.
func TestNodesShareTheWork(t *testing.T) {
	t.Parallel()
	all := nodes(t, 3)
	w := sharedHook(t, all[0])
	second := hookOf(t, all[0], w.Tenant, 2)
	const events = 300
	batch := make([]delivery.Acceptance, events)
	for n := range batch {
		batch[n] = shared(t, all[0], w, n, "", waitingFor([]*triggers.Webhook{w, second}[n%2]))
	}
	_, err := all[0].Enqueue(t.Context(), batch)
	require.NoError(t, err)
	var made sync.Map
	var twice, total atomic.Int32
	var group sync.WaitGroup
	for _, node := range all {
		group.Go(func() {
			for total.Load() < events {
				node.Look()
				claimed, _, err := node.Claim(t.Context(), node.Now(), 20, func(uint32) int { return 7 })
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				var settlements []delivery.Settlement
				for i := range claimed {
					if _, before := made.LoadOrStore(claimed[i].ID, true); before {
						twice.Add(1)
					}
					s := succeeded(claimed[i])
					s.Attempt = &delivery.Attempt{StartedAt: node.Now(), Total: time.Millisecond, StatusCode: 200, Outcome: delivery.Delivered}
					settlements = append(settlements, s)
				}
				if stale, err := node.Settle(t.Context(), settlements); err != nil || stale != 0 {
					t.Errorf("settle: %d stale, %v", stale, err)
					return
				}
				total.Add(int32(len(claimed)))
			}
		})
	}
	group.Wait()
	require.Zero(t, twice.Load())
	require.EqualValues(t, events, total.Load())
	now := all[2].Now()
	hours, err := all[2].TenantHours(t.Context(), w.Tenant, now.Add(-time.Hour), now.Add(time.Hour))
	require.NoError(t, err)
	var sum delivery.TenantHour
	for i := range hours {
		sum.Add(&hours[i])
	}
	require.EqualValues(t, events, sum.Events)
	require.EqualValues(t, events, sum.Succeeded)
	totals, err := all[1].WebhookTotals(t.Context(), w.Tenant, now.Add(-time.Hour), now.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, totals, 2)
	require.EqualValues(t, events/2, totals[0].Attempts)
}

// A webhook that is saved on one node is heard by events on all; a deleted one is not.
func TestNodesHearOfChanges(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2)
	first := sharedHook(t, all[0])
	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	defer following.Wait()
	defer stop()
	directory, table := make([]*delivery.Directory, 2), make([]*router.Table, 2)
	heard := make(chan struct{}, 100)
	for i, node := range all {
		table[i] = router.NewTable()
		var err error
		directory[i], err = delivery.NewDirectory(ctx, delivery.DirectoryConfig{Store: node, Table: table[i]})
		require.NoError(t, err)
		following.Go(func() {
			node.Follow(ctx, directory[i].Version(), func(ctx context.Context, changes *delivery.Changes) error {
				err := directory[i].Follow(ctx, changes)
				heard <- struct{}{}
				return err
			}, func(string) {})
		})
	}
	uri, err := triggers.Default().ParseURI("/items/a/share")
	require.NoError(t, err)
	until := func(what string, done func() bool) {
		t.Helper()
		for !done() {
			select {
			case <-heard:
			case <-time.After(time.Minute):
				t.Fatal(what)
			}
		}
	}
	matches := func(node int) int { return len(table[node].Match(first.Tenant, &uri, nil)) }
	require.Equal(t, 1, matches(1))
	second := *first
	second.ID, second.Name = triggers.WebhookID{9}, "second"
	require.NoError(t, directory[0].Create(ctx, &second))
	require.Equal(t, 2, matches(0), "at once where it was saved")
	until("it was not heard of", func() bool { return matches(1) == 2 })

	// Two people change one webhook at two nodes: neither change is lost, though the other node has not heard of it yet.
	_, err = directory[0].Update(ctx, first.Tenant, first.ID, func(w *triggers.Webhook) error { w.Name = "renamed"; return nil })
	require.NoError(t, err)
	changed, err := directory[1].Update(ctx, first.Tenant, first.ID, func(w *triggers.Webhook) error { w.URL = "https://elsewhere.example.com/"; return nil })
	require.NoError(t, err)
	require.Equal(t, "renamed", changed.Name)
	until("the URL was not heard of", func() bool { return directory[0].Get(first.Key).URL == changed.URL })
	require.Equal(t, "renamed", directory[0].Get(first.Key).Name)

	moved := directory[1].Tenant(first.Tenant)
	moved.PortalURL = "https://moved.example.com/"
	require.NoError(t, directory[1].SaveTenant(ctx, &moved))
	until("the tenant was not heard of", func() bool { return directory[0].Tenant(first.Tenant).PortalURL == moved.PortalURL })
	until("its webhooks were not", func() bool {
		return directory[0].Get(first.Key).Revision == directory[1].Get(first.Key).Revision
	})
	require.NoError(t, directory[1].Delete(ctx, second.Tenant, second.ID))
	until("its end was not heard of", func() bool { return matches(0) == 1 })
	_, err = directory[0].ByID(second.Tenant, second.ID)
	require.ErrorIs(t, err, triggers.ErrNotFound)
}

// directories are the directories of nodes, none of which hears of the others: each has only what it asks for.
func directories(t *testing.T, all []*storage.Postgres) []*delivery.Directory {
	t.Helper()
	list := make([]*delivery.Directory, len(all))
	for i, node := range all {
		var err error
		list[i], err = delivery.NewDirectory(t.Context(), delivery.DirectoryConfig{Store: node, Table: router.NewTable()})
		require.NoError(t, err)
	}
	return list
}

// However many people save one webhook at several nodes at once, no save is lost: each is made of what was saved before it.
func TestNoSaveIsLost(t *testing.T) {
	t.Parallel()
	all := nodes(t, 3)
	w := sharedHook(t, all[0])
	w.Secret, w.EncryptedHeaders = triggers.NewSecret("0123456789abcdef0123456789abcdef"), []triggers.Header{{Name: "x-a", Value: triggers.NewSecret("a")}}
	require.NoError(t, all[0].UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	nodes := directories(t, all)
	const each = 12
	var people sync.WaitGroup
	var made atomic.Int32
	for person := range 2 * len(nodes) {
		people.Go(func() {
			for n := range each {
				_, err := nodes[person%len(nodes)].Update(t.Context(), w.Tenant, w.ID, func(w *triggers.Webhook) error {
					made.Add(1)
					w.Description += fmt.Sprintf("%d.%d ", person, n)
					w.UpdatedAt = all[0].Now()
					return nil
				})
				if err != nil {
					t.Errorf("person %d: %v", person, err)
					return
				}
			}
		})
	}
	people.Wait()
	last, err := all[1].Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	saves := strings.Fields(last.Description)
	require.Len(t, saves, 2*len(nodes)*each)
	slices.Sort(saves)
	require.Len(t, slices.Compact(saves), 2*len(nodes)*each)
	t.Logf("%d changes were made of %d", made.Load(), len(saves))
}

// A webhook is switched off by what it failed at all nodes, by its own policy and by the standard rule alike.
func TestFailuresOfAllNodesCount(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2)
	w := sharedHook(t, all[0])
	policy := &triggers.DeactivationPolicy{NumberOfFailures: 3, DaysInPast: 1}
	fail := func(node *storage.Postgres, at time.Time, policy *triggers.DeactivationPolicy) delivery.Verdict {
		t.Helper()
		receipts, err := node.Enqueue(t.Context(), []delivery.Acceptance{shared(t, node, w, 1, "", waitingFor(w))})
		require.NoError(t, err)
		claimed := claimAll(t, node)
		require.Len(t, claimed, 1)
		require.Equal(t, receipts[0].ID+1, claimed[0].ID)
		s := succeeded(claimed[0])
		s.State, s.Policy = delivery.Exhausted, policy
		s.Attempt = &delivery.Attempt{StartedAt: at, StatusCode: 500, Outcome: delivery.Rejected}
		_, err = node.Settle(t.Context(), []delivery.Settlement{s})
		require.NoError(t, err)
		health, err := node.Health(t.Context(), w.Key)
		require.NoError(t, err)
		of := health[w.Key]
		return of.Judge(policy, at)
	}
	began := all[0].Now()
	require.False(t, fail(all[0], began, policy).Off)
	require.False(t, fail(all[1], began.Add(time.Second), policy).Off)
	verdict := fail(all[0], began.Add(2*time.Second), policy)
	require.True(t, verdict.Off)
	require.Equal(t, "FAILURES", verdict.Code)
	require.False(t, fail(all[1], began.Add(119*time.Hour), nil).Off)
	verdict = fail(all[0], began.Add(121*time.Hour), nil)
	require.True(t, verdict.Off)
	require.Equal(t, "FAILING", verdict.Code)
}
