package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"portalhook/payload"
	"portalhook/testdata"
	"portalhook/triggers"
)

// result is what came of a story.
type result struct {
	story     *testdata.Story
	uri       string
	rows      []outcome
	unmatched int      // webhooks that were rightly told nothing
	problems  []string // of the story as a whole
}

// outcome is what came of one expected delivery.
type outcome struct {
	webhook  string
	trigger  string
	because  string
	state    string
	signed   bool
	took     time.Duration // from the sending of the event to the arrival
	problems []string
}

// storyEvent is an accepted event as GET /api/v1/events/{id} shows it.
type storyEvent struct {
	ID         string       `json:"id"`
	URI        string       `json:"uri"`
	AcceptedAt time.Time    `json:"acceptedAt"`
	Matches    []storyMatch `json:"matches"`
}

// signature is the header of the signature that events of the family have beside the standard one.
func (e *storyEvent) signature() string {
	if strings.HasPrefix(e.URI, "/") {
		return payload.HeaderEsri
	}
	return payload.HeaderQlik
}

type storyMatch struct {
	WebhookID string `json:"webhookId"`
	Trigger   string `json:"trigger"`
	Delivery  struct {
		ID       string `json:"id"`
		State    string `json:"state"`
		Attempts int    `json:"attempts"`
	} `json:"delivery"`
}

// play subscribes a story's webhooks, emits its event, waits for what should arrive, and judges it. Afterwards the webhooks are
// switched off, so that they hear nothing of the stories that follow, and stay to be looked at.
func (s *stage) play(ctx context.Context, story *testdata.Story) (result, error) {
	ids := make(map[string]string, len(story.Webhooks)) // by name
	for _, w := range story.Webhooks {
		id, err := s.subscribe(ctx, newWebhook{
			Name: w.Name, URL: s.receiverURL + pathOf(story, w.Name), EventTypes: w.EventTypes, Enabled: true, Secret: w.Secret,
			Format: w.Format, EnableCloudEventDelivery: w.EnableCloudEventDelivery, Level: w.Level, OwnerID: w.OwnerID, Filter: w.Filter,
			ContentType: w.ContentType, PayloadFormat: w.PayloadFormat,
		})
		if err != nil {
			return result{}, fmt.Errorf("subscribe %s: %w", w.Name, err)
		}
		ids[w.Name] = id
	}
	why, err := s.explained(ctx, story)
	if err != nil {
		return result{}, err
	}

	sent := time.Now()
	var accepted receipt
	answer, err := s.client.send(ctx, http.MethodPost, eventsPath, story.Event)
	if err == nil {
		err = decode(answer, &accepted)
	}
	if err != nil {
		return result{}, fmt.Errorf("emit: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, storyTimeout)
	defer cancel()
	var paths []string
	for _, match := range story.Matches {
		paths = append(paths, pathOf(story, match.Webhook))
	}
	arrived, _ := s.arrived.await(bounded, paths) // what is missing is told of below
	event, err := s.settled(bounded, accepted.ID)
	if err != nil {
		return result{}, err
	}
	for _, w := range story.Webhooks {
		if err := s.switchOff(ctx, ids[w.Name]); err != nil {
			return result{}, fmt.Errorf("switch %s off: %w", w.Name, err)
		}
	}

	r := result{story: story, uri: event.URI, unmatched: len(story.Webhooks) - len(story.Matches)}
	if len(event.Matches) != len(story.Matches) {
		r.problems = append(r.problems, fmt.Sprintf("the server matched %d webhooks, not %d", len(event.Matches), len(story.Matches)))
	}
	for _, match := range story.Matches {
		id := ids[match.Webhook]
		o := outcome{webhook: match.Webhook, trigger: match.Trigger, because: why[id], state: "missing"}
		i := slices.IndexFunc(event.Matches, func(m storyMatch) bool { return m.WebhookID == id })
		if i < 0 {
			o.problems = append(o.problems, "it was not matched")
		} else {
			o.judge(story, &event, &event.Matches[i], arrived[pathOf(story, match.Webhook)], sent)
		}
		r.rows = append(r.rows, o)
	}
	return r, nil
}

// switchOff disables a webhook.
func (s *stage) switchOff(ctx context.Context, id string) error {
	return s.client.call(ctx, http.MethodPost, webhooksPath+"/"+id+"/actions/disable", nil, nil)
}

// pathOf is where a story's webhook is received.
func pathOf(story *testdata.Story, webhook string) string {
	return "/" + story.Name + "/" + url.PathEscape(webhook)
}

// explained asks why each webhook that gets the story's event gets it, by the webhook's id.
func (s *stage) explained(ctx context.Context, story *testdata.Story) (map[string]string, error) {
	body := bytes.Join([][]byte{[]byte(`{"event":`), story.Event, {'}'}}, nil)
	answer, err := s.client.send(ctx, http.MethodPost, matchPath+"?explain=matches", body)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	var matches matchAnswer
	if err := decode(answer, &matches); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	why := make(map[string]string, len(matches.Matches))
	for _, match := range matches.Matches {
		why[match.WebhookID] = segmentsThatFit(match.Segments)
	}
	return why, nil
}

// settledPoll is the time between looks at an event whose deliveries have arrived and are being recorded.
const settledPoll = 2 * time.Millisecond

// settled gives an event once none of its deliveries is open, or as it stands when ctx ends.
func (s *stage) settled(ctx context.Context, id string) (storyEvent, error) {
	for {
		var event storyEvent
		if err := s.client.call(context.WithoutCancel(ctx), http.MethodGet, eventsPath+"/"+id, nil, &event); err != nil {
			return event, fmt.Errorf("read event: %w", err)
		}
		open := slices.ContainsFunc(event.Matches, func(m storyMatch) bool {
			return m.Delivery.State == "waiting" || m.Delivery.State == "sending"
		})
		if !open || !wait(ctx, settledPoll) {
			return event, nil
		}
	}
}

// judge holds a delivery to the story: matched by this trigger, arrived once, these bytes, signed if it has a secret.
func (o *outcome) judge(story *testdata.Story, event *storyEvent, match *storyMatch, arrived []arrival, sent time.Time) {
	o.state = match.Delivery.State
	if match.Trigger != o.trigger {
		o.wrong("it was matched by %s", match.Trigger)
	}
	if o.state != "succeeded" {
		o.wrong("the server says that its delivery is %s", o.state)
	}
	if len(arrived) != 1 {
		o.wrong("it arrived %d times", len(arrived))
	}
	if len(arrived) == 0 {
		return
	}
	a := &arrived[0]
	o.took = a.at.Sub(sent)
	want := story.Request(o.webhook, testdata.Run{
		WebhookID: match.WebhookID, EventID: event.ID, When: event.AcceptedAt.UnixMilli(),
		PortalURL: demoPortalURL, PortalID: defaultPortalID, ServerURL: demoServerURL,
	})
	if !bytes.Equal(a.body, want) {
		o.wrong("its bytes differ\n      want %s\n      got  %s", want, printable(string(a.body)))
	}
	if got := a.header.Get("Content-Type"); got != cmp.Or(story.Webhook(o.webhook).ContentType, triggers.ContentTypeJSON) {
		o.wrong("its content type is %q", got)
	}
	if id := deliveryID(*a); id != match.Delivery.ID {
		o.wrong("its %s is %q, and the server knows it as %q", payload.HeaderID, id, match.Delivery.ID)
	}
	i := slices.IndexFunc(story.Webhooks, func(w testdata.Webhook) bool { return w.Name == o.webhook })
	if i < 0 || story.Webhooks[i].Secret == "" {
		if _, err := payload.Verify(received(a, "")); !errors.Is(err, payload.ErrUnsigned) {
			o.wrong("it is signed, though its webhook has no secret")
		}
		return
	}
	o.signed = true
	if _, err := verified(a, story.Webhooks[i].Secret, event.signature()); err != nil {
		o.wrong("%v", err)
	}
}

func (o *outcome) wrong(format string, args ...any) {
	o.problems = append(o.problems, fmt.Sprintf(format, args...))
}

func received(a *arrival, secret string) payload.Received {
	return payload.Received{
		Secrets: []triggers.Secret{triggers.NewSecret(secret)}, Header: a.header.Get, Body: a.body, Now: a.at,
	}
}

// verified checks a delivery's signatures by two hands: by the library that the Standard Webhooks project gives to receivers, and by
// our own rules, which know the families' signatures too. Of these the one of the event's family must be there, beside the standard one.
func verified(a *arrival, secret, family string) ([]string, error) {
	judge, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	if strings.HasPrefix(secret, "whsec_") {
		judge, err = standardwebhooks.NewWebhook(secret)
	}
	if err != nil {
		return nil, fmt.Errorf("standard webhooks: %w", err)
	}
	if err := judge.Verify(a.body, a.header); err != nil {
		return nil, fmt.Errorf("standard webhooks: %w", err)
	}
	headers, err := payload.Verify(received(a, secret))
	if err != nil {
		return nil, err
	}
	if want := []string{payload.HeaderSignature, family}; !slices.Equal(headers, want) {
		return nil, fmt.Errorf("the signatures are %s, not %s", strings.Join(headers, " and "), strings.Join(want, " and "))
	}
	return headers, nil
}
