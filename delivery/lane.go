package delivery

import (
	"time"

	"portalhook/triggers"
)

// How a webhook's share grows and shrinks.
const (
	shareFirst   = 4
	shareMost    = 64
	quickAnswer  = time.Second // an attempt that succeeds within it raises the share
	aheadPerSlot = 16          // deliveries that may wait in memory, for each that may run
	holdMost     = 15 * time.Minute
)

// lane is a webhook's share: what runs, what waits in memory behind it, and how many may run. The zero value is a webhook that was
// never tried.
type lane struct {
	to      *target // that the lane was last set up for
	host    *host
	limit   int // how many may run, of all nodes together
	running int
	leased  int       // reserved, waiting in memory or running
	failing bool      // the last attempt failed
	marked  uint64    // number of the claim pass that must have looked before its stored work is known to be done
	hold    time.Time // no attempt before it; zero: none
	rate    bucket
	waiting fifo

	in         *ring // the ring it stands in, nil for none
	prev, next *lane
}

func (l *lane) class() class {
	switch {
	case l.failing:
		return ill
	case l.running > 0:
		return busy
	}
	return fresh
}

// adopt takes up a new version of the webhook on the same host. Elsewhere says that its rate is kept by the store.
func (l *lane) adopt(to *target, elsewhere bool) {
	if l.to != nil && to.webhook.Enabled && !l.to.webhook.Enabled {
		l.failing, l.hold = false, time.Time{} // somebody believes that it is well again
	}
	if l.to == nil || l.to.webhook.RateLimit != to.webhook.RateLimit {
		l.rate = newBucket(to.webhook)
		l.rate.elsewhere = elsewhere
	}
	l.to = to
}

// adapt lets the share rise by one for a quick success and fall to half for a failure.
func (l *lane) adapt(r result, now time.Time) {
	if r.hold > 0 {
		if until := now.Add(min(r.hold, holdMost)); until.After(l.hold) {
			l.hold = until
		}
	}
	if !r.outcome.Charged() {
		return
	}
	l.failing = r.outcome != Delivered
	switch {
	case l.failing:
		l.limit = max(l.limit/2, 1)
	case r.took <= quickAnswer:
		l.limit = min(l.limit+1, shareMost)
	}
}

// bucket spreads a webhook's limit a minute evenly: in any minute no more than the limit and what falls due in one second, at least one, may
// be taken from it. The zero value is no limit.
type bucket struct {
	perSecond float64 // 0: no limit
	most      float64
	tokens    float64
	filled    time.Time
	elsewhere bool // it is kept by the store, for all nodes together: what a claim gives may go
}

func newBucket(w *triggers.Webhook) bucket {
	if w.RateLimit <= 0 {
		return bucket{}
	}
	perSecond := float64(w.RateLimit) / 60
	most := max(perSecond, 1)
	return bucket{perSecond: perSecond, most: most, tokens: most}
}

func (b *bucket) limited() bool { return b.perSecond != 0 }

// allows is how many of n may go now.
func (b *bucket) allows(n int, now time.Time) int {
	if b.perSecond == 0 || b.elsewhere {
		return n
	}
	if passed := now.Sub(b.filled); passed > 0 {
		b.tokens = min(b.tokens+passed.Seconds()*b.perSecond, b.most)
		b.filled = now
	}
	return min(n, int(b.tokens))
}

// take uses up n, or gives -n back.
func (b *bucket) take(n int) {
	if b.perSecond != 0 {
		b.tokens -= float64(n)
	}
}

// ring is a list of lanes in turn. A lane stands in one ring at most.
type ring struct{ first, last *lane }

func (r *ring) push(l *lane) {
	l.in, l.prev, l.next = r, r.last, nil
	if r.last == nil {
		r.first = l
	} else {
		r.last.next = l
	}
	r.last = l
}

func (r *ring) remove(l *lane) {
	if l.prev == nil {
		r.first = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		r.last = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.in, l.prev, l.next = nil, nil, nil
}

// fifo is a queue of deliveries. Its room is used again, and given up when it runs empty after having been long.
type fifo struct {
	jobs []*job
	head int
}

func (f *fifo) empty() bool { return f.head == len(f.jobs) }

func (f *fifo) push(j *job) {
	if len(f.jobs) == cap(f.jobs) && f.head > len(f.jobs)/2 {
		kept := copy(f.jobs, f.jobs[f.head:])
		clear(f.jobs[kept:])
		f.jobs, f.head = f.jobs[:kept], 0
	}
	f.jobs = append(f.jobs, j)
}

func (f *fifo) pop() *job {
	const keep = 16 // entries of room that an idle webhook may hold on to
	j := f.jobs[f.head]
	f.jobs[f.head] = nil
	f.head++
	switch {
	case f.head < len(f.jobs):
	case cap(f.jobs) > keep:
		*f = fifo{}
	default:
		f.jobs, f.head = f.jobs[:0], 0
	}
	return j
}
