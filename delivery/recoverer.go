package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"portalhook/triggers"
)

const (
	// recoveryChunk bounds the deliveries made in one transaction, so that nobody waits long for the store.
	recoveryChunk = 100
	// recoveryPoll is how soon a recovery that waits for its webhook or for room is looked at again.
	recoveryPoll = time.Second
	recoveryIdle = time.Minute // without any that could go on
	// recoveryOthers is recoveryIdle where other nodes may have begun one, or died over it.
	recoveryOthers = 5 * time.Second
	// countAtOnce is how many finds one step of counting gives, and countInRequest how many events are looked at before a request that
	// counts is answered; what is left is counted behind it.
	countAtOnce    = 4000
	countInRequest = 50_000
	// recoveryTries is how often a search may fail in a row before its recovery has failed.
	recoveryTries = 10
	// offSlack is by how much the time that a webhook was off is taken as longer: an event may have been matched just before the
	// webhook was on again, and stored just after.
	offSlack = time.Minute
)

// RecovererConfig is what a Recoverer is made from.
type RecovererConfig struct {
	Store      RecoveryStore     // needed
	Dispatcher *Dispatcher       // needed; it sends what is made
	Catalog    *triggers.Catalog // nil: triggers.Default()
	Logger     *slog.Logger      // nil: nothing is logged
}

// Recoverer finds what webhooks did not get, and makes new deliveries of it: counted first, at the rate asked for, step by step. All
// that it knows is in the store, so that it goes on after a restart where it was. Start it after the dispatcher, and stop it before.
type Recoverer struct {
	store      RecoveryStore
	dispatcher *Dispatcher
	catalog    *triggers.Catalog
	log        *slog.Logger

	wake    nudge
	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup
	// Of the loop alone, by recovery: when it is looked at again, and how often in a row its search has failed.
	due    map[triggers.ID]time.Time
	failed map[triggers.ID]int
}

// NewRecoverer makes a Recoverer. Nothing moves before Start.
func NewRecoverer(config RecovererConfig) *Recoverer {
	r := &Recoverer{
		store: config.Store, dispatcher: config.Dispatcher, catalog: config.Catalog, log: config.Logger,
		wake: newNudge(), stop: make(chan struct{}),
		due: make(map[triggers.ID]time.Time), failed: make(map[triggers.ID]int),
	}
	if r.catalog == nil {
		r.catalog = triggers.Default()
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r
}

// Start goes on with the recoveries that have not ended.
func (r *Recoverer) Start() { r.running.Go(func() { r.wake.loop(r.stop, r.pass) }) }

// Stop ends the step under way and takes no other.
func (r *Recoverer) Stop() {
	r.once.Do(func() { close(r.stop) })
	r.running.Wait()
}

// Count says what a recovery would make, without making anything: its counts, and in CountedTo and Counts.Complete how far it came.
func (r *Recoverer) Count(ctx context.Context, asked RecoveryRequest) (*Recovery, error) {
	w, err := r.prepare(ctx, &asked)
	if err != nil {
		return nil, err
	}
	const all = triggers.ID(1<<63 - 1)
	counted := &Recovery{RecoveryRequest: asked, State: RecoveryCounting, Until: all}
	h := newHearing(r.catalog, w)
	for looked := 0; looked < countInRequest && !counted.Counts.Complete; {
		found, err := r.find(ctx, counted, h, counted.CountedTo, countAtOnce)
		if err != nil {
			return nil, err
		}
		counted.Counts.Add(found.Found)
		counted.CountedTo, counted.Counts.Complete = found.To, found.Done
		looked += found.Looked
	}
	return counted, nil
}

// Begin makes new deliveries of what Count gave. What is not counted yet is counted first, behind the call (RecoveryCounting). The errors
// are triggers.ErrNotFound and ErrRecoveryOpen.
func (r *Recoverer) Begin(ctx context.Context, counted *Recovery) (*Recovery, error) {
	started := *counted
	if started.Counts.Complete {
		started.State = RecoveryRunning
	}
	if err := r.store.StartRecovery(context.WithoutCancel(ctx), &started); err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	r.wake.give()
	return &started, nil
}

// Control pauses (RecoveryPaused), resumes (RecoveryRunning) or cancels (RecoveryCancelled) a recovery by request. The errors are
// triggers.ErrNotFound, ErrRecoveryEnded and ErrRecoveryOpen.
func (r *Recoverer) Control(ctx context.Context, tenant, webhook uint32, id triggers.ID, to RecoveryState) (*Recovery, error) {
	control := RecoveryControl{Tenant: tenant, Webhook: webhook, ID: id, To: to, Now: r.dispatcher.clock.Now()}
	if to == RecoveryPaused {
		control.PausedBy = PausedByRequest
	}
	changed, err := r.store.ControlRecovery(context.WithoutCancel(ctx), control)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	r.wake.give()
	return changed, nil
}

// Recovery is one of a webhook's; triggers.ErrNotFound when there is none.
func (r *Recoverer) Recovery(ctx context.Context, tenant, webhook uint32, id triggers.ID) (*Recovery, error) {
	return r.store.Recovery(ctx, tenant, webhook, id)
}

// Recoveries is a page of a webhook's.
func (r *Recoverer) Recoveries(ctx context.Context, q RecoveryQuery) ([]Recovery, error) {
	return r.store.Recoveries(ctx, q)
}

// prepare fills in what a request leaves to us: the times in which the webhook was off where what it missed is asked for without a span.
func (r *Recoverer) prepare(ctx context.Context, asked *RecoveryRequest) (*triggers.Webhook, error) {
	w := r.dispatcher.directory.Get(asked.Webhook)
	if w == nil || w.Tenant != asked.Tenant {
		return nil, fmt.Errorf("recover: %w", triggers.ErrNotFound)
	}
	if asked.RatePerMinute == 0 {
		asked.RatePerMinute = DefaultRecoveryRate
	}
	if !asked.Missed || len(asked.Spans) > 0 {
		return w, nil
	}
	off, err := r.store.OffSpans(ctx, asked.Tenant, asked.Webhook)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	for _, span := range off {
		if !span.To.IsZero() {
			span.To = span.To.Add(offSlack)
		}
		if n := len(asked.Spans); n > 0 && span.From.Before(asked.Spans[n-1].To) {
			asked.Spans[n-1].To = span.To
			continue
		}
		asked.Spans = append(asked.Spans, span)
	}
	return w, nil
}

func (r *Recoverer) find(ctx context.Context, of *Recovery, h *hearing, after triggers.ID, most int) (RecoveryFound, error) {
	search := RecoverySearch{Recovery: of, After: after, Most: most}
	if of.Missed {
		search.Webhook, search.Wants = &h.webhook, h.wants
	}
	found, err := r.store.FindRecoverable(ctx, search)
	if err != nil {
		return found, fmt.Errorf("recover: %w", err)
	}
	return found, nil
}

// pass gives every recovery that is due its next step, and says when to look again.
func (r *Recoverer) pass() time.Duration {
	open, err := r.store.OpenRecoveries(context.Background())
	if err != nil {
		r.log.Error("recoveries not read", "err", err)
		return recoveryPoll
	}
	isOpen := func(id triggers.ID) bool {
		return slices.ContainsFunc(open, func(of Recovery) bool { return of.ID == id })
	}
	for id := range r.due {
		if !isOpen(id) {
			delete(r.due, id)
			delete(r.failed, id)
		}
	}
	wait := recoveryIdle
	if r.dispatcher.sharing != nil {
		wait = recoveryOthers
	}
	for i := range open {
		of := &open[i]
		if of.State == RecoveryPaused && of.PausedBy == PausedByRequest {
			continue
		}
		now := r.dispatcher.clock.Now()
		if due := r.due[of.ID]; due.After(now) && due.Sub(now) <= recoveryPause(of, recoveryChunk) {
			wait = min(wait, due.Sub(now))
			continue
		}
		select {
		case <-r.stop:
			return recoveryPoll
		default:
		}
		next := r.step(of)
		r.due[of.ID] = next
		wait = min(wait, max(next.Sub(r.dispatcher.clock.Now()), 0))
	}
	return wait
}

// recoveryPause is how long the rate lets a recovery rest after so many deliveries.
func recoveryPause(of *Recovery, made int) time.Duration {
	return max(time.Duration(made)*time.Minute/time.Duration(of.RatePerMinute), recoveryPoll)
}

// step moves a recovery on and says when it is due again.
func (r *Recoverer) step(of *Recovery) time.Time {
	ctx := context.Background() // a step is short, and its end must be known
	defer r.dispatcher.clock.Hold()()
	now := r.dispatcher.clock.Now()
	w := r.dispatcher.directory.Get(of.Webhook)
	if w == nil {
		return now.Add(recoveryPoll) // it is being deleted, which ends the recovery
	}
	switch reason := r.dispatcher.noRoom(); {
	case of.Counts.Complete && !w.Enabled:
		return r.hold(ctx, of, PausedByWebhook, "the webhook is off")
	case of.Counts.Complete && reason != "":
		return r.hold(ctx, of, PausedByServer, reason)
	case of.State == RecoveryPaused:
		control := RecoveryControl{Tenant: of.Tenant, Webhook: of.Webhook, ID: of.ID, To: RecoveryRunning, Automatic: true, Now: now}
		if _, err := r.store.ControlRecovery(ctx, control); err != nil {
			return r.trouble(of, err)
		}
		return now
	}
	// What an earlier process made counts against the rate as well; a date far off is that of a clock that was set.
	if rest := of.NextAt.Sub(now); rest > 0 && rest <= recoveryPause(of, recoveryChunk) {
		return of.NextAt
	}
	position, most := of.Position, min(max(of.RatePerMinute/60, 1), recoveryChunk)
	if of.State == RecoveryCounting {
		position, most = of.CountedTo, countAtOnce
	}
	found, err := r.find(ctx, of, newHearing(r.catalog, w), position, most)
	if err != nil {
		return r.failing(ctx, of, err)
	}
	delete(r.failed, of.ID)
	step := RecoveryStep{ID: of.ID, From: position, Found: found, Revision: w.Revision, Now: now, NextAt: now}
	if of.State == RecoveryCounting {
		if _, err := r.store.CountRecovery(ctx, step); err != nil {
			return r.trouble(of, err)
		}
		return now
	}
	step.NextAt = now.Add(time.Duration(len(found.Found)) * time.Minute / time.Duration(of.RatePerMinute))
	moved, err := r.store.AdvanceRecovery(ctx, step)
	if err != nil {
		r.trouble(of, err)
		return r.hold(ctx, of, PausedByServer, "the store could not be written")
	}
	if moved.Made > of.Made {
		r.dispatcher.stored(of.Webhook)
	}
	if moved.State == RecoveryDone {
		r.log.Info("recovery done", "recovery", of.ID.Recovery(), "webhook", w.ID, "made", moved.Made)
	}
	return step.NextAt
}

// hold pauses a recovery until its cause has gone.
func (r *Recoverer) hold(ctx context.Context, of *Recovery, by Pauser, reason string) time.Time {
	now := r.dispatcher.clock.Now()
	if of.State != RecoveryPaused || of.PausedBy != by || of.Reason != reason {
		control := RecoveryControl{
			Tenant: of.Tenant, Webhook: of.Webhook, ID: of.ID, To: RecoveryPaused, PausedBy: by, Reason: reason, Automatic: true, Now: now,
		}
		if _, err := r.store.ControlRecovery(ctx, control); err != nil {
			return r.trouble(of, err)
		}
	}
	return now.Add(recoveryPoll)
}

// trouble puts a recovery off that the store could not write.
func (r *Recoverer) trouble(of *Recovery, err error) time.Time {
	if !errors.Is(err, triggers.ErrNotFound) && !errors.Is(err, ErrRecoveryEnded) {
		r.log.Error("recovery", "recovery", of.ID.Recovery(), "err", err)
	}
	return r.dispatcher.clock.Now().Add(recoveryPoll)
}

// failing puts a recovery off whose search failed, and ends it when that goes on.
func (r *Recoverer) failing(ctx context.Context, of *Recovery, err error) time.Time {
	next := r.trouble(of, err)
	if r.failed[of.ID]++; r.failed[of.ID] < recoveryTries {
		return next
	}
	control := RecoveryControl{
		Tenant: of.Tenant, Webhook: of.Webhook, ID: of.ID, To: RecoveryFailed, Automatic: true, Now: r.dispatcher.clock.Now(),
		Reason: "the history could not be read; the server's log has the cause",
	}
	if _, err := r.store.ControlRecovery(ctx, control); err != nil {
		return r.trouble(of, err)
	}
	return next
}

// noRoom says why no more deliveries should be made now; empty when they may. A tenth of what may be open is left to new events.
func (d *Dispatcher) noRoom() string {
	switch {
	case d.diskFull.Load():
		return "the disk is nearly full"
	case d.gauge != nil && d.gauge.Open() >= d.maxOpen-d.maxOpen/10:
		return "too many deliveries are open"
	}
	return ""
}

// stored has the claim loop look for new work of a webhook in the store.
func (d *Dispatcher) stored(webhook uint32) {
	if e := d.directory.byKey.get(webhook); e != nil {
		to := d.directory.targetOf(e)
		d.mu.Lock()
		if l := d.laneOf(e, to); l != nil {
			d.pass.mark(l)
		}
		d.mu.Unlock()
	}
	d.nudge()
}
