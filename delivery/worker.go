package delivery

import (
	"time"
)

// idleWorkers is how many goroutines stay for the next burst, with stacks already grown; more than these end when they are idle.
const idleWorkers = 64

// When trouble of our own delays a delivery: the longer it has been tried, the longer the pause, and after four days (the standard
// schedule's length, with room) it is charged after all, so that no delivery lives for ever.
const (
	troublePauseLeast = 15 * time.Second
	troublePauseMost  = 15 * time.Minute
	troublePauseShare = 8 // of its age
	troubleGrace      = 96 * time.Hour
)

// Why a webhook is switched off when its receiver says that nobody is there any more.
const (
	goneCode   = "GONE"
	goneReason = "the receiver answered 410 Gone"
)

// job is a delivery in memory, leased to this process.
type job struct {
	entry   *entry
	lane    *lane
	host    *host // where it runs; set by take, like class
	class   class
	tenant  uint32
	webhook uint32
	fence   uint32
	size    int // of its events, in bytes
	shipment
}

// pushLocked gives leased deliveries to the workers. The lock is held.
func (d *Dispatcher) pushLocked(jobs []*job) {
	for _, j := range jobs {
		if d.stopping || j.entry.gone.Load() {
			d.shares.cancel(j.lane, 1)
			d.shares.returned = append(d.shares.returned, returned{j, j.dueAt.Add(-j.shift)})
			continue
		}
		d.shares.push(j)
	}
	d.runLocked()
}

// runLocked sets workers going for all that may run. The lock is held.
func (d *Dispatcher) runLocked() {
	now := d.clock.Steady()
	for !d.stopping {
		j := d.shares.take(now)
		if j == nil {
			return
		}
		if last := len(d.idle) - 1; last >= 0 {
			d.idle[last] <- j // has room for one, and its worker waits
			d.idle = d.idle[:last]
			continue
		}
		d.workers.Go(func() { d.work(j) })
	}
}

// work carries deliveries one after the other until there is nothing to do and enough workers wait.
func (d *Dispatcher) work(j *job) {
	var inbox chan *job
	for j != nil {
		r, attempted := d.carry(j)
		var parked bool
		j, parked = d.finish(j, r, attempted, &inbox)
		if parked {
			j = <-inbox // nil when the dispatcher stops
		}
	}
}

// finish frees a delivery's place and takes the next; parked says that a worker without one now waits at its inbox.
func (d *Dispatcher) finish(j *job, r result, attempted bool, inbox *chan *job) (next *job, parked bool) {
	d.mu.Lock()
	now := d.clock.Steady()
	l := j.lane
	if attempted {
		d.shares.done(j, r, now)
	} else {
		d.shares.undo(j)
	}
	if !d.stopping {
		next = d.shares.take(now)
	}
	if d.shares.more() {
		d.runLocked() // one that ended may let several begin
	}
	wanted := d.pass.backlogged(l) && l.leased <= d.shares.memory(l)/2 || d.pass.starved && !d.shares.fuller(7, 8)
	if next == nil && !d.stopping && len(d.idle) < idleWorkers {
		if *inbox == nil {
			*inbox = make(chan *job, 1)
		}
		d.idle = append(d.idle, *inbox)
		parked = true
	}
	back := d.takeReturned()
	d.mu.Unlock()
	d.giveBack(back)
	if wanted {
		d.nudge()
	}
	return next, parked
}

// carry makes one attempt at a delivery and hands its end to the settler. Attempted is false when none was made.
func (d *Dispatcher) carry(j *job) (r result, attempted bool) {
	to := d.directory.targetOf(j.entry)
	now, shift := d.clock.Read()
	age, first := now.Sub(j.builtAt), to.schedule.First()
	switch {
	case j.entry.gone.Load():
		cancelled := j.settlement(Cancelled, time.Time{}, "the webhook was deleted")
		d.settler.putThen(cancelled, d.told(j, to.webhook, &cancelled, nil))
		return result{}, false
	case !to.webhook.Enabled:
		off := j.settlement(Waiting, j.dueAt, "the webhook is off")
		off.shift = j.shift
		d.settler.put(off)
		return result{}, false
	case j.tries == 0 && first > 0 && age < first:
		// With the clock set back since the bytes were built, the first wait is no longer than it should be.
		early := j.settlement(Waiting, now.Add(min(first-age, first)), "the first attempt is not due")
		early.shift = shift
		d.settler.put(early)
		return result{}, false
	}
	a := d.sender.send(d.sending, to, &j.shipment)
	d.metrics.attempted(a)
	settlement, hold := d.conclude(j, to, a)
	d.settler.putThen(settlement, d.told(j, to.webhook, &settlement, d.afterEnd(j, to, &settlement)))
	if a.outcome == Gone {
		d.gone(j, to.webhook)
	}
	return result{outcome: a.outcome, took: a.attempt.Total, hold: hold}, true
}

// conclude says what becomes of a delivery after an attempt, and how long its webhook is left alone.
func (d *Dispatcher) conclude(j *job, to *target, a answer) (Settlement, time.Duration) {
	ended := a.attempt.StartedAt.Add(a.attempt.Total)
	if a.outcome == ShutDown {
		return j.again(ended, &a), 0
	}
	if age := ended.Sub(j.builtAt); a.outcome == Infrastructure && age < troubleGrace {
		pause := min(max(age/troublePauseShare, troublePauseLeast), troublePauseMost)
		return j.again(ended.Add(pause), &a), pause
	}
	settlement := j.settlement(Succeeded, time.Time{}, a.reason)
	settlement.Attempt, settlement.Policy, settlement.shift = a.attempt, to.policy, a.shift
	if a.outcome == Delivered {
		return settlement, 0
	}
	wait, again := to.schedule.Next(j.tries+1, a.outcome, a.retryAfter, d.random())
	if again {
		settlement.State, settlement.DueAt = Waiting, ended.Add(wait)
	} else {
		settlement.State = Exhausted
		settlement.Notice = d.exhaustion(j, to.webhook, &settlement)
	}
	return settlement, a.retryAfter
}

// again is the settlement of an attempt that does not count.
func (j *job) again(due time.Time, a *answer) Settlement {
	s := j.settlement(Waiting, due, a.reason)
	s.shift = a.shift
	return s
}

// afterEnd is what is to be done when the end of an attempt is recorded; nil for nothing.
func (d *Dispatcher) afterEnd(j *job, to *target, s *Settlement) func(recorded bool) {
	failed := s.Attempt != nil && s.State != Succeeded && s.Attempt.Outcome.Charged()
	if !failed && s.Notice == nil && !to.webhook.Ordered {
		return nil
	}
	ended := *s
	return func(recorded bool) {
		if !recorded {
			return
		}
		if to.webhook.Ordered && ended.State != Waiting {
			d.nudge() // the next in its line may go
		}
		if failed {
			d.failures.note(j.entry, failure{at: ended.Attempt.ended().Add(d.clock.Shift() - ended.shift), quiet: j.isNotice()})
		}
		if ended.Notice != nil {
			d.notices.give()
		}
	}
}

func (j *job) settlement(state State, due time.Time, why string) Settlement {
	return Settlement{
		Delivery: j.id, Tenant: j.tenant, Webhook: j.webhook, Fence: j.fence, State: state, DueAt: due, Reason: why,
	}
}

// takeReturned empties the list of what goes back to the store. The lock is held.
func (d *Dispatcher) takeReturned() []returned {
	back := d.shares.returned
	d.shares.returned = nil
	return back
}

// giveBack returns leases without an attempt.
func (d *Dispatcher) giveBack(back []returned) {
	for _, one := range back {
		d.settler.put(one.job.settlement(Waiting, one.due, "given back without an attempt"))
	}
}
