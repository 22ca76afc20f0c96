package delivery_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// TestAdmission sees which webhooks with the trigger of an event get a delivery of it, and which are recorded as skipped.
func TestAdmission(t *testing.T) {
	h := open(t, nil)
	to := receiver(t, func(http.ResponseWriter, *http.Request) {})
	subscribe := func(change func(w *triggers.Webhook)) *triggers.Webhook {
		return h.subscribe(to, change, "/items/share")
	}
	filter := func(text string) func(*triggers.Webhook) {
		return func(w *triggers.Webhook) { require.NoError(t, w.SetFilter(text)) }
	}
	owned := func(owner string) func(*triggers.Webhook) {
		return func(w *triggers.Webhook) { w.Level, w.OwnerID = triggers.UserLevel, owner }
	}
	off := func(w *triggers.Webhook) { w.Enabled = false }
	removed := func(w *triggers.Webhook) {
		w.Enabled, w.DisabledReason, w.DisabledReasonCode = false, "too many failures", "FAILURES"
	}
	plain := subscribe(nil)
	ann, bob, eve := subscribe(owned("ann")), subscribe(owned("bob")), subscribe(owned("eve"))
	public := subscribe(filter(`properties.sharedToGroups eq "Everyone"`))
	private := subscribe(filter(`properties.sharedToGroups ne "Everyone"`))
	access := subscribe(filter(`properties.access eq "public"`))
	both := subscribe(func(w *triggers.Webhook) {
		owned("ann")(w)
		filter(`username eq "jdoe" and operation eq "share"`)(w)
	})
	skipped := subscribe(removed)
	heldTwice := subscribe(func(w *triggers.Webhook) {
		removed(w)
		filter(`username eq "bot"`)(w)
	})
	subscribe(off)

	states := func(body string) map[triggers.WebhookID]delivery.State {
		ev, err := triggers.Default().ParseEvent([]byte(body))
		require.NoError(t, err)
		receipt := h.emit(ev)[0]
		record, err := h.queue.Event(context.Background(), h.tenant, receipt.ID)
		require.NoError(t, err)
		require.Len(t, record.Matches, receipt.Matched)
		states := map[triggers.WebhookID]delivery.State{}
		for _, m := range record.Matches {
			state := m.Delivery.State
			if state != delivery.Skipped {
				state = h.delivered(m.Delivery.ID, ended).State
			}
			states[m.WebhookID] = state
		}
		return states
	}
	all := func(state delivery.State, webhooks ...*triggers.Webhook) map[triggers.WebhookID]delivery.State {
		m := map[triggers.WebhookID]delivery.State{skipped.ID: delivery.Skipped}
		for _, w := range webhooks {
			m[w.ID] = state
		}
		return m
	}
	require.Equal(t, all(delivery.Succeeded, plain, ann, eve, public, both),
		states(`{"uri":"/items/x/share","username":"jdoe","ownerId":"ann","audience":["eve"],"properties":{"access":"public"}}`),
		"filters see the properties as receivers do")
	require.Equal(t, all(delivery.Succeeded, plain, bob, private),
		states(`{"uri":"/items/x/share","username":"jdoe","ownerId":"bob","properties":{"groups":["g"],"access":"shared"}}`))

	_, err := h.directory.Update(context.Background(), h.tenant, heldTwice.ID, func(w *triggers.Webhook) error { return w.SetFilter("") })
	require.NoError(t, err)
	got := states(`{"uri":"/items/x/share","username":"jdoe","properties":{"access":"private"}}`)
	require.Equal(t, delivery.Skipped, got[heldTwice.ID], "a save is heard by the next event")
	require.NotContains(t, got, access.ID, "a fact that was read is no property")
}
