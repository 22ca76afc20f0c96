package triggers

import (
	"time"
	"unicode/utf8"
)

// Schedule has a webhook collect what it hears of feature services and send it at the end of each interval, in one payload for each
// service. The intervals follow each other without a gap, on a grid that has one of its points at StartAt and reaches both ways.
type Schedule struct {
	Name    string    // at most 512 characters; may be empty
	State   string    // enabled; or disabled, and all is sent at once
	StartAt time.Time // whole milliseconds; zero: 1970, UTC
	// Frequency and Interval are the length of an interval: 20 times a second, twice a month, …
	Frequency string // second, minute, hour, day, week, month, year
	Interval  int    // from 1; an interval lasts a year at most
}

// The states of a schedule.
const (
	ScheduleEnabled  = "enabled"
	ScheduleDisabled = "disabled"
)

// frequency is a unit of schedules: so many milliseconds, or so many months of the calendar.
type frequency struct {
	name   string
	length int64
	months int
	most   int // of Schedule.Interval: a year
}

var frequencies = []frequency{
	{name: "second", length: time.Second.Milliseconds(), most: 366 * 24 * 60 * 60},
	{name: "minute", length: time.Minute.Milliseconds(), most: 366 * 24 * 60},
	{name: "hour", length: time.Hour.Milliseconds(), most: 366 * 24},
	{name: "day", length: 24 * time.Hour.Milliseconds(), most: 366},
	{name: "week", length: 7 * 24 * time.Hour.Milliseconds(), most: 52},
	{name: "month", months: 1, most: 12},
	{name: "year", months: 12, most: 1},
}

func frequencyOf(name string) *frequency {
	for i := range frequencies {
		if frequencies[i].name == name {
			return &frequencies[i]
		}
	}
	return nil
}

// IntervalEnd is the end of the interval in which the webhook collects what happens at t, and after t; the zero time when it collects
// nothing, but sends at once.
func (w *Webhook) IntervalEnd(t time.Time) time.Time {
	if w.Schedule == nil || w.Schedule.State != ScheduleEnabled {
		return time.Time{}
	}
	return w.Schedule.EndOf(t)
}

// EndOf is the first point of the grid after t, in UTC. Of months and years it is the day of the month and the time of day of StartAt, UTC, or
// the last day of a month that has no such day. The schedule must be valid.
func (s *Schedule) EndOf(t time.Time) time.Time {
	start := time.UnixMilli(0).UTC()
	if !s.StartAt.IsZero() {
		start = s.StartAt.UTC()
	}
	unit := frequencyOf(s.Frequency)
	if unit.months == 0 {
		length := unit.length * int64(s.Interval)
		since := t.UnixMilli() - start.UnixMilli()
		passed := since / length
		if since%length < 0 {
			passed-- // before the start a division rounds up
		}
		return time.UnixMilli(start.UnixMilli() + (passed+1)*length).UTC()
	}
	length := unit.months * s.Interval
	t = t.UTC()
	n := ((t.Year()-start.Year())*12 + int(t.Month()-start.Month())) / length
	for n--; ; n++ { // from a point that is not after t
		if end := addMonths(start, n*length); end.After(t) {
			return end
		}
	}
}

// addMonths is the date so many months later, on the last day of its month where that has no such day.
func addMonths(from time.Time, months int) time.Time {
	first := time.Date(from.Year(), from.Month()+time.Month(months), 1, from.Hour(), from.Minute(), from.Second(), from.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(from.Day(), last)-1)
}

// maxScheduleStart bounds StartAt to years that have four digits.
var maxScheduleStart = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)

// validate checks a schedule by itself. The error is a *FieldError below the field schedule.
func (s *Schedule) validate() error {
	switch unit := frequencyOf(s.Frequency); {
	case utf8.RuneCountInString(s.Name) > MaxNameLength:
		return Invalid(CodeTooLong, "schedule.name", "the name has at most %d characters", MaxNameLength)
	case !utf8.ValidString(s.Name):
		return Invalid(CodeOutOfRange, "schedule.name", "the name is not UTF-8")
	case s.State != ScheduleEnabled && s.State != ScheduleDisabled:
		return Invalid(CodeOutOfRange, "schedule.state", "the state is %s or %s, not %q", ScheduleEnabled, ScheduleDisabled, clip(s.State))
	case unit == nil:
		return Invalid(CodeOutOfRange, "schedule.frequency", "the frequency is second, minute, hour, day, week, month or year, not %q", clip(s.Frequency))
	case s.Interval < 1 || s.Interval > unit.most:
		return Invalid(CodeOutOfRange, "schedule.interval", "the interval is from 1 to %d with the frequency %s, not %d", unit.most, unit.name, s.Interval)
	case !s.StartAt.IsZero() && (s.StartAt.Before(time.UnixMilli(0)) || !s.StartAt.Before(maxScheduleStart)):
		return Invalid(CodeOutOfRange, "schedule.startAt", "startAt is a date from 1970 on, of four digits")
	}
	return nil
}

// validateSending checks how payloads are sent: when, and as what.
func (w *Webhook) validateSending() error {
	switch w.ContentType {
	case "", ContentTypeJSON:
	case ContentTypeForm:
		if w.Format == FormatCloudEvents {
			return Invalid(CodeNotAllowed, "contentType", "CloudEvents are sent as %s only", ContentTypeJSON)
		}
		for i := range w.Triggers {
			if w.Triggers[i].Resource == CloudTypes {
				return Invalid(CodeNotAllowed, "contentType", "events of cloud types, such as %s, are sent as %s only", w.Triggers[i].Text, ContentTypeJSON)
			}
		}
	default:
		return Invalid(CodeOutOfRange, "contentType", "the content type is %s or %s, not %q", ContentTypeJSON, ContentTypeForm, clip(w.ContentType))
	}
	if w.CRCCheck && w.Secret.IsZero() {
		return Invalid(CodeRequired, "secret", "the challenge of crcCheck is answered by means of a secret: give one")
	}
	if w.Schedule == nil {
		return nil
	}
	if err := w.Schedule.validate(); err != nil {
		return err
	}
	if w.Schedule.State != ScheduleEnabled {
		return nil
	}
	if w.Format == FormatCloudEvents {
		return Invalid(CodeNotAllowed, "format", "a CloudEvent tells of one event, so that a webhook with a schedule cannot have the format %s", FormatCloudEvents)
	}
	for i := range w.Triggers {
		if t := &w.Triggers[i]; t.Resource != FeatureServices || t.Also != NoResource {
			return Invalid(CodeNotAllowed, "schedule", "%s hears events that are sent one by one: a webhook with a schedule has triggers of feature services only", t.Text)
		}
	}
	return nil
}
