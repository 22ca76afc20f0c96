package deliverytest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// Queue is a delivery.Queue in memory, and the webhooks it delivers to. It keeps the same contract as a database, as plainly as it
// can be said, and is meant for tests of timing: it never touches a disk or starts a goroutine.
type Queue struct {
	// Fail, when set, is asked before each verb (Enqueue, Claim, Settle, Resend, CloseIntervals, Health, NoteProbe, Notices, ForgetNotices); its error is the verb's.
	Fail func(verb string) error

	mu         sync.Mutex
	now        func() time.Time
	last       triggers.ID
	tenants    []triggers.Tenant
	webhooks   map[uint32]*triggers.Webhook
	keys       uint32
	revisions  []payload.Revision // by Number - 1
	events     map[triggers.ID]*event
	identities map[identity]triggers.ID
	deliveries map[triggers.ID]*entry
	members    []member
	health     map[uint32]delivery.Health
	notices    []delivery.Notice
	noticed    int64  // the last notice's number
	cursor     uint32 // the webhook whose turn was last

	legacyCloud bool // of the revisions made from now on
}

type identity struct {
	tenant uint32
	triggers.Identity
}

type event struct {
	delivery.Acceptance
	id triggers.ID
}

// entry is a delivery; it is open while its State is Waiting or Sending.
type entry struct {
	delivery.Record
	events []triggers.ID
	// collected says that an interval's end made it.
	collected bool
	fence     uint32
}

func (e *entry) open() bool { return e.State == delivery.Waiting || e.State == delivery.Sending }

// member is an event that waits for the end of an interval.
type member struct {
	tenant   uint32
	webhook  uint32
	interval int64 // in milliseconds since 1970
	together string
	size     int
	event    triggers.ID
	place    int // in the event's Planned
	revision int64
	trigger  uint8
}

// NewQueue makes an empty queue with the tenant 1, default. Now is the clock that ids are drawn by.
func NewQueue(now func() time.Time) *Queue {
	return &Queue{
		now:        now,
		tenants:    []triggers.Tenant{{Key: 1, Name: "default", PortalID: "0123456789ABCDEF", PortalURL: "https://portal.example.com/"}},
		webhooks:   make(map[uint32]*triggers.Webhook),
		events:     make(map[triggers.ID]*event),
		identities: make(map[identity]triggers.ID),
		deliveries: make(map[triggers.ID]*entry),
		health:     make(map[uint32]delivery.Health),
	}
}

// Restart forgets what a process that ends forgets: every lease. The queue goes on as after opening it again: what was leased for a
// webhook deleted since is cancelled.
func (q *Queue) Restart() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.deliveries {
		switch last := latest(d.BuiltAt, d.StartedAt); {
		case d.State == delivery.Waiting && !d.DueAt.Before(last) && last.Sub(milliseconds(q.now())) > 30*time.Second:
			d.DueAt = milliseconds(q.now()).Add(d.DueAt.Sub(last)) // the clock was set back meanwhile
		case d.State != delivery.Sending:
		case q.webhooks[d.Webhook] == nil:
			q.cancel(d)
		default:
			d.State, d.DueAt = delivery.Waiting, milliseconds(q.now())
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Enqueue implements delivery.Queue.
func (q *Queue) Enqueue(_ context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("Enqueue"); err != nil {
		return nil, err
	}
	if err := q.conflict(batch); err != nil {
		return nil, err
	}
	receipts := make([]delivery.Receipt, len(batch))
	for i := range batch {
		receipts[i] = q.accept(&batch[i])
	}
	return receipts, nil
}

// conflict looks for an event with a known identity and other content, in the store and within the batch.
func (q *Queue) conflict(batch []delivery.Acceptance) error {
	within := make(map[identity][16]byte)
	for i := range batch {
		name, ok := identityOf(&batch[i])
		if !ok {
			continue
		}
		digest, known := within[name]
		if id, stored := q.known(name); stored {
			digest, known = q.events[id].Digest, true
		}
		if known && digest != batch[i].Digest && !name.OfJob() {
			return &delivery.ConflictError{Index: i}
		}
		within[name] = batch[i].Digest
	}
	return nil
}

// known is the stored event of an identity. Identities are kept on the day of acceptance and the next, UTC.
func (q *Queue) known(name identity) (id triggers.ID, ok bool) {
	id, ok = q.identities[name]
	today := q.next().Time().UTC().Truncate(day)
	return id, ok && !id.Time().UTC().Truncate(day).Before(today.Add(-day))
}

func identityOf(a *delivery.Acceptance) (identity, bool) {
	name := a.Event.Identity()
	return identity{a.Tenant, name}, !name.IsZero()
}

func (q *Queue) accept(a *delivery.Acceptance) delivery.Receipt {
	q.noticeTold(a)
	name, named := identityOf(a)
	if id, known := q.known(name); named && known {
		return delivery.Receipt{ID: id, Matched: len(q.events[id].Planned), Duplicate: true}
	}
	id := q.draw(1 + len(a.Planned))
	stored := &event{Acceptance: *a, id: id}
	stored.Planned, stored.Body = slices.Clone(a.Planned), slices.Clone(a.Body)
	q.events[id] = stored
	if named {
		q.identities[name] = id
	}
	for i, planned := range a.Planned {
		deleted := q.webhooks[planned.Webhook] == nil
		if !planned.Interval.IsZero() && planned.State != delivery.Skipped && !deleted {
			q.members = append(q.members, member{
				tenant: a.Tenant, webhook: planned.Webhook, interval: planned.Interval.UnixMilli(),
				together: delivery.TogetherOf(&a.Event.URI), size: len(a.Body), event: id, place: i, revision: planned.Revision, trigger: planned.Trigger,
			})
			continue
		}
		d := q.add(id+1+triggers.ID(i), a.Tenant, planned, milliseconds(a.AcceptedAt), milliseconds(a.AcceptedAt), []triggers.ID{id})
		switch {
		case planned.State == delivery.Skipped:
			d.State, d.DueAt, d.EndedAt = delivery.Skipped, time.Time{}, milliseconds(a.AcceptedAt)
		case deleted:
			q.cancel(d)
		case planned.Lease:
			q.lease(d)
		}
	}
	return delivery.Receipt{ID: id, Matched: len(a.Planned)}
}

// add makes a waiting delivery.
func (q *Queue) add(id triggers.ID, tenant uint32, planned delivery.Planned, built, due time.Time, events []triggers.ID) *entry {
	revision := q.revisions[planned.Revision-1]
	d := &entry{
		Record: delivery.Record{
			ID: id, Tenant: tenant, Webhook: planned.Webhook, WebhookID: revision.WebhookID,
			EventID: events[0], URI: q.events[events[0]].Event.URI.String(), Trigger: revision.Triggers[planned.Trigger],
			State: delivery.Waiting, CreatedAt: id.Time().UTC(), DueAt: due,
			Revision: revision, BuiltAt: built,
		},
		events: events,
	}
	q.deliveries[id] = d
	return d
}

func (q *Queue) lease(d *entry) {
	d.State, d.DueAt = delivery.Sending, time.Time{}
	d.fence++
}

func (q *Queue) cancel(d *entry) {
	d.State, d.DueAt, d.Reason, d.EndedAt = delivery.Cancelled, time.Time{}, WebhookDeleted, milliseconds(q.now())
}

const day = 24 * time.Hour

// next is the lowest id that can be drawn now.
func (q *Queue) next() triggers.ID {
	return max(q.last+1, triggers.ID(q.now().UnixMilli())<<triggers.IDSequenceBits)
}

// draw takes n consecutive ids, above all ids drawn before and never across midnight UTC.
func (q *Queue) draw(n int) triggers.ID {
	first := q.next()
	last := first + triggers.ID(n) - 1
	if midnight := last.Time().UTC().Truncate(day); first.Time().UTC().Truncate(day).Before(midnight) {
		first = triggers.ID(midnight.UnixMilli()) << triggers.IDSequenceBits
		last = first + triggers.ID(n) - 1
	}
	q.last = last
	return first
}

func (q *Queue) claimed(d *entry, due time.Time) delivery.Claimed {
	return delivery.Claimed{
		ID: d.ID, Tenant: d.Tenant, Webhook: d.Webhook, Revision: d.Revision, BuiltAt: d.BuiltAt,
		Events: q.payloadEvents(d.events), Tries: d.Tries, Fence: d.fence, DueAt: due,
	}
}

func (q *Queue) payloadEvents(ids []triggers.ID) []payload.Event {
	events := make([]payload.Event, len(ids))
	for i, id := range ids {
		e := q.events[id]
		events[i] = payload.Event{ID: id, EventID: e.Event.EventID, Source: e.Event.Source, URI: e.Event.URI, Body: e.Body}
	}
	return events
}

// Settle implements delivery.Queue.
func (q *Queue) Settle(_ context.Context, batch []delivery.Settlement) (stale int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("Settle"); err != nil {
		return 0, err
	}
	for _, s := range batch {
		d := q.deliveries[s.Delivery]
		if d == nil || d.State != delivery.Sending || d.fence != s.Fence {
			stale++
			continue
		}
		q.settle(d, s)
		q.keepNotice(q.noteHealth(d.Webhook, &s))
	}
	return stale, nil
}

func (q *Queue) settle(d *entry, s delivery.Settlement) {
	d.Reason = s.Reason
	if s.Attempt != nil {
		d.Tries++
		attempt := *s.Attempt
		attempt.Number, attempt.StartedAt = d.Tries, milliseconds(attempt.StartedAt)
		d.StatusCode, d.StartedAt = attempt.StatusCode, attempt.StartedAt
		d.Attempts = append(d.Attempts, attempt)
	}
	switch {
	case s.State == delivery.Waiting && q.webhooks[d.Webhook] == nil:
		q.cancel(d)
	case s.State == delivery.Waiting:
		d.State, d.DueAt = delivery.Waiting, milliseconds(s.DueAt)
	default:
		d.State, d.EndedAt = s.State, milliseconds(q.now())
	}
}

// Resend implements delivery.Queue.
func (q *Queue) Resend(_ context.Context, tenant uint32, id triggers.ID, now time.Time) (delivery.Claimed, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("Resend"); err != nil {
		return delivery.Claimed{}, err
	}
	old := q.deliveries[id]
	if old == nil || old.Tenant != tenant || q.webhooks[old.Webhook] == nil {
		return delivery.Claimed{}, fmt.Errorf("delivery %s: %w", id.Delivery(), triggers.ErrNotFound)
	}
	trigger := slices.Index(old.Revision.Triggers, old.Trigger)
	planned := delivery.Planned{Webhook: old.Webhook, Revision: old.Revision.Number, Trigger: uint8(trigger)} //nolint:gosec // at most 100 triggers
	d := q.add(q.draw(1), tenant, planned, old.BuiltAt, milliseconds(now), old.events)
	d.collected = old.collected
	due := d.DueAt
	q.lease(d)
	return q.claimed(d, due), nil
}

// CloseIntervals implements delivery.Queue.
func (q *Queue) CloseIntervals(_ context.Context, now time.Time) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("CloseIntervals"); err != nil {
		return 0, err
	}
	open, closed := q.members[:0], []member(nil)
	for _, m := range q.members {
		if m.interval > now.UnixMilli() {
			open = append(open, m)
			continue
		}
		closed = append(closed, m)
	}
	q.members = open
	slices.SortStableFunc(closed, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.interval, b.interval), cmp.Compare(a.webhook, b.webhook), cmp.Compare(a.together, b.together))
	})
	made := 0
	for len(closed) > 0 {
		made++
		n := fits(closed)
		q.deliver(closed[:n])
		closed = closed[n:]
	}
	return made, nil
}

// fits is how many members, from the first on, go into one delivery.
func fits(closed []member) int {
	size := 0
	for n, m := range closed {
		first := closed[0]
		size += m.size
		if m.interval != first.interval || m.webhook != first.webhook || m.together != first.together ||
			n == delivery.MaxMembers || n > 0 && size > delivery.MaxMemberBytes {
			return n
		}
	}
	return len(closed)
}

// deliver makes the delivery of members of an interval that has ended.
func (q *Queue) deliver(members []member) {
	events := make([]triggers.ID, len(members))
	for i, m := range members {
		events[i] = m.event
	}
	newest := members[len(members)-1]
	planned := delivery.Planned{Webhook: newest.webhook, Revision: newest.revision, Trigger: newest.trigger}
	end := time.UnixMilli(newest.interval).UTC()
	q.add(q.draw(1), newest.tenant, planned, end, end, events).collected = true
}

func (q *Queue) fail(verb string) error {
	if q.Fail == nil {
		return nil
	}
	return q.Fail(verb)
}

func milliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}
