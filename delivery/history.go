package delivery

import (
	"time"

	"portalhook/payload"
	"portalhook/triggers"
)

// EventRecord is an accepted event as it can be asked for, with every webhook it matched.
type EventRecord struct {
	ID         triggers.ID
	Tenant     uint32
	EventID    string
	Source     string
	URI        string
	Username   string
	When       time.Time
	AcceptedAt time.Time
	Body       []byte // payload.Render's
	Matches    []Match
}

// Match is one webhook that an event matched, and what became of it.
type Match struct {
	Place       int // among the event's, from 1
	WebhookID   triggers.WebhookID
	WebhookName string // at acceptance
	Trigger     string // the trigger that matched
	Delivery    Record
}

// Record is a delivery as history shows it. The summary fields are always set; Revision, Events, BuiltAt and Attempts only where
// one delivery is asked for.
type Record struct {
	ID        triggers.ID
	Tenant    uint32
	Webhook   uint32
	WebhookID triggers.WebhookID
	EventID   triggers.ID // of its first event
	URI       string      // of its first event
	Trigger   string      // the trigger that matched
	State     State
	Reason    string
	CreatedAt time.Time
	DueAt     time.Time // of the next attempt; zero when there is none
	EndedAt   time.Time // zero while it is open
	Tries     int
	// StatusCode and StartedAt are the last finished attempt's; zero before the first.
	StatusCode int
	StartedAt  time.Time

	Revision payload.Revision
	BuiltAt  time.Time
	Events   []payload.Event
	Attempts []Attempt
}

// HistoryQuery asks for a webhook's deliveries, newest first unless OldestFirst.
type HistoryQuery struct {
	Tenant  uint32
	Webhook uint32
	// EventType is the trigger that matched, as the webhook spells it, or the trigger that hears all events of the kind that the
	// delivery's first event is of (triggers.URI.AnyForm); exact; empty: any.
	EventType string
	States    []State // empty: any
	// FinishedOnly leaves out deliveries without a finished attempt (the JSON API's list).
	FinishedOnly bool
	From, To     time.Time // of creation; zero: open
	OldestFirst  bool
	After        triggers.ID // cursor: the last id of the page before; zero: from the start
	Limit        int
}

// HistoryPage is one page of an answer to a HistoryQuery.
type HistoryPage struct {
	Deliveries []Record // summaries
	// Stopped is where the search gave up, having looked at many deliveries that were not asked for; zero when it did not. It goes on
	// from there when Stopped is given as After.
	Stopped triggers.ID
}

// HourCounts is what a webhook's attempts of one hour came to.
type HourCounts struct {
	Hour      time.Time // its beginning, UTC
	Attempts  int64
	Succeeded int64         // deliveries that ended well
	Failed    int64         // attempts that did not succeed
	Exhausted int64         // deliveries that ran out of attempts
	Took      time.Duration // of all attempts together, in microseconds
	// Latency counts attempts by Attempt.Total: Latency[i] those of at most LatencyBounds[i], the last one all that took longer.
	Latency [len(LatencyBounds) + 1]int64
}

// LatencyBounds are the upper bounds of the classes of HourCounts.Latency. Stored counts depend on them: they are never changed.
var LatencyBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}
