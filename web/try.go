package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// Tester sends tests: it is met by *delivery.Dispatcher.
type Tester interface {
	// Test sends an event to where a webhook points now, stores nothing, and returns when the attempt has ended. Its errors are
	// triggers.ErrNotFound, *triggers.FieldError, *delivery.Overload, and that of a context which ended before anything was sent.
	Test(ctx context.Context, tenant uint32, webhook triggers.WebhookID, event *triggers.Event) (*delivery.Trial, error)
	// TestDraft sends an event to where a webhook would point that is stored nowhere, and else does as Test.
	TestDraft(ctx context.Context, draft *triggers.Webhook, event *triggers.Event) (*delivery.Trial, error)
}

// testWebhook sends one event to a webhook, on or off, and answers with the request, the answer and the times they took: 200 whatever
// came of it.
func (s *Server) testWebhook(c echo.Context, key *triggers.APIKey) error {
	body, err := readOptions(c.Request())
	if err != nil {
		return err
	}
	w, err := s.webhook(c, key)
	if err != nil {
		return err
	}
	asked, err := s.readTest(w, body)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	trial, err := s.config.Tester.Test(ctx, key.Tenant, w.ID, asked.event)
	if err != nil {
		return s.webhookError("test", err)
	}
	// What went out is told of, although whoever asked for it may be gone.
	ctx, change := audited(c, key, webhookTest, w.ID.String())
	change.Tenant, change.After = key.Tenant, auditedTest(trial, asked)
	if err := s.config.Audit.AddChange(context.WithoutCancel(ctx), change); err != nil {
		return fmt.Errorf("test webhook %s: %w", w.ID, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.writeTrial(c, trial, asked)
}

// test is what a test is asked to send: an event of the caller's, or the sample of a trigger.
type test struct {
	event   *triggers.Event
	trigger string // empty for an event of the caller's
}

// writeHead writes what was asked for.
func (t *test) writeHead(o *object, id string) {
	o.text("id", id)
	if t.trigger != "" {
		o.text("trigger", t.trigger)
	}
	o.text("uri", t.event.URI.String())
}

// readTest reads {"trigger"} or {"event"}; of neither it is the webhook's first trigger.
func (s *Server) readTest(w *triggers.Webhook, body jsontext.Value) (*test, error) {
	given := ""
	asked := new(test)
	err := eachMember(body, "", func(name string, value jsontext.Value) (err error) {
		switch name {
		case "trigger", "event":
			if given != "" {
				return triggers.Invalid(triggers.CodeUnknownField, name, "give either trigger or event")
			}
			given = name
		}
		switch name {
		case "trigger":
			asked.trigger, err = textOf(name, value)
			return err
		case "event":
			asked.event, _, err = s.readEvent(value)
			return err
		}
		return triggers.Invalid(triggers.CodeUnknownField, name, "a test takes trigger or event")
	})
	switch {
	case err != nil || given == "event":
		return asked, err
	case given == "" && len(w.Triggers) == 0:
		return nil, triggers.Invalid(triggers.CodeRequired, "trigger", "the webhook has no event types: name a trigger, or give an event")
	case given == "":
		asked.trigger = w.Triggers[0].Text
	}
	asked.event, err = s.sampleOf(w, &asked.trigger)
	return asked, err
}

// sampleOf is an event that a trigger hears: the catalogue's sample of one of its own triggers, or one made for a trigger of the
// webhook. The trigger comes back in the catalogue's spelling.
func (s *Server) sampleOf(w *triggers.Webhook, trigger *string) (*triggers.Event, error) {
	entries := s.config.Catalog.Entries()
	named := func(e triggers.Entry) bool { return e.Trigger == *trigger || e.Name == *trigger }
	if at := slices.IndexFunc(entries, named); at >= 0 {
		return delivery.SampleOf(s.config.Catalog, &entries[at])
	}
	parsed, err := s.config.Catalog.ParseTrigger(*trigger)
	if err != nil {
		if f, ok := errors.AsType[*triggers.FieldError](err); ok {
			f.Field = "trigger"
		}
		return nil, err
	}
	*trigger = parsed.Text
	if at := slices.IndexFunc(entries, named); at >= 0 {
		return delivery.SampleOf(s.config.Catalog, &entries[at])
	}
	if !slices.ContainsFunc(w.Triggers, func(own triggers.Trigger) bool { return own.Text == parsed.Text }) {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "trigger",
			"%s is neither in the catalogue nor among the event types of this webhook; give an event in its place", parsed.Text)
	}
	return delivery.SampleFor(s.config.Catalog, &parsed)
}

// writeTrial answers with a test: the request as it went out, the answer, and the attempt as a delivery's log has it.
func (s *Server) writeTrial(c echo.Context, trial *delivery.Trial, asked *test) error {
	body, err := payload.Build(nil, &trial.Revision, trial.BuiltAt, trial.Events)
	if err != nil {
		return fmt.Errorf("build the body of test %s: %w", trial.ID, err)
	}
	o := openObject(nil)
	asked.writeHead(o, trial.ID)
	writeExchange(o, &trial.Revision, body, &trial.Attempt)
	writeAttempt(o, &trial.Attempt)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// auditedTest is a test as the audit keeps it: what was sent, and what it came to.
func auditedTest(trial *delivery.Trial, asked *test) []byte {
	o := openObject(nil)
	asked.writeHead(o, trial.ID)
	o.text("url", trial.Revision.URL)
	o.text("outcome", string(trial.Attempt.Outcome))
	if trial.Attempt.StatusCode != 0 {
		o.number("statusCode", int64(trial.Attempt.StatusCode))
	}
	return o.close()
}
