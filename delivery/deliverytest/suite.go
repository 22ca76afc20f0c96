package deliverytest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Store is what the suite asks of an implementation beside the queue itself: webhooks to deliver to, and what history tells.
type Store interface {
	delivery.Queue
	delivery.WebhookStore
	Delivery(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error)
	Event(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventRecord, error)
	Open() int
}

// Harness is an empty store under test.
type Harness struct {
	Store Store
	// Reopen ends the store without warning and opens it again: the same on disk, nothing in memory.
	Reopen func() Store
}

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock stands at noon of a day, UTC.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

// Now is the time it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it, back when d is negative, and returns what it shows then.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// TestQueue holds an implementation of delivery.Queue to its contract. Open makes an empty store that reads the clock given; it is
// called once for every test.
func TestQueue(t *testing.T, open func(t *testing.T, now func() time.Time) Harness) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"an event is stored with its deliveries", testAccept},
		{"an event that matched nothing is stored", testUnmatched},
		{"ids rise in the order of acceptance", testIDsRise},
		{"ids rise when the clock is set back, and after a restart", testIDsNeverFall},
		{"an event and its deliveries are of one day", testIDsOfOneDay},
		{"the same event again is answered as the first time", testDuplicate},
		{"the same event twice in a batch is stored once", testDuplicateInBatch},
		{"identity is tenant, source and event id", testIdentity},
		{"a job ends once, whatever a second event says", testJob},
		{"a job ends once within a batch", testJobInBatch},
		{"a job's identity is tenant, service and job", testJobIdentity},
		{"a job's identity outlives a restart and lasts a day", testJobLasts},
		{"identity outlives a restart and lasts a day", testIdentityLasts},
		{"one conflict refuses its whole batch and no other", testConflict},
		{"a conflict within a batch refuses it", testConflictInBatch},
		{"a planned lease is nobody else's", testLeasedAtOnce},
		{"the rest waits to be claimed, with all it is sent with", testClaim},
		{"the earliest due comes first, and nothing before it is due", testDueOrder},
		{"a claim takes no more than there is room for", testClaimBounds},
		{"webhooks take turns", testTurns},
		{"next is when the earliest falls due", testNext},
		{"a delivery keeps the revision it was planned with", testRevisionIsKept},
		{"a settlement ends a delivery once", testSettle},
		{"case 13: another fence settles nothing", testFence},
		{"a retry waits and tells of its attempts", testRetry},
		{"a lease given back counts no attempt", testGiveBack},
		{"every end is told as it was", testEnds},
		{"a skipped delivery is recorded and never sent", testSkipped},
		{"case 12: a restart frees leases, and late settlements change nothing", testRestart},
		{"a restart keeps what waits as it was", testRestartKeepsWaiting},
		{"a resend is the same bytes under a new id", testResend},
		{"a resend of a delivery that waits", testResendOpen},
		{"a resend finds the tenant's own only", testResendNotFound},
		{"an interval's events come in one delivery", testInterval},
		{"intervals are closed one by one, for each webhook", testIntervals},
		{"a restart neither loses nor doubles an interval", testIntervalRestart},
		{"an interval's delivery can be sent again", testIntervalResend},
		{"an interval makes one delivery for each service", testIntervalServices},
		{"an interval's delivery is bounded", testIntervalBounds},
		{"many members are closed together", testIntervalMany},
		{"what comes after an interval was closed makes another delivery", testIntervalLate},
		{"an interval ends whatever becomes of its webhook, but for its end", testIntervalWebhook},
		{"the services of an ordered webhook's intervals have a line each", testIntervalLines},
		{"a deleted webhook's work is cancelled", testDeleted},
		{"an event for a webhook deleted meanwhile is cancelled", testDeletedMeanwhile},
		{"an ordered webhook is claimed thing by thing, one at a time", testOrdered},
		{"an ordered webhook has no more than there is room for", testOrderedRoom},
		{"what has no id is one line, ids are compared as triggers are", testOrderedLines},
		{"an ordered webhook's intervals come one after the other", testOrderedIntervals},
		{"a restart keeps the order", testOrderedRestart},
		{"a resend goes at once, its retries in their turn", testOrderedResend},
		{"order begins and ends with work waiting", testOrderedSwitched},
		{"failures are remembered until the next success, exhausted deliveries for good", testHealth},
		{"trouble of our own is nothing of a webhook's", testHealthOfOurTrouble},
		{"a resend counts for the webhook's health", testHealthOfResends},
		{"health is bounded in number and age", testHealthIsBounded},
		{"health begins anew when a webhook is switched on", testHealthBeginsAnew},
		{"a deleted webhook has no health", testHealthOfDeleted},
		{"what is to be told is stored with what it tells of, and goes with its event", testNotices},
		{"what is to be told is known by its name", testNoticesOfTheirNames},
		{"each step on the way to being switched off is told of once", testWarnings},
		{"probes are remembered while a webhook is off", testProbing},
		{"nothing of one tenant is another's", testTenants},
		{"nothing asked is nothing done", testNothing},
		{"case 11: claims at the same time take different deliveries", testClaimsDisjoint},
		{"case 03: events accepted at the same time are all there", testEnqueueTogether},
		{"settlements at the same time each count once", testSettleTogether},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := NewClock()
			h := open(t, clock.Now)
			test.run(newFixture(t, h, clock))
		})
	}
}

// fixture is a store with a tenant, and short words for what tests do with it.
type fixture struct {
	*testing.T
	store  Store
	reopen func() Store
	clock  *Clock
	tenant uint32
	made   int
}

func newFixture(t *testing.T, h Harness, clock *Clock) *fixture {
	t.Helper()
	f := &fixture{T: t, store: h.Store, reopen: h.Reopen, clock: clock}
	f.tenant = f.newTenant("test")
	return f
}

func (f *fixture) newTenant(name string) uint32 {
	f.Helper()
	tenant := triggers.Tenant{Name: name, PortalID: "id of " + name, PortalURL: "https://" + name + ".example.com/", CreatedAt: f.clock.Now()}
	require.NoError(f, f.store.SaveTenant(f.Context(), &tenant))
	require.NotZero(f, tenant.Key)
	return tenant.Key
}

func (f *fixture) restart() { f.store = f.reopen() }

// hook is a webhook as plans name it.
type hook struct {
	*triggers.Webhook
}

// webhook makes one that listens to everything about items, then to shared items.
func (f *fixture) webhook() hook {
	f.Helper()
	f.made++
	return f.webhookOf(f.tenant, fmt.Sprintf("webhook %d", f.made))
}

func (f *fixture) webhookOf(tenant uint32, name string) hook {
	f.Helper()
	w := &triggers.Webhook{
		Tenant: tenant, Name: name, URL: "https://receiver.example.com/" + name, Enabled: true, Format: triggers.FormatPortal,
		CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(),
	}
	copy(w.ID[:], fmt.Sprintf("%16s", fmt.Sprintf("%d/%s", tenant, name)))
	for _, text := range []string{"/items", "/items/share"} {
		trigger, err := triggers.Default().ParseTrigger(text)
		require.NoError(f, err)
		w.Triggers = append(w.Triggers, trigger)
	}
	require.NoError(f, f.store.CreateWebhook(f.Context(), w, delivery.WebhookLimits{}))
	require.NotZero(f, w.Key)
	require.NotZero(f, w.Revision)
	return hook{w}
}

// waiting, leased, skipped and until plan a delivery to the webhook.
func (h hook) waiting() delivery.Planned {
	return delivery.Planned{Webhook: h.Key, Revision: h.Revision, Trigger: 1, State: delivery.Waiting}
}

func (h hook) leased() delivery.Planned {
	p := h.waiting()
	p.Lease = true
	return p
}

func (h hook) skipped() delivery.Planned {
	p := h.waiting()
	p.State = delivery.Skipped
	return p
}

func (h hook) until(end time.Time) delivery.Planned {
	p := h.waiting()
	p.Interval = end
	return p
}

// event is an acceptance of an item that was shared, without an id of the sender's.
func (f *fixture) event(planned ...delivery.Planned) delivery.Acceptance {
	f.Helper()
	f.made++
	return f.named("", fmt.Sprintf(`{"n":%d}`, f.made), planned...)
}

// named is an acceptance with an id of the sender's; its digest is that of the body.
func (f *fixture) named(eventID, body string, planned ...delivery.Planned) delivery.Acceptance {
	f.Helper()
	f.made++
	uri, err := triggers.Default().ParseURI(fmt.Sprintf("/items/%032x/share", f.made))
	require.NoError(f, err)
	a := delivery.Acceptance{
		Tenant: f.tenant, AcceptedAt: f.clock.Now(), Body: []byte(body), Planned: planned,
		Event: &triggers.Event{URI: uri, EventID: eventID, Username: "jdoe", HasWhen: true, When: 1543192196521},
	}
	if eventID != "" {
		copy(a.Digest[:], body)
	}
	return a
}

func (f *fixture) enqueue(batch ...delivery.Acceptance) []delivery.Receipt {
	f.Helper()
	receipts, err := f.store.Enqueue(f.Context(), batch)
	require.NoError(f, err)
	require.Len(f, receipts, len(batch))
	return receipts
}

// claim takes what is due now, as much as there is.
func (f *fixture) claim() []delivery.Claimed {
	f.Helper()
	claimed, _, err := f.store.Claim(f.Context(), f.clock.Now(), 1000, func(uint32) int { return 1000 })
	require.NoError(f, err)
	return claimed
}

// claimOne takes the one delivery that is due.
func (f *fixture) claimOne() delivery.Claimed {
	f.Helper()
	claimed := f.claim()
	require.Len(f, claimed, 1)
	return claimed[0]
}

func (f *fixture) settle(batch ...delivery.Settlement) {
	f.Helper()
	stale, err := f.store.Settle(f.Context(), batch)
	require.NoError(f, err)
	require.Zero(f, stale, "stale settlements")
}

func (f *fixture) settleStale(batch ...delivery.Settlement) {
	f.Helper()
	stale, err := f.store.Settle(f.Context(), batch)
	require.NoError(f, err)
	require.Equal(f, len(batch), stale, "stale settlements")
}

// succeeded, exhausted and retried settle what was claimed, with an attempt.
func (f *fixture) succeeded(c delivery.Claimed) delivery.Settlement {
	return f.settlement(c, delivery.Succeeded, 200, "200 OK")
}

func (f *fixture) exhausted(c delivery.Claimed) delivery.Settlement {
	return f.settlement(c, delivery.Exhausted, 500, "500 Internal Server Error")
}

func (f *fixture) retried(c delivery.Claimed, due time.Time) delivery.Settlement {
	s := f.settlement(c, delivery.Waiting, 503, "503 Service Unavailable")
	s.DueAt = due
	return s
}

func (f *fixture) settlement(c delivery.Claimed, state delivery.State, status int, reason string) delivery.Settlement {
	return delivery.Settlement{
		Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, State: state, Reason: reason,
		Attempt: &delivery.Attempt{
			Number: c.Tries + 1, StartedAt: f.clock.Now(), Waited: time.Millisecond, Total: 7 * time.Millisecond, FirstByte: 6 * time.Millisecond,
			Revision: c.Revision.Number, Signed: [][2]string{{"webhook-id", c.ID.Delivery()}}, Outcome: delivery.Outcome(fmt.Sprint(status)),
			StatusCode: status, ResponseHeaders: [][2]string{{"Content-Type", "text/plain"}}, ResponseBody: []byte("answer"),
		},
	}
}

// leasedBy is the lease that a receipt's only planned delivery came back with.
func (f *fixture) leasedBy(h hook, r delivery.Receipt) delivery.Claimed {
	c := delivery.Claimed{ID: r.ID + 1, Tenant: h.Tenant, Webhook: h.Key, Fence: 1}
	c.Revision.Number = h.Revision
	return c
}

func (f *fixture) record(id triggers.ID) *delivery.Record {
	f.Helper()
	record, err := f.store.Delivery(f.Context(), f.tenant, id)
	require.NoError(f, err)
	return record
}

func (f *fixture) stored(id triggers.ID) *delivery.EventRecord {
	f.Helper()
	event, err := f.store.Event(f.Context(), f.tenant, id)
	require.NoError(f, err)
	return event
}
