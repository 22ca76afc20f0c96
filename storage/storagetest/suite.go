// Package storagetest holds every store to its contract, beside that of the queue, which is deliverytest's.
package storagetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/triggers"
)

// Store is what the suite asks of an implementation.
type Store interface {
	deliverytest.Store
	delivery.RecoveryStore
	Webhooks(ctx context.Context, q delivery.WebhookQuery) ([]*triggers.Webhook, error)
	WebhookKeys(ctx context.Context, q delivery.WebhookQuery) ([]uint32, error)
	APIKeys(ctx context.Context) ([]triggers.APIKey, error)
	AddAPIKey(ctx context.Context, key triggers.APIKey) error
	RevokeAPIKey(ctx context.Context, tenant uint32, id string) error
	NoteKeyUse(ctx context.Context, used map[string]time.Time) error
	Changes(ctx context.Context, q delivery.ChangeQuery) ([]delivery.Change, error)
	AddChange(ctx context.Context, change *delivery.Change) error
	Deliveries(ctx context.Context, q delivery.HistoryQuery) (*delivery.HistoryPage, error)
	Events(ctx context.Context, q delivery.EventQuery) (*delivery.EventPage, error)
	EventSummary(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventSummary, error)
	Matches(ctx context.Context, q delivery.MatchQuery) (*delivery.MatchPage, error)
	Matched(ctx context.Context, tenant uint32, event triggers.ID) ([]uint32, error)
	Hourly(ctx context.Context, tenant, webhook uint32, from, to time.Time) ([]delivery.HourCounts, error)
	TenantHours(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.TenantHour, error)
	WebhookTotals(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.WebhookTotal, error)
	Summaries(ctx context.Context, webhooks []uint32, since, now time.Time) ([]delivery.WebhookSummary, error)
	OpenWork(ctx context.Context, tenant uint32) (delivery.OpenWork, error)
	Retain(ctx context.Context, before time.Time) error
	ShiftDue(ctx context.Context, by time.Duration) error
	Ping(ctx context.Context) error
	FreeBytes() (uint64, error)
}

// Harness is an empty store under test.
type Harness struct {
	Store  Store
	Reopen func() Store
}

// TestStore holds a store to its contract. Open makes an empty store that reads the clock given; it is called once for every test.
func TestStore(t *testing.T, open func(t *testing.T, now func() time.Time) Harness) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"a webhook comes back whole", testWebhookWhole},
		{"a webhook is changed as a whole", testWebhookUpdate},
		{"a revision changes with what payloads and history show", testWebhookRevision},
		{"webhooks are revised when the server says otherwise", testReviseWebhooks},
		{"a tenant has no more webhooks than it may", testWebhookLimit},
		{"an owner has no more webhooks than he may", testOwnerLimit},
		{"a webhook is found in its own tenant only", testWebhookNotFound},
		{"a deleted webhook's key is not given again", testWebhookKeys},
		{"webhooks are filtered", testListFilters},
		{"webhooks are sorted and paged both ways", testListPages},
		{"a tenant is added and changed", testTenant},
		{"another portal URL revises the tenant's webhooks", testTenantURL},
		{"keys are added and revoked", testAPIKeys},
		{"changes are noted with what they change", testAudit},
		{"a change is stored with what is to be told of it", testTold},
		{"changes are filtered and paged", testAuditPages},
		{"changes outlive history", testAuditRetained},
		{"deliveries are listed newest first, open ones among them", testHistoryPages},
		{"deliveries are filtered as a look at each of them would", testHistoryFilters},
		{"what is rare is found without a look at the rest", testHistoryRare},
		{"pages stay in order while deliveries arrive and end", testHistoryMoves},
		{"attempts are counted by the hour", testHourly},
		{"whatever happens is counted, for its tenant and its webhook", testOverview},
		{"events are searched as a look at each of them would", testSearch},
		{"searches outlive the days they looked at", testSearchRetained},
		{"an event of many webhooks is counted and paged as a look at each would", testManyMatches},
		{"days that are over are forgotten", testRetain},
		{"retention never touches open work", testRetainOpen},
		{"retention keeps what younger deliveries need", testRetainResent},
		{"retention keeps what open intervals need", testRetainInterval},
		{"retention keeps revisions as long as they are needed", testRetainRevisions},
		{"what was not delivered is made anew, once", testRecover},
		{"a resend counts as a delivery of the event", testRecoverResent},
		{"an ordered webhook recovers in order", testRecoverOrdered},
		{"an interval's delivery is recovered whole", testRecoverInterval},
		{"a recovery is narrowed by state, trigger and time", testRecoverNarrowed},
		{"events without a delivery are taken up", testRecoverMissed},
		{"a step of a recovery is made once", testRecoverSteps},
		{"recoveries are paused, resumed, cancelled and listed", testRecoveryControl},
		{"who began a recovery is noted", testRecoverAudited},
		{"a recovery passes over days that were dropped", testRecoverRetained},
		{"the times in which a webhook was off by hand are recorded", testOffSpans},
		{"past events are found by the triggers that hear them", testEachPast},
		{"due dates move with the clock", testShiftDue},
		{"a clock set back while nobody was there", testSetBackAway},
		{"a day that was skipped, and came after all", testSkippedDay},
		{"intervals' ends move with the clock", testShiftIntervals},
		{"the store says how it is", testHealth},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := deliverytest.NewClock()
			h := open(t, clock.Now)
			f := &fixture{T: t, store: h.Store, reopen: h.Reopen, clock: clock}
			f.tenant = f.newTenant("test")
			test.run(f)
		})
	}
}

type fixture struct {
	*testing.T
	store  Store
	reopen func() Store
	clock  *deliverytest.Clock
	tenant uint32
	made   int
}

func (f *fixture) newTenant(name string) uint32 {
	f.Helper()
	tenant := triggers.Tenant{
		Name: name, PortalID: "id of " + name, PortalURL: "https://" + name + ".example.com/", ServerURL: "https://server.example.com/",
		CreatedAt: f.clock.Now(),
	}
	require.NoError(f, f.store.SaveTenant(f.Context(), &tenant))
	return tenant.Key
}

func (f *fixture) parse(texts ...string) []triggers.Trigger {
	f.Helper()
	parsed := make([]triggers.Trigger, len(texts))
	for i, text := range texts {
		var err error
		parsed[i], err = triggers.Default().ParseTrigger(text)
		require.NoError(f, err)
	}
	return parsed
}

// webhook is one that is not stored yet.
func (f *fixture) webhook(name string, texts ...string) *triggers.Webhook {
	f.Helper()
	f.made++
	w := &triggers.Webhook{
		Tenant: f.tenant, Name: name, URL: "https://receiver.example.com/hook", Enabled: true, Format: triggers.FormatAuto,
		Level: triggers.TenantLevel, Origin: "api", Triggers: f.parse(texts...), CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(),
	}
	copy(w.ID[:], fmt.Sprintf("%016d", f.made))
	return w
}

func (f *fixture) create(w *triggers.Webhook) *triggers.Webhook {
	f.Helper()
	require.NoError(f, f.store.CreateWebhook(f.Context(), w, delivery.WebhookLimits{}))
	return w
}

// accept stores an event with one waiting delivery to the webhook, for the trigger at the place.
func (f *fixture) accept(w *triggers.Webhook, place uint8) triggers.ID {
	f.Helper()
	return f.acceptPlanned(delivery.Planned{Webhook: w.Key, Revision: w.Revision, Trigger: place, State: delivery.Waiting})
}

func (f *fixture) acceptPlanned(planned ...delivery.Planned) triggers.ID {
	f.Helper()
	f.made++
	uri, err := triggers.Default().ParseURI(fmt.Sprintf("/items/%032x/share", f.made))
	require.NoError(f, err)
	receipts, err := f.store.Enqueue(f.Context(), []delivery.Acceptance{{
		Tenant: f.tenant, AcceptedAt: f.clock.Now(), Event: &triggers.Event{URI: uri}, Body: fmt.Appendf(nil, `{"n":%d}`, f.made),
		Planned: planned,
	}})
	require.NoError(f, err)
	return receipts[0].ID
}

func (f *fixture) claim() []delivery.Claimed {
	f.Helper()
	claimed, _, err := f.store.Claim(f.Context(), f.clock.Now(), 1000, func(uint32) int { return 1000 })
	require.NoError(f, err)
	return claimed
}

func (f *fixture) claimOne() delivery.Claimed {
	f.Helper()
	claimed := f.claim()
	require.Len(f, claimed, 1)
	return claimed[0]
}

// settle ends an attempt of a claimed delivery; due is zero unless it waits again.
func (f *fixture) settle(c delivery.Claimed, state delivery.State, status int, took time.Duration, due time.Time) {
	f.Helper()
	stale, err := f.store.Settle(f.Context(), []delivery.Settlement{{
		Delivery: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, Fence: c.Fence, State: state, DueAt: due, Reason: fmt.Sprint(status),
		Attempt: &delivery.Attempt{StartedAt: f.clock.Now(), Total: took, StatusCode: status, Revision: c.Revision.Number},
	}})
	require.NoError(f, err)
	require.Zero(f, stale)
}

func (f *fixture) succeed(c delivery.Claimed) {
	f.Helper()
	f.settle(c, delivery.Succeeded, 200, 7*time.Millisecond, time.Time{})
}

// retain forgets all days before today.
func (f *fixture) retain() {
	f.Helper()
	require.NoError(f, f.store.Retain(f.Context(), f.clock.Now()))
}

func (f *fixture) requireGone(id triggers.ID) {
	f.Helper()
	_, err := f.store.Event(f.Context(), f.tenant, id)
	require.ErrorIs(f, err, triggers.ErrNotFound)
}

func (f *fixture) delivery(id triggers.ID) *delivery.Record {
	f.Helper()
	record, err := f.store.Delivery(f.Context(), f.tenant, id)
	require.NoError(f, err)
	return record
}
