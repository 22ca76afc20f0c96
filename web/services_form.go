package web

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// serviceForm is a webhook of a service that is being read from parameters.
type serviceForm struct {
	form

	service triggers.Service
}

// serviceForeign are parameters of organisation webhooks, and what a webhook of a service has in their place.
var serviceForeign = map[string]string{
	"url": "hookUrl", "payloadUrl": "hookUrl", "secret": "signatureKey", "isActive": "active", "events": "changeTypes", "changes": "changeTypes",
	"config": "deactivationPolicy",
}

// serviceFields are the JSON API's names of what has another one in the form of a webhook of a service.
var serviceFields = []otherName{
	{"eventTypes", "changeTypes"},
	{"secret", "signatureKey"},
	{"url", "hookUrl"},
	{"schedule.frequency", "scheduleInfo.recurrenceInfo.frequency"},
	{"schedule.interval", "scheduleInfo.recurrenceInfo.interval"},
	{"schedule", "scheduleInfo"},
}

// read fills the webhook, and judges the result as one. What is not given stays.
func (f *serviceForm) read() error {
	for name, instead := range serviceForeign {
		if f.body.Has(name) || f.query.Has(name) {
			return triggers.Invalid(triggers.CodeUnknownField, name, "a webhook of a service has no %s; it has %s", name, instead)
		}
	}
	for _, read := range []func() error{
		func() error { return f.text("name", &f.w.Name) }, func() error { return f.text("hookUrl", &f.w.URL) },
		func() error { return f.readSecret("signatureKey") }, f.readChangeTypes, func() error { return f.flag("active", &f.w.Enabled) },
		f.readContentType, f.readPayloadFormat, f.readSchedule, f.readDeactivation, func() error { return f.flag("crcCheck", &f.w.CRCCheck) },
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return inForm(f.w.Validate(f.server.targetsFor(f.w)), serviceFields)
}

// readChangeTypes reads what is subscribed. A geoprocessing service has one kind of event; clients that know of feature services only ask for
// every change of it, which is that.
func (f *serviceForm) readChangeTypes() error {
	const field = "changeTypes"
	texts, err := f.list(field, "change types")
	if err != nil {
		return err
	}
	jobs := f.service.Kind == triggers.Geoprocessing
	var types []string
	for i, text := range texts {
		at := field + "[" + strconv.Itoa(i) + "]"
		changeType, err := triggers.ParseChangeType(text)
		switch {
		case jobs && text != triggers.Every:
			return triggers.Invalid(triggers.CodeNotAllowed, at, "a geoprocessing service has no change types: its webhooks hear of each job that has ended; leave the parameter out")
		case err != nil:
			return inField(at, err)
		case !slices.Contains(types, changeType):
			types = append(types, changeType)
		}
	}
	switch {
	case slices.Contains(types, triggers.Every), jobs:
		types = []string{triggers.Every}
	case len(types) == 0 && (f.before == nil || f.given(field)):
		return triggers.Invalid(triggers.CodeRequired, field, "changeTypes is a comma list or a JSON array of change types, such as FeaturesCreated,FeaturesUpdated; for all of them send %s", triggers.Every)
	case len(types) == 0:
		return nil
	}
	if f.before != nil && sameTexts(types, f.before.ChangeTypes()) {
		return nil // globs, which only the JSON API has, stay as they were written
	}
	for i, changeType := range types {
		types[i] = f.service.Trigger(changeType)
	}
	f.w.Triggers, err = f.server.config.Catalog.ParseTriggers(field, types)
	return err
}

// sameTexts reports whether two lists without repetitions hold the same, in whatever order.
func sameTexts(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(text string) bool { return !slices.Contains(b, text) })
}

// readContentType reads contentType. A client of Esri's own says content_type where it edits, beside what it has read; what it says there is
// what was meant.
func (f *serviceForm) readContentType() error {
	for _, name := range []string{"contentType", "content_type"} {
		text, _, err := f.get(name)
		if err != nil {
			return err
		}
		text = strings.ToLower(strings.TrimSpace(text))
		// The one that a webhook without any has stays unsaid.
		if text != "" && text != cmp.Or(f.w.ContentType, triggers.ContentTypeJSON) {
			f.w.ContentType = text
		}
	}
	return nil
}

func (f *serviceForm) readPayloadFormat() error {
	text, _, err := f.get("payloadFormat")
	switch {
	case err != nil || text == "":
		return err
	case strings.EqualFold(text, string(formatJSON)):
		f.w.PrettyPayload = false
	case strings.EqualFold(text, string(formatPretty)):
		f.w.PrettyPayload = true
	default:
		return triggers.Invalid(triggers.CodeOutOfRange, "payloadFormat", "payloadFormat is %s or %s, not %q", formatJSON, formatPretty, text)
	}
	return nil
}

// unaskedInterval is that of the schedule, in seconds, which a client of Esri's own sends of every service where its user has asked for
// none.
const unaskedInterval = 20

// readSchedule reads {"name","state","startAt","recurrenceInfo":{"frequency","interval"}}; an empty one takes the schedule away. Events of
// jobs have no schedule.
func (f *serviceForm) readSchedule() error {
	const field = "scheduleInfo"
	_, given, err := f.get(field)
	if err != nil || !given {
		return err
	}
	value, err := f.json(field)
	if err != nil {
		return err
	}
	schedule := &triggers.Schedule{State: triggers.ScheduleEnabled}
	empty := true
	if value != nil && value.Kind() != jsontext.KindNull {
		err = eachMember(value, field, func(name string, value jsontext.Value) error {
			empty = false
			return readScheduleMember(schedule, field, name, value)
		})
	}
	switch {
	case err != nil:
		return err
	case empty:
		f.w.Schedule = nil
	case f.service.Kind == triggers.FeatureServices:
		f.w.Schedule = schedule
	case schedule.Name != "" || schedule.Frequency != "second" || schedule.Interval != unaskedInterval:
		return triggers.Invalid(triggers.CodeNotAllowed, field, "webhooks of geoprocessing services have no schedule: each job is told of when it has ended; leave the parameter out, or send {}")
	}
	return nil
}

func readScheduleMember(schedule *triggers.Schedule, field, name string, value jsontext.Value) (err error) {
	member := field + "." + name
	switch name {
	case "name":
		schedule.Name, err = textOf(member, value)
	case "state":
		schedule.State, err = textOf(member, value)
		schedule.State = strings.ToLower(schedule.State)
	case "startAt":
		schedule.StartAt, err = millisOf(member, value)
	case "recurrenceInfo":
		return eachMember(value, member, func(name string, value jsontext.Value) (err error) {
			switch name {
			case "frequency":
				schedule.Frequency, err = textOf(member+"."+name, value)
				schedule.Frequency = strings.ToLower(schedule.Frequency)
			case "interval":
				schedule.Interval, err = looseIntOf(member+"."+name, value)
			default:
				err = triggers.Invalid(triggers.CodeUnknownField, member+"."+name, "recurrenceInfo has frequency and interval only")
			}
			return err
		})
	default:
		err = triggers.Invalid(triggers.CodeUnknownField, member, "a schedule has name, state, startAt and recurrenceInfo only")
	}
	return err
}

// millisOf reads a date in milliseconds since 1970; 0 is the zero time, as it is printed.
func millisOf(field string, value jsontext.Value) (time.Time, error) {
	if value.Kind() != jsontext.KindNumber {
		return time.Time{}, wrongType(field, "a date in milliseconds since 1970", value)
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	switch {
	case err != nil:
		return time.Time{}, triggers.Invalid(triggers.CodeOutOfRange, field, "%s is no date in whole milliseconds since 1970", value)
	case n == 0:
		return time.Time{}, nil
	}
	return time.UnixMilli(n).UTC(), nil
}

// readDeactivation reads a policy of the webhook's own; numbers that are both 0, or an empty text, leave it to the settings of services.
func (f *serviceForm) readDeactivation() error {
	const field = "deactivationPolicy"
	_, given, err := f.get(field)
	if err != nil || !given {
		return err
	}
	value, err := f.json(field)
	switch {
	case err != nil:
		return err
	case value == nil || value.Kind() == jsontext.KindNull:
		f.w.Deactivation = nil
		return nil
	}
	return f.readPolicy(field, value)
}
