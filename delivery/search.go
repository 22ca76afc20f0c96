package delivery

import (
	"slices"
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
	Events []EventRecord // without their bodies
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

// Has reports whether the event has the outcome.
func (e *EventRecord) Has(outcome EventOutcome) bool {
	switch outcome {
	case EventUnmatched:
		return len(e.Matches) == 0
	case EventDelivered:
		return len(e.Matches) > 0 && !e.anyIn(Waiting, Sending, Exhausted, Skipped, Cancelled)
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
func (e *EventRecord) Outcome() EventOutcome {
	for _, outcome := range EventOutcomes {
		if e.Has(outcome) {
			return outcome
		}
	}
	return EventUnmatched
}

func (e *EventRecord) anyIn(states ...State) bool {
	for i := range e.Matches {
		if slices.Contains(states, e.Matches[i].Delivery.State) {
			return true
		}
	}
	return false
}
