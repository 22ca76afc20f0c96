package storage

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"

	"portalhook/delivery"
	"portalhook/triggers"
)

// reasonDeleted is why a delivery to a webhook that is gone was cancelled.
const reasonDeleted = "the webhook was deleted"

const (
	insertEvent = `INSERT INTO event_$day
  (id, tenant, uri, event_id, source, username, when_ms, accepted_ms, digest, body, matches, heard_by) VALUES `
	insertWork = `INSERT INTO work
  (id, tenant, webhook, event, members, revision, trigger, built_ms, tries, fence, due_ms, status_code, started_ms, reason, first) VALUES `
	insertMember = `INSERT INTO member (event, webhook, until_ms, line, size, tenant, revision, trigger) VALUES `
)

// sameIdentity looks for sixteen identities at once in the tables of a day. The join is crossed so that they are looked up in the
// index one by one, whatever SQLite thinks of the tables' sizes.
var sameIdentity = `WITH wanted (t, e, s) AS (VALUES (?, ?, ?)` + strings.Repeat(", (?, ?, ?)", rowsAtOnce-1) + `)
  SELECT id, tenant, source, event_id, digest, matches FROM wanted CROSS JOIN event_$day
  ON tenant = t AND event_id = e AND source = s AND event_id IS NOT NULL AND digest IS NOT NULL`

// identityDays is in how many days' tables an identity is looked for: today's and yesterday's, so at least 24 hours.
const identityDays = 2

// enqueueRequest is one call of Enqueue.
type enqueueRequest struct {
	batch    []delivery.Acceptance
	receipts []delivery.Receipt
	refused  error // a *delivery.ConflictError: nothing of it was stored
	answer   chan error
}

func (r *enqueueRequest) rows() int {
	n := len(r.batch)
	for i := range r.batch {
		n += len(r.batch[i].Planned)
	}
	return n
}

// identity is what makes two events the same.
type identity struct {
	tenant uint32
	triggers.Identity
}

func identityOf(a *delivery.Acceptance) identity { return identity{a.Tenant, a.Event.Identity()} }

// seen is what is known of an identity: the stored event, or one of this group.
type seen struct {
	digest  [16]byte
	id      triggers.ID // 0 while its request may still be refused
	matched int
	counted bool // it is about to be stored (PostgreSQL)
}

// Enqueue implements delivery.Queue. Calls that come at the same time share a transaction; one that fails or conflicts does not
// touch the others. The error is a *delivery.ConflictError, a *delivery.CommitError, ErrClosed or the context's.
func (s *Store) Enqueue(ctx context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	r := &enqueueRequest{batch: batch, receipts: make([]delivery.Receipt, len(batch)), answer: make(chan error, 1)}
	if err := s.send(ctx, r); err != nil {
		return nil, err
	}
	if err := <-r.answer; err != nil {
		return nil, err
	}
	return r.receipts, nil
}

// enqueueGroup stores the batches of a group together, or each alone when that fails, and answers their callers.
func (w *writer) enqueueGroup(group []*enqueueRequest) {
	if len(group) == 0 {
		return
	}
	err := w.prepareDays()
	if err == nil {
		err = w.db.transaction(func() error { return w.accept(group) })
	}
	switch {
	case err == nil:
		for _, r := range group {
			if r.refused == nil {
				w.accepted(r)
			}
			r.answer <- r.refused
		}
	case len(group) == 1:
		w.forgetTenantHours()
		group[0].answer <- commitError(err)
	default:
		w.forgetTenantHours()
		for i := range group {
			w.enqueueGroup(group[i : i+1])
		}
	}
}

// accept writes the rows of a group. Only unexpected errors come back; a conflict is noted in its request.
func (w *writer) accept(group []*enqueueRequest) error {
	clear(w.known)
	w.forgetTexts()
	if err := w.lookUp(group); err != nil {
		return err
	}
	for _, r := range group {
		r.refused = nil
		if at, ok := w.known.conflict(r.batch); ok {
			r.refused = &delivery.ConflictError{Index: at}
			continue
		}
		for i := range r.batch {
			if err := w.acceptOne(&r.batch[i], &r.receipts[i]); err != nil {
				return err
			}
		}
	}
	return w.flushTenantHours()
}

// lookUp finds the group's identities among the stored events.
func (w *writer) lookUp(group []*enqueueRequest) error {
	var named, jobs []driver.Value
	for _, r := range group {
		for i := range r.batch {
			switch name := identityOf(&r.batch[i]); {
			case name.IsZero():
			case name.OfJob():
				jobs = append(jobs, int64(name.tenant), name.Folder, name.Service, name.Job)
			default:
				named = append(named, int64(name.tenant), name.ID, name.Source)
			}
		}
	}
	if err := w.eachIdentityDay(named, 3, w.lookUpDay); err != nil {
		return err
	}
	return w.eachIdentityDay(jobs, 4, w.lookUpJobs)
}

// eachIdentityDay calls lookUp for every day in which an identity is looked for, with sixteen identities at a time of so many parts
// each; the last are repeated to make up the number.
func (w *writer) eachIdentityDay(wanted []driver.Value, parts int, lookUp func(suffix string, chunk []driver.Value) error) error {
	today := dayOf(w.ids.next())
	for chunk := range slices.Chunk(wanted, parts*rowsAtOnce) {
		for len(chunk) < parts*rowsAtOnce {
			chunk = append(chunk, chunk[:parts]...)
		}
		for _, day := range w.store.calendar.days {
			if day <= today && day > today-identityDays {
				if err := lookUp(suffixOf(day), chunk); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lookUpDay finds what senders named.
func (w *writer) lookUpDay(suffix string, wanted []driver.Value) error {
	return w.db.each(sameIdentity, suffix, 6, func(row []driver.Value) error {
		found := seen{id: triggers.ID(integer(row[0])), matched: countMatches(bytesOf(row[5]))}
		copy(found.digest[:], bytesOf(row[4]))
		name := triggers.Identity{Source: textOf(row[2]), ID: textOf(row[3])}
		w.known[identity{uint32(integer(row[1])), name}] = found //nolint:gosec // written from one
		return nil
	}, wanted...)
}

// knownEvents are the identities of stored events and of those of a group that is being stored.
type knownEvents map[identity]seen

// conflict looks for an event whose identity is known with other content, within the batch too. Else it notes the identities.
func (k knownEvents) conflict(batch []delivery.Acceptance) (at int, found bool) {
	for i := range batch {
		name := identityOf(&batch[i])
		if name.IsZero() {
			continue
		}
		before, known := k[name]
		switch {
		case !known:
			k[name] = seen{digest: batch[i].Digest}
		case before.digest != batch[i].Digest && !name.OfJob():
			k.forget(batch[:i])
			return i, true
		}
	}
	return 0, false
}

// forget takes back what conflict noted of a batch that is refused.
func (k knownEvents) forget(batch []delivery.Acceptance) {
	for i := range batch {
		if name := identityOf(&batch[i]); !name.IsZero() && k[name].id == 0 {
			delete(k, name)
		}
	}
}

// acceptOne writes the rows of an event, or finds it a duplicate.
func (w *writer) acceptOne(a *delivery.Acceptance, receipt *delivery.Receipt) error {
	if err := w.noticeTold(a); err != nil {
		return err
	}
	name := identityOf(a)
	if before := w.known[name]; before.id != 0 {
		*receipt = delivery.Receipt{ID: before.id, Matched: before.matched, Duplicate: true}
		return nil
	}
	id := w.ids.draw(1 + len(a.Planned))
	*receipt = delivery.Receipt{ID: id, Matched: len(a.Planned)}
	var eventID, digest driver.Value // the digest is that of events known by their eventId
	if a.Event.EventID != "" {
		eventID = a.Event.EventID
	}
	if name.ID != "" {
		digest = a.Digest[:]
	}
	if !name.IsZero() {
		w.known[name] = seen{digest: a.Digest, id: id, matched: len(a.Planned)}
	}
	if name.OfJob() {
		if err := w.noteJob(name, id); err != nil {
			return err
		}
	}
	if err := w.countEvent(a); err != nil {
		return err
	}
	accepted := a.AcceptedAt.UnixMilli()
	when := accepted
	if a.Event.HasWhen {
		when = a.Event.When
	}
	events, err := w.db.insert(insertEvent, suffixOf(dayOf(id)), 12)
	if err != nil {
		return err
	}
	err = events.add(int64(id), int64(a.Tenant), a.Event.URI.String(), eventID, a.Event.Source, a.Event.Username, when, accepted,
		digest, a.Body, matchesOf(a.Planned), heardBy(a.Event))
	if err != nil {
		return err
	}
	for i := range a.Planned {
		if err := w.plan(a, id, i, accepted); err != nil {
			return err
		}
	}
	return nil
}

// plan writes the row of one planned delivery.
func (w *writer) plan(a *delivery.Acceptance, event triggers.ID, i int, accepted int64) error {
	p := &a.Planned[i]
	id := deliveryID(event, i)
	if err := w.learn(p.Revision); err != nil {
		return err
	}
	switch w.fateOf(p) {
	case fateSkipped:
		return w.end(id, newLease(a.Tenant, p, event, accepted), ending{state: delivery.Skipped, ended: accepted})
	case fateCancelled:
		return w.end(id, newLease(a.Tenant, p, event, accepted), ending{state: delivery.Cancelled, reason: reasonDeleted, ended: accepted})
	case fateMember:
		members, err := w.db.insert(insertMember, "", 8)
		if err != nil {
			return err
		}
		return members.add(int64(event), int64(p.Webhook), unixMilli(p.Interval), delivery.TogetherOf(&a.Event.URI), int64(len(a.Body)),
			int64(a.Tenant), p.Revision, int64(p.Trigger))
	case fateLeased:
		return w.addWork(id, newLease(a.Tenant, p, event, accepted), nil)
	case fateWaiting:
	}
	l := newLease(a.Tenant, p, event, accepted)
	l.fence = 0
	return w.addWork(id, l, accepted)
}

// addWork inserts a row of work; due is nil when it is leased.
func (w *writer) addWork(id triggers.ID, l lease, due driver.Value) error {
	work, err := w.db.insert(insertWork, "", 15)
	if err != nil {
		return err
	}
	return work.add(int64(id), int64(l.tenant), int64(l.webhook), int64(l.event), int64(l.members), l.revision, int64(l.trigger), l.built,
		int64(0), int64(l.fence), due, int64(0), int64(0), "", nil)
}

// accepted takes the stored rows of a request into memory.
func (w *writer) accepted(r *enqueueRequest) {
	for i := range r.batch {
		a, receipt := &r.batch[i], r.receipts[i]
		if receipt.Duplicate {
			continue
		}
		w.index(indexed{
			id: receipt.ID, tenant: a.Tenant, uri: &a.Event.URI, username: a.Event.Username, unmatched: len(a.Planned) == 0,
		})
		accepted, form := a.AcceptedAt.UnixMilli(), a.Event.URI.AnyForm()
		opened := int64(0)
		for k := range a.Planned {
			p, id := &a.Planned[k], deliveryID(receipt.ID, k)
			fate := w.fateOf(p)
			if fate != fateMember {
				w.indexDelivery(heard{id, p.Webhook, form, w.triggerOf(p.Revision, p.Trigger)})
			}
			switch fate {
			case fateLeased:
				w.leases[id] = newLease(a.Tenant, p, receipt.ID, accepted)
				w.lineUp(p.Webhook, a, id, notDue)
				opened++
			case fateWaiting:
				if !w.lineUp(p.Webhook, a, id, accepted) {
					w.turns.mark(p.Webhook, accepted)
				}
				opened++
			case fateSkipped, fateCancelled, fateMember:
			}
		}
		w.opened(a.Tenant, opened)
	}
}

// deliveryID is the id of an event's delivery at place i of its matches.
func deliveryID(event triggers.ID, i int) triggers.ID { return event + 1 + triggers.ID(i) }

// fate is what becomes of a planned delivery.
type fate uint8

const (
	fateWaiting fate = iota
	fateLeased
	fateMember    // of an interval
	fateSkipped   // as planned
	fateCancelled // the webhook was deleted after the event had been matched
)

func (w *writer) fateOf(p *delivery.Planned) fate {
	_, exists := w.webhooks[p.Webhook]
	return fateOf(p, exists)
}

// fateOf says what becomes of a planned delivery; exists says whether its webhook does.
func fateOf(p *delivery.Planned, exists bool) fate {
	switch {
	case p.State == delivery.Skipped:
		return fateSkipped
	case !exists:
		return fateCancelled
	case !p.Interval.IsZero():
		return fateMember
	case p.Lease:
		return fateLeased
	}
	return fateWaiting
}
