package delivery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"portalhook/payload"
	"portalhook/router"
	"portalhook/triggers"
)

// Defaults of Config.
const (
	defaultMaxOpen      = 1_000_000
	defaultMinFreeBytes = 256 << 20
	defaultUserAgent    = "Portalhook"
	maxPlanned          = 50_000 // deliveries that one batch of events may lead to
)

// Gauge tells how full the store is.
type Gauge interface {
	Open() int                  // deliveries that have not ended; asked for every batch of events
	FreeBytes() (uint64, error) // of the file system; asked once a second
}

// Config is what a Dispatcher is made from. What is not marked as needed has a sensible zero value.
type Config struct {
	Queue     Queue             // needed
	Directory *Directory        // needed
	Table     *router.Table     // needed; the directory's
	Transport http.RoundTripper // needed; NewTransport's but in tests
	Gauge     Gauge             // nil: never full
	Limits    Limits
	// MaxOpen is how many deliveries may be open before events are refused with 429; 0: 1,000,000.
	MaxOpen int
	// MinFreeBytes is the room on disk below which events are refused with 503; 0: 256 MiB.
	MinFreeBytes uint64
	UserAgent    string                // empty: Portalhook
	Registerer   prometheus.Registerer // nil: metrics are kept for nobody
	Logger       *slog.Logger          // nil: nothing is logged
	Clock        *Clock                // nil: the system's
	Random       func() float64        // in [0, 1), for jitter; nil: math/rand
}

// Dispatcher accepts events and carries their deliveries. One of them is the whole of this package at work: Start it once, feed it by
// Dispatch, and Shutdown it.
type Dispatcher struct {
	queue     Queue
	directory *Directory
	table     *router.Table
	gauge     Gauge
	maxOpen   int
	minFree   uint64
	sender    sender
	clock     *Clock
	random    func() float64
	metrics   *metrics
	log       *slog.Logger
	settler   *settler

	// sending is the context of every attempt: it ends when a shutdown runs out of time.
	sending    context.Context //nolint:containedctx // it is the life of the sends, not of a call
	stopSends  context.CancelCauseFunc
	stop       chan struct{} // closed when a shutdown begins
	wake       chan struct{} // nudges the claim loop; one that is lost costs a poll
	diskFull   atomic.Bool
	background sync.WaitGroup // the claim loop and the disk's watch
	active     sync.WaitGroup // calls of Dispatch and Resend; added to under mu while not stopping
	workers    sync.WaitGroup
	scratch    sync.Pool // *plan
	resends    chan struct{}

	mu                sync.Mutex
	shares            shares
	pass              passes
	idle              []chan *job // workers without work, the one that was busy last on top
	started, stopping bool
}

// New makes a Dispatcher. Nothing moves before Start.
func New(config Config) *Dispatcher {
	d := &Dispatcher{
		queue:     config.Queue,
		directory: config.Directory,
		table:     config.Table,
		gauge:     config.Gauge,
		maxOpen:   config.MaxOpen,
		minFree:   config.MinFreeBytes,
		clock:     config.Clock,
		random:    config.Random,
		log:       config.Logger,
		stop:      make(chan struct{}),
		wake:      make(chan struct{}, 1),
		resends:   make(chan struct{}, maxResends),
		shares:    shares{limits: config.Limits.withDefaults()},
	}
	if d.maxOpen <= 0 {
		d.maxOpen = defaultMaxOpen
	}
	if d.minFree == 0 {
		d.minFree = defaultMinFreeBytes
	}
	if d.clock == nil {
		d.clock = NewClock()
	}
	if d.random == nil {
		d.random = rand.Float64
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	agent := config.UserAgent
	if agent == "" {
		agent = defaultUserAgent
	}
	d.sender = sender{transport: config.Transport, userAgent: agent, clock: d.clock}
	d.sending, d.stopSends = context.WithCancelCause(context.Background())
	d.metrics = newMetrics(config.Registerer, d)
	d.settler = newSettler(d.queue, d.metrics, d.log)
	d.scratch.New = func() any { return new(plan) }
	d.directory.changed = d.webhookChanged
	d.directory.removed = d.webhookRemoved
	return d
}

// Start sets the claim loop and the settler going: work that an earlier run left is taken up.
func (d *Dispatcher) Start() {
	d.mu.Lock()
	d.started = true
	d.mu.Unlock()
	d.settler.start()
	d.background.Go(d.claimLoop)
	if d.gauge != nil {
		d.background.Go(d.watchDisk)
	}
	d.nudge()
}

// plan is the scratch of one Dispatch. Nothing of it outlives the call.
type plan struct {
	hits        []router.Hit
	planned     []Planned // of all events, one after the other
	entries     []planned // beside planned
	acceptances []Acceptance
	ends        []int // where each event's part of planned ends
}

// planned is what Dispatch remembers of a planned delivery.
type planned struct {
	entry  *entry
	target *target
	lane   *lane // set when a place in memory is reserved
}

func (p *plan) reset() {
	p.hits, p.ends = p.hits[:0], p.ends[:0]
	clear(p.planned)
	clear(p.entries)
	clear(p.acceptances)
	p.planned, p.entries, p.acceptances = p.planned[:0], p.entries[:0], p.acceptances[:0]
}

// Dispatch stores a tenant's events with their deliveries, all of them or none, and returns when they are on disk: one Receipt per
// event, in order. Deliveries with a free place are sent at once. The errors are *triggers.FieldError with its Index set,
// *ConflictError, ErrTooMany and *Overload; nothing has been stored then, but for an Overload that says Unknown.
func (d *Dispatcher) Dispatch(ctx context.Context, tenant uint32, events []*triggers.Event) ([]Receipt, error) {
	if err := d.admit(); err != nil {
		return nil, err
	}
	defer d.active.Done()

	if len(events) == 0 {
		return nil, nil
	}
	p := d.scratch.Get().(*plan)
	at := d.clock.Now().Truncate(time.Millisecond)
	if err := d.plan(p, tenant, events, at); err != nil {
		p.reset()
		d.scratch.Put(p)
		return nil, err
	}
	d.reserve(p, at)
	// The commit is waited for whatever becomes of the caller: only its answer tells what was leased to us.
	receipts, err := d.queue.Enqueue(context.WithoutCancel(ctx), p.acceptances)
	if err != nil {
		d.cancelReservations(p)
		return nil, d.enqueueError(err) // p is left to the collector, since the queue may not have let go of it
	}
	d.handOver(p, receipts, at)
	p.reset()
	d.scratch.Put(p)
	return receipts, nil
}

// admit refuses events while too much is open or the dispatcher stops, and counts the call in.
func (d *Dispatcher) admit() error {
	if d.gauge != nil && d.gauge.Open() >= d.maxOpen {
		d.metrics.refused(refusedQueue)
		return overload(http.StatusTooManyRequests, queueFullPause, errQueueFull)
	}
	if d.diskFull.Load() {
		d.metrics.refused(refusedDisk)
		return overload(http.StatusServiceUnavailable, diskFullPause, errDiskFull)
	}
	if !d.enter() {
		d.metrics.refused(refusedStopping)
		return stopping()
	}
	return nil
}

// enter counts a call in, unless the dispatcher stops.
func (d *Dispatcher) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return false
	}
	d.active.Add(1)
	return true
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
		if event.EventID != "" {
			acceptance.Digest = payload.Digest(event)
		}
		p.acceptances = append(p.acceptances, acceptance)
		p.hits = d.table.Match(tenant, &event.URI, p.hits[:0])
		for _, hit := range p.hits {
			d.planOne(p, hit)
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

// planOne plans a delivery for a hit, or none when the webhook was deleted or switched off by hand meanwhile.
func (d *Dispatcher) planOne(p *plan, hit router.Hit) {
	e := d.directory.byKey.get(hit.Webhook)
	if e == nil {
		return
	}
	to := d.directory.targetOf(e)
	w := to.webhook
	if !listens(w) || len(w.Triggers) == 0 {
		return
	}
	state := Waiting
	if switchedOff(w) {
		state = Skipped
	}
	p.planned = append(p.planned, Planned{
		Webhook:  hit.Webhook,
		Revision: w.Revision,
		// A save that is not yet acknowledged may have shortened the list since the match.
		Trigger: min(hit.Trigger, uint8(len(w.Triggers)-1)), //nolint:gosec // at most 100
		State:   state,
	})
	p.entries = append(p.entries, planned{entry: e, target: to})
}

// reserve keeps places in memory for what may be sent as soon as it is stored.
func (d *Dispatcher) reserve(p *plan, now time.Time) {
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
		if p.planned[i].State != Waiting || w.Ordered || one.target.schedule.First() > 0 {
			continue
		}
		l := d.laneOf(one.entry, one.target)
		if l == nil || d.pass.backlogged(l) || d.shares.room(l, now) == 0 {
			continue
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

// laneOf is the entry's lane, set up for a version of its webhook; nil when that is gone. The lock is held.
func (d *Dispatcher) laneOf(e *entry, to *target) *lane {
	if e.gone.Load() {
		return nil
	}
	if e.lane == nil {
		e.lane = new(lane)
	}
	d.shares.aim(e.lane, to)
	return e.lane
}

func (d *Dispatcher) cancelReservations(p *plan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range p.entries {
		if l := p.entries[i].lane; l != nil {
			d.shares.cancel(l, 1)
		}
	}
}

// enqueueError turns a failure of the store into what the sender of the events is told.
func (d *Dispatcher) enqueueError(err error) error {
	if _, ok := errors.AsType[*ConflictError](err); ok {
		return err
	}
	d.metrics.refused(refusedStore)
	o := overload(http.StatusServiceUnavailable, failurePause, err)
	o.Unknown = true
	return o
}

// handOver gives the leased deliveries of stored events to the workers, and has the claim loop look for the others.
func (d *Dispatcher) handOver(p *plan, receipts []Receipt, at time.Time) {
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
				},
			})
		}
	}
	d.mu.Lock()
	nudge := false
	for event := range receipts {
		from, to := p.span(event)
		for i := from; i < to; i++ {
			one := &p.entries[i]
			switch {
			case one.lane != nil && receipts[event].Duplicate:
				d.shares.cancel(one.lane, 1)
			case one.lane == nil && !receipts[event].Duplicate && p.planned[i].State == Waiting:
				l := d.laneOf(one.entry, one.target)
				d.pass.mark(l)
				nudge = nudge || d.shares.room(l, at) > 0
			}
		}
	}
	d.pushLocked(jobs)
	d.pass.starved = d.pass.starved || d.shares.leased >= d.shares.limits.Leased
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
