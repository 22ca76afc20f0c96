package delivery

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"portalhook/triggers"
)

// Bounds of the waits between attempts.
const (
	maxRetryAfter = 24 * time.Hour // a Retry-After beyond it is taken for this
	patience      = 60 * time.Second
	jitterShare   = 0.2 // of a wait, at most
	maxJitter     = 15 * time.Minute
)

// defaultTimeout is the time limit of a whole attempt.
const defaultTimeout = 15 * time.Second

// standardWaits are those of the Standard Webhooks specification: ten attempts in about three days.
var standardWaits = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour,
}

// Schedule says when a delivery is tried again.
type Schedule struct {
	waits []time.Duration // before each attempt, the first included; never empty
	// patient makes 429, 502, 504 and timeouts wait at least a minute.
	patient bool
}

// ScheduleFor is the schedule of a webhook's retry setting in a tenant with these settings, which the portal's profile goes by. An
// unknown or empty profile is the standard one, an empty list one attempt at once.
func ScheduleFor(retry triggers.Retry, settings triggers.PortalSettings) Schedule {
	switch retry.Profile {
	case triggers.RetryPortal:
		settings = settings.OrDefault()
		return portalSchedule(settings.Attempts, time.Duration(settings.PauseSeconds)*time.Second)
	case triggers.RetryOnce:
		return Schedule{waits: standardWaits[:1]}
	case triggers.RetryList:
		if len(retry.Waits) == 0 {
			return Schedule{waits: standardWaits[:1]}
		}
		return Schedule{waits: retry.Waits}
	case triggers.RetryStandard:
	}
	return Schedule{waits: standardWaits, patient: true}
}

// portalSchedule is a portal's settings as a schedule; no attempts means one.
func portalSchedule(attempts int, pause time.Duration) Schedule {
	waits := make([]time.Duration, max(attempts, 1))
	for i := 1; i < len(waits); i++ {
		waits[i] = pause
	}
	return Schedule{waits: waits}
}

// First is the wait before the first attempt.
func (s Schedule) First() time.Duration { return s.waits[0] }

// Attempts is how often a delivery is tried at most.
func (s Schedule) Attempts() int { return len(s.waits) }

// Next says how long to wait after the given number of finished tries, the last of which came to outcome; false when there is no
// further attempt. RetryAfter is what the receiver asked for (0: nothing): the wait is never shorter, up to 24 h. Random is a
// number in [0, 1): the jitter it stands for only ever adds, at most a fifth and at most 15 minutes.
func (s Schedule) Next(tries int, outcome Outcome, retryAfter time.Duration, random float64) (time.Duration, bool) {
	if outcome == Delivered || outcome == Gone || tries >= len(s.waits) {
		return 0, false
	}
	wait := s.waits[tries]
	if s.patient && wantsPatience(outcome) {
		wait = max(wait, patience)
	}
	wait = max(wait, min(retryAfter, maxRetryAfter))
	return wait + jitter(wait, random), true
}

// wantsPatience reports whether the receiver is overwhelmed rather than wrong. 503 is not among them: it often lasts a moment
// only, and a receiver that knows better says Retry-After.
func wantsPatience(outcome Outcome) bool {
	return outcome == Throttled || outcome == BadGateway || outcome == TimedOut
}

func jitter(wait time.Duration, random float64) time.Duration {
	return min(time.Duration(float64(wait)*jitterShare*random), maxJitter)
}

// timeoutFor is the time limit of a whole attempt: the webhook's own, else its profile's. A portal's setting of no seconds at all, which
// nobody could answer in, is its default.
func timeoutFor(w *triggers.Webhook, settings triggers.PortalSettings) time.Duration {
	switch {
	case w.TimeoutSeconds > 0:
		return time.Duration(w.TimeoutSeconds) * time.Second
	case w.Retry.Profile == triggers.RetryPortal:
		seconds := cmp.Or(settings.OrDefault().TimeoutSeconds, triggers.DefaultPortalSettings.TimeoutSeconds)
		return time.Duration(seconds) * time.Second
	}
	return defaultTimeout
}

// retryAfter reads what a receiver asks for: seconds, or a date, counted from the answer's own Date when it has one, so that a
// receiver with a wrong clock is understood. Anything else, and what lies in the past, is 0; it is at most 24 h.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
