package delivery

import (
	"slices"
	"strings"
	"time"

	"portalhook/triggers"
)

// EventQuery asks for accepted events, newest first unless OldestFirst. What is empty does not restrict.
type EventQuery struct {
	Tenant uint32
	// URI is compared as far as Scope says, under the rule of comparison of its resource.
	URI      triggers.URI
	Scope    URIScope
	EventID  string // the sender's own, exact
	Username string // without regard to case
	Outcome  EventOutcome
	From, To time.Time // of acceptance, To excluded

	OldestFirst bool
	After       triggers.ID // cursor: the last id of the page before; zero: from the start
	Limit       int
}

// URIScope is how much of a URI is asked for.
type URIScope uint8

// The scopes.
const (
	AnyURI        URIScope = iota // it does not restrict
	WholeURI                      // the same operation on the same thing
	SameOperation                 // the same operation, whatever the id
	SameThing                     // the same thing, whatever the operation
)

// Hears reports whether an event's URI is one that is asked for.
func (q *EventQuery) Hears(uri *triggers.URI) bool {
	if q.Scope == AnyURI {
		return true
	}
	operation := uri.Resource == q.URI.Resource && uri.Operation == q.URI.Operation
	thing := uri.Resource == q.URI.Resource && uri.Key() == q.URI.Key() && uri.FolderKey() == q.URI.FolderKey()
	switch q.Scope {
	case SameOperation:
		return operation
	case SameThing:
		return thing
	case WholeURI, AnyURI:
	}
	return operation && thing
}

// EventPage is one page of an answer to an EventQuery.
type EventPage struct {
	Events []EventSummary // without their bodies
	// Stopped is where the search gave up, having looked at many events that were not asked for; zero when it did not. It goes on
	// from there when Stopped is given as After.
	Stopped triggers.ID
}

// EventOutcome is what became of an event.
type EventOutcome string

// The outcomes. An event that matched several webhooks may have several of them.
const (
	EventUnmatched EventOutcome = "unmatched" // it matched no webhook
	EventDelivered EventOutcome = "delivered" // every delivery succeeded
	EventPending   EventOutcome = "pending"   // a delivery waits or is being sent
	EventFailed    EventOutcome = "failed"    // a delivery ran out of attempts
	EventSkipped   EventOutcome = "skipped"   // a webhook had been switched off by the server
	EventCancelled EventOutcome = "cancelled" // a webhook was deleted before its delivery
)

// EventOutcomes are all of them, the one that needs most attention first.
var EventOutcomes = [...]EventOutcome{EventFailed, EventPending, EventSkipped, EventCancelled, EventDelivered, EventUnmatched}

// ListedMatches is how many of an event's matches are shown with it in a list.
const ListedMatches = 20

// EventSummary is an event as lists show it: with the number of its matches, and no more than ListedMatches of them, those that were not
// delivered first.
type EventSummary struct {
	EventRecord

	Matched int
	States  map[State]int // how many of the deliveries are in each state that any is in
}

// Summarize is the specification of summaries: that of an event with all its matches.
func Summarize(e *EventRecord) *EventSummary {
	summary := &EventSummary{EventRecord: *e, Matched: len(e.Matches), States: map[State]int{}}
	var missed, delivered []Match
	for i := range e.Matches {
		m := &e.Matches[i]
		if m.Delivery.State != "" { // its history is past
			summary.States[m.Delivery.State]++
		}
		if m.Delivery.State == Succeeded {
			delivered = append(delivered, *m)
		} else {
			missed = append(missed, *m)
		}
	}
	listed := append(missed, delivered...)
	summary.Matches = listed[:min(ListedMatches, len(listed))]
	return summary
}

// Has reports whether the event has the outcome.
func (e *EventSummary) Has(outcome EventOutcome) bool {
	switch outcome {
	case EventUnmatched:
		return e.Matched == 0
	case EventDelivered:
		return e.Matched > 0 && !e.anyIn(Waiting, Sending, Exhausted, Skipped, Cancelled)
	case EventPending:
		return e.anyIn(Waiting, Sending)
	case EventFailed:
		return e.anyIn(Exhausted)
	case EventSkipped:
		return e.anyIn(Skipped)
	case EventCancelled:
		return e.anyIn(Cancelled)
	}
	return false
}

// Outcome is the one of the event's outcomes that needs most attention.
func (e *EventSummary) Outcome() EventOutcome {
	for _, outcome := range EventOutcomes {
		if e.Has(outcome) {
			return outcome
		}
	}
	return EventUnmatched
}

func (e *EventSummary) anyIn(states ...State) bool {
	return slices.ContainsFunc(states, func(s State) bool { return e.States[s] > 0 })
}

// MatchQuery asks for the webhooks that one event matched, in the order of their places. What is empty does not restrict.
type MatchQuery struct {
	Tenant      uint32
	Event       triggers.ID
	WebhookName string  // a part of the name at acceptance, without regard to case
	States      []State // of the delivery

	Backwards bool
	After     int // cursor: the place of the last match of the page before; 0: from the start
	Limit     int
}

// Asks reports whether the query asks for a match, its place left aside.
func (q *MatchQuery) Asks(m *Match) bool {
	return q.AsksName(m.WebhookName) && (len(q.States) == 0 || slices.Contains(q.States, m.Delivery.State))
}

// AsksName reports whether the query asks for webhooks of the name.
func (q *MatchQuery) AsksName(name string) bool {
	return q.WebhookName == "" || strings.Contains(triggers.Fold(name), triggers.Fold(q.WebhookName))
}

// MatchPage is one page of an answer to a MatchQuery.
type MatchPage struct {
	Matches []Match
	// Stopped is the place where the search gave up, having looked at many matches that were not asked for; 0 when it did not. It goes on from there
	// when Stopped is given as After.
	Stopped int
}
