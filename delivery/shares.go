package delivery

import (
	"time"

	"golang.org/x/time/rate"

	"portalhook/triggers"
)

// Defaults of Limits, and how a webhook's own share grows and shrinks.
const (
	defaultInFlight = 512
	defaultReserve  = 64
	defaultPerHost  = 128
	defaultLeased   = 4096
	defaultBytes    = 64 << 20

	shareFirst   = 4
	shareMost    = 64
	quickAnswer  = time.Second // an attempt that succeeds within it raises the webhook's share
	aheadPerSlot = 4           // deliveries that may wait in memory, for each that may run
	holdMost     = 15 * time.Minute
)

// Limits bounds what is under way and what is in memory. A zero field is its default.
type Limits struct {
	InFlight int // attempts running together: 512
	Reserve  int // of them, for webhooks that have none running and whose last attempt did not fail: 64
	PerHost  int // attempts running together to one scheme, name and port: 128
	Leased   int // deliveries in memory, running ones included: 4096
	Bytes    int // of events in memory: 64 MiB
}

func (l Limits) withDefaults() Limits {
	fill := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	fill(&l.InFlight, defaultInFlight)
	fill(&l.Reserve, min(defaultReserve, l.InFlight/8))
	fill(&l.PerHost, defaultPerHost)
	fill(&l.Leased, max(defaultLeased, l.InFlight))
	fill(&l.Bytes, defaultBytes)
	return l
}

// shares decides who may run. It keeps, for each webhook, a lane: what runs, what waits in memory behind it, and how many may run.
// It is a plain structure without clock, lock or goroutine: its owner guards it and gives it the time.
//
// A delivery goes through it in three steps: reserve (there is room for it in memory), push (it is here), next (it runs) and done.
type shares struct {
	limits  Limits
	running int
	leased  int // reserved, waiting in memory or running
	bytes   int
	hosts   map[string]*host
	// Lanes that could run one more stand in one of two rings, and are served in turn: fresh are those with none running whose last
	// attempt did not fail, which may also use the reserve; busy are the others.
	fresh, busy ring
	// returned are deliveries that must go back to the store, because their breaker opened or their webhook is held.
	returned []returned
}

// returned is a delivery that was taken out of memory without an attempt, and when it is due again.
type returned struct {
	job *job
	due time.Time
}

// lane is a webhook's share. The zero value is a webhook that was never tried.
type lane struct {
	to      *target // that the lane was last set up for
	host    *host
	limit   int // how many may run
	running int
	leased  int
	failing bool // the last attempt failed
	marked  uint64 // number of the claim pass that must have seen the store before new work may go past what is stored
	hold    time.Time // no attempt before it; zero: none
	rate    *rate.Limiter
	waiting fifo

	in         *ring // the ring it stands in, nil for none
	prev, next *lane
}

// host is what lanes with the same scheme, name and port share.
type host struct {
	name    string
	lanes   int
	running int
	leased  int
	breaker breaker
	full    ring // lanes that wait for one of its slots
}

// aim sets a lane up for the present version of its webhook.
func (s *shares) aim(l *lane, to *target) {
	if l.to == to {
		return
	}
	if l.host == nil || l.host.name != to.host {
		s.leave(l)
		if s.hosts == nil {
			s.hosts = make(map[string]*host)
		}
		h := s.hosts[to.host]
		if h == nil {
			h = &host{name: to.host}
			s.hosts[to.host] = h
		}
		h.lanes++
		h.leased += l.leased
		l.host, l.limit, l.failing, l.hold = h, shareFirst, false, time.Time{}
	}
	if l.to != nil && to.webhook.Enabled && !l.to.webhook.Enabled {
		l.failing, l.hold = false, time.Time{} // somebody believes that it is well again
	}
	if to.webhook.Ordered {
		l.limit = 1
	}
	if l.to == nil || l.to.webhook.RateLimit != to.webhook.RateLimit {
		l.rate = rateOf(to.webhook)
	}
	l.to = to
	s.link(l)
}

// leave takes a lane off its host.
func (s *shares) leave(l *lane) {
	if l.host == nil {
		return
	}
	if l.in == &l.host.full {
		l.in.remove(l)
	}
	l.host.leased -= l.leased
	if l.host.lanes--; l.host.lanes == 0 {
		delete(s.hosts, l.host.name)
	}
	s.refill(l.host)
	l.host = nil
}

// rateOf is a webhook's limit a minute, spread evenly: in any minute no more than the limit and what falls due in one second.
func rateOf(w *triggers.Webhook) *rate.Limiter {
	if w.RateLimit <= 0 {
		return nil
	}
	perSecond := float64(w.RateLimit) / 60
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
}

// room says how many deliveries of the lane may be taken into memory now.
func (s *shares) room(l *lane, now time.Time) int {
	if !l.to.webhook.Enabled || now.Before(l.hold) || s.bytes >= s.limits.Bytes {
		return 0
	}
	n := min(l.limit*(1+aheadPerSlot)-l.leased, s.limits.Leased-s.leased)
	if l.to.webhook.Ordered {
		n = min(n, 1-l.leased)
	}
	if admitted := l.host.breaker.admits(now); admitted >= 0 {
		n = min(n, admitted-l.host.leased)
	}
	if l.rate != nil {
		n = min(n, int(l.rate.TokensAt(now)))
	}
	return max(n, 0)
}

// reserve keeps room in memory for n deliveries, as room allowed.
func (s *shares) reserve(l *lane, n int, now time.Time) {
	if l.rate != nil {
		l.rate.AllowN(now, n)
	}
	s.addLeased(l, n)
}

// cancel gives up what was reserved and never came.
func (s *shares) cancel(l *lane, n int) { s.addLeased(l, -n) }

func (s *shares) addLeased(l *lane, n int) {
	l.leased += n
	s.leased += n
	if l.host != nil {
		l.host.leased += n
	}
}

// push puts a delivery, for which there is a reservation, behind those of its webhook that wait in memory.
func (s *shares) push(j *job) {
	l := j.lane
	s.bytes += j.size
	l.waiting.push(j)
	s.link(l)
}

// link puts a lane where it belongs: into the ring of those that could run one more, or into none.
func (s *shares) link(l *lane) {
	var where *ring
	switch {
	case l.waiting.empty() || l.running >= l.limit:
	case l.host.running >= s.limits.PerHost:
		where = &l.host.full
	case l.running == 0 && !l.failing:
		where = &s.fresh
	default:
		where = &s.busy
	}
	if l.in == where {
		return
	}
	if l.in != nil {
		l.in.remove(l)
	}
	if where != nil {
		where.push(l)
	}
}

// take gives the delivery that is to run now, nil when none can. What must go back to the store on the way is noted in returned.
func (s *shares) take(now time.Time) *job {
	for {
		l := s.turn()
		if l == nil {
			return nil
		}
		l.in.remove(l)
		h := l.host
		if due, ok := s.mayRun(l, now); !ok {
			s.flush(l, due)
			continue
		}
		if h.running >= s.limits.PerHost {
			s.link(l)
			continue
		}
		j := l.waiting.pop()
		j.host = h
		s.running++
		h.running++
		l.running++
		s.link(l)
		return j
	}
}

// turn is the lane whose turn it is.
func (s *shares) turn() *lane {
	switch {
	case s.running >= s.limits.InFlight:
		return nil
	case s.fresh.first != nil:
		return s.fresh.first
	case s.running < s.limits.InFlight-s.limits.Reserve:
		return s.busy.first
	}
	return nil
}

// mayRun reports whether a delivery of the lane may be sent now, else when it may be tried again.
func (s *shares) mayRun(l *lane, now time.Time) (time.Time, bool) {
	const probePause = time.Second // until it is known how the probe under way ends
	if now.Before(l.hold) {
		return l.hold, false
	}
	switch admitted := l.host.breaker.admits(now); {
	case admitted < 0 || admitted > l.host.running:
		return time.Time{}, true
	case admitted == 0:
		return l.host.breaker.until, false
	}
	return now.Add(probePause), false
}

// flush takes all that waits in the lane's memory out of it.
func (s *shares) flush(l *lane, due time.Time) {
	for !l.waiting.empty() {
		j := l.waiting.pop()
		s.bytes -= j.size
		s.addLeased(l, -1)
		s.returned = append(s.returned, returned{j, due})
	}
	s.link(l)
	s.refill(l.host)
}

// result is how an attempt ended, as fairness sees it.
type result struct {
	outcome Outcome
	took    time.Duration
	// hold is how long the webhook asked to be left alone (or we must leave it alone); 0: not at all.
	hold time.Duration
}

// undo notes that a delivery taken was not attempted.
func (s *shares) undo(j *job) {
	s.running--
	s.bytes -= j.size
	j.host.running--
	j.lane.running--
	s.addLeased(j.lane, -1)
	s.link(j.lane)
	s.refill(j.host)
}

// done notes that a delivery taken has ended.
func (s *shares) done(j *job, r result, now time.Time) {
	l, h := j.lane, j.host
	if h == l.host { // else the webhook has moved, and the attempt tells nothing of where it is now
		l.adapt(r, now)
	}
	if !r.outcome.hostSilent() {
		h.breaker.record(!r.outcome.hostDown(), now)
	}
	s.undo(j)
}

// refill lets a lane go on that waits for a slot of a host that has one now. It is called whenever one of the host's lanes ran or
// turned out not to, so that one at a time is enough.
func (s *shares) refill(h *host) {
	for h != nil && h.running < s.limits.PerHost && h.full.first != nil {
		waits := h.full.first
		s.link(waits)
		if waits.in != nil {
			return
		}
	}
}

// more reports whether another delivery may run.
func (s *shares) more() bool { return s.turn() != nil }

// openBreakers counts the hosts that are given a rest.
func (s *shares) openBreakers() int {
	open := 0
	for _, h := range s.hosts {
		if h.breaker.open {
			open++
		}
	}
	return open
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
	case l.to.webhook.Ordered:
	case l.failing:
		l.limit = max(l.limit/2, 1)
	case r.took <= quickAnswer:
		l.limit = min(l.limit+1, shareMost)
	}
}

// forget takes a lane out altogether: its webhook was deleted. What runs still ends in done.
func (s *shares) forget(l *lane, now time.Time) {
	s.flush(l, now)
	s.leave(l)
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

// fifo is a queue of deliveries. Its room is reused, and given up when it runs empty after having been long.
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
