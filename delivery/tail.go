package delivery

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portalhook/router"
	"portalhook/triggers"
)

const (
	// tailBuffer is how many moments wait for a listener that reads slowly; what comes beyond it is only counted.
	tailBuffer = 1024
	// Listeners that there may be together, of all tenants and of one.
	maxListeners       = 64
	maxTenantListeners = 16
	tailPause          = 5 * time.Second
)

var errManyListeners = errors.New("as many listen to the tail as may listen together")

// MomentKind says what a Moment tells of.
type MomentKind string

// The kinds.
const (
	MomentEvent   MomentKind = "event"   // an event is on disk
	MomentAttempt MomentKind = "attempt" // an attempt is recorded
	MomentEnd     MomentKind = "end"     // a delivery has ended, and that is recorded
)

// MomentKinds are all kinds.
var MomentKinds = []MomentKind{MomentEvent, MomentAttempt, MomentEnd}

// Moment is one thing that has just happened. Nothing in it is changed any more.
type Moment struct {
	Kind   MomentKind
	At     time.Time
	Tenant uint32
	URI    triggers.URI
	Event  triggers.ID // of a delivery: its first event

	// Of an event.
	EventID, Username string
	Matched           int

	// Of an attempt and of an end.
	Delivery triggers.ID
	Webhook  *triggers.Webhook // as it was then
	State    State
	Attempts int       // finished ones, this one included
	Attempt  *Attempt  // of an attempt
	DueAt    time.Time // of an attempt, when another will follow
	Reason   string

	about []uint32 // of an event that is told to other nodes: the webhooks it is about that they ask for
}

// TailQuery says what a listener is told of.
type TailQuery struct {
	Tenant  uint32
	Kinds   []MomentKind      // none: all
	Webhook uint32            // what concerns this webhook; 0: any
	Trigger *triggers.Trigger // what happened to events that it hears; nil: any
	// Sees keeps a listener to what happens to some webhooks; events are not told to it at all. Nil: everything is.
	Sees func(w *triggers.Webhook) bool
}

// Tail hands on what happens to those who listen. Whoever has something to tell never waits for them. The zero value is ready.
type Tail struct {
	// listeners is nil when nobody listens: that is all that telling costs then.
	listeners atomic.Pointer[[]*Listener]
	mu        sync.Mutex // held while listeners come and go
	closed    bool
	changed   func() // called when they have; nil: nobody wants to know
}

// heard reports whether anybody listens, to anything.
func (t *Tail) heard() bool { return t.listeners.Load() != nil }

func (t *Tail) all() []*Listener {
	if list := t.listeners.Load(); list != nil {
		return *list
	}
	return nil
}

// Listen tells of all that happens from now on, until the listener or the tail is closed; an *Overload when too many listen.
func (t *Tail) Listen(q TailQuery) (*Listener, error) {
	l := &Listener{tail: t, query: q, Wake: make(chan struct{}, 1), Done: make(chan struct{})}
	if q.Trigger != nil {
		l.table = router.NewTable()
		l.table.Put(0, 0, []triggers.Trigger{*q.Trigger})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, stopping()
	}
	present := t.all()
	own := 0
	all := 0
	for _, other := range present {
		if other.relays != nil {
			continue
		}
		all++
		if other.query.Tenant == q.Tenant {
			own++
		}
	}
	if all >= maxListeners || own >= maxTenantListeners {
		return nil, overload(http.StatusTooManyRequests, tailPause, errManyListeners)
	}
	t.set(append(slices.Clip(present), l))
	return l, nil
}

// relayTo keeps what happens to a tenant for other nodes, some of whose listeners ask for webhooks; nil when the tail is closed.
func (t *Tail) relayTo(tenant uint32, webhooks map[uint32]bool) *Listener {
	l := &Listener{tail: t, query: TailQuery{Tenant: tenant}, relays: webhooks, Wake: make(chan struct{}, 1), Done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.set(append(slices.Clip(t.all()), l))
	return l
}

// wanted is what those want who listen here: tenants, and the webhooks that some ask for.
func (t *Tail) wanted() map[uint32][]uint32 {
	var wanted map[uint32][]uint32
	for _, l := range t.all() {
		if l.relays != nil {
			continue
		}
		if wanted == nil {
			wanted = make(map[uint32][]uint32)
		}
		list := wanted[l.query.Tenant]
		if l.query.Webhook != 0 && !slices.Contains(list, l.query.Webhook) {
			list = append(list, l.query.Webhook)
		}
		wanted[l.query.Tenant] = list
	}
	return wanted
}

// set puts listeners in force. The lock is held.
func (t *Tail) set(list []*Listener) {
	if t.changed != nil {
		t.changed()
	}
	if len(list) == 0 {
		t.listeners.Store(nil)
		return
	}
	t.listeners.Store(&list)
}

// Close ends all listeners and takes no more.
func (t *Tail) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, l := range t.all() {
		close(l.Done)
	}
	t.set(nil)
}

// tell hands a moment to those who want it. About are the webhooks that an event is about, beside the moment's own.
func (t *Tail) tell(m *Moment, about ...Planned) {
	for _, l := range t.all() {
		switch {
		case !l.wants(m, about):
		case l.relays != nil:
			l.relay(m, about)
		default:
			l.put(m)
		}
	}
}

// tellHere is tell of what happened on another node.
func (t *Tail) tellHere(m *Moment, about []Planned) {
	for _, l := range t.all() {
		if l.relays == nil && l.wants(m, about) {
			l.put(m)
		}
	}
}

// missHere tells a tenant's listeners that so much of what happened on another node is not told.
func (t *Tail) missHere(tenant uint32, n int) {
	for _, l := range t.all() {
		if l.relays == nil && l.query.Tenant == tenant {
			l.miss(n)
		}
	}
}

// Listener is one who listens to the tail. Take what there is whenever Wake says so; Done is closed when nothing more comes.
type Listener struct {
	Wake chan struct{}
	Done chan struct{}

	tail  *Tail
	query TailQuery
	table *router.Table // of the query's trigger; nil: none
	// relays, not nil, says that this is not one who listens here but what is told to other nodes, and which webhooks some there ask for.
	relays map[uint32]bool

	mu      sync.Mutex
	waiting []Moment
	missed  int
}

func (l *Listener) wants(m *Moment, about []Planned) bool {
	q := &l.query
	switch {
	case m.Tenant != q.Tenant, len(q.Kinds) > 0 && !slices.Contains(q.Kinds, m.Kind):
		return false
	case q.Sees != nil && (m.Webhook == nil || !q.Sees(m.Webhook)):
		return false
	case q.Webhook == 0:
	case m.Webhook != nil && m.Webhook.Key != q.Webhook:
		return false
	case m.Webhook == nil && !slices.ContainsFunc(about, func(p Planned) bool { return p.Webhook == q.Webhook }):
		return false
	}
	var hit [1]router.Hit
	return l.table == nil || len(l.table.Match(0, &m.URI, hit[:0])) > 0
}

func (l *Listener) put(m *Moment) {
	l.mu.Lock()
	if len(l.waiting) < tailBuffer {
		l.waiting = append(l.waiting, *m)
	} else {
		l.missed++
	}
	l.mu.Unlock()
	select {
	case l.Wake <- struct{}{}:
	default:
	}
}

// relay is put of what other nodes are told.
func (l *Listener) relay(m *Moment, about []Planned) {
	told := *m
	for i := range about {
		if l.relays[about[i].Webhook] {
			told.about = append(told.about, about[i].Webhook)
		}
	}
	l.put(&told)
}

// inherit takes over what waits for one in whose place l has come.
func (l *Listener) inherit(from *Listener) {
	moments, missed := from.Take(nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	// What happened while both were there is with both.
	moments = slices.DeleteFunc(moments, func(m Moment) bool {
		return slices.ContainsFunc(l.waiting, func(other Moment) bool {
			return m.Kind == other.Kind && m.Event == other.Event && m.Delivery == other.Delivery && m.Attempts == other.Attempts
		})
	})
	l.waiting, l.missed = append(moments, l.waiting...), l.missed+missed
}

func (l *Listener) miss(n int) {
	l.mu.Lock()
	l.missed += n
	l.mu.Unlock()
	select {
	case l.Wake <- struct{}{}:
	default:
	}
}

// Take gives what has happened since the last Take, in its order, and how many moments were missed after that. The room of the moments
// given back as free is used again.
func (l *Listener) Take(free []Moment) (moments []Moment, missed int) {
	clear(free)
	l.mu.Lock()
	defer l.mu.Unlock()
	moments, missed = l.waiting, l.missed
	l.waiting, l.missed = free[:0], 0
	return moments, missed
}

// Close ends the listening.
func (l *Listener) Close() {
	t := l.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	if present := t.all(); slices.Contains(present, l) {
		t.set(slices.DeleteFunc(slices.Clone(present), func(other *Listener) bool { return other == l }))
	}
}

// Listen tells of what happens from now on: see Tail.
func (d *Dispatcher) Listen(q TailQuery) (*Listener, error) { return d.tail.Listen(q) }

// tellAccepted tells of stored events, and of the deliveries that ended with them as skipped.
func (d *Dispatcher) tellAccepted(p *plan, receipts []Receipt, at time.Time) {
	for i := range receipts {
		if receipts[i].Duplicate {
			continue
		}
		a := &p.acceptances[i]
		from, to := p.span(i)
		d.tail.tell(&Moment{
			Kind: MomentEvent, At: at, Tenant: a.Tenant, URI: a.Event.URI, Event: receipts[i].ID, EventID: a.Event.EventID,
			Username: a.Event.Username, Matched: to - from,
		}, p.planned[from:to]...)
		for k := from; k < to; k++ {
			if p.planned[k].State != Skipped {
				continue
			}
			d.tail.tell(&Moment{
				Kind: MomentEnd, At: at, Tenant: a.Tenant, URI: a.Event.URI, Event: receipts[i].ID,
				Delivery: receipts[i].ID + 1 + triggers.ID(k-from),
				Webhook:  p.entries[k].target.webhook, State: Skipped, Reason: "the webhook had been switched off by the server",
			})
		}
	}
}

// told is what is to be done when a settlement is recorded, with telling of it where somebody listens; then may be nil, and so may the
// result.
func (d *Dispatcher) told(j *job, w *triggers.Webhook, s *Settlement, then func(recorded bool)) func(recorded bool) {
	if !d.tail.heard() {
		return then
	}
	settled := *s
	return func(recorded bool) {
		if recorded {
			d.tellSettled(j, w, &settled)
		}
		if then != nil {
			then(recorded)
		}
	}
}

func (d *Dispatcher) tellSettled(j *job, w *triggers.Webhook, s *Settlement) {
	m := Moment{
		At: d.clock.Now(), Tenant: j.tenant, Delivery: j.id, Webhook: w, State: s.State, Attempts: j.tries, Reason: s.Reason,
	}
	if len(j.events) > 0 {
		m.URI, m.Event = j.events[0].URI, j.events[0].ID
	}
	if s.Attempt != nil {
		m.Attempts++
		m.Kind, m.Attempt, m.DueAt = MomentAttempt, s.Attempt, s.DueAt
		d.tail.tell(&m)
	}
	if s.State != Waiting {
		m.Kind, m.Attempt, m.DueAt = MomentEnd, nil, time.Time{}
		d.tail.tell(&m)
	}
}
