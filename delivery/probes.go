package delivery

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"portalhook/triggers"
)

const (
	defaultProbeAfter = 5 * time.Minute
	maxProbeWait      = 6 * time.Hour
	// probePoll is how late it is seen at most that a probe is due sooner than was known.
	probePoll = time.Minute
	// leadPoll is how late it is seen at most that this server leads.
	leadPoll = 2 * time.Second
	// probesAtOnce is how many receivers are probed together: few, since those that are off often hang.
	probesAtOnce = 4
)

// Probing is what is remembered of the probes of a webhook that the server switched off.
type Probing struct {
	Tries      int       // probes that are charged to the receiver; the waits between them grow with it
	At         time.Time // when the last began; zero: there was none
	Outcome    Outcome   // of the last, like the following
	StatusCode int       // 0 without an answer
	Reason     string    // one sentence, no secret in it
	NextAt     time.Time // zero: there is no other
}

// IsZero reports whether no probe was made or is planned.
func (p *Probing) IsZero() bool { return p.At.IsZero() && p.NextAt.IsZero() }

// probed reports whether a webhook's receiver is to be probed: the webhook asks for it, is off because of what the receiver did, and could
// be switched on. A receiver that said that nobody is there any more, and what only a person can mend, are left alone.
func probed(w *triggers.Webhook) bool {
	code := w.DisabledReasonCode
	return w.Probe && switchedOff(w) && len(w.Triggers) > 0 && (code == failuresCode || code == failingCode || code == crcCode)
}

// probe is one that is due.
type probe struct {
	entry   *entry
	webhook *triggers.Webhook // as it was when the probe was found due
	state   Probing
}

// probeDue probes the receivers of webhooks that are off and whose time has come, those first that have waited longest, and says when to look
// again. What is due when is in the store.
func (d *Dispatcher) probeDue() time.Duration {
	if !d.leads() {
		return leadPoll
	}
	off := make(map[uint32]*entry)
	keys := []uint32(nil)
	d.directory.byKey.each(func(e *entry) {
		if w := e.webhook.Load(); probed(w) && !e.gone.Load() {
			off[w.Key] = e
			keys = append(keys, w.Key)
		}
	})
	if len(keys) == 0 {
		return probePoll
	}
	health, err := d.queue.Health(d.sending, keys...)
	if err != nil {
		d.log.Error("webhooks not probed; trying again", "count", len(keys), "err", err)
		return judgePause
	}
	wait, now := probePoll, d.clock.Now()
	var due []probe
	for _, key := range keys {
		p := probe{entry: off[key], webhook: off[key].webhook.Load(), state: health[key].Probe}
		if p.state.IsZero() {
			p.state.NextAt = p.webhook.DisabledAt.Add(d.probeAfter)
			if err := d.queue.NoteProbe(d.sending, key, p.state); err != nil {
				d.log.Error("probe not planned; trying again", "webhook", p.webhook.ID, "err", err)
				wait = min(wait, judgePause)
				continue
			}
		}
		switch rest := p.state.NextAt.Sub(now); {
		case p.state.NextAt.IsZero(): // the receiver said that nobody is there
		case rest > 0:
			wait = min(wait, rest)
		default:
			due = append(due, p)
		}
	}
	if len(due) == 0 {
		return wait
	}
	slices.SortFunc(due, func(a, b probe) int {
		return cmp.Or(a.state.NextAt.Compare(b.state.NextAt), cmp.Compare(a.webhook.Key, b.webhook.Key))
	})
	d.probeAll(due)
	return judgePause
}

// probeAll probes receivers, some at once.
func (d *Dispatcher) probeAll(due []probe) {
	var probing sync.WaitGroup
	defer probing.Wait()
	places := make(chan struct{}, probesAtOnce)
	for i := range due {
		select {
		case places <- struct{}{}:
		case <-d.stop:
			return
		}
		probing.Go(func() {
			defer func() { <-places }()
			d.probe(&due[i])
		})
	}
}

// probe sends what a test of the webhook's first event type sends, and switches the webhook on when that has arrived. That it has begun is
// stored first, so that a process that ends in between is not one that probes at each of its starts.
func (d *Dispatcher) probe(p *probe) {
	w, now := p.webhook, d.clock.Now()
	state := p.state
	state.NextAt = now.Add(d.probeWait(state.Tries + 1))
	if err := d.queue.NoteProbe(d.sending, w.Key, state); err != nil {
		d.log.Error("probe not made; trying again", "webhook", w.ID, "err", err)
		return
	}
	event, err := SampleFor(d.catalog, &w.Triggers[0])
	var a answer
	if err == nil {
		_, a, err = d.send(d.sending, d.directory.targetOf(p.entry), event, p.state.NextAt)
	}
	switch {
	case err != nil: // there is no sample that its trigger hears
		a = answer{attempt: &Attempt{StartedAt: now}, outcome: Unsendable, reason: err.Error()}
	case a.outcome == ShutDown:
		return
	}
	d.metrics.probed(a)
	state.At, state.Outcome, state.StatusCode, state.Reason = a.attempt.StartedAt, a.outcome, a.attempt.StatusCode, a.reason
	if a.outcome == Delivered && d.proved(w, &state) {
		d.revive(p, state.Reason)
		return
	}
	if state.Outcome.Charged() {
		state.Tries++
	}
	state.NextAt = d.clock.Now().Add(max(d.probeWait(state.Tries), a.retryAfter))
	if a.outcome == Gone {
		state.NextAt = time.Time{}
	}
	if err := d.queue.NoteProbe(d.sending, w.Key, state); err != nil {
		d.log.Error("probe not recorded", "webhook", w.ID, "err", err)
	}
}

// probeWait is the wait after so many probes.
func (d *Dispatcher) probeWait(tries int) time.Duration {
	wait := d.probeAfter
	for ; tries > 0 && wait < maxProbeWait; tries-- {
		wait = min(2*wait, maxProbeWait)
	}
	return wait + jitter(wait, d.random())
}

// proved reports whether a receiver that took a probe has the secret, where the webhook asks for that; else the state says what it answered.
func (d *Dispatcher) proved(w *triggers.Webhook, state *Probing) bool {
	if !w.CRCCheck {
		return true
	}
	ctx, cancel := context.WithTimeout(d.sending, challengeTimeout)
	defer cancel()
	err := d.challenge(ctx, w)
	if err == nil {
		return true
	}
	state.Outcome, state.Reason = Rejected, err.Error()
	if failed, ok := errors.AsType[*HandshakeError](err); ok && failed.ours {
		state.Outcome = Infrastructure
	}
	return false
}

// revive switches a webhook on whose receiver has taken a probe, unless it has been changed meanwhile.
func (d *Dispatcher) revive(p *probe, answered string) {
	w := p.webhook
	on, err := d.directory.Update(d.sending, w.Tenant, w.ID, func(present *triggers.Webhook) error {
		same := present.Revision == w.Revision && present.Secret == w.Secret && present.CRCCheck == w.CRCCheck
		if !same || !probed(present) || !present.DisabledAt.Equal(w.DisabledAt) {
			return errChanged
		}
		present.Enabled = true
		present.EnabledReason, present.EnabledAt = "a probe was answered "+answered, d.clock.Now()
		return nil
	})
	switch {
	case err == nil:
		d.log.Info("webhook switched on", "webhook", on.ID, "reason", on.EnabledReason)
	case !isExpected(err):
		d.log.Error("webhook not switched on", "webhook", w.ID, "err", err)
	}
}
