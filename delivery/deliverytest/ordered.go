package deliverytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// ordered makes a webhook whose deliveries keep their order.
func (f *fixture) ordered() hook {
	f.Helper()
	h := f.webhook()
	f.setOrdered(h, true)
	return h
}

func (f *fixture) setOrdered(h hook, ordered bool) {
	f.Helper()
	changed := *h.Webhook
	changed.Ordered = ordered
	require.NoError(f, f.store.UpdateWebhook(f.Context(), &changed, delivery.WebhookLimits{}))
	*h.Webhook = changed
}

// about accepts an event about something and gives the id of its first delivery.
func (f *fixture) about(uri string, planned ...delivery.Planned) triggers.ID {
	f.Helper()
	a := f.event(planned...)
	var err error
	a.Event.URI, err = triggers.Default().ParseURI(uri)
	require.NoError(f, err)
	return f.enqueue(a)[0].ID + 1
}

// requireClaimed claims what is due and requires it to be these deliveries, in any order.
func (f *fixture) requireClaimed(want ...triggers.ID) map[triggers.ID]delivery.Claimed {
	f.Helper()
	claimed := make(map[triggers.ID]delivery.Claimed)
	ids := []triggers.ID{}
	for _, c := range f.claim() {
		claimed[c.ID] = c
		ids = append(ids, c.ID)
	}
	require.ElementsMatch(f, want, ids)
	return claimed
}

func testOrdered(f *fixture) {
	h, other := f.ordered(), f.webhook()
	a1, a2, a3 := f.about("/items/a/update", h.waiting()), f.about("/items/A/share", h.waiting()), f.about("/items/a/delete", h.waiting())
	b1, b2 := f.about("/items/b/update", h.waiting()), f.about("/items/b/update", h.waiting())
	o1, o2 := f.about("/items/a/update", other.waiting()), f.about("/items/a/update", other.waiting())
	claimed := f.requireClaimed(a1, b1, o1, o2)
	f.requireClaimed()

	f.clock.Advance(time.Second)
	due := f.clock.Now().Add(time.Hour)
	f.settle(f.retried(claimed[a1], due), f.succeeded(claimed[b1]), f.succeeded(claimed[o1]), f.succeeded(claimed[o2]))
	claimed = f.requireClaimed(b2)
	_, next, err := f.store.Claim(f.Context(), f.clock.Now(), 10, func(uint32) int { return 10 })
	require.NoError(f, err)
	require.Equal(f, due, next, "what stands behind does not count")
	f.settle(f.succeeded(claimed[b2]))

	f.clock.Advance(time.Hour)
	claimed = f.requireClaimed(a1)
	f.settle(f.exhausted(claimed[a1]))
	claimed = f.requireClaimed(a2)
	cancelled := f.settlement(claimed[a2], delivery.Cancelled, 0, "cancelled")
	cancelled.Attempt = nil
	f.settle(cancelled)
	claimed = f.requireClaimed(a3)
	f.settle(f.succeeded(claimed[a3]))
	require.Zero(f, f.store.Open())
}

func testOrderedRoom(f *fixture) {
	h := f.ordered()
	first, second := f.about("/items/a/update", h.waiting()), f.about("/items/b/update", h.waiting())
	third := f.about("/items/c/update", h.waiting())
	take := func(n int) (ids []triggers.ID) {
		claimed, _, err := f.store.Claim(f.Context(), f.clock.Now(), n, func(uint32) int { return 2 })
		require.NoError(f, err)
		for i := range claimed {
			ids = append(ids, claimed[i].ID)
		}
		return ids
	}
	require.Empty(f, take(0))
	require.Equal(f, []triggers.ID{first}, take(1), "the oldest of several things first")
	require.Equal(f, []triggers.ID{second, third}, take(10))
}

func testOrderedLines(f *fixture) {
	h := f.ordered()
	bulk1, bulk2 := f.about("/users/bulkEnable", h.waiting()), f.about("/users/bulkDisable", h.waiting())
	user, item := f.about("/users/x/update", h.waiting()), f.about("/items/x/update", h.waiting())
	service, sameService := f.about("/services/City/X/FeatureServer/FeaturesCreated", h.waiting()), f.about("/services/city/x/FeatureServer/FeaturesUpdated", h.waiting())
	otherService := f.about("/services/X/FeatureServer/FeaturesCreated", h.waiting())
	app, sameApp := f.aboutApp("created", `{"id":"x"}`, h), f.aboutApp("deleted", `{"name":"n","id":"x"}`, h)
	otherApp, noApp := f.aboutApp("created", `{"id":"X"}`, h), f.aboutApp("created", `{"id":7}`, h)
	for range 2 {
		f.restart()
		f.requireClaimed(bulk1, user, item, service, otherService, app, otherApp)
	}
	f.restart()
	claimed := f.requireClaimed(bulk1, user, item, service, otherService, app, otherApp)
	f.settle(f.succeeded(claimed[bulk1]), f.succeeded(claimed[service]), f.succeeded(claimed[app]))
	claimed = f.requireClaimed(bulk2, sameService, sameApp)
	f.settle(f.succeeded(claimed[bulk2]))
	f.requireClaimed(noApp)
}

// aboutApp accepts an event of a cloud type, with data as its body holds it, and gives the id of its delivery.
func (f *fixture) aboutApp(what, data string, h hook) triggers.ID {
	f.Helper()
	a := f.event(h.waiting())
	var err error
	a.Event.URI, err = triggers.Default().ParseURI("com.qlik.v1.app." + what)
	require.NoError(f, err)
	a.Body = []byte(`{"when":1,"data":` + data + `}`)
	return f.enqueue(a)[0].ID + 1
}

func testOrderedIntervals(f *fixture) {
	h := f.ordered()
	end := f.clock.Now().Add(time.Minute)
	f.about("/items/a/update", h.until(end))
	f.about("/items/b/update", h.until(end.Add(time.Minute)))
	f.clock.Advance(time.Hour)
	f.closeIntervals(2)
	first := f.claimOne()
	require.Equal(f, end, first.BuiltAt, "one interval after the other, whatever they tell of")
	f.restart()
	first = f.claimOne()
	f.settle(f.succeeded(first))
	require.Greater(f, f.claimOne().ID, first.ID)
}

func testOrderedRestart(f *fixture) {
	h := f.ordered()
	a1, a2 := f.about("/items/a/update", h.waiting()), f.about("/items/a/update", h.waiting())
	b1, b2 := f.about("/items/b/update", h.waiting()), f.about("/items/b/update", h.waiting())
	claimed := f.requireClaimed(a1, b1)
	f.settle(f.retried(claimed[a1], f.clock.Now().Add(time.Hour)))
	f.restart()
	claimed = f.requireClaimed(b1)
	f.clock.Advance(26 * time.Hour) // the events are of yesterday then
	f.restart()
	f.settleStale(f.succeeded(claimed[b1]))
	claimed = f.requireClaimed(a1, b1)
	f.settle(f.succeeded(claimed[a1]), f.succeeded(claimed[b1]))
	f.requireClaimed(a2, b2)
}

func testOrderedResend(f *fixture) {
	h := f.ordered()
	a1 := f.about("/items/a/update", h.waiting())
	claimed := f.requireClaimed(a1)
	f.settle(f.exhausted(claimed[a1]))
	a2 := f.about("/items/a/update", h.waiting())
	again, err := f.store.Resend(f.Context(), f.tenant, a1, f.clock.Now())
	require.NoError(f, err)
	a3 := f.about("/items/a/update", h.waiting())
	claimed = f.requireClaimed(a2)
	f.settle(f.retried(again, f.clock.Now()), f.succeeded(claimed[a2]))
	claimed = f.requireClaimed(again.ID)
	f.settle(f.succeeded(claimed[again.ID]))
	f.requireClaimed(a3)
}

func testOrderedSwitched(f *fixture) {
	h := f.webhook()
	a1, a2 := f.about("/items/a/update", h.leased()), f.about("/items/a/update", h.waiting())
	a3, b1 := f.about("/items/a/update", h.waiting()), f.about("/items/b/update", h.waiting())
	f.setOrdered(h, true)
	a4 := f.about("/items/a/update", h.waiting())
	f.requireClaimed(b1)
	f.settle(f.retried(f.leasedBy(h, delivery.Receipt{ID: a1 - 1}), f.clock.Now().Add(time.Hour)))
	f.requireClaimed()
	f.clock.Advance(time.Hour)
	f.requireClaimed(a1)
	f.setOrdered(h, false)
	claimed := f.requireClaimed(a2, a3, a4)
	f.settle(f.retried(claimed[a2], f.clock.Now()), f.retried(claimed[a3], f.clock.Now()), f.retried(claimed[a4], f.clock.Now()))
	f.setOrdered(h, true)
	f.requireClaimed()
	f.restart()
	claimed = f.requireClaimed(a1, b1)
	f.settle(f.succeeded(claimed[a1]))
	claimed = f.requireClaimed(a2)
	require.NoError(f, f.store.DeleteWebhook(f.Context(), f.tenant, h.ID))
	f.settle(f.retried(claimed[a2], f.clock.Now()))
	require.Equal(f, delivery.Cancelled, f.record(a4).State)
}
