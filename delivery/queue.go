// Package delivery accepts events and carries each to its receivers, however many attempts that takes.
package delivery

import (
	"context"
	"time"

	"portalhook/payload"
	"portalhook/triggers"
)

// Queue is the durable line between an accepted event and its receivers. Whoever implements it runs deliverytest.TestQueue.
//
// The open deliveries of a webhook that is ordered, as it is stored at the time, stand in lines, one for each LineOf, by their ids. Claim
// leases only the first of a line: what stands behind it waits until it has ended, however it ends, and also while it waits for another
// attempt. What Enqueue or Resend hands back leased does not ask for its turn, but keeps its place.
type Queue interface {
	// Enqueue stores a batch whole or not at all and returns when it is on disk. It draws the ids, in the order given. An event
	// whose identity (its tenant and Event.Identity) is known is not stored again: its Receipt says Duplicate and carries the first
	// answer. The same identity with another Digest is a *ConflictError, and nothing of the batch is stored, unless it is that of a
	// job: a second event for a job is a duplicate whatever it says. Planned deliveries
	// with Lease come back leased to this node; the others wait to be claimed. When it returns, the batch and the slices in it are the
	// caller's again, but for the events and their bodies, which nobody changes any more.
	Enqueue(ctx context.Context, batch []Acceptance) ([]Receipt, error)
	// Claim leases due work to this node, webhook by webhook in turn, at most free(webhook) of each and limit in all; free is called
	// once per webhook that has due work. next is when the earliest work falls due of the webhooks that have no due work left, zero
	// when there is none; what free holds back must be asked for again when there is room.
	Claim(ctx context.Context, now time.Time, limit int, free func(webhook uint32) int) (claimed []Claimed, next time.Time, err error)
	// Settle records finished attempts and what becomes of their deliveries, in a transaction of its own, and what they tell of their
	// webhooks' Health: the notices that Health.Note gives are stored with them, those of a webhook that is gone without a health. A settlement whose Fence is not the delivery's present one changes nothing and is counted in stale.
	Settle(ctx context.Context, batch []Settlement) (stale int, err error)
	// Resend makes a new delivery of the same bytes, leased to this node, from one of the tenant's; the error is
	// triggers.ErrNotFound when there is none. It is settled like any other.
	Resend(ctx context.Context, tenant uint32, id triggers.ID, now time.Time) (Claimed, error)
	// CloseIntervals makes the deliveries of the intervals that have ended (Planned.Interval), waiting to be claimed, and says how many: of each
	// webhook and interval one for each TogetherOf, with the members in the order of their ids, the revision and the trigger of the last one, or
	// several where they are more than one delivery may have. A member that comes after that makes another. What was made before an error stays.
	CloseIntervals(ctx context.Context, now time.Time) (int, error)
	// Health is that of webhooks, by their keys, of all when none is given; those that have not failed are left out. It begins anew
	// when UpdateWebhook switches a webhook on, and ends with the webhook.
	Health(ctx context.Context, webhooks ...uint32) (map[uint32]Health, error)
	// NoteProbe keeps what is known of a webhook's probes with its Health. It is nothing of a webhook that is on, or gone.
	NoteProbe(ctx context.Context, webhook uint32, p Probing) error
	// Notices are the oldest events of our own that are still to be told. One is gone when Enqueue stores an event about webhooks with its
	// tenant and name, in that transaction, or finds it a duplicate.
	Notices(ctx context.Context, limit int) ([]Notice, error)
	// ForgetNotices removes notices that are never to be told.
	ForgetNotices(ctx context.Context, ids ...int64) error
}

// The bounds of one delivery of an interval: its events, and their bodies in bytes, but for a single one.
const (
	MaxMembers     = 1000
	MaxMemberBytes = 1 << 20
)

// TogetherOf names what an interval's events come together by: those of one service in one delivery, and all others in one, which is empty.
func TogetherOf(uri *triggers.URI) string {
	if family := payload.FamilyOf(uri); family == payload.FeatureService || family == payload.Geoprocessing {
		return LineOf(uri, nil)
	}
	return ""
}

// LineOf names what an event's deliveries to an ordered webhook keep their order among: the thing that the event is about, for a cloud type
// that of data.id in the body, which is payload.Render's. Events about nothing that has an id are in one line, which is empty. The line of
// a delivery that CloseIntervals makes is TogetherOf.
func LineOf(uri *triggers.URI, body []byte) string {
	resource, id := uri.Resource.String(), uri.Key()
	if uri.Resource == triggers.CloudTypes {
		id = string(payload.DataIDOf(body))
	}
	if id == "" {
		return ""
	}
	const separator = "\x1f" // as good as any that no name has; PostgreSQL's texts cannot hold zero
	return resource + separator + uri.FolderKey() + separator + id
}

// Acceptance is an event to be stored, with the deliveries it leads to.
type Acceptance struct {
	Tenant     uint32
	Event      *triggers.Event
	AcceptedAt time.Time // info.when; milliseconds count
	Body       []byte    // payload.Render's
	// Digest tells same content from other content under one identity; zero when the event has no identity, or a job's.
	Digest  [16]byte
	Planned []Planned
}

// Planned is a delivery to be made, or (Skipped) the record that one would have been.
type Planned struct {
	Webhook  uint32
	Revision int64
	Trigger  uint8 // index of the trigger that matched, in the revision's Triggers
	State    State // Waiting or Skipped
	Lease    bool  // a slot is free: hand it back leased
	// Interval, when not zero, is the end of the interval that a scheduled webhook collects for: the event becomes a member.
	Interval time.Time
}

// Receipt is the answer to one Acceptance.
type Receipt struct {
	ID        triggers.ID // of the event
	Matched   int         // number of planned deliveries, skipped ones included
	Duplicate bool
	// The planned deliveries have the ids ID+1, ID+2, … in the order of Planned. Each leased one has fence 1.
}

// ConflictError says that an event of the batch has the identity of a stored one and other content.
type ConflictError struct{ Index int }

func (e *ConflictError) Error() string {
	return "an event with this eventId and other content was accepted before"
}

// CommitError says that the store could not bring a transaction to disk. Whether it took place is not known to the caller, who may
// try again under the same identity.
type CommitError struct {
	Full bool // the disk, or the room set aside for the store, is full
	Err  error
}

func (e *CommitError) Error() string { return "not brought to disk: " + e.Err.Error() }

func (e *CommitError) Unwrap() error { return e.Err }

// State is where a delivery stands.
type State string

// The states.
const (
	Waiting   State = "waiting"
	Sending   State = "sending"
	Succeeded State = "succeeded"
	Exhausted State = "exhausted"
	Skipped   State = "skipped"
	Cancelled State = "cancelled"
)

// Claimed is a leased delivery with all that an attempt needs but the webhook's present settings.
type Claimed struct {
	ID       triggers.ID
	Tenant   uint32
	Webhook  uint32
	Revision payload.Revision
	BuiltAt  time.Time // info.when: acceptance of the event, or the close of the interval
	Events   []payload.Event
	Tries    int    // finished attempts
	Fence    uint32 // names this lease
	DueAt    time.Time
}

// Settlement is the end of one attempt.
type Settlement struct {
	Delivery triggers.ID
	Tenant   uint32
	Webhook  uint32
	Fence    uint32
	State    State     // Succeeded, Exhausted, Cancelled, or Waiting for another attempt
	DueAt    time.Time // of Waiting
	// Reason says in one sentence how it ended: 200 OK; redirects are refused: 308 Permanent Redirect; …
	Reason string
	// Attempt is nil when none was made (a lease given back at shutdown, a breaker that opened): then Tries does not rise.
	Attempt *Attempt
	// Policy is what the webhook is switched off by, for its Health; nil: the standard rule.
	Policy *triggers.DeactivationPolicy
	// Notice tells that the delivery ran out of attempts; nil: nobody is told.
	Notice *Notice

	shift time.Duration // how far the clock had been set when DueAt was worked out, or the attempt began
}

// Attempt is one try at a delivery, as history keeps it.
type Attempt struct {
	Number    int // 1, 2, …
	StartedAt time.Time
	// Waited is from due (or acceptance) to start. DNS, Connect, TLS, FirstByte and Total are since StartedAt, zero when not reached.
	Waited, DNS, Connect, TLS, FirstByte, Total time.Duration
	Revision                                    int64 // whose URL and headers were used
	// Signed are the headers made for this attempt: ids, timestamps, signatures.
	Signed     [][2]string
	Outcome    Outcome
	StatusCode int // 0 without an answer
	// ResponseHeaders (at most 8 KiB) and ResponseBody (at most 16 KiB) are what is kept of the answer.
	ResponseHeaders [][2]string
	ResponseBody    []byte
	Truncated       bool
	Error           string // without an answer: what went wrong, no secret in it
}
