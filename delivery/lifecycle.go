package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"portalhook/triggers"
)

const (
	maxResends = 16 // running together
	// settleGrace is how long the last attempts have to be recorded, however little time a shutdown was given.
	settleGrace = 5 * time.Second
	diskPoll    = time.Second
)

// errChanged says that a webhook is no longer what it was when the reason to switch it off came up.
var errChanged = errors.New("the webhook has been changed meanwhile")

func isExpected(err error) bool {
	return errors.Is(err, errChanged) || errors.Is(err, triggers.ErrNotFound) || errors.Is(err, errShutDown)
}

// webhookChanged has waiting work looked at again: the webhook may be on now, or elsewhere.
func (d *Dispatcher) webhookChanged(e *entry, before *triggers.Webhook) {
	to := d.directory.targetOf(e)
	if before != nil && before.Enabled != to.webhook.Enabled {
		d.notices.give() // what the change left to be told
	}
	d.probes.give() // it may have been switched off, or ask for probes now
	d.mu.Lock()
	if e.lane != nil {
		d.shares.aim(e.lane, to)
	}
	d.mu.Unlock()
	d.nudge()
}

// webhookRemoved drops a webhook's share. What of it waits in memory is settled as cancelled.
func (d *Dispatcher) webhookRemoved(e *entry) {
	d.mu.Lock()
	if e.lane != nil {
		d.shares.forget(e.lane, d.clock.Steady())
	}
	back := d.takeReturned()
	d.mu.Unlock()
	d.giveBack(back)
}

// watchDisk keeps in mind whether the disk is nearly full, so that no event has to wait for the answer.
func (d *Dispatcher) watchDisk() {
	ticker := time.NewTicker(diskPoll)
	defer ticker.Stop()
	for {
		free, err := d.gauge.FreeBytes()
		full := err == nil && free < d.minFree
		if d.diskFull.Swap(full) != full {
			d.log.Warn("disk", "full", full, "freeBytes", free)
		}
		select {
		case <-d.stop:
			return
		case <-ticker.C:
		}
	}
}

// Shutdown takes no more events, lets the attempts under way end within ctx, gives all other leases back and records what there is to
// record. The error is ctx's when attempts had to be cut off; their deliveries are tried again after the next start.
func (d *Dispatcher) Shutdown(ctx context.Context) error {
	d.mu.Lock()
	if d.stopping {
		d.mu.Unlock()
		return nil
	}
	d.stopping = true
	d.tail.Close()
	if !d.started {
		d.mu.Unlock()
		return nil
	}
	for _, inbox := range d.idle {
		inbox <- nil
	}
	d.idle = nil
	now := d.clock.Steady()
	d.directory.byKey.each(func(e *entry) {
		if e.lane != nil {
			d.shares.flush(e.lane, now)
		}
	})
	back := d.takeReturned()
	d.mu.Unlock()
	close(d.stop)
	d.giveBack(back)

	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		d.background.Wait()
		d.active.Wait()
		d.workers.Wait()
	}()
	var cut error
	select {
	case <-quiet:
	case <-ctx.Done():
		cut = fmt.Errorf("attempts cut off: %w", ctx.Err())
		d.stopSends(errShutDown)
		<-quiet
	}
	d.stopSends(errShutDown)
	if _, ok := ctx.Deadline(); ok || cut != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), settleGrace)
		defer cancel()
	}
	return errors.Join(cut, d.settler.stop(ctx))
}

// Resend sends the bytes of one of a tenant's deliveries again, under a new delivery id, to where the webhook points now, and returns
// the new delivery as it stands after the attempt; when that failed it is tried again like any other. Its Trigger is left out. A
// webhook that is off is sent to all the same: somebody asked for it. It is triggers.ErrNotFound when there is no such delivery or
// its webhook is gone, and an *Overload while the dispatcher stops.
func (d *Dispatcher) Resend(ctx context.Context, tenant uint32, id triggers.ID) (*Record, error) {
	if !d.enter() {
		return nil, stopping()
	}
	defer d.active.Done()
	select {
	case d.resends <- struct{}{}:
		defer func() { <-d.resends }()
	case <-ctx.Done():
		return nil, fmt.Errorf("resend: %w", context.Cause(ctx))
	}
	claimed, err := d.queue.Resend(context.WithoutCancel(ctx), tenant, id, d.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("resend: %w", err)
	}
	e := d.directory.byKey.get(claimed.Webhook)
	if e == nil {
		cancelled := Settlement{
			Delivery: claimed.ID, Tenant: tenant, Webhook: claimed.Webhook, Fence: claimed.Fence, State: Cancelled,
			Reason: "the webhook was deleted",
		}
		d.settler.putAndWait(ctx, cancelled, nil)
		return nil, fmt.Errorf("resend: the webhook: %w", triggers.ErrNotFound)
	}
	to := d.directory.targetOf(e)
	j := d.claimedJob(&claimed, &offered{entry: e, target: to})

	sending, release := d.whileSending(ctx)
	defer release()
	a := d.sender.send(sending, to, &j.shipment)
	d.metrics.attempted(a)
	settlement, _ := d.conclude(j, to, a)
	d.settler.putAndWait(ctx, settlement, d.told(j, to.webhook, &settlement, d.afterEnd(j, to, &settlement)))
	if a.outcome == Gone {
		d.gone(j, to.webhook)
	}
	return resent(&claimed, to, &settlement, d.clock.Now()), nil
}

// resent is a resent delivery as history shows it.
func resent(c *Claimed, to *target, s *Settlement, now time.Time) *Record {
	r := &Record{
		ID: c.ID, Tenant: c.Tenant, Webhook: c.Webhook, WebhookID: to.webhook.ID,
		State: s.State, Reason: s.Reason, CreatedAt: c.ID.Time(), DueAt: s.DueAt, Tries: c.Tries,
		Revision: c.Revision, BuiltAt: c.BuiltAt, Events: c.Events,
	}
	if len(c.Events) > 0 {
		r.EventID, r.URI = c.Events[0].ID, c.Events[0].URI.String()
	}
	if s.Attempt != nil {
		r.Tries++
		r.StatusCode, r.StartedAt, r.Attempts = s.Attempt.StatusCode, s.Attempt.StartedAt, []Attempt{*s.Attempt}
	}
	if s.State != Waiting {
		r.EndedAt = now
	}
	return r
}
