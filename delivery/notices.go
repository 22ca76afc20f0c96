package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/triggers"
)

const (
	// maxNotices bounds the notices in memory. When a receiver with many deliveries goes, more than these may come than the store takes;
	// the rest is counted and dropped, as the history tells of each delivery anyway.
	maxNotices  = 4096
	noticeBatch = 64
	noticePause = time.Second // at least, before notices that could not be taken are tried again
	// noticeSource keeps the identities of our own events apart from those that backends choose.
	noticeSource = "portalhook"
)

// notices are events of our own on their way to Dispatch: that a webhook was switched off, or came on again, or that a delivery ran out of
// attempts. Whoever has one to tell never waits. A delivery of such an event leads to no other.
type notices struct {
	mu      sync.Mutex
	waiting []notice
	closed  bool
	wake    chan struct{}
}

type notice struct {
	tenant uint32
	event  *triggers.Event
}

// put takes a notice, unless too many wait or nothing is told any more.
func (n *notices) put(one notice) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.waiting) == maxNotices {
		return false
	}
	n.waiting = append(n.waiting, one)
	select {
	case n.wake <- struct{}{}:
	default:
	}
	return true
}

// first are the notices at the head that are of one tenant, at most most. They stay until drop is called.
func (n *notices) first(most int) (tenant uint32, events []*triggers.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.waiting {
		if len(events) == most || len(events) > 0 && one.tenant != tenant {
			break
		}
		tenant, events = one.tenant, append(events, one.event)
	}
	return tenant, events
}

// drop removes count notices from the place at.
func (n *notices) drop(at, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := append(n.waiting[:at], n.waiting[at+count:]...)
	clear(n.waiting[len(kept):])
	n.waiting = kept
}

// close takes no more and says how many wait.
func (n *notices) close() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	return len(n.waiting)
}

// tellLoop dispatches notices as they come.
func (d *Dispatcher) tellLoop() {
	for {
		select {
		case <-d.stop:
			return
		case <-d.notices.wake:
		}
		for pause := d.tell(d.dispatch); pause > 0; pause = d.tell(d.dispatch) {
			timer := time.NewTimer(pause)
			select {
			case <-d.stop:
				timer.Stop()
				return
			case <-timer.C:
			}
		}
	}
}

// tell hands over the notices that wait, until none is left or they cannot be taken now: then it says when to try again.
func (d *Dispatcher) tell(
	dispatch func(context.Context, uint32, []*triggers.Event) ([]Receipt, error),
) (pause time.Duration) {
	most := noticeBatch
	for {
		tenant, events := d.notices.first(most)
		if len(events) == 0 {
			return 0
		}
		_, err := dispatch(context.Background(), tenant, events)
		if err == nil {
			d.notices.drop(0, len(events))
			continue
		}
		if overload, ok := errors.AsType[*Overload](err); ok {
			return max(overload.RetryAfter, noticePause)
		}
		if conflict, ok := errors.AsType[*ConflictError](err); ok {
			d.notices.drop(conflict.Index, 1) // told before, in other words
			continue
		}
		if errors.Is(err, ErrTooMany) && len(events) > 1 {
			most = 1
			continue
		}
		d.notices.drop(0, len(events))
		d.metrics.noticesDropped(len(events))
		d.log.Error("own events not told", "tenant", tenant, "count", len(events), "err", err)
	}
}

// tellRest stores what still waits when everything else has ended; nothing of it is sent before the next start.
func (d *Dispatcher) tellRest(ctx context.Context) {
	if d.notices.close() > 0 {
		d.tell(func(_ context.Context, tenant uint32, events []*triggers.Event) ([]Receipt, error) {
			if ctx.Err() != nil {
				return nil, fmt.Errorf("the server stopped first: %w", context.Cause(ctx))
			}
			return d.accept(ctx, tenant, events, false)
		})
	}
	if left := d.notices.close(); left > 0 {
		d.metrics.noticesDropped(left)
		d.log.Warn("own events not told", "count", left)
	}
}

// notify puts an event of our own about a webhook on its way. The same operation at the same time under the same name is told once,
// whoever tells it.
func (d *Dispatcher) notify(w *triggers.Webhook, op triggers.Operation, name string, at time.Time, properties any) {
	uri, err := triggers.NewURI(triggers.Webhooks, op, "", w.ID.String())
	if err != nil {
		d.log.Error("own event not told", "webhook", w.ID, "err", err) // cannot be
		return
	}
	body, err := json.Marshal(properties)
	if err != nil {
		d.log.Error("own event not told", "webhook", w.ID, "err", err) // cannot be: texts come from JSON
		return
	}
	event := &triggers.Event{
		URI: uri, EventID: name, Source: noticeSource, When: at.UnixMilli(), HasWhen: true, Properties: body,
	}
	if !d.notices.put(notice{w.Tenant, event}) {
		d.metrics.noticesDropped(1)
	}
}

// aboutWebhook is what every event of our own says of its webhook.
type aboutWebhook struct {
	WebhookID   string `json:"webhookId"`
	WebhookName string `json:"webhookName"`
}

func about(w *triggers.Webhook) aboutWebhook { return aboutWebhook{w.ID.String(), w.Name} }

// notifyDisabled tells that the server switched a webhook off.
func (d *Dispatcher) notifyDisabled(w *triggers.Webhook) {
	d.notify(w, triggers.WebhooksDisable, fmt.Sprintf("disable-%s-%d", w.ID, w.DisabledAt.UnixMilli()), w.DisabledAt, struct {
		aboutWebhook
		Reason string `json:"reason"`
		Code   string `json:"code"`
	}{about(w), w.DisabledReason, w.DisabledReasonCode})
}

// notifyEnabled tells that a webhook is on again which the server had switched off.
func (d *Dispatcher) notifyEnabled(w *triggers.Webhook, disabledAt time.Time) {
	// Its name is that of the time it was off, which ends but once.
	d.notify(w, triggers.WebhooksEnable, fmt.Sprintf("enable-%s-%d", w.ID, disabledAt.UnixMilli()), d.clock.Now(), about(w))
}

// notifyExhausted tells that a delivery ran out of attempts.
func (d *Dispatcher) notifyExhausted(j *job, w *triggers.Webhook, s *Settlement) {
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
	d.notify(w, triggers.WebhooksExhaust, "exhaust-"+j.id.Delivery(), at, told)
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
