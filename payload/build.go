package payload

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"portalhook/triggers"
)

// ErrNoEvents says that a payload was asked for that would tell of nothing.
var ErrNoEvents = errors.New("payload without events")

// ErrFormat says that the events cannot stand in one payload of the revision's format, or that there is no such format.
var ErrFormat = errors.New("no payload of this format")

// ContentType is the media type of what Build makes for the revision. It is the same for every format: receivers of CloudEvents
// too are sent application/json, as Qlik Cloud does.
func (r *Revision) ContentType() string { return "application/json" }

// Build appends to dst the body of a delivery: compact JSON without a trailing newline. It depends on nothing but its arguments,
// so that a body is never stored: the same revision, time and events give the same bytes for ever. At is the moment the payload
// was built, printed in milliseconds where the form has a place for it; the events stand in the order given.
//
// Several events go together only as events of the portal, in its envelope, and as events of one feature service, merged into one
// object; each other payload tells of one. Anything else is ErrFormat. It is ErrNoEvents without events, and an error when the
// revision names a builder that this program does not have or an event's Body is not what Render gave; dst is then as it was.
func Build(dst []byte, rev *Revision, at time.Time, events []Event) ([]byte, error) {
	if len(events) == 0 {
		return dst, ErrNoEvents
	}
	switch rev.Builder {
	case 1:
		return buildVersion1(dst, rev, at, events)
	case Version:
		return buildVersion2(dst, rev, at, events)
	}
	return dst, fmt.Errorf("payload builder %d is not known; this is %d", rev.Builder, Version)
}

// buildVersion1 knew the portal's envelope only.
func buildVersion1(dst []byte, rev *Revision, at time.Time, events []Event) ([]byte, error) {
	if rev.Format != triggers.FormatAuto && rev.Format != triggers.FormatPortal {
		return dst, fmt.Errorf("builder 1, format %q: %w", rev.Format, ErrFormat)
	}
	for i := range events {
		if FamilyOf(&events[i].URI) != Portal {
			return dst, fmt.Errorf("builder 1, event of %s: %w", events[i].URI.Resource, ErrFormat)
		}
	}
	return appendPortal(dst, rev, at, events), nil
}

// buildVersion2 knows every family and format.
func buildVersion2(dst []byte, rev *Revision, at time.Time, events []Event) ([]byte, error) {
	switch rev.Format {
	case triggers.FormatAuto, triggers.FormatPortal, triggers.FormatLegacy, triggers.FormatHybrid, triggers.FormatCloudEvents:
	default:
		return dst, fmt.Errorf("format %q: %w", rev.Format, ErrFormat)
	}
	family := FamilyOf(&events[0].URI)
	for i := range events {
		if FamilyOf(&events[i].URI) != family || family == NoFamily {
			return dst, fmt.Errorf("events of %q and %q: %w", events[0].URI.Resource, events[i].URI.Resource, ErrFormat)
		}
	}
	switch {
	case family == Portal && rev.Format != triggers.FormatCloudEvents:
		return appendPortal(dst, rev, at, events), nil
	case family == FeatureService && rev.Format != triggers.FormatCloudEvents:
		return appendService(dst, rev, events)
	case len(events) > 1:
		return dst, fmt.Errorf("%d events of %s: %w", len(events), events[0].URI.Resource, ErrFormat)
	case family == Geoprocessing && rev.Format != triggers.FormatCloudEvents:
		return appendService(dst, rev, events)
	}
	return appendCloud(dst, rev, &events[0])
}

// appendPortal appends the envelope of a portal's organisation webhook. It is the same in every version so far.
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
		dst = appendEvent(dst, rev, events[i].Body)
	}
	return append(dst, `],"properties":{}}`...)
}

// sourceName begins the member source of what renderPortal gave. It stands nowhere before that member: within a string every quote has
// a backslash before it.
const sourceName = `"source":"`

// appendEvent appends what renderPortal gave, with the source as the revision spells it.
func appendEvent(dst []byte, rev *Revision, body []byte) []byte {
	if !rev.SingularSource {
		return append(dst, body...)
	}
	before, after, found := bytes.Cut(body, []byte(sourceName))
	source, rest, ended := bytes.Cut(after, []byte{'"'})
	if !found || !ended {
		return append(dst, body...)
	}
	dst = append(append(dst, before...), sourceName...)
	dst = append(dst, bytes.TrimSuffix(source, []byte{'s'})...)
	return append(append(dst, '"'), rest...)
}

// stored says of which event an error is that its Body brings about.
func stored(ev *Event, err error) error {
	return fmt.Errorf("event %s as it was rendered: %w", ev.ID.Event(), err)
}
