package delivery

import (
	"context"
	"sync"
	"time"

	"portalhook/payload"
	"portalhook/triggers"
)

// replans is how often a batch is planned anew because an interval ended meanwhile, before it is let through all the same: to make a further
// delivery for that interval.
const replans = 3

// intervals knows the ends for which scheduled webhooks collect events, so that each is closed at its time, and not before the batches that were
// planned for it are stored.
type intervals struct {
	wake nudge

	mu     sync.Mutex
	ends   map[int64]int // in milliseconds since 1970, to the number of members on their way to the store
	closed int64         // what ended until then has been closed, or is being
}

// intervalOf is the end of the interval for which a webhook collects an event that is accepted at the time; zero when it is sent at once.
func intervalOf(w *triggers.Webhook, event *triggers.Event, at time.Time) time.Time {
	if w.Schedule == nil || payload.FamilyOf(&event.URI) != payload.FeatureService {
		return time.Time{}
	}
	return w.IntervalEnd(at)
}

// enter counts planned members in; false, and nothing is counted, when an interval of theirs has been closed and late is not asked for.
func (v *intervals) enter(planned []Planned, late bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range planned {
		if end := planned[i].Interval; !late && !end.IsZero() && end.UnixMilli() <= v.closed {
			return false
		}
	}
	fresh := false
	for i := range planned {
		if end := planned[i].Interval; !end.IsZero() {
			_, known := v.ends[end.UnixMilli()]
			v.ends[end.UnixMilli()]++
			fresh = fresh || !known
		}
	}
	if fresh {
		v.wake.give()
	}
	return true
}

// leave counts planned members out: they are stored, or will not be.
func (v *intervals) leave(planned []Planned) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range planned {
		if end := planned[i].Interval; !end.IsZero() {
			v.ends[end.UnixMilli()]--
			if v.ends[end.UnixMilli()] == 0 && end.UnixMilli() <= v.closed {
				v.wake.give()
			}
		}
	}
}

// due says until when intervals may be closed now: until the end before the first that members are on their way to.
func (v *intervals) due(now time.Time) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = now.UnixMilli()
	until := v.closed
	for end, coming := range v.ends {
		if coming > 0 && end <= until {
			until = end - 1
		}
	}
	return time.UnixMilli(until)
}

// next forgets the ends until then, and says how long it is to the first of the others.
func (v *intervals) next(until, now time.Time) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	wait := pollInterval
	for end, coming := range v.ends {
		switch left := time.UnixMilli(end).Sub(now); {
		case end <= until.UnixMilli() && coming == 0:
			delete(v.ends, end)
		case left > 0:
			wait = min(wait, left)
		}
	}
	return wait
}

// intervalLoop closes intervals when they end, and looks for those that an earlier run or a clock that was set has left.
func (d *Dispatcher) intervalLoop() {
	failing := false
	d.intervals.wake.loop(d.stop, func() time.Duration {
		now := d.clock.Now()
		until := d.intervals.due(now)
		made, err := d.queue.CloseIntervals(context.Background(), until)
		if made > 0 {
			d.nudge()
		}
		if err != nil && !failing {
			d.log.Error("intervals not closed; trying again", "err", err)
		}
		if failing = err != nil; failing {
			return pollInterval
		}
		return d.intervals.next(until, d.clock.Now())
	})
}
