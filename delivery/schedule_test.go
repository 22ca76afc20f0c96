package delivery_test

import (
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/delivery"
	"portalhook/triggers"
)

// TestCase14Schedules holds every profile to its waits, one by one.
func TestCase14Schedules(t *testing.T) {
	cases := []struct {
		name     string
		retry    triggers.Retry
		settings triggers.PortalSettings
		waits    []time.Duration // before each attempt, without jitter
	}{
		{"standard", triggers.Retry{Profile: triggers.RetryStandard}, triggers.PortalSettings{}, []time.Duration{
			0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
			20 * time.Hour, 24 * time.Hour,
		}},
		{"nothing said is standard", triggers.Retry{}, triggers.PortalSettings{}, []time.Duration{
			0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
			20 * time.Hour, 24 * time.Hour,
		}},
		{"portal", triggers.Retry{Profile: triggers.RetryPortal}, triggers.PortalSettings{}, []time.Duration{0, 5 * time.Second, 5 * time.Second}},
		{"portal with settings", triggers.Retry{Profile: triggers.RetryPortal}, triggers.PortalSettings{Attempts: 5, PauseSeconds: 100}, []time.Duration{
			0, 100 * time.Second, 100 * time.Second, 100 * time.Second, 100 * time.Second,
		}},
		{"portal, no attempts", triggers.Retry{Profile: triggers.RetryPortal}, triggers.PortalSettings{Attempts: 0, PauseSeconds: 1}, []time.Duration{0}},
		{"settings of others", triggers.Retry{Profile: triggers.RetryOnce}, triggers.PortalSettings{Attempts: 5, PauseSeconds: 1}, []time.Duration{0}},
		{"once", triggers.Retry{Profile: triggers.RetryOnce}, triggers.PortalSettings{}, []time.Duration{0}},
		{"list", triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{time.Second, 0, time.Hour}}, triggers.PortalSettings{}, []time.Duration{
			time.Second, 0, time.Hour,
		}},
		{"empty list", triggers.Retry{Profile: triggers.RetryList}, triggers.PortalSettings{}, []time.Duration{0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := delivery.ScheduleFor(c.retry, c.settings)
			require.Equal(t, len(c.waits), s.Attempts())
			require.Equal(t, c.waits[0], s.First())
			for tries := 1; tries < len(c.waits); tries++ {
				wait, again := s.Next(tries, delivery.Rejected, 0, 0)
				require.True(t, again)
				require.Equal(t, c.waits[tries], wait, "after %d tries", tries)
			}
			_, again := s.Next(len(c.waits), delivery.Rejected, 0, 0)
			require.False(t, again)
		})
	}
}

func TestPatience(t *testing.T) {
	standard := delivery.ScheduleFor(triggers.Retry{}, triggers.PortalSettings{})
	portal := delivery.ScheduleFor(triggers.Retry{Profile: triggers.RetryPortal}, triggers.PortalSettings{})
	for _, outcome := range delivery.Outcomes {
		wait, again := standard.Next(1, outcome, 0, 0)
		final := outcome == delivery.Delivered || outcome == delivery.Gone
		require.Equal(t, !final, again, outcome)
		if final {
			continue
		}
		want := 5 * time.Second
		if outcome == delivery.Throttled || outcome == delivery.BadGateway || outcome == delivery.TimedOut {
			want = time.Minute
		}
		require.Equal(t, want, wait, outcome)
		wait, _ = portal.Next(1, outcome, 0, 0)
		require.Equal(t, 5*time.Second, wait, outcome)
	}
	wait, _ := standard.Next(2, delivery.TimedOut, 0, 0)
	require.Equal(t, 5*time.Minute, wait, "the floor shortens nothing")
}

// TestCase14NeverEarlyAndNeverMuchTooLate holds each wait to its base or what the receiver asks for, and a fifth more at most.
func TestCase14NeverEarlyAndNeverMuchTooLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		waits := rapid.SliceOfN(rapid.Int64Range(0, int64(24*time.Hour)), 1, 20).Draw(t, "waits")
		list := make([]time.Duration, len(waits))
		for i := range waits {
			list[i] = time.Duration(waits[i])
		}
		tries := rapid.IntRange(1, 25).Draw(t, "tries")
		outcome := rapid.SampledFrom(delivery.Outcomes).Draw(t, "outcome")
		asked := time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "asked"))
		random := rapid.Float64Range(0, 0.999999).Draw(t, "random")

		wait, again := delivery.ScheduleFor(triggers.Retry{Profile: triggers.RetryList, Waits: list}, triggers.PortalSettings{}).Next(tries, outcome, asked, random)
		final := outcome == delivery.Delivered || outcome == delivery.Gone || tries >= len(list)
		require.Equal(t, !final, again)
		if final {
			return
		}
		least := list[tries]
		if asked > 24*time.Hour {
			asked = 24 * time.Hour
		}
		if asked > least {
			least = asked
		}
		require.GreaterOrEqual(t, wait, least)
		require.LessOrEqual(t, wait, least+least/5+1)
		require.LessOrEqual(t, wait, least+15*time.Minute)
	})
}

// TestCase15RetryAfter reads seconds, dates, nonsense and more than a day.
func TestCase15RetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	cases := []struct {
		name, header, date string
		want               time.Duration
	}{
		{"none", "", "", 0},
		{"seconds", "120", "", 2 * time.Minute},
		{"seconds with spaces", " 7 ", "", 7 * time.Second},
		{"zero", "0", "", 0},
		{"more than a day", "100000", "", 24 * time.Hour},
		{"more than any integer", "99999999999999999999999999", "", 24 * time.Hour},
		{"a date", date(90 * time.Second), "", 90 * time.Second},
		{"a date in the past", date(-90 * time.Second), "", 0},
		{"a date next year", date(365 * 24 * time.Hour), "", 24 * time.Hour},
		{"a receiver whose clock is an hour slow", date(-59 * time.Minute), date(-time.Hour), time.Minute},
		{"negative", "-5", "", 0},
		{"a fraction", "1.5", "", 0},
		{"nonsense", "soon", "", 0},
		{"other digits", "١٢", "", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if c.header != "" {
				header.Set("Retry-After", c.header)
			}
			if c.date != "" {
				header.Set("Date", c.date)
			}
			require.Equal(t, c.want, delivery.RetryAfter(header, now))
		})
	}
}

// FuzzRetryAfter: whole seconds are what they say, up to a day, dates count from the answer's own, and everything else is nothing.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"", "1", "-1", "Fri, 31 Dec 1999 23:59:59 GMT", "9223372036854775808", "Sunday, 06-Nov-94 08:49:37 GMT"} {
		f.Add(text, "")
		f.Add(text, "Fri, 31 Dec 1999 23:59:00 GMT")
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, sent string) {
		got := delivery.RetryAfter(http.Header{"Retry-After": {text}, "Date": {sent}}, now)
		require.True(t, got >= 0 && got <= 24*time.Hour, got)
		text = strings.TrimSpace(text)
		from := now
		if at, err := http.ParseTime(sent); err == nil {
			from = at
		}
		switch at, err := http.ParseTime(text); {
		case text != "" && strings.Trim(text, "0123456789") == "":
			seconds, ok := new(big.Int).SetString(text, 10)
			require.True(t, ok)
			want := time.Duration(24 * 60 * 60)
			if seconds.IsInt64() {
				want = min(time.Duration(seconds.Int64()), want)
			}
			require.Equal(t, want*time.Second, got)
		case err != nil:
			require.Zero(t, got)
		case at.Before(from):
			require.Zero(t, got)
		default:
			require.Equal(t, min(at.Sub(from), 24*time.Hour), got)
		}
	})
}
