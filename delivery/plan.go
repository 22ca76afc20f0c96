package delivery

import (
	"errors"
	"time"

	"portalhook/payload"
	"portalhook/router"
	"portalhook/triggers"
)

// plan is the scratch of one Dispatch. Nothing of it outlives the call.
type plan struct {
	hits        []router.Hit
	planned     []Planned // of all events, one after the other
	entries     []planned // beside planned
	acceptances []Acceptance
	ends        []int // where each event's part of planned ends
	members     bool  // some of planned are members of an interval, and counted in there
}

// planned is what Dispatch remembers of a planned delivery.
type planned struct {
	entry  *entry
	target *target
	lane   *lane // set when a place in memory is reserved
}

func (p *plan) reset() {
	p.hits, p.ends, p.members = p.hits[:0], p.ends[:0], false
	clear(p.planned)
	clear(p.entries)
	clear(p.acceptances)
	p.planned, p.entries, p.acceptances = p.planned[:0], p.entries[:0], p.acceptances[:0]
}

// planNow works out what each event leads to when it is accepted now, and counts members of intervals in: whoever calls it has them leave.
func (d *Dispatcher) planNow(p *plan, tenant uint32, events []*triggers.Event) (at time.Time, err error) {
	for again := range replans + 1 {
		at = d.clock.Now().Truncate(time.Millisecond)
		if err := d.plan(p, tenant, events, at); err != nil {
			return at, err
		}
		if !p.members || d.intervals.enter(p.planned, again == replans) {
			break
		}
		p.reset()
	}
	return at, nil
}

// plan works out what each event leads to.
func (d *Dispatcher) plan(p *plan, tenant uint32, events []*triggers.Event, at time.Time) error {
	for i, event := range events {
		body, err := payload.Render(event, at)
		if err != nil {
			if field, ok := errors.AsType[*triggers.FieldError](err); ok {
				indexed := *field
				indexed.Index = i
				return &indexed
			}
			return err
		}
		acceptance := Acceptance{Tenant: tenant, Event: event, AcceptedAt: at, Body: body}
		if identity := event.Identity(); !identity.IsZero() && !identity.OfJob() {
			acceptance.Digest = payload.Digest(event)
		}
		p.acceptances = append(p.acceptances, acceptance)
		p.hits = d.table.Match(tenant, &event.URI, p.hits[:0])
		properties := propertiesOf{body: body}
		for _, hit := range p.hits {
			d.planOne(p, hit, event, &properties, at)
		}
		p.ends = append(p.ends, len(p.planned))
		if len(p.planned) > maxPlanned {
			return ErrTooMany
		}
	}
	from := 0
	for i, end := range p.ends {
		p.acceptances[i].Planned = p.planned[from:end:end]
		from = end
	}
	return nil
}

// planOne plans a delivery for a hit, or none when the webhook's level or filter holds the event back, or it was deleted or switched off
// by hand meanwhile.
func (d *Dispatcher) planOne(p *plan, hit router.Hit, event *triggers.Event, properties *propertiesOf, at time.Time) {
	e := d.directory.byKey.get(hit.Webhook)
	if e == nil {
		return
	}
	to := d.directory.targetOf(e)
	w := to.webhook
	if !listens(w) || len(w.Triggers) == 0 {
		return
	}
	state, interval := Waiting, time.Time{}
	switch w.Admit(event, properties.of(w)) {
	case triggers.Admitted:
		interval = intervalOf(w, event, at)
	case triggers.HeldByState: // by the server, since it listens
		state = Skipped
	case triggers.HeldByLevel, triggers.HeldByFilter:
		return
	}
	p.planned = append(p.planned, Planned{
		Webhook:  hit.Webhook,
		Revision: w.Revision,
		// A save that is not yet acknowledged may have shortened the list since the match.
		Trigger: min(hit.Trigger, uint8(len(w.Triggers)-1)), //nolint:gosec // at most 100
		State:   state,
		// What is collected goes out at the end of its interval, whatever becomes of the schedule.
		Interval: interval,
	})
	p.members = p.members || !interval.IsZero()
	p.entries = append(p.entries, planned{entry: e, target: to})
}

// propertiesOf finds the properties in a rendered event when the first filter asks for them.
type propertiesOf struct {
	body, found []byte
}

func (p *propertiesOf) of(w *triggers.Webhook) []byte {
	if p.body != nil && !w.Conditions.IsZero() {
		p.found, p.body = payload.PropertiesOf(p.body), nil
	}
	return p.found
}

// reserve keeps places in memory for what may be sent as soon as it is stored.
func (d *Dispatcher) reserve(p *plan) {
	now := d.clock.Steady()
	for i := range p.acceptances {
		d.reserveFor(p, i, now)
	}
}

// reserveFor takes the lock once for each event, so that a large batch does not hold up the workers.
func (d *Dispatcher) reserveFor(p *plan, event int, now time.Time) {
	from, to := p.span(event)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := from; i < to; i++ {
		one := &p.entries[i]
		w := one.target.webhook
		if p.planned[i].State != Waiting || !p.planned[i].Interval.IsZero() || w.Ordered || one.target.schedule.First() > 0 || d.sharing != nil && w.RateLimit > 0 {
			continue
		}
		l := d.laneOf(one.entry, one.target)
		if l == nil {
			continue
		}
		room := d.shares.room(l, now)
		if room == 0 || d.pass.backlogged(l) && l.leased+1 >= room {
			continue // what is stored of the webhook has a right to half of its places
		}
		d.shares.reserve(l, 1)
		one.lane = l
		p.planned[i].Lease = true
	}
}

// span is where an event's planned deliveries stand.
func (p *plan) span(event int) (from, to int) {
	if event > 0 {
		from = p.ends[event-1]
	}
	return from, p.ends[event]
}

// handOver gives the leased deliveries of stored events to the workers, and has the claim loop look for the others.
func (d *Dispatcher) handOver(p *plan, receipts []Receipt, at time.Time, shift time.Duration) {
	var jobs []*job
	for event := range receipts {
		receipt := &receipts[event]
		from, to := p.span(event)
		d.metrics.accepted(receipt, to-from)
		var shared []payload.Event
		for i := from; i < to; i++ {
			one := &p.entries[i]
			if one.lane == nil || receipt.Duplicate {
				continue
			}
			if shared == nil {
				shared = eventsOf(receipt.ID, &p.acceptances[event])
			}
			jobs = append(jobs, &job{
				entry:   one.entry,
				lane:    one.lane,
				tenant:  p.acceptances[event].Tenant,
				webhook: p.planned[i].Webhook,
				fence:   1,
				size:    len(shared[0].Body),
				shipment: shipment{
					id:       receipt.ID + 1 + triggers.ID(i-from),
					revision: &one.target.revision,
					builtAt:  at,
					events:   shared,
					dueAt:    at,
					shift:    shift,
				},
			})
		}
	}
	now := d.clock.Steady()
	d.mu.Lock()
	nudge := false
	for event := range receipts {
		from, to := p.span(event)
		for i := from; i < to; i++ {
			one := &p.entries[i]
			switch {
			case one.lane != nil && receipts[event].Duplicate:
				d.shares.cancel(one.lane, 1)
			case one.lane == nil && !receipts[event].Duplicate && p.planned[i].State == Waiting && p.planned[i].Interval.IsZero():
				if l := d.laneOf(one.entry, one.target); l != nil { // else it was deleted meanwhile
					d.pass.mark(l)
					nudge = nudge || d.shares.room(l, now) > 0
				}
			}
		}
	}
	d.pushLocked(jobs)
	d.pass.starved = d.pass.starved || d.shares.fuller(1, 1)
	back := d.takeReturned()
	d.mu.Unlock()
	d.giveBack(back)
	if nudge {
		d.nudge()
	}
}

// eventsOf is an accepted event as payloads need it.
func eventsOf(id triggers.ID, a *Acceptance) []payload.Event {
	return []payload.Event{{ID: id, EventID: a.Event.EventID, Source: a.Event.Source, URI: a.Event.URI, Body: a.Body}}
}
