package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/triggers"
)

// ledger is a queue that keeps what it was given.
type ledger struct {
	delivery.Queue
	mu       sync.Mutex
	accepted []delivery.Acceptance
	planned  int
}

func (l *ledger) Enqueue(ctx context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	receipts, err := l.Queue.Enqueue(ctx, batch)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, receipt := range receipts {
		if !receipt.Duplicate {
			l.accepted = append(l.accepted, batch[i])
			l.planned += receipt.Matched
		}
	}
	return receipts, err
}

// own are the stored events about webhooks, in order.
func (l *ledger) own() (own []*triggers.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.accepted {
		if l.accepted[i].Event.URI.Resource == triggers.Webhooks {
			own = append(own, l.accepted[i].Event)
		}
	}
	return own
}

func (l *ledger) uris() []string {
	uris := []string{}
	for _, ev := range l.own() {
		uris = append(uris, ev.URI.String())
	}
	return uris
}

// inLedger runs a test in a bubble and keeps what is stored.
func inLedger(t *testing.T, w *wire, test func(*house, *ledger)) {
	t.Helper()
	inFailingLedger(t, w, nil, test)
}

// inFailingLedger is inLedger over a store that fails as it is told.
func inFailingLedger(t *testing.T, w *wire, fail func(verb string) error, test func(*house, *ledger)) {
	t.Helper()
	l := new(ledger)
	inBubble(t, w, func(config *delivery.Config) {
		config.Queue.(*deliverytest.Queue).Fail = fail
		l.Queue = config.Queue
		config.Queue = l
	}, func(h *house) { test(h, l) })
}

func once(w *triggers.Webhook) { w.Retry = triggers.Retry{Profile: triggers.RetryOnce} }

// byHost answers by the receiver's host; one that is not named answers 200.
func byHost(statuses map[string]int) script {
	return func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
		status, ok := statuses[r.URL.Host]
		if !ok {
			status = 200
		}
		return status, nil, time.Millisecond, nil
	}
}

func uriOf(w *triggers.Webhook, op string) string { return "/webhooks/" + w.ID.String() + "/" + op }

func TestExhaustedDeliveryIsTold(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"sick.example.com": 500})}
	inLedger(t, w, func(h *house, l *ledger) {
		t := h.t
		sick := h.subscribe("https://sick.example.com/services/T0/key?token=hush", once)
		h.subscribe("https://watch.example.com/hook", nil, "/webhooks/exhaust")
		h.subscribe("https://root.example.com/hook", nil, "/", "/services/**", "com.qlik.**")
		id := h.emit(event(t, "/items/a/update"))[0].ID
		pass(time.Second)

		require.Equal(t, []string{uriOf(sick, "exhaust")}, l.uris())
		ev := l.own()[0]
		require.Empty(t, ev.Username)
		require.True(t, ev.HasWhen)
		delivered := slices.IndexFunc([]triggers.ID{id + 1, id + 2}, func(d triggers.ID) bool {
			r, err := h.queue.Delivery(context.Background(), h.tenant, d)
			return err == nil && r.State == delivery.Exhausted
		})
		require.Equal(t, fmt.Sprintf(`{"webhookId":%q,"webhookName":%q,"deliveryId":%q,"eventId":%q,"uri":"/items/a/update",`+
			`"receiver":"https://sick.example.com","attempts":1,"lastStatus":500,"reason":"500 Internal Server Error","first":true,"failures":1,"percent":0}`,
			sick.ID, sick.Name, (id+1+triggers.ID(delivered)).Delivery(), id.Event()), string(ev.Properties))
		require.Len(t, w.times("watch.example.com", time.Now()), 1)
		require.Len(t, w.times("root.example.com", time.Now()), 1, "the root hears the item, not us")
	})
}

func TestSwitchingOffAndOnIsTold(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"gone.example.com": 410})}
	inLedger(t, w, func(h *house, l *ledger) {
		t := h.t
		gone := h.subscribe("https://gone.example.com/hook", nil)
		h.subscribe("https://watch.example.com/hook", nil, "/webhooks")
		set := func(on bool) {
			_, err := h.directory.Update(context.Background(), h.tenant, gone.ID, func(w *triggers.Webhook) error {
				w.Enabled = on
				if !on {
					w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = "", "", time.Time{}
				}
				return nil
			})
			require.NoError(t, err)
			synctest.Wait()
		}
		h.emit(event(t, "/items/a/update"))
		pass(time.Second)
		require.ElementsMatch(t, []string{uriOf(gone, "exhaust"), uriOf(gone, "disable")}, l.uris())
		off := h.directory.Get(gone.Key)
		disable := l.own()[slices.Index(l.uris(), uriOf(gone, "disable"))]
		require.JSONEq(t, fmt.Sprintf(`{"webhookId":%q,"webhookName":%q,"reason":"the receiver answered 410 Gone","code":"GONE"}`, gone.ID, gone.Name),
			string(disable.Properties))
		require.Equal(t, off.DisabledAt.UnixMilli(), disable.When)

		set(true)
		require.Equal(t, uriOf(gone, "enable"), l.uris()[2])
		require.JSONEq(t, fmt.Sprintf(`{"webhookId":%q,"webhookName":%q,"disabledReason":"the receiver answered 410 Gone","disabledReasonCode":"GONE","disabledAt":%q}`,
			gone.ID, gone.Name, off.DisabledAt.UTC().Format("2006-01-02T15:04:05.000Z")), string(l.own()[2].Properties))
		set(false)
		set(true)
		pass(time.Second)
		require.Len(t, l.own(), 3, "what somebody does by hand is his own business")
		require.Len(t, w.times("watch.example.com", time.Now()), 3)
	})
}

// TestNoCascade lets deliveries of our own events fail in every way: nothing more comes of it.
func TestNoCascade(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"sick.example.com": 500, "watch.example.com": 500, "gone.example.com": 410})}
	inLedger(t, w, func(h *house, l *ledger) {
		t := h.t
		sick := h.subscribe("https://sick.example.com/hook", once)
		h.subscribe("https://watch.example.com/hook", once, "/webhooks")
		gone := h.subscribe("https://gone.example.com/hook", once, "/webhooks/**")
		h.emit(event(t, "/items/a/update"))
		pass(time.Minute)
		require.Equal(t, []string{uriOf(sick, "exhaust")}, l.uris())
		require.Len(t, w.all(), 3)
		require.Equal(t, "GONE", h.directory.Get(gone.Key).DisabledReasonCode, "off it is all the same")
		require.Zero(t, h.queue.Open())
	})
}

func TestNobodyElseTellsOfWebhooks(t *testing.T) {
	h := open(t, nil)
	_, err := h.Dispatch(context.Background(), h.tenant, []*triggers.Event{
		event(t, "/items/a/update"), event(t, "/webhooks/4adc30bb03054812a846fa592de105de/disable"),
	})
	var field *triggers.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "NOT_ALLOWED", field.Code)
	require.Equal(t, "uri", field.Field)
	require.Equal(t, 1, field.Index)
}

// TestNoNoticeIsLostWhileTheStoreFails sees that the workers never wait for notices, and that all of them are told.
func TestNoNoticeIsLostWhileTheStoreFails(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"sick.example.com": 500})}
	var broken atomic.Bool
	fail := func(verb string) error {
		if broken.Load() && verb == "Enqueue" {
			return errors.New("disk full")
		}
		return nil
	}
	inFailingLedger(t, w, fail, func(h *house, l *ledger) {
		t := h.t
		h.subscribe("https://sick.example.com/hook", once)
		var events []*triggers.Event
		for range 1000 {
			events = append(events, event(t, "/items/a/update"))
		}
		h.emit(events...)
		broken.Store(true)
		pass(time.Hour)
		require.Zero(t, h.queue.Open(), "every delivery has ended")
		require.Empty(t, l.own())
		broken.Store(false)
		pass(time.Minute)
		require.Len(t, l.own(), 1000)
		first := 0
		for _, ev := range l.own() {
			if strings.Contains(string(ev.Properties), `"first":true`) {
				first++
			}
		}
		require.Equal(t, 1, first)
	})
}

// TestNoticesOutliveTheProcess ends an attempt while the dispatcher stops, or with the process before anything is told: it is told after
// the next start, once.
func TestNoticesOutliveTheProcess(t *testing.T) {
	for name, fails := range map[string]string{"stopped": "", "before they are read": "Notices", "before they are told": "Enqueue"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{answer: func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
					if r.URL.Host == "watch.example.com" {
						return 200, nil, time.Millisecond, nil
					}
					return 500, nil, 3 * time.Second, nil
				}}
				queue := deliverytest.NewQueue(time.Now)
				var broken atomic.Bool
				queue.Fail = func(verb string) error {
					if broken.Load() && verb == fails {
						return errors.New("the process is about to end")
					}
					return nil
				}
				l := &ledger{Queue: queue}
				start := func() *house {
					return reopen(t, queue, func(config *delivery.Config) { config.Transport, config.Queue = w, l })
				}
				h := start()
				sick := h.subscribe("https://sick.example.com/hook", policied(1))
				h.subscribe("https://watch.example.com/hook", nil, "/webhooks")
				h.emit(event(t, "/items/a/update"))
				synctest.Wait()
				broken.Store(true)
				if fails != "" {
					pass(10 * time.Second)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				require.NoError(t, h.Shutdown(ctx))
				queue.Restart()
				broken.Store(false)
				require.Empty(t, l.uris())
				require.Empty(t, w.times("watch.example.com", time.Now()))

				h = start()
				pass(time.Minute)
				require.ElementsMatch(t, []string{uriOf(sick, "exhaust"), uriOf(sick, "disable")}, l.uris())
				require.Len(t, w.times("watch.example.com", time.Now()), 2)
				require.NoError(t, h.Shutdown(context.Background()))
				queue.Restart()
				start()
				pass(time.Minute)
				require.Len(t, l.uris(), 2, "once")
			})
		})
	}
}

// TestNoticesThatCannotBeTold are given up, and do not stand in the way of others: what they tell of cannot be said, or they were told in
// other words.
func TestNoticesThatCannotBeTold(t *testing.T) {
	inLedger(t, &wire{answer: always(200)}, func(h *house, l *ledger) {
		t := h.t
		w := h.subscribe("https://a.example.com/hook", nil)
		announce := func(op triggers.Operation, name, properties string) {
			n := &delivery.Notice{
				Tenant: h.tenant, Webhook: w.ID, Operation: op, Name: name, At: time.Now(), Properties: []byte(properties),
			}
			stored := *h.directory.Get(w.Key)
			require.NoError(t, h.queue.UpdateWebhook(delivery.Announcing(context.Background(), n), &stored, delivery.WebhookLimits{}))
		}
		nudge := func() {
			h.switchOff(w)
			h.switchOn(w)
			pass(time.Minute)
		}
		announce(triggers.WebhooksEnable, "one", `{"n":1}`)
		nudge()
		require.Len(t, l.own(), 1)
		announce(200, "two", `{"n":1}`)
		announce(triggers.WebhooksEnable, "one", `{"n":2}`)
		announce(triggers.WebhooksEnable, "three", `{"n":3}`)
		nudge()
		left, err := h.queue.Notices(context.Background(), 10)
		require.NoError(t, err)
		require.Empty(t, left)
		told := l.own()
		require.Equal(t, "three", told[len(told)-1].EventID)
	})
}

// TestFirstFailuresAreHeardOnce: filters tell an administrator of the first failure of each webhook and of the steps on its way, whatever else
// fails.
func TestFirstFailuresAreHeardOnce(t *testing.T) {
	w := &wire{answer: byHost(map[string]int{"sick.example.com": 500})}
	inLedger(t, w, func(h *house, _ *ledger) {
		t := h.t
		filtered := func(host, filter string) {
			h.subscribe("https://"+host+".example.com/hook", func(w *triggers.Webhook) {
				once(w)
				require.NoError(t, w.SetFilter(filter))
				w.ContentType = triggers.ContentTypeJSON
				require.NoError(t, w.Validate(triggers.Targets{}), "such a filter may be saved")
			}, "/webhooks/exhaust")
		}
		filtered("first", `properties.first eq "true"`)
		filtered("steps", `properties.warning eq "50" or properties.warning eq "70" or properties.warning eq "90"`)
		h.subscribe("https://sick.example.com/hook", policied(10))
		heard := func() []int {
			pass(time.Second)
			return []int{len(w.times("first.example.com", time.Now())), len(w.times("steps.example.com", time.Now()))}
		}
		for range 6 {
			h.fail()
		}
		require.Equal(t, []int{1, 1}, heard())
		w.set(always(200))
		h.fail()
		w.set(byHost(map[string]int{"sick.example.com": 500}))
		for range 3 {
			h.fail()
		}
		require.Equal(t, []int{2, 3}, heard(), "the first since a success; a success takes nothing off a policy's way")
	})
}
