package web

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/delivery"
	"portalhook/router"
	"portalhook/triggers"
)

// defaultPast is how far back a draft is held to stored events when the question does not say.
const defaultPast = 7 * 24 * time.Hour

// draftKey stands for a draft where a stored webhook has its number.
const draftKey = 1

// readDraft reads {"eventTypes":[…],"filter","level","ownerId"}: of a webhook what decides which events it gets.
func (s *Server) readDraft(value jsontext.Value) (*triggers.Webhook, error) {
	draft := &triggers.Webhook{Key: draftKey, Level: triggers.TenantLevel}
	filter := ""
	err := eachMember(value, "draft", func(name string, value jsontext.Value) (err error) {
		field := "draft." + name
		switch name {
		case "eventTypes":
			var texts []string
			if texts, err = textsOf(field, value); err != nil {
				return err
			}
			draft.Triggers, err = s.config.Catalog.ParseTriggers(field, texts)
		case "filter":
			filter, err = textOf(field, value)
		case "level":
			var text string
			text, err = textOf(field, value)
			draft.Level = triggers.Level(text)
		case "ownerId":
			draft.OwnerID, err = textOf(field, value)
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, field, "a draft has eventTypes, filter, level and ownerId")
		}
		return err
	})
	if err == nil {
		err = withPrefix("draft.", draft.SetFilter(filter))
	}
	if err == nil {
		draft.Enabled = len(draft.Triggers) > 0
		err = withPrefix("draft.", draft.ValidateHearing())
	}
	return draft, err
}

// withPrefix names the field of an error as the body has it.
func withPrefix(prefix string, err error) error {
	if err == nil {
		return nil
	}
	p := problemOf(err)
	if p.Field != "" {
		p.Field = prefix + p.Field
	}
	return p
}

// pastAsked are the stored events that a draft is held to.
type pastAsked struct {
	delivery.Span
	limit int // how many are looked at
}

// readPast reads {"from","to","limit"}; by default the last seven days.
func readPast(value jsontext.Value) (*pastAsked, error) {
	span := &pastAsked{limit: delivery.MaxPast}
	err := eachMember(value, "past", func(name string, value jsontext.Value) (err error) {
		field := "past." + name
		switch name {
		case "from":
			span.From, err = momentOf(field, value)
		case "to":
			span.To, err = momentOf(field, value)
		case "limit":
			if span.limit, err = intOf(field, value); err == nil && (span.limit < 1 || span.limit > delivery.MaxPast) {
				err = triggers.Invalid(triggers.CodeOutOfRange, field, "limit is from 1 to %d, not %d", delivery.MaxPast, span.limit)
			}
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, field, "past has from, to and limit")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if span.To.IsZero() {
		span.To = now()
	}
	if span.From.IsZero() {
		span.From = span.To.Add(-defaultPast)
	}
	return span, forwards("past.", span.Span)
}

// writeDraft writes what the router says of the draft's triggers, and what else would hold the event back.
func writeDraft(o *object, q *question) {
	e := router.Explain(q.draft.Triggers, &q.event.URI)
	if admission := q.draft.Admit(q.event, q.properties); e.Matched && admission != triggers.Admitted {
		o.text("why", q.draft.WhyHeld(admission, q.event))
		o.text("heldBy", admission.String())
	}
	writeVerdicts(o, e)
}

// writePast writes how many stored events the draft would have caught.
func (s *Server) writePast(ctx context.Context, o *object, q *question) error {
	catch, err := s.config.Recoverer.Past(ctx, q.draft, q.past.Span, q.past.limit)
	if err != nil {
		return err
	}
	o.object("past", func(o *object) {
		o.time("from", catch.From)
		o.time("to", catch.To)
		o.number("counted", int64(catch.Looked))
		o.number("caught", int64(catch.Caught))
		o.flag("complete", catch.Complete)
		o.array("samples", len(catch.Samples), func(dst []byte, i int) []byte {
			sample := &catch.Samples[i]
			o := openObject(dst)
			o.text("id", sample.Event.ID.Event())
			o.text("uri", sample.Event.URI.String())
			o.text("username", sample.Event.Username)
			o.time("acceptedAt", sample.Event.AcceptedAt)
			o.text("trigger", sample.Trigger)
			return o.close()
		})
	})
	return nil
}
