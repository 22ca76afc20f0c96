package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// getEvent shows an accepted event and what became of it, webhook by webhook; with matches=listed no more of them than lists show.
func (s *Server) getEvent(c echo.Context, key *triggers.APIKey) error {
	id, err := eventParam(c)
	if err != nil {
		return err
	}
	var summary *delivery.EventSummary
	var shown []delivery.Match
	switch which := c.QueryParam("matches"); which {
	case "", "all":
		var record *delivery.EventRecord
		if record, err = s.config.History.Event(c.Request().Context(), key.Tenant, id); err == nil {
			summary, shown = delivery.Summarize(record), record.Matches
		}
	case "listed":
		if summary, err = s.config.History.EventSummary(c.Request().Context(), key.Tenant, id); err == nil {
			shown = summary.Matches
		}
	default:
		return triggers.Invalid(triggers.CodeOutOfRange, "matches", "matches is %q; it must be all or listed", which)
	}
	if err != nil {
		return eventProblem(id, err)
	}
	o := openObject(nil)
	writeEventHead(o, &summary.EventRecord)
	o.text("outcome", string(summary.Outcome()))
	o.raw("event", summary.Body)
	s.writeMatches(o, summary, shown)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

func eventParam(c echo.Context) (triggers.ID, error) {
	id, ok := triggers.ParseEventID(c.Param("event"))
	if !ok {
		return 0, fault(codeNotFound, "there is no such event")
	}
	return id, nil
}

func eventProblem(id triggers.ID, err error) error {
	if errors.Is(err, triggers.ErrNotFound) {
		return fault(codeNotFound, "there is no such event, or its history is past")
	}
	return fmt.Errorf("read event %s: %w", id.Event(), err)
}

var (
	matchSorts   = []string{"place"}
	matchFilters = []string{"webhookName", "state"}
)

// listMatches answers a page of the webhooks that an event matched, in the order in which they were found.
func (s *Server) listMatches(c echo.Context, key *triggers.APIKey) error {
	id, err := eventParam(c)
	if err != nil {
		return err
	}
	l, err := readListing(c, "place", matchSorts, matchFilters)
	if err != nil {
		return err
	}
	query := delivery.MatchQuery{
		Tenant: key.Tenant, Event: id, WebhookName: l.values.Get("webhookName"), Backwards: l.down != l.back, Limit: l.limit + 1,
	}
	if query.States, err = statesParam(l.values.Get("state")); err != nil {
		return err
	}
	if l.cursor != "" {
		if query.After, err = strconv.Atoi(l.cursor); err != nil || query.After < 1 {
			return badCursor(l.cursorField())
		}
	}
	found, err := s.config.History.Matches(c.Request().Context(), query)
	if err != nil {
		return eventProblem(id, err)
	}
	stopped := ""
	if found.Stopped != 0 {
		stopped = strconv.Itoa(found.Stopped)
	}
	page, next, prev := paged(l, found.Matches, stopped, func(m *delivery.Match) string { return strconv.Itoa(m.Place) })
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte { return s.appendMatch(dst, key.Tenant, &page[i]) })
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// writeMatches writes how many webhooks an event matched, how many deliveries stand how, and the matches that are shown.
func (s *Server) writeMatches(o *object, ev *delivery.EventSummary, shown []delivery.Match) {
	o.number("matched", int64(ev.Matched))
	o.object("deliveries", func(o *object) {
		for _, state := range states {
			if n := ev.States[state]; n > 0 {
				o.number(string(state), int64(n))
			}
		}
	})
	o.array("matches", len(shown), func(dst []byte, i int) []byte { return s.appendMatch(dst, ev.Tenant, &shown[i]) })
}

// writeEventHead writes what the sender said of an event, but for its own shape.
func writeEventHead(o *object, ev *delivery.EventRecord) {
	o.text("id", ev.ID.Event())
	if ev.EventID != "" {
		o.text("eventId", ev.EventID)
	}
	if ev.Source != "" {
		o.text("source", ev.Source)
	}
	o.text("uri", ev.URI)
	o.text("username", ev.Username)
	o.time("when", ev.When)
	o.time("acceptedAt", ev.AcceptedAt)
}

func (s *Server) appendMatch(dst []byte, tenant uint32, m *delivery.Match) []byte {
	o := openObject(dst)
	o.text("webhookId", m.WebhookID.String())
	o.text("webhookName", m.WebhookName)
	if _, err := s.config.Directory.ByID(tenant, m.WebhookID); errors.Is(err, triggers.ErrNotFound) {
		o.flag("webhookDeleted", true)
	}
	o.text("trigger", m.Trigger)
	o.object("delivery", func(o *object) {
		o.text("id", m.Delivery.ID.Delivery())
		writeState(o, &m.Delivery)
	})
	return o.close()
}
