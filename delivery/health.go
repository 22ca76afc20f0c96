package delivery

import (
	"fmt"
	"slices"
	"time"

	"portalhook/triggers"
)

// Why the server switches a webhook off that fails.
const (
	failuresCode = "FAILURES" // too many deliveries ran out of attempts: the webhook's own policy
	failingCode  = "FAILING"  // nothing has succeeded for long: the standard rule
)

// failingMost is for how long a webhook without a policy of its own may fail.
const failingMost = 5 * 24 * time.Hour

// How much is remembered of deliveries that ran out of attempts: what any policy can ask for.
const (
	exhaustedMost = triggers.MaxFailures
	exhaustedKept = triggers.MaxFailureDays * 24 * time.Hour
)

// Health is what the rules of deactivation go by: how a webhook has failed since it was created or last switched on. Times are those at
// which attempts ended, in milliseconds, UTC. The zero value is a webhook that has not failed.
type Health struct {
	// FailingSince is when the first attempt failed after the last one that succeeded; zero when that was the last.
	FailingSince time.Time
	// GaveUp says that a delivery ran out of attempts since then.
	GaveUp bool
	// Exhausted is when deliveries ran out of attempts, in the order in which that was recorded: the last 100, of the 30 days before the last.
	Exhausted []time.Time
}

// IsZero reports whether nothing is remembered.
func (h *Health) IsZero() bool { return h.FailingSince.IsZero() && len(h.Exhausted) == 0 }

// Clone is a copy that shares nothing.
func (h *Health) Clone() Health {
	c := *h
	c.Exhausted = slices.Clone(h.Exhausted)
	return c
}

// Note takes in the end of an attempt and reports whether that changed anything: a success after a success does not, nor a failure that is
// neither the first nor the end of its delivery. What was no attempt, or is not charged to the webhook, says nothing of it.
func (h *Health) Note(s *Settlement) (changed bool) {
	switch {
	case s.Attempt == nil || !s.Attempt.Outcome.Charged():
		return false
	case s.State == Succeeded:
		changed = !h.FailingSince.IsZero()
		h.FailingSince, h.GaveUp = time.Time{}, false
		return changed
	}
	at := s.Attempt.ended()
	if h.FailingSince.IsZero() {
		h.FailingSince, changed = at, true
	}
	if s.State != Exhausted {
		return changed
	}
	h.GaveUp = true
	h.Exhausted = append(h.Exhausted, at)
	h.Exhausted = h.Exhausted[max(0, len(h.Exhausted)-exhaustedMost):]
	h.Exhausted = slices.DeleteFunc(h.Exhausted, func(t time.Time) bool { return !t.After(at.Add(-exhaustedKept)) })
	return true
}

// ended is when an attempt ended, in milliseconds, UTC.
func (a *Attempt) ended() time.Time {
	return time.UnixMilli(a.StartedAt.Add(a.Total).UnixMilli()).UTC()
}

// Shift moves all dates, since the clock that they were told by was set.
func (h *Health) Shift(by time.Duration) {
	if !h.FailingSince.IsZero() {
		h.FailingSince = h.FailingSince.Add(by)
	}
	for i := range h.Exhausted {
		h.Exhausted[i] = h.Exhausted[i].Add(by)
	}
}

// Verdict is what a rule of deactivation says of a webhook.
type Verdict struct {
	Off bool
	// Percent is how far on its way to being switched off the webhook is: 100 when it is.
	Percent int
	// Code is FAILURES or FAILING, Reason a sentence with numbers and dates; empty unless Off.
	Code, Reason string
}

// Judge applies a webhook's policy, nil for the standard rule, at the time at which an attempt of it has failed. The policy counts
// the deliveries that ran out of attempts within its days before that time, or at it. The standard rule goes by the time from the first failed
// attempt to this one: it takes five days, and a delivery that ran out of attempts in them. So time alone switches nothing off.
func (h *Health) Judge(policy *triggers.DeactivationPolicy, at time.Time) Verdict {
	if policy != nil {
		return h.judgeFailures(policy, at)
	}
	if h.FailingSince.IsZero() {
		return Verdict{}
	}
	failing := max(at.Sub(h.FailingSince), 0)
	if failing < failingMost || !h.GaveUp {
		return Verdict{Percent: int(min(failing*100/failingMost, 99))}
	}
	return Verdict{Off: true, Percent: 100, Code: failingCode, Reason: fmt.Sprintf(
		"no attempt has succeeded for %d days, since %s", failing/(24*time.Hour), dated(h.FailingSince))}
}

func (h *Health) judgeFailures(policy *triggers.DeactivationPolicy, at time.Time) Verdict {
	after := at.Add(-time.Duration(policy.DaysInPast) * 24 * time.Hour)
	var counted int
	var first, last time.Time
	for _, t := range h.Exhausted {
		if !t.After(after) || t.After(at) {
			continue
		}
		counted++
		if first.IsZero() || t.Before(first) {
			first = t
		}
		if t.After(last) {
			last = t
		}
	}
	if counted < policy.NumberOfFailures {
		return Verdict{Percent: counted * 100 / policy.NumberOfFailures}
	}
	return Verdict{Off: true, Percent: 100, Code: failuresCode, Reason: fmt.Sprintf(
		"%s ran out of attempts within %s, between %s and %s", counting(counted, "delivery", "deliveries"),
		counting(policy.DaysInPast, "day", "days"), dated(first), dated(last))}
}

// dated is a date as the API spells it.
func dated(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func counting(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
