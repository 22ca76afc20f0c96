package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/delivery"
	"portalhook/triggers"
)

// happening is one line of the whole log of a webhook, from which the naive look works everything out.
type happening struct {
	at                        time.Time
	switchedOn                bool
	succeeded, exhausted, our bool // of an attempt: it succeeded, it was the last of its delivery, its failure was ours
}

func (h happening) settlement(policy *triggers.DeactivationPolicy) *delivery.Settlement {
	s := &delivery.Settlement{State: delivery.Waiting, Policy: policy, Attempt: &delivery.Attempt{
		StartedAt: h.at.Add(-time.Millisecond), Total: time.Millisecond, Outcome: delivery.Rejected,
	}}
	switch {
	case h.our:
		s.Attempt.Outcome = delivery.Infrastructure
	case h.succeeded:
		s.State, s.Attempt.Outcome = delivery.Succeeded, delivery.Delivered
	}
	if h.exhausted {
		s.State, s.Notice = delivery.Exhausted, &delivery.Notice{Name: "exhaust", Properties: []byte(`{"a":1}`)}
	}
	return s
}

// sinceOn is what has happened since the webhook was switched on, without what was trouble of ours.
func sinceOn(log []happening) (since []happening) {
	for _, h := range log {
		switch {
		case h.switchedOn:
			since = nil
		case !h.our:
			since = append(since, h)
		}
	}
	return since
}

// switchedOffNaively looks through the whole log, after an attempt has failed at the time given.
func switchedOffNaively(log []happening, policy *triggers.DeactivationPolicy, at time.Time) bool {
	since := sinceOn(log)
	if policy != nil {
		count := 0
		for _, h := range since {
			if h.exhausted && at.Sub(h.at) < time.Duration(policy.DaysInPast)*24*time.Hour && !h.at.After(at) {
				count++
			}
		}
		return count >= policy.NumberOfFailures
	}
	var first *happening
	gaveUp := false
	for i := range since {
		if since[i].succeeded {
			first, gaveUp = nil, false
			continue
		}
		if first == nil {
			first = &since[i]
		}
		gaveUp = gaveUp || since[i].exhausted
	}
	return first != nil && gaveUp && at.Sub(first.at) >= 5*24*time.Hour
}

// countedNaively is how many deliveries ran out of attempts within the days of the policy before a time, or at it.
func countedNaively(since []happening, policy *triggers.DeactivationPolicy, at time.Time) (count int) {
	for _, h := range since {
		if h.exhausted && at.Sub(h.at) < time.Duration(policy.DaysInPast)*24*time.Hour {
			count++
		}
	}
	return count
}

// factsNaively are what the notice of the last line of the log, a delivery that ran out of attempts, says.
func factsNaively(log []happening, policy *triggers.DeactivationPolicy) string {
	since := sinceOn(log)
	last := since[len(since)-1]
	first := true // since a success
	var way []happening
	failures, reached, told, percent, warning := 0, 0, 0, 0, 0
	for i, h := range since {
		if h.succeeded {
			if first = true; policy == nil {
				way, reached, told = nil, 0, 0
			}
			continue
		}
		if policy != nil && countedNaively(since[:i], policy, h.at) == 0 {
			way, reached, told = nil, 0, 0
		}
		way = append(way, h)
		if policy != nil {
			failures = countedNaively(since[:i+1], policy, h.at)
			percent = min(failures*100/policy.NumberOfFailures, 100)
		} else {
			failures = 0
			for _, t := range since[:i+1] { // of the same millisecond those count that came before the success, too
				if t.exhausted && !t.at.Before(way[0].at) && h.at.Sub(t.at) < 30*24*time.Hour {
					failures++
				}
			}
			percent = min(int(h.at.Sub(way[0].at)*100/(5*24*time.Hour)), 99)
			if switchedOffNaively(since[:i+1], nil, h.at) {
				percent = 100
			}
		}
		for _, step := range []int{50, 70, 90} {
			if percent < 100 && percent >= step {
				reached = max(reached, step)
			}
		}
		if !h.exhausted {
			continue
		}
		if warning = 0; reached > told {
			warning, told = reached, reached
		}
		if i < len(since)-1 {
			first = false
		}
	}
	failures = min(failures, 100) // no more are remembered
	facts := fmt.Sprintf(`{"a":1,"first":%t,"failures":%d`, first && last.exhausted, failures)
	if policy != nil {
		facts += fmt.Sprintf(`,"limit":%d`, policy.NumberOfFailures)
	}
	facts += fmt.Sprintf(`,"percent":%d`, percent)
	if warning > 0 {
		facts += fmt.Sprintf(`,"warning":%d`, warning)
	}
	return facts + "}"
}

// What is remembered of a webhook is enough for both rules: they say what a look through the whole log says, whatever happens.
func TestRulesSayWhatTheWholeLogSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var policy *triggers.DeactivationPolicy
		if rapid.IntRange(0, 3).Draw(t, "own policy") > 0 {
			policy = &triggers.DeactivationPolicy{
				NumberOfFailures: rapid.OneOf(rapid.IntRange(1, 5), rapid.Just(100)).Draw(t, "failures"),
				DaysInPast:       rapid.SampledFrom([]int{1, 2, 30}).Draw(t, "days"),
			}
		}
		var (
			health delivery.Health
			log    []happening
			now    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		)
		steps := []time.Duration{0, time.Millisecond, time.Minute, 8 * time.Hour, 24 * time.Hour, 24*time.Hour - time.Millisecond, 120 * time.Hour}
		attempt := func(h happening) {
			h.at = now
			log = append(log, h)
			before := health.Clone()
			changed, told := health.Note(h.settlement(policy))
			require.True(t, changed || sameHealth(before, health), "what says that it changed nothing changed nothing")
			switch {
			case h.our && h.exhausted:
				require.Equal(t, `{"a":1,"first":false}`, string(told.Properties), "what is not charged is no first")
			case h.exhausted:
				require.Equal(t, factsNaively(log, policy), string(told.Properties))
			default:
				require.Nil(t, told)
			}
			if h.succeeded || h.our {
				return
			}
			verdict := health.Judge(policy, now)
			require.Equal(t, switchedOffNaively(log, policy, now), verdict.Off)
			require.Equal(t, verdict.Off, verdict.Percent == 100)
			require.Equal(t, verdict.Off, verdict.Code != "" && verdict.Reason != "")
		}
		t.Repeat(map[string]func(*rapid.T){
			"time":    func(t *rapid.T) { now = now.Add(rapid.SampledFrom(steps).Draw(t, "step")) },
			"succeed": func(*rapid.T) { attempt(happening{succeeded: true}) },
			"fail":    func(*rapid.T) { attempt(happening{}) },
			"exhaust": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 1, 1, 60}).Draw(t, "deliveries") {
					attempt(happening{exhausted: true})
				}
			},
			"trouble": func(t *rapid.T) { attempt(happening{our: true, exhausted: rapid.Bool().Draw(t, "exhausted")}) },
			"switch on": func(*rapid.T) {
				health = delivery.Health{}
				log = append(log, happening{at: now, switchedOn: true})
			},
			"set the clock": func(t *rapid.T) {
				by := rapid.SampledFrom([]time.Duration{time.Hour, -time.Hour, 72 * time.Hour}).Draw(t, "by")
				now = now.Add(by)
				health.Shift(by)
				for i := range log {
					log[i].at = log[i].at.Add(by)
				}
			},
		})
	})
}

func sameHealth(a, b delivery.Health) bool {
	return a.GaveUp == b.GaveUp && a.Warned == b.Warned && a.Told == b.Told && a.FailingSince.Equal(b.FailingSince) && fmt.Sprint(a.Exhausted) == fmt.Sprint(b.Exhausted)
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	gaveUp := func(after ...time.Duration) delivery.Health {
		h := delivery.Health{FailingSince: began, GaveUp: true}
		for _, d := range after {
			h.Exhausted = append(h.Exhausted, began.Add(d))
		}
		return h
	}
	two := &triggers.DeactivationPolicy{NumberOfFailures: 2, DaysInPast: 1}
	for name, test := range map[string]struct {
		health delivery.Health
		policy *triggers.DeactivationPolicy
		after  time.Duration
		want   delivery.Verdict
	}{
		"well":                {delivery.Health{}, nil, 9 * day, delivery.Verdict{}},
		"failing":             {gaveUp(0), nil, 60 * time.Hour, delivery.Verdict{Percent: 50}},
		"failing, a ms short": {gaveUp(0), nil, 5*day - time.Millisecond, delivery.Verdict{Percent: 99}},
		"failing for five days": {gaveUp(0), nil, 5 * day, delivery.Verdict{
			Off: true, Percent: 100, Code: "FAILING", Reason: "no attempt has succeeded for 5 days, since 2026-11-22T03:00:00.000Z",
		}},
		"nothing given up yet": {delivery.Health{FailingSince: began}, nil, 9 * day, delivery.Verdict{Percent: 99}},
		"one of two":           {gaveUp(0), two, 0, delivery.Verdict{Percent: 50}},
		"two of two": {gaveUp(0, day-time.Millisecond), two, day - time.Millisecond, delivery.Verdict{
			Off: true, Percent: 100, Code: "FAILURES",
			Reason: "2 deliveries ran out of attempts within 1 day, between 2026-11-22T03:00:00.000Z and 2026-11-23T02:59:59.999Z",
		}},
		"a day apart":               {gaveUp(0, day), two, day, delivery.Verdict{Percent: 50}},
		"by a clock that was wrong": {gaveUp(9*day, 9*day), two, 0, delivery.Verdict{}},
		"the first": {gaveUp(0), &triggers.DeactivationPolicy{NumberOfFailures: 1, DaysInPast: 30}, 0, delivery.Verdict{
			Off: true, Percent: 100, Code: "FAILURES",
			Reason: "1 delivery ran out of attempts within 30 days, between 2026-11-22T03:00:00.000Z and 2026-11-22T03:00:00.000Z",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, test.health.Judge(test.policy, began.Add(test.after)))
		})
	}
}
