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
	Trigger string // exact; empty: any
	States  []State
	// FinishedOnly leaves out deliveries without a finished attempt (the JSON API's list).
	FinishedOnly bool
	From, To     time.Time // of creation; zero: open
	OldestFirst  bool
	After        triggers.ID // cursor: the last id of the page before; zero: from the start
	Limit        int
}
