package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/payload"
)

// The webhook that watches the others, and the events that only the server tells.
const (
	watchName      = "watch"
	watchTrigger   = "/webhooks/**"
	goneName       = "moved away"
	disableEvent   = "disable"
	exhaustEvent   = "exhaust"
	enableEvent    = "enable"
	goneCode       = "GONE"
	goneReason     = "the receiver answered 410 Gone"
	goneStatusText = "410 Gone"
)

// gone makes a webhook that watches and one whose receiver has left, and an event: the webhook is switched off, the delivery ends
// without another attempt, and the one that watches hears of both.
func (a *afterwards) gone(ctx context.Context) (err error) {
	a.watcher, err = a.subscribe(ctx, newWebhook{
		Name: watchName, URL: a.receiverURL + watchPath, EventTypes: []string{watchTrigger}, Enabled: true, Secret: demoSecret,
	})
	if err != nil {
		return err
	}
	a.left, err = a.subscribe(ctx, newWebhook{
		Name: goneName, URL: a.receiverURL + gonePath, EventTypes: []string{rightTrigger}, Enabled: true, Secret: demoSecret,
	})
	if err != nil {
		return err
	}
	a.next("POST %s with %s for whoever watches; then the event %s", webhooksPath, watchTrigger, nextEvent)
	event, err := a.emit(ctx, nextEvent)
	if err != nil {
		return err
	}
	got, err := a.arrivals(ctx, gonePath, 1)
	if err != nil {
		return err
	}
	a.next("attempt 1  %s  answered %d", deliveryID(got[0]), got[0].status)
	told, err := a.arrivals(ctx, watchPath, 2)
	if err != nil {
		return err
	}
	err = a.told(ctx, told, disableEvent, []member{
		{"webhookId", a.left}, {"webhookName", goneName}, {"reason", goneReason}, {"code", goneCode},
	})
	if err != nil {
		return err
	}
	return a.told(ctx, told, exhaustEvent, []member{
		{"webhookId", a.left},
		{"webhookName", goneName},
		{"deliveryId", deliveryID(got[0])},
		{"eventId", event},
		{"uri", nextEvent},
		{"receiver", a.receiverURL},
		{"attempts", 1},
		{"lastStatus", http.StatusGone},
		{"reason", goneStatusText},
		{"first", true},
		{"failures", 1},
		{"percent", 0},
	})
}

// back switches the webhook on again, now that its receiver is there: the one that watches hears of it, and the next event arrives.
func (a *afterwards) back(ctx context.Context) error {
	path := webhooksPath + "/" + a.left + "/actions/enable"
	var off struct {
		At string `json:"disabledAt"`
	}
	if err := a.client.call(ctx, http.MethodGet, webhooksPath+"/"+a.left, nil, &off); err != nil {
		return err
	}
	a.next("POST %s", path)
	if err := a.client.call(ctx, http.MethodPost, path, nil, nil); err != nil {
		return err
	}
	told, err := a.arrivals(ctx, watchPath, 1)
	if err != nil {
		return err
	}
	if err := a.told(ctx, told, enableEvent, []member{
		{"webhookId", a.left},
		{"webhookName", goneName},
		{"disabledReason", goneReason},
		{"disabledReasonCode", goneCode},
		{"disabledAt", off.At},
	}); err != nil {
		return err
	}
	if _, err := a.emit(ctx, nextEvent); err != nil {
		return err
	}
	got, err := a.arrivals(ctx, gonePath, 1)
	if err != nil {
		return err
	}
	a.next("attempt 1  %s  answered %d", deliveryID(got[0]), got[0].status)
	if _, err := verified(&got[0], demoSecret, payload.HeaderEsri); err != nil {
		return err
	}
	for _, id := range []string{a.left, a.watcher} { // so that they hear nothing of what follows
		if err := a.switchOff(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// member is a member of a JSON object.
type member struct {
	name  string
	value any
}

// object writes members in their order.
func object(members []member) (string, error) {
	parts := make([]string, len(members))
	for i, m := range members {
		value, err := json.Marshal(m.value)
		if err != nil {
			return "", fmt.Errorf("%s: %w", m.name, err)
		}
		parts[i] = fmt.Sprintf("%q:%s", m.name, value)
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

// told finds the arrival that tells of an operation on the webhook that was switched off, and holds it to what it must be: these
// properties, byte for byte, and signatures that hold.
func (a *afterwards) told(ctx context.Context, arrivals []arrival, operation string, properties []member) error {
	uri := "/webhooks/" + a.left + "/" + operation
	event, err := a.latest(ctx, uri)
	if err != nil {
		return err
	}
	said, err := object(properties)
	if err != nil {
		return err
	}
	want := fmt.Sprintf(`{"info":{"webhookName":%q,"webhookId":%q,"portalURL":%q,"when":%d},"events":[{"username":"","userId":"","when":%d,`+
		`"operation":%q,"source":"webhooks","id":%q,"properties":%s}],"properties":{}}`,
		watchName, a.watcher, demoPortalURL, event.AcceptedAt.UnixMilli(), event.When.UnixMilli(), operation, a.left, said)
	i := slices.IndexFunc(arrivals, func(one arrival) bool { return string(one.body) == want })
	if i < 0 {
		bodies := make([]string, len(arrivals))
		for i, one := range arrivals {
			bodies[i] = printable(string(one.body))
		}
		return fmt.Errorf("no delivery tells of %s as it must\n      want %s\n      got  %s", uri, want, strings.Join(bodies, "\n      got  "))
	}
	headers, err := verified(&arrivals[i], demoSecret, payload.HeaderEsri)
	if err != nil {
		return fmt.Errorf("%s: %w", uri, err)
	}
	a.next("%s hears  /webhooks/…/%s %s", watchName, operation, said)
	a.next("%s        %s  verified (%s)", strings.Repeat(" ", len(watchName)), deliveryID(arrivals[i]), strings.Join(headers, ", "))
	return nil
}

// latest is the newest event with a URI, as the server's ledger shows it.
func (s *stage) latest(ctx context.Context, uri string) (event ledgerEvent, err error) {
	var page struct {
		Data []ledgerEvent `json:"data"`
	}
	if err := s.client.call(ctx, http.MethodGet, eventsPath+"?uri="+url.QueryEscape(uri), nil, &page); err != nil {
		return event, err
	}
	if len(page.Data) == 0 {
		return event, errors.New("the server has no event " + uri)
	}
	return page.Data[0], nil
}

// ledgerEvent is an event in a list.
type ledgerEvent struct {
	When       time.Time `json:"when"`
	AcceptedAt time.Time `json:"acceptedAt"`
}
