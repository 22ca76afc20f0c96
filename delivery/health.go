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

// warnedAt are the steps on a webhook's way to being switched off, in percent, that are told of.
var warnedAt = [...]int{50, 70, 90}

// Health is what the rules of deactivation go by: how a webhook has failed since it was created or last switched on. Times are those at
// which attempts ended, in milliseconds, UTC. The zero value is a webhook that has not failed.
type Health struct {
	// FailingSince is when the first attempt failed after the last one that succeeded; zero when that was the last.
	FailingSince time.Time
	// GaveUp says that a delivery ran out of attempts since then.
	GaveUp bool
	// Exhausted is when deliveries ran out of attempts, in the order in which that was recorded: the last 100, of the 30 days before the last.
	Exhausted []time.Time
	// Warned is the last step (50, 70 or 90 percent) of the present way to being switched off that a failure has come to, and Told the last
	// that an event of our own has told of; 0: none. By the standard rule a way ends with a success, by a policy when no failure counts any more.
	Warned, Told int
	// Probe is of the webhook while it is off.
	Probe Probing
}

// IsZero reports whether nothing is remembered.
func (h *Health) IsZero() bool {
	return h.FailingSince.IsZero() && len(h.Exhausted) == 0 && h.Probe.IsZero()
}

// Clone is a copy that shares nothing.
func (h *Health) Clone() Health {
	c := *h
	c.Exhausted = slices.Clone(h.Exhausted)
	return c
}

// Note takes in the end of an attempt and reports whether that changed anything: a success after a success does not, nor a failure that is
// neither the first nor the end of its delivery, nor comes to a step on the way. What was no attempt, or is not charged to the webhook, says
// nothing of it. Told is the settlement's notice with what the webhook's health adds to it; nil when it has none.
func (h *Health) Note(s *Settlement) (changed bool, told *Notice) {
	switch {
	case s.Attempt == nil || !s.Attempt.Outcome.Charged():
		return false, s.Notice.with(nil)
	case s.State == Succeeded:
		changed = !h.FailingSince.IsZero()
		h.FailingSince, h.GaveUp = time.Time{}, false
		if s.Policy == nil && h.Warned > 0 {
			changed, h.Warned, h.Told = true, 0, 0
		}
		return changed, nil
	}
	at := s.Attempt.ended()
	if h.FailingSince.IsZero() {
		h.FailingSince, changed = at, true
	}
	exhausted, first := s.State == Exhausted, !h.GaveUp
	if exhausted {
		h.GaveUp = true
		h.Exhausted = append(h.Exhausted, at)
		h.Exhausted = h.Exhausted[max(0, len(h.Exhausted)-exhaustedMost):]
		h.Exhausted = slices.DeleteFunc(h.Exhausted, func(t time.Time) bool { return !t.After(at.Add(-exhaustedKept)) })
		changed = true
	}
	way := h.Way(s.Policy, at)
	changed = h.come(&way, exhausted) || changed
	if !exhausted {
		return changed, nil
	}
	if s.Notice == nil { // nobody is told, so the next that is told of carries the step
		return changed, nil
	}
	facts := healthFacts{first: first, way: way}
	if h.Warned > h.Told {
		facts.warning, h.Told = h.Warned, h.Warned
	}
	return changed, s.Notice.with(&facts)
}

// come notes the step to which a failure has brought the webhook, and reports whether that is another one.
func (h *Health) come(way *Way, exhausted bool) bool {
	warned := h.Warned
	before := way.Failures // that counted already
	if exhausted {
		before--
	}
	if !way.Standard && before <= 0 {
		h.Warned, h.Told = 0, 0
	}
	if way.Percent < 100 {
		for _, step := range warnedAt {
			if way.Percent >= step {
				h.Warned = max(h.Warned, step)
			}
		}
	}
	return h.Warned != warned
}

// ended is when an attempt ended, in milliseconds, UTC.
func (a *Attempt) ended() time.Time {
	return time.UnixMilli(a.StartedAt.Add(a.Total).UnixMilli()).UTC()
}

// Shift moves all dates, since the clock that they were told by was set.
func (h *Health) Shift(by time.Duration) {
	for _, at := range []*time.Time{&h.FailingSince, &h.Probe.At, &h.Probe.NextAt} {
		if !at.IsZero() {
			*at = at.Add(by)
		}
	}
	for i := range h.Exhausted {
		h.Exhausted[i] = h.Exhausted[i].Add(by)
	}
}

// Way is how far a webhook has come on its way to being switched off.
type Way struct {
	// Standard says that it goes by the standard rule: by time, and not by the number of failures alone.
	Standard bool
	// Percent is 100 when the rule says off.
	Percent int
	// Failures are the deliveries that ran out of attempts and count: within the days of the policy, or since the webhook only fails.
	Failures int
	// Limit is how many failures switch it off, Days within how many days; by the standard rule one, and after so many.
	Limit, Days int
	// Since is the first failure that counts: of the standard rule the first failed attempt. Last is the last delivery that ran out of
	// attempts, of those that count. Zero: none.
	Since, Last time.Time
}

// Way applies a webhook's policy, nil for the standard rule, at a time; see Judge.
func (h *Health) Way(policy *triggers.DeactivationPolicy, at time.Time) Way {
	if policy != nil {
		return h.failuresWithin(policy, at)
	}
	way := Way{Standard: true, Limit: 1, Days: int(failingMost / (24 * time.Hour)), Since: h.FailingSince}
	if h.FailingSince.IsZero() {
		return way
	}
	for _, t := range h.Exhausted {
		if !t.Before(h.FailingSince) {
			way.Failures++
			way.Last = t
		}
	}
	failing := max(at.Sub(h.FailingSince), 0)
	way.Percent = int(min(failing*100/failingMost, 99))
	if failing >= failingMost && h.GaveUp {
		way.Percent = 100
	}
	return way
}

func (h *Health) failuresWithin(policy *triggers.DeactivationPolicy, at time.Time) Way {
	way := Way{Limit: policy.NumberOfFailures, Days: policy.DaysInPast}
	after := at.Add(-time.Duration(policy.DaysInPast) * 24 * time.Hour)
	for _, t := range h.Exhausted {
		if !t.After(after) || t.After(at) {
			continue
		}
		way.Failures++
		if way.Since.IsZero() || t.Before(way.Since) {
			way.Since = t
		}
		if t.After(way.Last) {
			way.Last = t
		}
	}
	way.Percent = min(way.Failures*100/policy.NumberOfFailures, 100)
	return way
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
	way := h.Way(policy, at)
	switch {
	case way.Percent < 100:
		return Verdict{Percent: way.Percent}
	case way.Standard:
		return Verdict{Off: true, Percent: 100, Code: failingCode, Reason: fmt.Sprintf(
			"no attempt has succeeded for %d days, since %s", max(at.Sub(way.Since), 0)/(24*time.Hour), dated(way.Since))}
	}
	return Verdict{Off: true, Percent: 100, Code: failuresCode, Reason: fmt.Sprintf(
		"%s ran out of attempts within %s, between %s and %s", counting(way.Failures, "delivery", "deliveries"),
		counting(way.Days, "day", "days"), dated(way.Since), dated(way.Last))}
}

// dated is a date as the API spells it.
func dated(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func counting(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
