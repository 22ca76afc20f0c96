package payload

import (
	"cmp"
	"net/url"
	"time"

	"portalhook/triggers"
)

// cloudOverhead is the length of a cloud event's object without the sender's texts.
const cloudOverhead = 160

// renderCloud renders an event of a cloud type: its date, source, user, owner, extensions and data, from which Build makes any of the
// cloud forms. What the catalogue says of the type is written down with it, so that a later change of the catalogue changes no bytes.
func renderCloud(ev *triggers.Event, acceptedAt time.Time) ([]byte, error) {
	source := cmp.Or(ev.Source, ev.Kind.Source)
	if _, err := url.Parse(source); err != nil {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "source", "must be a URI or the end of one, such as com.qlik/engine, as CloudEvents asks")
	}

	dst := make([]byte, 0, cloudOverhead+len(source)+len(ev.Username)+len(ev.UserID)+len(ev.OwnerID)+len(ev.Extensions)+len(ev.Data))
	dst = append(dst, '{')
	dst = appendInteger(dst, "when", whenOf(ev, acceptedAt))
	if ev.Kind.CloudOnly {
		dst = append(appendName(dst, "cloudOnly"), "true"...)
	}
	for _, optional := range [...]struct{ name, text string }{
		{"source", source},
		{"username", ev.Username},
		{"userId", ev.UserID},
		{"ownerId", ev.OwnerID},
	} {
		if optional.text != "" {
			dst = appendText(dst, optional.name, optional.text)
		}
	}
	dst = appendOptional(dst, "extensions", ev.Extensions)
	dst = appendOptional(dst, "data", ev.Data)
	return append(dst, '}'), nil
}

// appendOptional appends a member whose value is JSON, unless there is none.
func appendOptional(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	return appendMember(dst, name, value)
}

// appendCloud appends one event in a cloud form: of a cloud type in the form that the revision wants, of any other as CloudEvents.
func appendCloud(dst []byte, rev *Revision, ev *Event) ([]byte, error) {
	e, err := readCloud(rev, ev)
	if err != nil {
		return dst, stored(ev, err)
	}
	switch cloudFormat(rev, &e) {
	case triggers.FormatHybrid:
		return e.appendHybrid(dst), nil
	case triggers.FormatLegacy:
		return e.appendLegacy(dst), nil
	case triggers.FormatAuto, triggers.FormatPortal, triggers.FormatCloudEvents:
	}
	return e.appendCloudEvent(dst), nil
}

// cloudFormat is the form in which a webhook is told of a cloud event: hybrid, legacy or CloudEvents. What must not be sent with
// legacy members is sent as CloudEvents whatever the webhook asks for; who asks for the portal's form, which such an event cannot
// have, is served as one who asks for nothing.
func cloudFormat(rev *Revision, e *cloudEvent) triggers.Format {
	switch {
	case e.cloudOnly:
		return triggers.FormatCloudEvents
	case rev.Format == triggers.FormatLegacy, rev.Format == triggers.FormatHybrid, rev.Format == triggers.FormatCloudEvents:
		return rev.Format
	case rev.EnableCloudEventDelivery:
		return triggers.FormatCloudEvents
	case rev.LegacyCloud:
		return triggers.FormatLegacy
	}
	return triggers.FormatHybrid
}

// readCloud reads what Render gave, of any family, for the cloud forms.
func readCloud(rev *Revision, ev *Event) (cloudEvent, error) {
	e := cloudEvent{id: cmp.Or(ev.EventID, ev.ID.Event()), kind: ev.URI.AnyForm(), tenantID: rev.PortalID}
	var err error
	switch FamilyOf(&ev.URI) {
	case Cloud:
		err = e.readCloudType(ev.Body)
	case FeatureService, Geoprocessing:
		var s serviceEvent
		if s, err = readService(ev); err != nil {
			break
		}
		e.when, e.subject, e.userID = s.when, ev.URI.String(), find(s.members, "userId")
		e.data = s.appendData(nil, rev)
	case Portal, NoFamily:
		err = e.readPortal(rev, ev.Body)
		e.subject = ev.URI.String()
	}
	if e.source == nil {
		e.source = appendQuoted(nil, rev.PortalURL)
	}
	return e, err
}
