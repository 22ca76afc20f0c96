package payload

import (
	"strconv"
	"time"

	"portalhook/triggers"
)

// Render gives the object that stands for the event in a payload's `events`, and judges the properties that its operation needs.
// It is made once, at acceptance, and is the same for every webhook. The error is a *triggers.FieldError that names the property
// as the sender wrote it, or says (NOT_SUPPORTED) that the event's family has no payload yet.
func Render(ev *triggers.Event, acceptedAt time.Time) ([]byte, error) {
	// One function for each family: renderFeatureService, renderGeoprocessing and renderCloud will stand beside renderPortal.
	if isPortal(ev.URI.Resource) {
		return renderPortal(ev, acceptedAt)
	}
	return nil, triggers.Invalid(triggers.CodeNotSupported, "uri", "events of %s cannot be delivered yet", ev.URI.Resource)
}

// isPortal reports whether events of the resource have the portal's form: its own four, and webhooks, whose events are ours.
func isPortal(resource triggers.Resource) bool {
	switch resource {
	case triggers.Items, triggers.Groups, triggers.Users, triggers.Roles, triggers.Webhooks:
		return true
	case triggers.NoResource, triggers.FeatureServices, triggers.Geoprocessing, triggers.CloudTypes:
	}
	return false
}

// portalOverhead is the length of a portal event's object without the sender's texts: the names, the longest operation and resource,
// a date. With it one allocation is nearly always enough.
const portalOverhead = 160

// renderPortal renders an event of the portal's resources, and our own about webhooks, as organisation webhooks print them. The
// date is the event's own, else its acceptance, in milliseconds.
func renderPortal(ev *triggers.Event, acceptedAt time.Time) ([]byte, error) {
	when := ev.When
	if !ev.HasWhen {
		when = acceptedAt.UnixMilli()
	}

	dst := make([]byte, 0, portalOverhead+len(ev.Username)+len(ev.UserID)+len(ev.URI.ID)+len(ev.Properties))
	dst = append(dst, `{"username":`...)
	dst = appendQuoted(dst, ev.Username)
	dst = append(dst, `,"userId":`...)
	dst = appendQuoted(dst, ev.UserID)
	dst = append(dst, `,"when":`...)
	dst = strconv.AppendInt(dst, when, 10)
	dst = append(dst, `,"operation":"`...)
	dst = append(dst, triggers.PayloadOperation(ev.URI.Resource, ev.URI.Operation)...)
	dst = append(dst, `","source":"`...)
	dst = append(dst, ev.URI.Resource.String()...)
	dst = append(dst, `","id":`...)
	dst = appendQuoted(dst, ev.URI.ID)
	dst = append(dst, `,"properties":`...)
	dst, err := appendProperties(dst, properties[ev.URI.Resource][ev.URI.Operation], ev.Properties)
	if err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}

// appendProperties appends the event's properties: built by the operation's builder, or as they were sent when it has none.
func appendProperties(dst []byte, p *property, sent []byte) ([]byte, error) {
	switch {
	case p != nil:
		return p.appendTo(dst, sent)
	case len(sent) == 0:
		return append(dst, `{}`...), nil
	}
	return append(dst, sent...), nil
}
