package delivery

import (
	"context"
	"errors"
	"time"

	"portalhook/triggers"
)

// The bounds of RecoveryRequest.RatePerMinute.
const (
	DefaultRecoveryRate = 600
	MaxRecoveryRate     = 60_000
)

// ErrRecoveryOpen says that the webhook has a recovery already that has not ended.
var ErrRecoveryOpen = errors.New("the webhook has a recovery that has not ended")

// ErrRecoveryEnded says that a recovery cannot be paused, resumed or cancelled any more.
var ErrRecoveryEnded = errors.New("the recovery has ended")

// RecoveryState is where a recovery stands.
type RecoveryState string

// The states of a recovery.
const (
	RecoveryCounting  RecoveryState = "counting" // what it would make is not known yet: nothing has been made
	RecoveryRunning   RecoveryState = "running"
	RecoveryPaused    RecoveryState = "paused"
	RecoveryDone      RecoveryState = "done"
	RecoveryCancelled RecoveryState = "cancelled"
	RecoveryFailed    RecoveryState = "failed" // it may be resumed
)

// Pauser says what paused a recovery. What the webhook or the server paused goes on by itself when the cause has gone.
type Pauser string

// The pausers.
const (
	PausedByRequest Pauser = "request"
	PausedByWebhook Pauser = "webhook" // it is off
	PausedByServer  Pauser = "server"  // too much is open, the disk is nearly full or the store fails
)

// Span is a stretch of time, To excluded; zero bounds are open.
type Span struct{ From, To time.Time }

// RecoveryRequest is what is asked for: of the events accepted in the spans, those that the webhook did not get.
//
// All deliveries of one event to the webhook count together, resends and recoveries included: an event is taken when none of them
// has succeeded or is open and the newest ended in one of the states. With Missed, events without any delivery to the webhook are
// matched with its present triggers, level and filter, and taken when it would get them.
type RecoveryRequest struct {
	Tenant  uint32
	Webhook uint32
	Spans   []Span  // rising, without overlap; none: the whole history
	States  []State // of Exhausted, Skipped and Cancelled; may be empty with Missed
	// Trigger restricts it to a kind of event: the trigger that matched, or the one that hears all events of the kind. Empty: any.
	Trigger       string
	Missed        bool
	RatePerMinute int // deliveries made
}

// RecoveryCounts is how many deliveries a recovery would make, by the state of the newest they replace.
type RecoveryCounts struct {
	Exhausted, Skipped, Cancelled, Missed int
	// Complete is false while only the events up to Recovery.CountedTo have been counted.
	Complete bool
}

// Total is all of them.
func (c *RecoveryCounts) Total() int { return c.Exhausted + c.Skipped + c.Cancelled + c.Missed }

// Add counts what was found.
func (c *RecoveryCounts) Add(found []Recoverable) {
	for i := range found {
		switch found[i].State {
		case Exhausted:
			c.Exhausted++
		case Skipped:
			c.Skipped++
		case Cancelled:
			c.Cancelled++
		case Waiting, Sending, Succeeded, "":
			c.Missed++
		}
	}
}

// Recovery is a recovery as it is stored.
type Recovery struct {
	ID triggers.ID
	RecoveryRequest
	State    RecoveryState
	PausedBy Pauser // of RecoveryPaused
	Reason   string // why it is paused, cancelled or failed, in one sentence
	Counts   RecoveryCounts
	Made     int // deliveries
	// Passed is how many found were not made, as they had arrived, were under way or had been forgotten when their turn came.
	Passed int
	// Position and CountedTo are the last events that are dealt with and counted; Until is the first that was accepted too late for it.
	Position, CountedTo, Until triggers.ID
	// Oldest is the first event that was kept when it began.
	Oldest triggers.ID
	// Lost is the time whose history was forgotten before its turn came; zero: none.
	Lost      Span
	NextAt    time.Time // the rate lets no delivery be made before
	CreatedAt time.Time
	UpdatedAt time.Time
	EndedAt   time.Time
}

// Ended reports whether nothing more can become of it.
func (r *Recovery) Ended() bool { return r.State == RecoveryDone || r.State == RecoveryCancelled }

// Open reports whether it stands in the way of another one.
func (r *Recovery) Open() bool { return !r.Ended() && r.State != RecoveryFailed }

// Recoverable is an event that a webhook did not get.
type Recoverable struct {
	Event    triggers.ID
	Delivery triggers.ID // the newest delivery of it to the webhook; zero: there is none
	State    State       // of that delivery; empty: there is none
	Trigger  uint8       // the webhook's that hears the event, where there is no delivery
}

// RecoverySearch asks for what a recovery comes upon next.
type RecoverySearch struct {
	Recovery *Recovery
	After    triggers.ID // the last event that was dealt with
	Most     int         // Recoverables
	// Webhook and Wants are needed where the request says Missed: Wants gives the first of its triggers that hears the event, and
	// whether its level and its filter let it through.
	Webhook *triggers.Webhook
	Wants   func(*PastEvent) (trigger uint8, wanted bool)
}

// RecoveryFound is a part of the answer to a RecoverySearch, in the order of acceptance.
type RecoveryFound struct {
	Found  []Recoverable
	To     triggers.ID // the last event that was dealt with
	Done   bool        // there is nothing behind it
	Looked int         // events that were looked at
}

// RecoveryStep is what is to be made of a RecoveryFound.
type RecoveryStep struct {
	ID       triggers.ID
	From     triggers.ID // the recovery's Position, else the step is too late and does nothing
	Found    RecoveryFound
	Revision int64 // of the webhook, for events without a delivery
	Now      time.Time
	NextAt   time.Time
}

// RecoveryControl changes the state of a recovery.
type RecoveryControl struct {
	Tenant, Webhook uint32
	ID              triggers.ID
	To              RecoveryState // RecoveryRunning resumes, whether it counts or runs then
	PausedBy        Pauser
	Reason          string
	// Automatic is a change by nobody's request: one that a request paused, or that is not open, stays as it is.
	Automatic bool
	Now       time.Time
}

// RecoveryQuery asks for a page of a webhook's recoveries.
type RecoveryQuery struct {
	Tenant, Webhook uint32
	OldestFirst     bool
	After           triggers.ID // the last row of the page before; 0: the first page
	Limit           int
}

// RecoveryStore keeps recoveries and finds what webhooks did not get. Whoever implements it runs storagetest.TestStore.
type RecoveryStore interface {
	// FindRecoverable looks at events behind After, some thousand at most. It writes nothing.
	FindRecoverable(ctx context.Context, search RecoverySearch) (RecoveryFound, error)
	// StartRecovery stores a recovery, drawing ID, Until and Oldest: ErrRecoveryOpen when the webhook has one that has not ended.
	StartRecovery(ctx context.Context, r *Recovery) error
	// CountRecovery adds what a search found to the counts of a recovery that counts, behind From; one that does not, or is elsewhere,
	// comes back as it is.
	CountRecovery(ctx context.Context, step RecoveryStep) (*Recovery, error)
	// AdvanceRecovery makes the deliveries of a step, waiting and due now, and moves the position, in one transaction: whatever ends
	// the process, each is made once. What has got another delivery since it was found is passed over. Recovered deliveries have the
	// bytes of the old; those of events without one are built with the revision given, as of the event's acceptance. A recovery that
	// does not run, or is not at From, comes back as it is.
	AdvanceRecovery(ctx context.Context, step RecoveryStep) (*Recovery, error)
	// ControlRecovery pauses, resumes, cancels or fails a recovery: ErrRecoveryEnded, triggers.ErrNotFound, and for one that failed and
	// is resumed, ErrRecoveryOpen.
	ControlRecovery(ctx context.Context, control RecoveryControl) (*Recovery, error)
	// OpenRecoveries are all tenants' recoveries that have not ended, those that failed left out.
	OpenRecoveries(ctx context.Context) ([]Recovery, error)
	// Recovery is triggers.ErrNotFound when the webhook has no such recovery.
	Recovery(ctx context.Context, tenant, webhook uint32, id triggers.ID) (*Recovery, error)
	Recoveries(ctx context.Context, q RecoveryQuery) ([]Recovery, error)
	// OffSpans are the times in which a webhook was off by hand, the earliest first; that in which it is off now has no end.
	OffSpans(ctx context.Context, tenant, webhook uint32) ([]Span, error)
	PastStore
}

// Listens reports whether events are matched for the webhook: it is on, or the server switched it off. The store records the times
// in which it does not.
func Listens(w *triggers.Webhook) bool { return listens(w) }
