package delivery

import (
	"context"
	"sync"
	"time"

	"portalhook/triggers"
)

// judgePause is the time between two tries at what could not be judged, because the store did not answer.
const judgePause = time.Second

// failures are webhooks that have failed and are to be judged, each once however often it fails meanwhile. Whoever notes one never
// waits.
type failures struct {
	mu    sync.Mutex
	noted map[*entry]failure
	wake  nudge
}

// failure is what is to be judged of a webhook.
type failure struct {
	at time.Time // when its last attempt failed
	// quiet says that all these were deliveries of our own events: nobody is told what comes of them.
	quiet bool
}

func (f *failures) note(e *entry, one failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noted == nil {
		f.noted = make(map[*entry]failure)
	}
	if before, ok := f.noted[e]; ok {
		one.quiet = one.quiet && before.quiet
		if before.at.After(one.at) {
			one.at = before.at
		}
	}
	f.noted[e] = one
	f.wake.give()
}

func (f *failures) take() map[*entry]failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	noted := f.noted
	f.noted = nil
	return noted
}

// judgeLoop judges webhooks as they fail, away from the settler, which must not wait for the store to tell of their health.
func (d *Dispatcher) judgeLoop() {
	failed := d.judgeAll()
	for {
		for failed != nil {
			for e, one := range failed {
				d.failures.note(e, one)
			}
			timer := time.NewTimer(judgePause)
			select {
			case <-d.stop:
				timer.Stop()
				return
			case <-timer.C:
			}
			failed = d.judge(d.failures.take())
		}
		select {
		case <-d.stop:
			return
		case <-d.failures.wake:
		}
		failed = d.judge(d.failures.take())
	}
}

// judgeAll notes every webhook that has failed: an earlier run may have ended between recording that and switching it off. The standard
// rule sees it at its last delivery that ran out of attempts, since time alone says nothing.
func (d *Dispatcher) judgeAll() map[*entry]failure {
	unwell, err := d.queue.Health(d.sending)
	if err != nil {
		d.log.Error("webhooks not judged at the start", "err", err)
		return nil
	}
	noted := make(map[*entry]failure)
	for key, health := range unwell {
		e := d.directory.byKey.get(key)
		if e == nil || len(health.Exhausted) == 0 {
			continue
		}
		at := d.clock.Now()
		if d.directory.policyOf(e.webhook.Load()) == nil {
			at = health.Exhausted[len(health.Exhausted)-1]
		}
		e.warned = health.Warned // an earlier run told the log
		noted[e] = failure{at: at}
	}
	return d.judge(noted)
}

// judge switches off those that the rules say have failed for too long, and returns those that could not be judged.
func (d *Dispatcher) judge(noted map[*entry]failure) (failed map[*entry]failure) {
	keys := make([]uint32, 0, len(noted))
	for e := range noted {
		if w := e.webhook.Load(); w.Enabled && !e.gone.Load() {
			keys = append(keys, w.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	health, err := d.queue.Health(d.sending, keys...)
	if err != nil {
		d.log.Error("webhooks not judged; trying again", "count", len(keys), "err", err)
		return noted
	}
	for e, one := range noted {
		w := e.webhook.Load()
		of, ok := health[w.Key]
		if !ok {
			continue
		}
		verdict := of.Judge(d.directory.policyOf(w), one.at)
		d.warn(e, w, &of, verdict.Percent)
		if verdict.Off {
			d.condemn(e, one)
		}
	}
	return nil
}

// warn tells the log and the metrics of a step on the way to being switched off, once: that the way has come to it is stored with the failure.
func (d *Dispatcher) warn(e *entry, w *triggers.Webhook, of *Health, percent int) {
	if of.Warned > e.warned && percent < 100 {
		d.metrics.warned(of.Warned)
		d.log.Warn("webhook on its way to being switched off", "webhook", w.ID, "percent", percent)
	}
	e.warned = of.Warned
}

// condemn switches off a webhook that the rules say has failed for too long. It is judged again as it is when nobody else saves it:
// somebody may have switched it on meanwhile, or changed its policy.
func (d *Dispatcher) condemn(e *entry, one failure) {
	w := e.webhook.Load()
	d.switchOff(w, one.quiet, func(ctx context.Context, present *triggers.Webhook) (code, reason string, err error) {
		health, err := d.queue.Health(ctx, present.Key)
		if err != nil {
			return "", "", err
		}
		of := health[present.Key]
		verdict := of.Judge(d.directory.policyOf(present), one.at)
		if !verdict.Off {
			return "", "", errChanged
		}
		return verdict.Code, verdict.Reason, nil
	})
}

// switchOff switches a webhook off on the server's own account, unless it is off, or decide says with an error that it shall stay on. Quiet:
// nobody is told.
func (d *Dispatcher) switchOff(
	w *triggers.Webhook, quiet bool, decide func(ctx context.Context, present *triggers.Webhook) (code, reason string, err error),
) {
	announce := d.announce
	if quiet {
		announce = nobody
	}
	off, err := d.directory.update(d.sending, w.Tenant, w.ID, announce, func(present *triggers.Webhook) error {
		if !present.Enabled {
			return errChanged
		}
		code, reason, err := decide(d.sending, present)
		if err != nil {
			return err
		}
		present.Enabled = false
		present.DisabledReason, present.DisabledReasonCode, present.DisabledAt = reason, code, d.clock.Now()
		return nil
	})
	switch {
	case err == nil:
		d.log.Info("webhook switched off", "webhook", off.ID, "code", off.DisabledReasonCode, "reason", off.DisabledReason)
	case !isExpected(err):
		d.log.Error("webhook not switched off", "webhook", w.ID, "err", err)
	}
}

// gone switches off a webhook whose receiver says that nobody is there any more, unless it has been changed since the attempt was made.
func (d *Dispatcher) gone(j *job, w *triggers.Webhook) {
	d.switchOff(w, j.isNotice(), func(_ context.Context, present *triggers.Webhook) (code, reason string, err error) {
		if present.Revision != w.Revision {
			return "", "", errChanged
		}
		return goneCode, goneReason, nil
	})
}

// policyOf is the rule by which a webhook is switched off; nil is the standard one.
func (d *Directory) policyOf(w *triggers.Webhook) *triggers.DeactivationPolicy {
	tenant := d.Tenant(w.Tenant)
	return tenant.PolicyFor(w)
}
