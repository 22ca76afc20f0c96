package web

import (
	"strconv"
	"time"

	"portalhook/triggers"
)

// momentParam reads a time from a query parameter: RFC 3339, or milliseconds since 1970. It is zero when the parameter is empty.
func momentParam(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 0 && ms <= lastMoment.UnixMilli() {
		return time.UnixMilli(ms).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.UnixMilli() <= 0 || at.After(lastMoment) {
		return time.Time{}, triggers.Invalid(triggers.CodeOutOfRange, name,
			"%s is %q; it must be a time after 1970 and before 2100, such as 2026-11-22T03:00:00Z, or in milliseconds since 1970", name, text)
	}
	return at.UTC(), nil
}

// lastMoment bounds times that are asked for: ids, which begin with their time, reach a little further.
var lastMoment = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// spanParams reads from and to; to must not lie before from.
func spanParams(from, to string) (first, last time.Time, err error) {
	if first, err = momentParam("from", from); err != nil {
		return first, last, err
	}
	if last, err = momentParam("to", to); err != nil {
		return first, last, err
	}
	if !first.IsZero() && !last.IsZero() && last.Before(first) {
		err = triggers.Invalid(triggers.CodeOutOfRange, "to", "to is before from")
	}
	return first, last, err
}
