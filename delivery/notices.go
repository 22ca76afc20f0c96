package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/triggers"
)

const (
	noticeBatch = 64
	noticePause = time.Second // at least, before notices that could not be taken are tried again
	// noticeSource keeps the identities of our own events apart from those that backends choose.
	noticeSource = "portalhook"
)

// Notice is an event of our own that is still to be told: that a webhook was switched off, or came on again, or that a delivery ran out
// of attempts. It is stored in the transaction of what it tells of, and goes when its event is stored, so that each is told once, however
// the process ends. A delivery of such an event leads to no other.
type Notice struct {
	ID        int64 // the store's number
	Tenant    uint32
	Webhook   triggers.WebhookID
	Operation triggers.Operation // of triggers.Webhooks
	// Name is the event's id. The same happening has the same name, whoever tells of it.
	Name       string
	At         time.Time // milliseconds count
	Properties []byte    // a JSON object, not empty
}

// healthFacts are what a webhook's health adds to the notice of a delivery that ran out of attempts.
type healthFacts struct {
	first   bool
	way     Way
	warning int // 0: none
}

// with is the notice with the facts behind its other properties; without facts it is no first and no warning. Nil stays nil.
func (n *Notice) with(facts *healthFacts) *Notice {
	if n == nil {
		return nil
	}
	told := *n
	properties := bytes.TrimSuffix(slices.Clip(n.Properties), []byte("}"))
	if facts == nil {
		told.Properties = append(properties, `,"first":false}`...)
		return &told
	}
	properties = fmt.Appendf(properties, `,"first":%t,"failures":%d`, facts.first, facts.way.Failures)
	if !facts.way.Standard {
		properties = fmt.Appendf(properties, `,"limit":%d`, facts.way.Limit)
	}
	properties = fmt.Appendf(properties, `,"percent":%d`, facts.way.Percent)
	if facts.warning > 0 {
		properties = fmt.Appendf(properties, `,"warning":%d`, facts.warning)
	}
	told.Properties = append(properties, '}')
	return &told
}

// event is the event that the notice becomes. The error is a *triggers.FieldError, and cannot be for one that the dispatcher made.
func (n *Notice) event() (*triggers.Event, error) {
	uri, err := triggers.NewURI(triggers.Webhooks, n.Operation, "", n.Webhook.String())
	if err != nil {
		return nil, err
	}
	return &triggers.Event{
		URI: uri, EventID: n.Name, Source: noticeSource, When: n.At.UnixMilli(), HasWhen: true, Properties: n.Properties,
	}, nil
}

type noticeKey struct{}

// Announcing gives a context under which UpdateWebhook stores a notice beside the change, in the same transaction. It travels there as a
// Change does.
func Announcing(ctx context.Context, n *Notice) context.Context {
	if n == nil {
		return ctx
	}
	return context.WithValue(ctx, noticeKey{}, n)
}

// NoticeIn is the notice that a context carries; nil when there is none.
func NoticeIn(ctx context.Context) *Notice {
	n, _ := ctx.Value(noticeKey{}).(*Notice)
	return n
}

// tell dispatches the notices that wait, until none is left, the dispatcher stops (untilNudged), or they cannot be taken now: then it says
// when to try again.
func (d *Dispatcher) tell() (pause time.Duration) {
	most := noticeBatch
	for {
		select {
		case <-d.stop:
			return untilNudged
		default:
		}
		waiting, err := d.queue.Notices(context.Background(), most)
		if err != nil {
			d.log.Error("own events not read; trying again", "err", err)
			return noticePause
		}
		if len(waiting) == 0 {
			return untilNudged
		}
		if others := slices.IndexFunc(waiting, func(n Notice) bool { return n.Tenant != waiting[0].Tenant }); others > 0 {
			waiting = waiting[:others]
		}
		err = d.tellTogether(waiting)
		switch overload, ok := errors.AsType[*Overload](err); {
		case err == nil:
		case ok:
			return max(overload.RetryAfter, noticePause)
		case len(waiting) > 1:
			most = 1 // one that cannot be told takes no other with it
		default:
			if !d.forgetNotices(waiting, err) {
				return noticePause
			}
		}
	}
}

// tellTogether dispatches notices of one tenant. What was told before in other words is told by that.
func (d *Dispatcher) tellTogether(waiting []Notice) error {
	events := make([]*triggers.Event, len(waiting))
	for i := range waiting {
		var err error
		if events[i], err = waiting[i].event(); err != nil {
			return err
		}
	}
	_, err := d.dispatch(context.Background(), waiting[0].Tenant, events)
	if conflict, ok := errors.AsType[*ConflictError](err); ok {
		return d.queue.ForgetNotices(context.Background(), waiting[conflict.Index].ID)
	}
	return err
}

// forgetNotices gives up notices that can never be told, and reports whether the store did.
func (d *Dispatcher) forgetNotices(waiting []Notice, why error) bool {
	ids := make([]int64, len(waiting))
	for i := range waiting {
		ids[i] = waiting[i].ID
	}
	if err := d.queue.ForgetNotices(context.Background(), ids...); err != nil {
		d.log.Error("own events not told; trying again", "count", len(ids), "err", errors.Join(why, err))
		return false
	}
	d.metrics.noticesDropped(len(ids))
	d.log.Error("own events not told", "tenant", waiting[0].Tenant, "count", len(ids), "err", why)
	return true
}

// notice makes the notice of an operation on a webhook; nil when that cannot be.
func (d *Dispatcher) notice(w *triggers.Webhook, op triggers.Operation, name string, at time.Time, properties any) *Notice {
	body, err := json.Marshal(properties)
	if err != nil {
		d.log.Error("own event not told", "webhook", w.ID, "err", err) // cannot be: texts come from JSON
		return nil
	}
	return &Notice{Tenant: w.Tenant, Webhook: w.ID, Operation: op, Name: name, At: at, Properties: body}
}

// aboutWebhook is what every event of our own says of its webhook.
type aboutWebhook struct {
	WebhookID   string `json:"webhookId"`
	WebhookName string `json:"webhookName"`
}

func about(w *triggers.Webhook) aboutWebhook { return aboutWebhook{w.ID.String(), w.Name} }

// announce is what is to be told of a change: that the server switched the webhook off, or that one is on again which it had switched off.
// Nil: nothing, as what people do by hand is their own business.
func (d *Dispatcher) announce(before, after *triggers.Webhook) *Notice {
	switch {
	case before.Enabled && switchedOff(after):
		return d.notice(after, triggers.WebhooksDisable, fmt.Sprintf("disable-%s-%d", after.ID, after.DisabledAt.UnixMilli()), after.DisabledAt, struct {
			aboutWebhook
			Reason string `json:"reason"`
			Code   string `json:"code"`
		}{about(after), after.DisabledReason, after.DisabledReasonCode})
	case switchedOff(before) && after.Enabled:
		// Its name is that of the time it was off, which ends but once.
		return d.notice(after, triggers.WebhooksEnable, fmt.Sprintf("enable-%s-%d", after.ID, before.DisabledAt.UnixMilli()), d.clock.Now(), struct {
			aboutWebhook
			DisabledReason     string `json:"disabledReason"`
			DisabledReasonCode string `json:"disabledReasonCode"`
			DisabledAt         string `json:"disabledAt"`             // from when events were skipped
			EnabledReason      string `json:"enabledReason,omitzero"` // of the server; absent when somebody did it
		}{about(after), before.DisabledReason, before.DisabledReasonCode, dated(before.DisabledAt), after.EnabledReason})
	}
	return nil
}

// exhaustion is the notice of a delivery that ran out of attempts, to which the webhook's health adds; nil of a delivery that did not, and of
// one of an event of our own.
func (d *Dispatcher) exhaustion(j *job, w *triggers.Webhook, s *Settlement) *Notice {
	if s.State != Exhausted || j.isNotice() {
		return nil
	}
	told := struct {
		aboutWebhook
		DeliveryID string `json:"deliveryId"`
		EventID    string `json:"eventId"`
		URI        string `json:"uri"`
		Receiver   string `json:"receiver"`
		Attempts   int    `json:"attempts"`
		LastStatus int    `json:"lastStatus,omitzero"`
		Reason     string `json:"reason"`
	}{
		aboutWebhook: about(w), DeliveryID: j.id.Delivery(), EventID: j.events[0].ID.Event(), URI: j.events[0].URI.String(),
		Receiver: receiverOf(w.URL), Attempts: j.tries, Reason: s.Reason,
	}
	at := d.clock.Now()
	if s.Attempt != nil {
		told.Attempts, told.LastStatus, at = s.Attempt.Number, s.Attempt.StatusCode, s.Attempt.StartedAt.Add(s.Attempt.Total)
	}
	return d.notice(w, triggers.WebhooksExhaust, "exhaust-"+j.id.Delivery(), at, told)
}

// receiverOf is the beginning of a webhook's URL. The rest stays out of what others are told: its path or query is often a key.
func receiverOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// isNotice reports whether the delivery tells of an event of our own.
func (j *job) isNotice() bool {
	return len(j.events) > 0 && j.events[0].URI.Resource == triggers.Webhooks
}
