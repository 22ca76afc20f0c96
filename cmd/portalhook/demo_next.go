package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"portalhook/payload"
)

// The paths of the receivers of the second part.
const (
	failingPath = "/next/fails-once" // its first request is answered 503
	otherPath   = "/next/sign-ins"
	gonePath    = "/next/gone" // its first request is answered 410
	watchPath   = "/next/watch"
)

// What the second part is about.
const (
	nextEvent    = "/items/4adc30bb03054812a846fa592de105de/share"
	wrongTrigger = "/items/*/shared"
	rightTrigger = "/items/*/share" // what the server suggests for it
)

// afterwards is the demo's second part: what an administrator does once webhooks are there. Its steps build on each other.
type afterwards struct {
	*stage
	report *report

	webhook  string  // the id of the webhook whose receiver fails once
	delivery string  // the id of its delivery
	first    arrival // the delivery's first attempt

	watcher string // the id of the webhook that hears of the others
	left    string // the id of the webhook whose receiver is gone at first
}

// next prints a line below the present step.
func (a *afterwards) next(format string, args ...any) {
	fmt.Fprintln(a.report.out, "   "+printable(fmt.Sprintf(format, args...)))
}

// administer plays the second part. A step that goes wrong is told of in the report and ends it, as the next ones build on it.
func (s *stage) administer(ctx context.Context, r *report) {
	a := &afterwards{stage: s, report: r}
	fmt.Fprintf(r.out, "\n%s\n", r.paint.bold("What an administrator does next"))
	bounded, cancel := context.WithTimeout(ctx, storyTimeout)
	defer cancel()
	for i, step := range []struct {
		sentence string
		play     func(context.Context) error
	}{
		{"A trigger is misspelt. It is refused, and the refusal says what would be right.", a.refuse},
		{"A receiver is down for a moment. The delivery is tried again: the same id, the same bytes.", a.retry},
		{"The receiver has lost what it got. The delivery is sent again: a new id, the same bytes.", a.resend},
		{"A webhook was told nothing. Why not?", a.whyNot},
		{"A receiver says that it is gone. Its webhook is switched off, and another one hears what became of it.", a.gone},
		{"The receiver is back. Its webhook is switched on again, and the other one hears of that too.", a.back},
	} {
		fmt.Fprintf(r.out, "\n%d. %s\n", i+1, step.sentence)
		if err := step.play(bounded); err != nil {
			r.fail(fmt.Sprintf("step %d", i+1), []string{err.Error()})
			return
		}
		r.steps++
	}
}

// refuse tries a webhook with a wrong trigger.
func (a *afterwards) refuse(ctx context.Context) error {
	a.next("POST %s with %s", webhooksPath, wrongTrigger)
	_, err := a.subscribe(ctx, newWebhook{Name: "misspelt", URL: a.receiverURL + failingPath, EventTypes: []string{wrongTrigger}, Enabled: true})
	refused, ok := errors.AsType[*apiError](err)
	switch {
	case err == nil:
		return fmt.Errorf("%s was taken", wrongTrigger)
	case !ok:
		return err
	case refused.Status != http.StatusBadRequest || refused.Code != "UNKNOWN_TRIGGER":
		return fmt.Errorf("the refusal is %d %s, not 400 UNKNOWN_TRIGGER", refused.Status, refused.Code)
	}
	a.next("%d %s: %s", refused.Status, refused.Code, refused.Error())
	if !strings.HasSuffix(refused.Detail, " "+rightTrigger) {
		return fmt.Errorf("the refusal does not suggest %s", rightTrigger)
	}
	return nil
}

// retry makes the webhook with the trigger that was suggested, and an event that its receiver fails to take at first.
func (a *afterwards) retry(ctx context.Context) (err error) {
	a.webhook, err = a.subscribe(ctx, newWebhook{
		Name: "fails once", URL: a.receiverURL + failingPath, EventTypes: []string{rightTrigger}, Enabled: true, Secret: demoSecret,
		Retry: []string{"0s", "1s"},
	})
	if err != nil {
		return err
	}
	a.next(`POST %s with %s and "retry":["0s","1s"]; then the event %s`, webhooksPath, rightTrigger, nextEvent)
	accepted, err := a.emit(ctx, nextEvent)
	if err != nil {
		return err
	}
	attempts, err := a.arrivals(ctx, failingPath, 2)
	if err != nil {
		return err
	}
	a.first = attempts[0]
	for i, attempt := range attempts {
		line := fmt.Sprintf("attempt %d  %s  answered %d", i+1, deliveryID(attempt), attempt.status)
		if i > 0 {
			line += fmt.Sprintf(", %.1f s later", attempt.at.Sub(a.first.at).Seconds())
		}
		a.next("%s", line)
		if err := a.same(&attempt); err != nil {
			return fmt.Errorf("attempt %d: %w", i+1, err)
		}
		if deliveryID(attempt) != deliveryID(a.first) {
			return fmt.Errorf("attempt %d has an id of its own", i+1)
		}
	}
	event, err := a.settled(ctx, accepted)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(event.Matches, func(m storyMatch) bool { return m.WebhookID == a.webhook })
	if i < 0 {
		return errors.New("the webhook was not matched")
	}
	delivered := event.Matches[i].Delivery
	a.delivery = delivered.ID
	a.next("the server says: %s after %d attempts", delivered.State, delivered.Attempts)
	if a.delivery != deliveryID(a.first) || delivered.State != "succeeded" || delivered.Attempts != 2 {
		return fmt.Errorf("the server should say that %s succeeded after 2 attempts", deliveryID(a.first))
	}
	return nil
}

// resend sends the delivery again.
func (a *afterwards) resend(ctx context.Context) error {
	path := webhooksPath + "/" + a.webhook + "/deliveries/" + a.delivery + "/actions/resend"
	a.next("POST %s", path)
	var again struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	if err := a.client.call(ctx, http.MethodPost, path, nil, &again); err != nil {
		return err
	}
	got, err := a.arrivals(ctx, failingPath, 1)
	if err != nil {
		return err
	}
	a.next("arrived    %s  answered %d; the server says: %s", deliveryID(got[0]), got[0].status, again.Status)
	switch {
	case deliveryID(got[0]) == a.delivery:
		return errors.New("it arrived under its old id")
	case deliveryID(got[0]) != again.ID:
		return fmt.Errorf("the server knows it as %s", again.ID)
	case again.Status != "success":
		return fmt.Errorf("the server should say: success, not %q", again.Status)
	}
	return a.same(&got[0])
}

// whyNot asks about a webhook that hears of something else.
func (a *afterwards) whyNot(ctx context.Context) error {
	id, err := a.subscribe(ctx, newWebhook{
		Name: "sign-ins", URL: a.receiverURL + otherPath, EventTypes: []string{"/users/*/signIn", "/items/*/{delete,move}"}, Enabled: true,
	})
	if err != nil {
		return err
	}
	a.next(`POST %s {"uri":"%s"}`, matchPath, nextEvent)
	var answer matchAnswer
	if err := a.client.call(ctx, http.MethodPost, matchPath, question{URI: nextEvent}, &answer); err != nil {
		return err
	}
	for _, w := range answer.Matches {
		a.next("%-10s  yes  %s: %s", w.Name, w.Trigger, segmentsThatFit(w.Segments))
	}
	if len(answer.Matches) != 1 || answer.Matches[0].WebhookID != a.webhook {
		return errors.New("the webhook that got the event, and no other, should get it")
	}
	i := slices.IndexFunc(answer.Others, func(w notHeard) bool { return w.WebhookID == id })
	if i < 0 {
		return errors.New("the server says nothing of the webhook named sign-ins")
	}
	why := &answer.Others[i]
	for _, v := range why.Triggers {
		a.next("%-10s  no   %s: %s", why.Name, v.Trigger, v.Reason)
		if v.Matched || v.Reason == "" {
			return fmt.Errorf("the server does not say why %s did not match", v.Trigger)
		}
	}
	if len(why.Triggers) != 2 {
		return fmt.Errorf("the server judged %d triggers, not 2", len(why.Triggers))
	}
	for _, id := range []string{a.webhook, id} { // so that they hear nothing of what follows
		if err := a.switchOff(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// same says what is wrong with a copy of the delivery's first attempt: other bytes, or signatures that do not hold.
func (a *afterwards) same(copied *arrival) error {
	if !bytes.Equal(copied.body, a.first.body) {
		return errors.New("its bytes differ")
	}
	_, err := verified(copied, demoSecret, payload.HeaderEsri)
	return err
}

// emit tells the server that an item was shared, and gives the event's id.
func (s *stage) emit(ctx context.Context, uri string) (string, error) {
	event := struct {
		URI        string              `json:"uri"`
		Username   string              `json:"username"`
		Properties map[string][]string `json:"properties"`
	}{uri, "jdoe", map[string][]string{"sharedToGroups": {"Everyone"}}}
	var accepted receipt
	err := s.client.call(ctx, http.MethodPost, eventsPath, event, &accepted)
	return accepted.ID, err
}

// arrivals waits until so many requests have come to a path, and takes all that have.
func (s *stage) arrivals(ctx context.Context, path string, count int) ([]arrival, error) {
	began := time.Now()
	var all []arrival
	for len(all) < count {
		got, ok := s.arrived.await(ctx, []string{path})
		all = append(all, got[path]...)
		if !ok {
			return nil, fmt.Errorf("%d of %d requests arrived within %s", len(all), count, time.Since(began).Round(time.Second))
		}
	}
	if len(all) > count {
		return nil, fmt.Errorf("%d requests arrived, not %d", len(all), count)
	}
	return all, nil
}

// farEnd is the receiver of everything: what comes to failingPath and gonePath is answered with an error once, and all else 200.
func farEnd(heard func(arrival)) http.Handler {
	steady := newReceiver(nil, script{then: http.StatusOK}, heard)
	once := func(status int) http.Handler {
		return newReceiver(nil, script{first: []int{status}, then: http.StatusOK}, heard)
	}
	special := map[string]http.Handler{failingPath: once(http.StatusServiceUnavailable), gonePath: once(http.StatusGone)}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := special[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		steady.ServeHTTP(w, r)
	})
}
