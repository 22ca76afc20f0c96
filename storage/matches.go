package storage

import (
	"encoding/binary"
	"errors"
	"time"

	"portalhook/delivery"
)

// errMatches says that the matches of a stored event cannot be read.
var errMatches = errors.New("matches cannot be read")

// match is one planned delivery of an event, as the event's row tells it: the delivery has the event's id + 1 + its place, so that
// neither direction needs an index.
type match struct {
	webhook  uint32
	revision int64
	trigger  uint8
	until    int64 // the end of the interval it waits for, in milliseconds since 1970; 0: it has a delivery of its own
}

// matchesOf writes their number, then webhook, revision, trigger and interval of each.
func matchesOf(planned []delivery.Planned) []byte {
	if len(planned) == 0 {
		return nil
	}
	dst := binary.AppendUvarint(nil, uint64(len(planned)))
	for i := range planned {
		p := &planned[i]
		dst = binary.AppendUvarint(dst, uint64(p.Webhook))
		dst = binary.AppendVarint(dst, p.Revision)
		dst = append(dst, p.Trigger)
		dst = binary.AppendVarint(dst, unixMilli(p.Interval))
	}
	return dst
}

// countMatches is their number.
func countMatches(blob []byte) int {
	n, _ := binary.Uvarint(blob)
	return int(n) //nolint:gosec // written by matchesOf
}

func parseMatches(blob []byte) ([]match, error) {
	if len(blob) == 0 {
		return nil, nil
	}
	d := decoder{rest: blob}
	n := d.uvarint()
	if n > uint64(len(blob)) {
		return nil, errMatches
	}
	list := make([]match, 0, n)
	for range n {
		list = append(list, match{
			webhook:  uint32(d.uvarint()), //nolint:gosec // written from one
			revision: d.varint(), trigger: d.octet(), until: d.varint(),
		})
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errMatches
	}
	return list, nil
}

// unixMilli is the time in milliseconds since 1970, 0 for the zero time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeOf is the other way, in UTC.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
