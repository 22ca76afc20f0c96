package payload

import (
	"strconv"
	"time"

	"portalhook/triggers"
)

// Render gives the object that stands for the event wherever it is told of, and judges what its operation needs. It is made once, at
// acceptance, is the same for every webhook, and with the webhook's revision is all that Build ever needs: of the event nothing else
// is kept. The error is a *triggers.FieldError that names the member as the sender wrote it.
func Render(ev *triggers.Event, acceptedAt time.Time) ([]byte, error) {
	switch FamilyOf(&ev.URI) {
	case Portal:
		return renderPortal(ev, acceptedAt)
	case FeatureService, Geoprocessing:
		return renderService(ev, acceptedAt)
	case Cloud:
		return renderCloud(ev, acceptedAt)
	case NoFamily:
	}
	return nil, triggers.Invalid(triggers.CodeNotSupported, "uri", "events of %q cannot be delivered", ev.URI.Resource)
}

// whenOf is the event's own date, else its acceptance, in milliseconds since 1970.
func whenOf(ev *triggers.Event, acceptedAt time.Time) int64 {
	if ev.HasWhen {
		return ev.When
	}
	return acceptedAt.UnixMilli()
}

// portalOverhead is the length of a portal event's object without the sender's texts: the names, the longest operation and resource,
// a date. With it one allocation is nearly always enough.
const portalOverhead = 160

// renderPortal renders an event of the portal's resources, and our own about webhooks, as organisation webhooks print them. The
// date is the event's own, else its acceptance, in milliseconds.
func renderPortal(ev *triggers.Event, acceptedAt time.Time) ([]byte, error) {
	dst := make([]byte, 0, portalOverhead+len(ev.Username)+len(ev.UserID)+len(ev.URI.ID)+len(ev.Properties))
	dst = append(dst, `{"username":`...)
	dst = appendQuoted(dst, ev.Username)
	dst = append(dst, `,"userId":`...)
	dst = appendQuoted(dst, ev.UserID)
	dst = append(dst, `,"when":`...)
	dst = strconv.AppendInt(dst, whenOf(ev, acceptedAt), 10)
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
