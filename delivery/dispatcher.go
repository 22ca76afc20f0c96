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
	Inside    Inside            // nil: no receivers within this process
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
	Catalog      *triggers.Catalog     // whose samples probes send; nil: triggers.Default()
	// ProbeAfter is how long after a webhook was switched off its receiver is probed; each wait is twice the one before, up to 6 h. 0: 5 min.
	ProbeAfter time.Duration
	// Leads reports whether what is done once for all servers of a store is done here: probes and repeated challenges. Nil: always.
	Leads func() bool
	// Others has the tail tell what happens on other nodes, too: their Dispatchers' HearOther is to be called with what is told here. Nil: there are none.
	Others Others
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
	notices   nudge // to tell those that are stored
	probes    nudge // to look which are due
	failures  failures
	intervals intervals

	// sending is the context of every attempt: it ends when a shutdown runs out of time.
	sending    context.Context //nolint:containedctx // it is the life of the sends, not of a call
	stopSends  context.CancelCauseFunc
	stop       chan struct{} // closed when a shutdown begins
	wake       nudge         // to claim; one that is lost costs a poll
	diskFull   atomic.Bool
	room       room
	background sync.WaitGroup // the claim loop, the intervals', the notices', the judge, the challenges', the probes' and the disk's watch
	active     sync.WaitGroup // calls of Dispatch, Resend and Test; added to under mu while not stopping
	workers    sync.WaitGroup
	scratch    sync.Pool // of plans
	resends    chan struct{}
	trials     *trials
	tail       Tail
	relay      *relay // nil: there are no other nodes
	catalog    *triggers.Catalog
	probeAfter time.Duration
	leads      func() bool
	sharing    Sharing // nil: nobody else claims

	mu                sync.Mutex
	shares            shares
	pass              passes
	idle              []chan *job // workers without work, the one that was busy last on top
	started, stopping bool
}

// New makes a Dispatcher. Nothing moves before Start.
func New(config Config) *Dispatcher {
	d := &Dispatcher{
		queue:      config.Queue,
		directory:  config.Directory,
		table:      config.Table,
		gauge:      config.Gauge,
		maxOpen:    config.MaxOpen,
		minFree:    config.MinFreeBytes,
		clock:      config.Clock,
		random:     config.Random,
		catalog:    config.Catalog,
		probeAfter: config.ProbeAfter,
		log:        config.Logger,
		stop:       make(chan struct{}),
		wake:       newNudge(),
		resends:    make(chan struct{}, maxResends),
		trials:     newTrials(),
		notices:    newNudge(),
		probes:     newNudge(),
		failures:   failures{wake: newNudge()},
		intervals:  intervals{wake: newNudge(), ends: make(map[int64]int)},
		shares:     shares{limits: config.Limits.withDefaults()},
	}
	if d.maxOpen <= 0 {
		d.maxOpen = defaultMaxOpen
	}
	if d.catalog == nil {
		d.catalog = triggers.Default()
	}
	if d.probeAfter <= 0 {
		d.probeAfter = defaultProbeAfter
	}
	if d.minFree == 0 {
		d.minFree = defaultMinFreeBytes
	}
	if d.clock == nil {
		d.clock = NewClock()
	}
	if d.leads = config.Leads; d.leads == nil {
		d.leads = func() bool { return true }
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
	d.sharing, d.shares.claimed = config.Queue.(Sharing)
	d.sender = sender{transport: config.Transport, inside: config.Inside, userAgent: agent, clock: d.clock}
	d.sending, d.stopSends = context.WithCancelCause(context.Background())
	d.metrics = newMetrics(config.Registerer, d)
	d.room.clock = d.clock
	d.settler = newSettler(d.queue, d.metrics, d.log, &d.room, d.clock)
	if config.Others != nil {
		d.relay = newRelay(config.Others, &d.tail, d.catalog, d.clock.Steady)
	}
	d.scratch.New = func() any { return new(plan) }
	d.directory.announce = d.announce
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
	d.background.Go(d.intervalLoop)
	d.background.Go(func() { d.notices.loop(d.stop, d.tell) })
	d.background.Go(d.judgeLoop)
	d.background.Go(d.challengeLoop)
	d.background.Go(func() { d.probes.loop(d.stop, d.probeDue) })
	if d.relay != nil {
		d.background.Go(d.relayLoop)
	}
	if d.gauge != nil {
		d.background.Go(d.watchDisk)
	}
	d.nudge()
}

// Dispatch stores a tenant's events with their deliveries, all of them or none, and returns when they are on disk: one Receipt per
// event, in order. Deliveries with a free place are sent at once. The errors are *triggers.FieldError with its Index set,
// *ConflictError, ErrTooMany and *Overload; nothing has been stored then, but for an Overload that says Unknown. Events about webhooks are
// refused: those are the dispatcher's own.
func (d *Dispatcher) Dispatch(ctx context.Context, tenant uint32, events []*triggers.Event) ([]Receipt, error) {
	for i, event := range events {
		if event.URI.Resource == triggers.Webhooks {
			refused := triggers.Invalid(triggers.CodeNotAllowed, "uri", "events about webhooks are told by the server itself, and by nobody else")
			refused.Index = i
			return nil, refused
		}
	}
	return d.dispatch(ctx, tenant, events)
}

// dispatch is Dispatch for events of every kind.
func (d *Dispatcher) dispatch(ctx context.Context, tenant uint32, events []*triggers.Event) ([]Receipt, error) {
	if err := d.admit(); err != nil {
		return nil, err
	}
	defer d.active.Done()
	return d.accept(ctx, tenant, events, true)
}

// accept stores events with their deliveries. With lease, those with a free place are sent at once; without, all wait to be claimed.
func (d *Dispatcher) accept(ctx context.Context, tenant uint32, events []*triggers.Event, lease bool) ([]Receipt, error) {
	if len(events) == 0 {
		return nil, nil
	}
	release := d.clock.Hold() // from the date of acceptance to the commit
	shift := d.clock.Shift()
	p := d.scratch.Get().(*plan)
	at, err := d.planNow(p, tenant, events)
	if err != nil {
		release()
		p.reset()
		d.scratch.Put(p)
		return nil, err
	}
	if lease {
		d.reserve(p)
	}
	// The commit is waited for whatever becomes of the caller: only its answer tells what was leased to us.
	receipts, err := d.queue.Enqueue(context.WithoutCancel(ctx), p.acceptances)
	release() // before anything waits for the settler, which holds it too
	if p.members {
		d.intervals.leave(p.planned)
	}
	if err != nil {
		d.cancelReservations(p)
		return nil, d.enqueueError(err) // p is left to the collector, since the queue may not have let go of it
	}
	d.room.accepted()
	if d.tail.heard() {
		d.tellAccepted(p, receipts, at)
	}
	d.handOver(p, receipts, at, shift)
	p.reset()
	d.scratch.Put(p)
	return receipts, nil
}

// admit refuses events while too much is open or the dispatcher stops, and counts the call in.
func (d *Dispatcher) admit() error {
	if d.queueFull() {
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

func (d *Dispatcher) queueFull() bool { return d.gauge != nil && d.gauge.Open() >= d.maxOpen }

// QueueReady is an error while events are refused because too many deliveries are open.
func (d *Dispatcher) QueueReady(context.Context) error {
	if d.queueFull() {
		return errQueueFull
	}
	return nil
}

// DiskReady is an error while events are refused because the disk is nearly full, as it was at the last look, a second ago at most, and
// for 30 s after a commit found no room, unless events have been stored since.
func (d *Dispatcher) DiskReady(context.Context) error {
	switch {
	case d.diskFull.Load():
		return errDiskFull
	case d.room.lacking():
		return errNoRoom
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
	pause := failurePause
	if d.room.failed(err) {
		pause = diskFullPause
	}
	o := overload(http.StatusServiceUnavailable, pause, err)
	o.Unknown = true
	return o
}
