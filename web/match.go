package web

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/payload"
	"portalhook/router"
	"portalhook/triggers"
)

// Matcher says which webhooks want an event: it is met by *router.Table.
type Matcher interface {
	Match(tenant uint32, uri *triggers.URI, dst []router.Hit) []router.Hit
}

// maxExplained bounds how many webhooks one dry run explains.
const maxExplained = 1000

// question is what a dry run asks: which webhooks would get this event, and what would this draft get?
type question struct {
	event      *triggers.Event   // nil: only the draft is asked about
	properties []byte            // of the event, as receivers would read them; nil when there are none
	draft      *triggers.Webhook // a webhook that does not exist yet; nil when none was given
	past       *pastAsked        // the stored events that the draft is held to; nil: none
}

// postMatch is a dry run: nothing is stored and nothing is sent. The query says which webhooks are told of.
func (s *Server) postMatch(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request())
	if err != nil {
		return err
	}
	choice, err := s.readChoice(c, key.Tenant)
	if err != nil {
		return err
	}
	q, err := s.readQuestion(body)
	if err != nil {
		return err
	}
	o := openObject(nil)
	if q.event != nil {
		s.writeVerdict(o, key.Tenant, q, choice)
	}
	if q.past != nil {
		q.draft.Tenant = key.Tenant
		if err := s.writePast(c.Request().Context(), o, q); err != nil {
			return err
		}
	}
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// writeVerdict writes which webhooks would get the event, and why the others that are chosen would not.
func (s *Server) writeVerdict(o *object, tenant uint32, q *question, choice *choice) {
	uri := &q.event.URI
	matches, others := s.match(tenant, q, choice)
	o.text("uri", uri.String())
	o.number("matched", int64(len(matches)))
	if q.draft != nil {
		o.object("draft", func(o *object) { writeDraft(o, q) })
	}
	told := min(choice.limit, len(matches))
	truncated := choice.limit == maxExplained && told < len(matches)
	matches = matches[:told]
	o.array("matches", len(matches), func(dst []byte, i int) []byte { return appendHeard(dst, matches[i], uri) })
	if choice.others {
		left := choice.limit
		if left == maxExplained {
			left -= told
		}
		if choice.nearest {
			o.number("unmatched", int64(len(others)))
			truncated = truncated || len(others) > maxJudged
			var near int
			others, near = nearestFirst(others, uri)
			o.number("near", int64(near))
		} else {
			truncated = truncated || left < len(others)
		}
		others = others[:min(left, len(others))]
		o.array("others", len(others), func(dst []byte, i int) []byte { return appendUnheard(dst, others[i], q) })
	}
	if truncated {
		o.flag("truncated", true)
	}
}

// readQuestion reads {"uri"} or {"event"}, and beside it or alone {"draft"} with {"past"}.
func (s *Server) readQuestion(body jsontext.Value) (*question, error) {
	var q question
	given := ""
	err := eachMember(body, "", func(name string, value jsontext.Value) (err error) {
		switch name {
		case "uri", "event":
			if given != "" {
				return triggers.Invalid(triggers.CodeUnknownField, name, "give either uri or event")
			}
			given = name
		}
		switch name {
		case "uri":
			text, err := textOf(name, value)
			if err != nil {
				return err
			}
			// An event of which nothing more is known: nobody owns it, and it has no properties.
			q.event, err = s.config.Catalog.ParseEvent(append(appendText([]byte(`{"uri":`), text), '}'))
			return err
		case "event":
			q.event, q.properties, err = s.readEvent(value)
			return err
		case "draft":
			q.draft, err = s.readDraft(value)
			return err
		case "past":
			q.past, err = readPast(value)
			return err
		}
		return triggers.Invalid(triggers.CodeUnknownField, name, "a dry run takes uri or event, draft and past")
	})
	switch {
	case err != nil:
	case q.past != nil && (q.draft == nil || len(q.draft.Triggers) == 0):
		err = triggers.Invalid(triggers.CodeRequired, "draft.eventTypes", "past events are held to the event types of a draft")
	case given == "" && q.past == nil:
		err = triggers.Invalid(triggers.CodeRequired, "uri", "a dry run needs a uri or an event, or a draft with past")
	}
	return &q, err
}

// readEvent reads an event as POST /events would, its properties included.
func (s *Server) readEvent(value jsontext.Value) (ev *triggers.Event, properties []byte, err error) {
	var body []byte
	ev, err = s.config.Catalog.ParseEvent(value)
	if err == nil {
		body, err = payload.Render(ev, time.Now())
	}
	if err != nil {
		p := problemOf(err)
		if p.Field == "" {
			p.Field = "event"
		} else {
			p.Field = "event." + p.Field
		}
		return nil, nil, p
	}
	return ev, payload.PropertiesOf(body), nil
}

// match divides the chosen webhooks of a tenant into those that would get the event, by the table in force and their own conditions, and
// the others; each by name.
func (s *Server) match(tenant uint32, q *question, choice *choice) (matches, others []*triggers.Webhook) {
	hits := s.config.Table.Match(tenant, &q.event.URI, nil)
	for w := range s.config.Directory.Webhooks(tenant) {
		if !choice.has(w) {
			continue
		}
		_, hit := slices.BinarySearchFunc(hits, w.Key, func(h router.Hit, key uint32) int { return cmp.Compare(h.Webhook, key) })
		if hit && w.Admit(q.event, q.properties) == triggers.Admitted {
			matches = append(matches, w)
		} else {
			others = append(others, w)
		}
	}
	byName := func(a, b *triggers.Webhook) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	}
	slices.SortFunc(matches, byName)
	slices.SortFunc(others, byName)
	return matches, others
}

// appendHeard explains a match: the first trigger that hears the event, and through which segments, and every trigger by itself.
func appendHeard(dst []byte, w *triggers.Webhook, uri *triggers.URI) []byte {
	o := openWebhook(dst, w)
	if e := router.Explain(w.Triggers, uri); e.Matched {
		verdict := e.Triggers[e.Trigger]
		o.text("trigger", verdict.Trigger)
		o.array("segments", len(verdict.Segments), func(dst []byte, i int) []byte { return appendComparison(dst, verdict.Segments[i]) })
		writeTriggers(o, e)
	}
	return o.close()
}

// appendUnheard explains why a webhook would not get the event: what holds it back although a trigger hears it, or trigger by trigger
// why none does.
func appendUnheard(dst []byte, w *triggers.Webhook, q *question) []byte {
	o := openWebhook(dst, w)
	e := router.Explain(w.Triggers, &q.event.URI)
	switch {
	case e.Matched:
		admission := w.Admit(q.event, q.properties)
		if admission == triggers.Admitted {
			o.text("why", "the webhook has just been changed, and would get the next event")
			break
		}
		o.text("why", w.WhyHeld(admission, q.event))
		o.text("heldBy", admission.String())
	case !w.Enabled:
		o.text("why", w.WhyHeld(triggers.HeldByState, q.event))
	case len(w.Triggers) == 0:
		o.text("why", "the webhook has no event types")
	default:
		o.text("why", "no event type of the webhook hears the event")
	}
	writeVerdicts(o, e)
	return o.close()
}

func openWebhook(dst []byte, w *triggers.Webhook) *object {
	o := openObject(dst)
	o.text("webhookId", w.ID.String())
	o.text("name", w.Name)
	o.flag("enabled", w.Enabled)
	return o
}

// writeVerdicts writes what the router says of every trigger.
func writeVerdicts(o *object, e router.Explanation) {
	o.flag("matched", e.Matched)
	writeTriggers(o, e)
}

func writeTriggers(o *object, e router.Explanation) {
	o.array("triggers", len(e.Triggers), func(dst []byte, i int) []byte {
		v := e.Triggers[i]
		o := openObject(dst)
		o.text("trigger", v.Trigger)
		o.flag("matched", v.Matched)
		o.array("segments", len(v.Segments), func(dst []byte, i int) []byte { return appendComparison(dst, v.Segments[i]) })
		if v.Reason != "" {
			o.text("reason", v.Reason)
		}
		return o.close()
	})
}

// appendComparison writes a segment of a trigger beside the event's.
func appendComparison(dst []byte, c router.Comparison) []byte {
	o := openObject(dst)
	o.text("pattern", c.Pattern)
	o.text("event", c.Event)
	o.flag("matched", c.Matched)
	return o.close()
}
