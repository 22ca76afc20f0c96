package payload

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"portalhook/triggers"
)

// ErrNoEvents says that a payload was asked for that would tell of nothing.
var ErrNoEvents = errors.New("payload without events")

// ContentType is the media type of what Build makes for the revision.
func (r *Revision) ContentType() string { return "application/json" }

// Build appends to dst the body of a delivery: compact JSON without a trailing newline. It depends on nothing but its arguments,
// so that a body is never stored: the same revision, time and events give the same bytes for ever. At is the moment the payload
// was built, printed in milliseconds; the events stand in the order given.
//
// It is ErrNoEvents without events, and an error when the revision names a builder or a format that this program does not have, or
// an event is of a family without one; dst is then as it was.
func Build(dst []byte, rev *Revision, at time.Time, events []Event) ([]byte, error) {
	if len(events) == 0 {
		return dst, ErrNoEvents
	}
	if rev.Builder != Version {
		return dst, fmt.Errorf("payload builder %d is not known; this is %d", rev.Builder, Version)
	}
	if rev.Format != triggers.FormatAuto && rev.Format != triggers.FormatPortal {
		return dst, fmt.Errorf("payload format %q cannot be built", rev.Format)
	}
	for i := range events {
		if !isPortal(events[i].URI.Resource) {
			return dst, fmt.Errorf("event of %s has no portal payload", events[i].URI.Resource)
		}
	}
	return appendPortal(dst, rev, at, events), nil
}

// appendPortal appends the envelope of a portal's organisation webhook.
func appendPortal(dst []byte, rev *Revision, at time.Time, events []Event) []byte {
	dst = append(dst, `{"info":{"webhookName":`...)
	dst = appendQuoted(dst, rev.WebhookName)
	dst = append(dst, `,"webhookId":"`...)
	dst = hex.AppendEncode(dst, rev.WebhookID[:])
	dst = append(dst, `","portalURL":`...)
	dst = appendQuoted(dst, rev.PortalURL)
	dst = append(dst, `,"when":`...)
	dst = strconv.AppendInt(dst, at.UnixMilli(), 10)
	dst = append(dst, `},"events":[`...)
	for i := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, events[i].Body...)
	}
	return append(dst, `],"properties":{}}`...)
}
