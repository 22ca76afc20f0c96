package web

import (
	"fmt"
	"math/bits"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

var (
	eventSorts   = []string{"acceptedAt"}
	eventFilters = []string{"uri", "eventId", "username", "from", "to", "outcome"}
)

// listEvents answers a page of accepted events, newest first unless asked otherwise, each with what became of it.
func (s *Server) listEvents(c echo.Context, key *triggers.APIKey) error {
	l, err := readListing(c, "-acceptedAt", eventSorts, eventFilters)
	if err != nil {
		return err
	}
	query, err := s.eventQuery(l)
	if err != nil {
		return err
	}
	query.Tenant = key.Tenant
	found, err := s.config.History.Events(c.Request().Context(), *query)
	if err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	stopped := ""
	if found.Stopped != 0 {
		stopped = found.Stopped.Event()
	}
	page, next, prev := paged(l, found.Events, stopped, func(ev *delivery.EventSummary) string { return ev.ID.Event() })
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte { return s.appendListedEvent(dst, &page[i]) })
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// eventQuery turns the list's parameters into the store's question.
func (s *Server) eventQuery(l *listing) (*delivery.EventQuery, error) {
	get := l.values.Get
	query := &delivery.EventQuery{
		EventID: get("eventId"), Username: get("username"), Outcome: delivery.EventOutcome(get("outcome")),
		OldestFirst: l.down == l.back, Limit: l.limit + 1,
	}
	var err error
	if query.From, query.To, err = spanParams(get("from"), get("to")); err != nil {
		return nil, err
	}
	if query.Outcome != "" && !slices.Contains(delivery.EventOutcomes[:], query.Outcome) {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "outcome",
			"the outcome is %q; it must be failed, pending, skipped, cancelled, delivered or unmatched", query.Outcome)
	}
	if text := get("uri"); text != "" {
		if query.URI, query.Scope, err = s.searchedURI(text); err != nil {
			return nil, inField("uri", err)
		}
	}
	if l.cursor != "" {
		var ok bool
		if query.After, ok = triggers.ParseEventID(l.cursor); !ok {
			return nil, badCursor(l.cursorField())
		}
	}
	return query, nil
}

// searchedURI reads what events are searched by: the URI of an event, or a trigger of one operation on anything, or of everything on
// one thing.
func (s *Server) searchedURI(text string) (triggers.URI, delivery.URIScope, error) {
	uri, unread := s.config.Catalog.ParseURI(text)
	trigger, err := s.config.Catalog.ParseTrigger(text)
	if err != nil {
		// An event's URI need not be a trigger that can fire: somebody may be named like a glob.
		if unread == nil {
			return uri, delivery.WholeURI, nil
		}
		return uri, delivery.AnyURI, err
	}
	if trigger.Any && trigger.Also == triggers.NoResource && trigger.Operations.Len() == 1 {
		operation := triggers.Operation(bits.TrailingZeros32(uint32(trigger.Operations))) //nolint:gosec // fewer than 32
		return triggers.URI{Resource: trigger.Resource, Operation: operation}, delivery.SameOperation, nil
	}
	if unread == nil {
		return uri, delivery.WholeURI, nil
	}
	if folder, id, ok := onlyThing(&trigger); ok && everything(&trigger) {
		uri, err := triggers.NewURI(trigger.Resource, 0, folder, id)
		return uri, delivery.SameThing, err
	}
	return uri, delivery.AnyURI, triggers.Invalid(triggers.CodeOutOfRange, "",
		"%s cannot be searched; give the URI of an event, such as /items/<id>/share, or /items/share or /items/<id>", strings.TrimSpace(text))
}

// everything reports whether a trigger on one thing hears every operation that there is on one.
func everything(t *triggers.Trigger) bool {
	all := triggers.AllOperations(t.Resource)
	for op := triggers.Operation(0); all.Has(op); op++ {
		if !triggers.IsBulk(t.Resource, op) && !t.Operations.Has(op) {
			return false
		}
	}
	return true
}

// onlyThing is the one thing that a trigger names; false when it has globs or names several.
func onlyThing(t *triggers.Trigger) (folder, id string, ok bool) {
	if t.Rest || t.Also != triggers.NoResource || len(t.Path) == 0 || len(t.Path) > 2 || t.Resource == triggers.CloudTypes {
		return "", "", false
	}
	id, ok = t.Path[len(t.Path)-1].Literal()
	if ok && len(t.Path) == 2 {
		folder, ok = t.Path[0].Literal()
	}
	return folder, id, ok
}

// appendListedEvent writes an event as lists show it: how many deliveries stand how, and those that were not delivered.
func (s *Server) appendListedEvent(dst []byte, ev *delivery.EventSummary) []byte {
	o := openObject(dst)
	writeEventHead(o, &ev.EventRecord)
	o.text("outcome", string(ev.Outcome()))
	s.writeMatches(o, ev, ev.Matches)
	return o.close()
}
