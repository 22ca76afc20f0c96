package web

import (
	"cmp"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

func (d *draft) readPayloadFormat(field string, value jsontext.Value) error {
	format, err := textOf(field, value)
	if err != nil {
		return err
	}
	if format != string(formatJSON) && format != string(formatPretty) {
		return triggers.Invalid(triggers.CodeOutOfRange, field, "the payload format is %s or %s, not %q", formatJSON, formatPretty, format)
	}
	d.w.PrettyPayload = format == string(formatPretty)
	return nil
}

// readSchedule takes {"name","state","startAt","frequency","interval"}; null takes the schedule away.
func (d *draft) readSchedule(field string, value jsontext.Value) error {
	d.w.Schedule = nil
	if value.Kind() == jsontext.KindNull {
		return nil
	}
	schedule := triggers.Schedule{State: triggers.ScheduleEnabled}
	seen := map[string]bool{}
	err := eachMember(value, field, func(name string, value jsontext.Value) (err error) {
		seen[name] = true
		member := field + "." + name
		switch name {
		case "name":
			schedule.Name, err = textOf(member, value)
		case "state":
			schedule.State, err = textOf(member, value)
		case "startAt":
			schedule.StartAt, err = dateOf(member, value)
		case "frequency":
			schedule.Frequency, err = textOf(member, value)
		case "interval":
			schedule.Interval, err = intOf(member, value)
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, member, "a schedule has name, state, startAt, frequency and interval only")
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, needed := range []string{"frequency", "interval"} {
		if !seen[needed] {
			return triggers.Invalid(triggers.CodeRequired, field+"."+needed, "a schedule needs frequency and interval")
		}
	}
	d.w.Schedule = &schedule
	return nil
}

// dateOf reads a date of RFC 3339, to the millisecond.
func dateOf(field string, value jsontext.Value) (time.Time, error) {
	text, err := textOf(field, value)
	if err != nil {
		return time.Time{}, err
	}
	date, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, triggers.Invalid(triggers.CodeOutOfRange, field, "%q is not a date such as 2026-11-22T03:00:00Z", text)
	}
	return date.UTC().Truncate(time.Millisecond), nil
}

func writePayloadFormat(o *object, w *triggers.Webhook) {
	format := formatJSON
	if w.PrettyPayload {
		format = formatPretty
	}
	o.text("payloadFormat", string(format))
}

// writeSending writes how payloads are sent: when, and as what.
func writeSending(o *object, w *triggers.Webhook) {
	o.text("contentType", cmp.Or(w.ContentType, triggers.ContentTypeJSON))
	writePayloadFormat(o, w)
	if s := w.Schedule; s != nil {
		o.object("schedule", func(o *object) {
			o.text("name", s.Name)
			o.text("state", s.State)
			o.time("startAt", s.StartAt)
			o.text("frequency", s.Frequency)
			o.number("interval", int64(s.Interval))
		})
	}
	o.flag("crcCheck", w.CRCCheck)
}
