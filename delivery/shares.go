package delivery

import "time"

// Defaults of Limits.
const (
	defaultInFlight = 512
	defaultReserve  = 64
	defaultPerHost  = 128
	defaultLeased   = 4096
	defaultBytes    = 64 << 20
)

// Limits bounds what is under way and what is in memory. A zero field is its default.
type Limits struct {
	InFlight int // attempts running together: 512
	Reserve  int // of them, for webhooks that have none running and whose last attempt did not fail: 64 or an eighth, at most half
	PerHost  int // attempts running together to one scheme, name and port, of all nodes: 128
	Leased   int // deliveries in memory, running ones included: 4096
	Bytes    int // of events in memory: 64 MiB; one claim or one batch of events may go beyond it
}

func (l Limits) withDefaults() Limits {
	fill := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	fill(&l.InFlight, defaultInFlight)
	fill(&l.Reserve, min(defaultReserve, l.InFlight/8))
	l.Reserve = min(l.Reserve, l.InFlight/2)
	fill(&l.PerHost, defaultPerHost)
	fill(&l.Leased, max(defaultLeased, l.InFlight))
	fill(&l.Bytes, defaultBytes)
	return l
}

// shares decides who may run. It is a plain structure without clock, lock or goroutine: its owner guards it and gives it the time.
//
// A delivery goes through it in four steps: reserve (there is room for it in memory), push (it is here), take (it runs), done.
type shares struct {
	limits  Limits
	nodes   int  // that share what webhooks and hosts are given; 0 is 1
	claimed bool // webhooks' rates are kept by whoever claims, see Sharing
	running int
	leased  int // reserved, waiting in memory or running
	bytes   int // of what waits in memory or runs
	hosts   map[string]*host

	// Lanes that could run one more stand in the ring of their class, and are served in turn.
	rings      [classes]ring
	runningBy  [classes]int // deliveries running, by the class they were taken from
	othersTurn bool         // a lane that is not fresh is to come before the next fresh one
	illTurn    bool         // and an ill one before the next busy one

	// returned are deliveries that must go back to the store, because their breaker opened or their webhook is held.
	returned []returned
}

// class says how a lane stands in line.
type class uint8

const (
	fresh class = iota // none runs, and the last attempt did not fail: may use the reserve
	busy               // some run
	ill                // the last attempt failed: all of these together get no more than half
	classes
)

// returned is a delivery that was taken out of memory without an attempt, and when it is due again.
type returned struct {
	job *job
	due time.Time
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
		s.join(l, to.host)
		l.limit, l.failing, l.hold = shareFirst, false, time.Time{}
	}
	l.adopt(to, s.claimed)
	s.link(l)
}

func (s *shares) join(l *lane, name string) {
	if s.hosts == nil {
		s.hosts = make(map[string]*host)
	}
	h := s.hosts[name]
	if h == nil {
		h = &host{name: name}
		s.hosts[name] = h
	}
	h.lanes++
	h.leased += l.leased
	l.host = h
}

// leave takes a lane off its host, if it has one.
func (s *shares) leave(l *lane) {
	h := l.host
	if h == nil {
		return
	}
	if l.in != nil {
		l.in.remove(l)
	}
	l.host = nil
	h.leased -= l.leased
	if h.lanes--; h.lanes == 0 {
		delete(s.hosts, h.name)
	}
	s.refill(h)
}

// forget takes a lane out altogether: its webhook was deleted. What runs still ends in done.
func (s *shares) forget(l *lane, now time.Time) {
	s.flush(l, now)
	s.leave(l)
}

// part is what this node has of what all nodes have together: at least one.
func (s *shares) part(of int) int {
	nodes := max(s.nodes, 1)
	return max((of+nodes-1)/nodes, 1)
}

// slots is how many of a lane's deliveries may run here.
func (s *shares) slots(l *lane) int { return s.part(l.limit) }

// memory is how many of a lane's deliveries may be leased here, running ones included.
func (s *shares) memory(l *lane) int { return s.slots(l) * (1 + aheadPerSlot) }

// perHost is how many deliveries may run here to one host.
func (s *shares) perHost() int { return s.part(s.limits.PerHost) }

// room says how many deliveries of the lane may be taken into memory now. The fuller the memory, the less a webhook may have there
// beyond what can run, and the last eighth is for webhooks that have nothing in it: receivers that hang must not fill it up.
func (s *shares) room(l *lane, now time.Time) int {
	if !l.to.webhook.Enabled || now.Before(l.hold) {
		return 0
	}
	n := 0
	switch {
	case s.fuller(1, 1):
	case s.fuller(7, 8):
		n = 1 - l.leased
	case l.rate.limited() && l.leased > l.running:
		// What its rate allowed a moment ago is not under way yet: what it allows now would go out together with that.
	case l.rate.limited(), s.fuller(1, 2):
		n = s.slots(l) - l.leased
	default:
		// One lane alone does not go past the half.
		n = max(min(s.memory(l)-l.leased, s.limits.Leased/2-s.leased), s.slots(l)-l.leased)
	}
	n = min(n, s.limits.Leased-s.leased)
	if admitted := l.host.breaker.admits(now); admitted >= 0 {
		n = min(n, admitted-l.host.leased)
	}
	return max(l.rate.allows(n, now), 0)
}

// fuller reports whether the memory is full to the given part, or more.
func (s *shares) fuller(numerator, denominator int) bool {
	return s.leased*denominator >= s.limits.Leased*numerator || s.bytes*denominator >= s.limits.Bytes*numerator
}

// reserve keeps room in memory for n deliveries, as room allowed.
func (s *shares) reserve(l *lane, n int) {
	l.rate.take(n)
	s.addLeased(l, n)
}

// cancel gives up what was reserved and never came.
func (s *shares) cancel(l *lane, n int) {
	l.rate.take(-n)
	s.addLeased(l, -n)
}

func (s *shares) addLeased(l *lane, n int) {
	l.leased += n
	s.leased += n
	if l.host != nil {
		l.host.leased += n
	}
}

// push puts a delivery, for which there is a reservation, behind those of its webhook that wait in memory.
func (s *shares) push(j *job) {
	s.bytes += j.size
	j.lane.waiting.push(j)
	s.link(j.lane)
}

// link puts a lane where it belongs: into the ring of those that could run one more, or into none.
func (s *shares) link(l *lane) {
	var where *ring
	switch {
	case l.waiting.empty() || l.running >= s.slots(l):
	case l.host.running >= s.perHost():
		where = &l.host.full
	default:
		where = &s.rings[l.class()]
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

// take gives the delivery that is to run now, nil when none can. What must go back to the store is added to returned on the way.
func (s *shares) take(now time.Time) *job {
	for {
		l := s.turn()
		if l == nil {
			return nil
		}
		standing := l.class()
		l.in.remove(l)
		due, runs := s.mayRun(l, now)
		switch {
		case !runs:
			s.flush(l, due)
			continue
		case l.host.running >= s.perHost():
			s.link(l)
			continue
		}
		j := l.waiting.pop()
		j.host, j.class = l.host, standing
		s.count(j, 1)
		s.othersTurn = standing == fresh
		if standing != fresh {
			s.illTurn = standing == busy
		}
		s.link(l)
		return j
	}
}

// turn is the lane whose turn it is, nil when no other delivery may run. Fresh lanes come first, and alone they may use the reserve;
// but as many slots as that are open to the others whatever happens, so that a stream of fresh ones does not keep them out.
func (s *shares) turn() *lane {
	if s.running >= s.limits.InFlight {
		return nil
	}
	first, other := s.rings[fresh].first, s.otherTurn()
	owed := s.running-s.runningBy[fresh] < s.limits.Reserve
	switch {
	case other != nil && owed && (first == nil || s.othersTurn):
		return other
	case first != nil:
		return first
	case s.running < s.limits.InFlight-s.limits.Reserve:
		return other
	}
	return nil
}

// otherTurn is the lane whose turn it is among those that are not fresh.
func (s *shares) otherTurn() *lane {
	well, sick := s.rings[busy].first, s.rings[ill].first
	if s.runningBy[ill] >= max(s.limits.InFlight/2, 1) {
		sick = nil
	}
	if well == nil || sick != nil && s.illTurn {
		return sick
	}
	return well
}

// more reports whether another delivery may run.
func (s *shares) more() bool { return s.turn() != nil }

// count notes that a delivery runs (1) or has run (-1).
func (s *shares) count(j *job, n int) {
	s.running += n
	j.host.running += n
	j.lane.running += n
	s.runningBy[j.class] += n
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
	// hold is how long the webhook asked to be left alone, or must be on our own account; 0: not at all.
	hold time.Duration
}

// done notes that a delivery taken has ended with an attempt.
func (s *shares) done(j *job, r result, now time.Time) {
	if j.host == j.lane.host { // else the webhook has moved, and the attempt tells nothing of where it is now
		j.lane.adapt(r, now)
	}
	if !r.outcome.hostSilent() {
		j.host.breaker.record(!r.outcome.hostDown(), now)
	}
	s.undo(j)
	// What waits behind it goes back at once, not when the webhook's turn comes: its other attempts may hang for long.
	if l := j.lane; l.host != nil && !l.waiting.empty() {
		if due, runs := s.mayRun(l, now); !runs {
			s.flush(l, due)
		}
	}
}

// undo notes that a delivery taken has ended, or was not attempted after all.
func (s *shares) undo(j *job) {
	s.count(j, -1)
	s.bytes -= j.size
	s.addLeased(j.lane, -1)
	s.link(j.lane)
	s.refill(j.host)
}

// refill lets a lane go on that waits for a slot of a host that has one. It is called whenever one of the host's lanes ran or turned
// out not to, so that one lane at a time is enough.
func (s *shares) refill(h *host) {
	for h != nil && h.running < s.perHost() && h.full.first != nil {
		waits := h.full.first
		s.link(waits)
		if waits.in != nil {
			return
		}
	}
}

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
