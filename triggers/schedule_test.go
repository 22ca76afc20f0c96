package triggers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

// step is the naive grid: the point n intervals after the start.
func step(start time.Time, frequency string, n int) time.Time {
	switch frequency {
	case "month", "year":
		if frequency == "year" {
			n *= 12
		}
		first := time.Date(start.Year(), start.Month()+time.Month(n), 1, start.Hour(), start.Minute(), start.Second(), start.Nanosecond(), time.UTC)
		for day := start.Day(); ; day-- {
			if at := first.AddDate(0, 0, day-1); at.Month() == first.Month() {
				return at
			}
		}
	}
	length := map[string]time.Duration{
		"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour,
	}
	return start.Add(time.Duration(n) * length[frequency])
}

func TestAScheduleEndsOnItsGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := triggers.Schedule{
			State:     triggers.ScheduleEnabled,
			StartAt:   time.UnixMilli(rapid.Int64Range(0, 2_000_000_000_000).Draw(t, "start")),
			Frequency: rapid.SampledFrom([]string{"second", "minute", "hour", "day", "week", "month", "year"}).Draw(t, "frequency"),
			Interval:  rapid.IntRange(1, 7).Draw(t, "interval"),
		}
		n := rapid.IntRange(-40, 40).Draw(t, "point")
		from, to := step(s.StartAt.UTC(), s.Frequency, n*s.Interval), step(s.StartAt.UTC(), s.Frequency, (n+1)*s.Interval)
		within := from.Add(time.Duration(rapid.Int64Range(0, to.Sub(from).Milliseconds()-1).Draw(t, "within")) * time.Millisecond)
		require.Equal(t, to, s.EndOf(within))
		require.Equal(t, to, s.EndOf(from), "a point begins its interval")
	})
}

func TestEndOfIntervals(t *testing.T) {
	at := func(text string) time.Time {
		t.Helper()
		date, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return date
	}
	for _, c := range []struct {
		start, frequency string
		interval         int
		event, want      string
	}{
		{"2022-04-28T21:06:30Z", "second", 20, "2022-04-28T21:06:30Z", "2022-04-28T21:06:50Z"},
		{"2022-04-28T21:06:30Z", "second", 20, "2022-04-28T21:06:29Z", "2022-04-28T21:06:30Z"},
		{"2024-01-31T10:00:00Z", "month", 1, "2024-02-01T00:00:00Z", "2024-02-29T10:00:00Z"},
		{"2024-01-31T10:00:00Z", "month", 1, "2024-02-29T10:00:00Z", "2024-03-31T10:00:00Z"},
		{"2024-01-31T10:00:00Z", "month", 3, "2023-11-01T00:00:00Z", "2024-01-31T10:00:00Z"},
		{"2024-02-29T00:00:00Z", "year", 1, "2025-01-01T00:00:00Z", "2025-02-28T00:00:00Z"},
		{"2024-03-31T02:30:00+02:00", "day", 1, "2024-03-31T00:30:00Z", "2024-04-01T00:30:00Z"},
	} {
		s := triggers.Schedule{StartAt: at(c.start), Frequency: c.frequency, Interval: c.interval}
		require.Equal(t, at(c.want).UTC(), s.EndOf(at(c.event)), c)
	}
	unset := triggers.Schedule{Frequency: "hour", Interval: 1}
	require.Equal(t, at("2024-01-01T13:00:00Z"), unset.EndOf(at("2024-01-01T12:59:00Z")))

	w := triggers.Webhook{Schedule: &unset}
	require.Zero(t, w.IntervalEnd(at("2024-01-01T12:59:00Z")), "only an enabled schedule collects")
	require.Zero(t, (&triggers.Webhook{}).IntervalEnd(at("2024-01-01T12:59:00Z")))
}

func TestValidateSending(t *testing.T) {
	service, err := triggers.Default().ParseTriggers("eventTypes", []string{"/services/*/FeatureServer/*"})
	require.NoError(t, err)
	both, err := triggers.Default().ParseTriggers("eventTypes", []string{"/services/**"})
	require.NoError(t, err)
	for _, c := range []struct {
		name                string
		change              func(w *triggers.Webhook)
		code, field, detail string
	}{
		{"a schedule", func(*triggers.Webhook) {}, "", "", ""},
		{"a year", func(w *triggers.Webhook) { w.Schedule.Frequency, w.Schedule.Interval = "second", 366*86400 }, "", "", ""},
		{
			"more than a year", func(w *triggers.Webhook) { w.Schedule.Frequency, w.Schedule.Interval = "week", 53 }, "OUT_OF_RANGE", "schedule.interval",
			"the interval is from 1 to 52 with the frequency week, not 53",
		},
		{
			"no interval", func(w *triggers.Webhook) { w.Schedule.Interval = 0 }, "OUT_OF_RANGE", "schedule.interval",
			"the interval is from 1 to 31622400 with the frequency second, not 0",
		},
		{
			"frequency", func(w *triggers.Webhook) { w.Schedule.Frequency = "Second" }, "OUT_OF_RANGE", "schedule.frequency",
			`the frequency is second, minute, hour, day, week, month or year, not "Second"`,
		},
		{"state", func(w *triggers.Webhook) { w.Schedule.State = "" }, "OUT_OF_RANGE", "schedule.state", `the state is enabled or disabled, not ""`},
		{
			"name", func(w *triggers.Webhook) { w.Schedule.Name = strings.Repeat("x", 513) }, "TOO_LONG", "schedule.name",
			"the name has at most 512 characters",
		},
		{
			"start", func(w *triggers.Webhook) { w.Schedule.StartAt = time.UnixMilli(-1) }, "OUT_OF_RANGE", "schedule.startAt",
			"startAt is a date from 1970 on, of four digits",
		},
		{
			"CloudEvents", func(w *triggers.Webhook) { w.Format = triggers.FormatCloudEvents }, "NOT_ALLOWED", "format",
			"a CloudEvent tells of one event, so that a webhook with a schedule cannot have the format cloudevents",
		},
		{"CloudEvents while disabled", func(w *triggers.Webhook) {
			w.Format, w.Schedule.State = triggers.FormatCloudEvents, triggers.ScheduleDisabled
		}, "", "", ""},
		{
			"other triggers", func(w *triggers.Webhook) { w.Triggers = goodWebhook(t).Triggers }, "NOT_ALLOWED", "schedule",
			"/items/share hears events that are sent one by one: a webhook with a schedule has triggers of feature services only",
		},
		{
			"jobs too", func(w *triggers.Webhook) { w.Triggers = both }, "NOT_ALLOWED", "schedule",
			"/services/** hears events that are sent one by one: a webhook with a schedule has triggers of feature services only",
		},
		{"a form", func(w *triggers.Webhook) { w.ContentType = triggers.ContentTypeForm }, "", "", ""},
		{
			"a form of a cloud type", func(w *triggers.Webhook) {
				w.Triggers, w.Schedule, w.ContentType = goodWebhook(t).Triggers, nil, triggers.ContentTypeForm
			}, "NOT_ALLOWED", "contentType",
			"events of cloud types, such as com.qlik.v1.app.created, are sent as application/json only",
		},
		{
			"a form of CloudEvents", func(w *triggers.Webhook) {
				w.Schedule, w.Format, w.ContentType = nil, triggers.FormatCloudEvents, triggers.ContentTypeForm
			}, "NOT_ALLOWED", "contentType", "CloudEvents are sent as application/json only",
		},
		{
			"content type", func(w *triggers.Webhook) { w.ContentType = "text/plain" }, "OUT_OF_RANGE", "contentType",
			`the content type is application/json or application/x-www-form-urlencoded, not "text/plain"`,
		},
		{"challenge", func(w *triggers.Webhook) { w.CRCCheck, w.Secret = true, triggers.NewSecret("s") }, "", "", ""},
		{
			"challenge without a secret", func(w *triggers.Webhook) { w.CRCCheck = true }, "REQUIRED", "secret",
			"the challenge of crcCheck is answered by means of a secret: give one",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := goodWebhook(t)
			w.Triggers, w.Schedule = service, &triggers.Schedule{State: triggers.ScheduleEnabled, Frequency: "second", Interval: 20}
			c.change(&w)
			err := w.Validate(triggers.Targets{})
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			var refused *triggers.FieldError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, []string{c.code, c.field, c.detail}, []string{refused.Code, refused.Field, refused.Detail})
		})
	}
}
