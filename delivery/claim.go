package delivery

import (
	"context"
	"time"

	"portalhook/payload"
)

const (
	// pollInterval is how long work that nothing told us of may lie: a hold that ended, a breaker's time, a lost nudge.
	pollInterval = time.Second
	claimBatch   = 256 // deliveries claimed in one go, so that large bodies cannot fill the memory between two looks at it
	// claimGap is the least time between two claims, each of which costs the store a commit: what is wanted meanwhile is fetched
	// together.
	claimGap = 4 * time.Millisecond
)

// passes numbers the claim passes, to know which webhooks' stored work is behind us. A pass that was not cut short has seen the due
// work of every webhook, so what was marked before it began is settled, but for the webhooks it marks anew.
type passes struct {
	number  uint64 // of the pass begun last
	cleared uint64 // of the last one that was not cut short
	starved bool   // work was left because memory was full altogether
}

// mark notes that the store holds, or may hold, due work of the lane.
func (p *passes) mark(l *lane) { l.marked = p.number + 1 }

// backlogged reports whether the lane may have stored work that is due, for which places must be left. Before the first pass that is true of all.
func (p *passes) backlogged(l *lane) bool { return p.cleared == 0 || l.marked > p.cleared }

// Shifter is what a Queue may also be: after the wall clock was set, the dates at which waiting work falls due are moved along, so
// that waits last as long as they should, and those of every webhook's Health, so that it has failed for as long as it has. Without it
// they come early or late by the step.
type Shifter interface {
	ShiftDue(ctx context.Context, by time.Duration) error
}

// Sharing is what a Queue may also be: one of which others claim too, called nodes. Then Claim keeps each webhook's RateLimit itself, over all of
// them, and a webhook that has one is not handed back leased by Enqueue; concurrency is divided by the number of nodes.
type Sharing interface {
	Nodes() int // that are alive, this one included, as far as is known
}

// nudge wakes the claim loop.
func (d *Dispatcher) nudge() { d.wake.give() }

// claimLoop fetches stored work while there is room for it: retries, what found no place when it was accepted, what an earlier run left.
func (d *Dispatcher) claimLoop() {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-d.wake:
		case <-timer.C:
		}
		d.followClock()
		next := d.claimAll()
		timer.Reset(claimGap)
		select {
		case <-d.stop:
			return
		case <-timer.C:
		}
		timer.Reset(max(next-claimGap, 0))
	}
}

// followClock moves what is due when the wall clock was set.
func (d *Dispatcher) followClock() {
	step, err := d.clock.Follow(func(step time.Duration) error {
		if shifter, ok := d.queue.(Shifter); ok {
			return shifter.ShiftDue(context.Background(), step)
		}
		return nil
	})
	switch {
	case err != nil:
		d.log.Error("the clock was set, but due dates could not be moved; trying again", "by", step, "err", err)
	case step != 0:
		d.log.Warn("the clock was set", "by", step)
	}
}

// claimAll claims until there is no more work or no more room, and says when to look again.
func (d *Dispatcher) claimAll() time.Duration {
	for {
		offer := d.beginPass()
		if offer == nil {
			return pollInterval
		}
		// The leases must become known: nothing interrupts a claim.
		claimed, next, err := d.queue.Claim(context.Background(), offer.now, offer.most, offer.free)
		d.endPass(offer, claimed, err != nil)
		if err != nil {
			d.metrics.claimFailed()
			d.log.Error("claim", "err", err)
			return pollInterval
		}
		if len(claimed) < offer.most {
			if wait := next.Sub(d.clock.Now()); !next.IsZero() && wait > 0 {
				return min(wait, pollInterval)
			}
			return pollInterval
		}
	}
}

// offer is the room that one pass offers to the store, reserved while it lasts.
type offer struct {
	dispatcher *Dispatcher
	now        time.Time
	steady     time.Time
	most       int
	given      []offered
	places     map[uint32]int // webhook to its place in given
}

type offered struct {
	entry    *entry
	target   *target
	lane     *lane
	n, taken int
}

// beginPass starts a pass, nil when there is no room at all or the dispatcher stops.
func (d *Dispatcher) beginPass() *offer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return nil
	}
	if d.sharing != nil {
		d.shares.nodes = d.sharing.Nodes()
	}
	d.pass.starved = d.shares.fuller(1, 1)
	if d.pass.starved {
		return nil
	}
	most := min(d.shares.limits.Leased-d.shares.leased, claimBatch)
	d.pass.number++
	return &offer{dispatcher: d, now: d.clock.Now(), steady: d.clock.Steady(), most: most, places: make(map[uint32]int)}
}

// free says how many deliveries of a webhook may be claimed, and keeps that much room.
func (o *offer) free(webhook uint32) int {
	d := o.dispatcher
	e := d.directory.byKey.get(webhook)
	if e == nil {
		return 0
	}
	to := d.directory.targetOf(e)
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.laneOf(e, to)
	if l == nil {
		return 0
	}
	n := d.shares.room(l, o.steady)
	if _, twice := o.places[webhook]; twice {
		return 0
	}
	o.places[webhook] = len(o.given)
	o.given = append(o.given, offered{entry: e, target: to, lane: l, n: n})
	d.shares.reserve(l, n)
	return n
}

// endPass hands over what was claimed and gives up the room that was not used.
func (d *Dispatcher) endPass(o *offer, claimed []Claimed, failed bool) {
	jobs := make([]*job, 0, len(claimed))
	for i := range claimed {
		place, ok := o.places[claimed[i].Webhook]
		if !ok {
			continue // not asked for: the lease falls with this process
		}
		given := &o.given[place]
		given.taken++
		jobs = append(jobs, d.claimedJob(&claimed[i], given))
	}
	d.metrics.claimed(len(claimed))
	d.mu.Lock()
	if !failed && len(claimed) < o.most {
		d.pass.cleared = d.pass.number
	}
	for i := range o.given {
		given := &o.given[i]
		d.shares.cancel(given.lane, given.n-given.taken)
		if given.taken == given.n {
			d.pass.mark(given.lane) // there may be more
		}
	}
	d.pushLocked(jobs)
	back := d.takeReturned()
	d.mu.Unlock()
	d.giveBack(back)
}

func (d *Dispatcher) claimedJob(c *Claimed, given *offered) *job {
	revision := &given.target.revision
	if revision.Number != c.Revision.Number {
		own := c.Revision
		revision = &own
	}
	return &job{
		entry:   given.entry,
		lane:    given.lane,
		tenant:  c.Tenant,
		webhook: c.Webhook,
		fence:   c.Fence,
		size:    sizeOf(c.Events),
		shipment: shipment{
			id: c.ID, revision: revision, builtAt: c.BuiltAt, events: c.Events, tries: c.Tries, dueAt: c.DueAt,
			shift: d.clock.Shift(),
		},
	}
}

func sizeOf(events []payload.Event) int {
	size := 0
	for i := range events {
		size += len(events[i].Body)
	}
	return size
}
