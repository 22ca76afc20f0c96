package triggers

import (
	"errors"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// CloudEvent is an event as a sender of CloudEvents 1.0 tells it, in whichever mode it came. FromCloudEvent judges it.
type CloudEvent struct {
	SpecVersion string
	ID          string
	Source      string
	Type        string
	Subject     string
	Time        string // RFC 3339; empty: not told
	// DataContentType is the content type of Data; empty means application/json.
	DataContentType string
	DataSchema      string
	// Extensions are all further attributes, in the sender's order. Of two that mean the same the first one counts.
	Extensions []Extension
	// Data is a JSON value; nil when there is none.
	Data []byte

	isJSON bool // Data has been read as JSON before
}

// Extension is an attribute of a CloudEvent beyond those of the standard.
type Extension struct {
	Name  string
	Value []byte // one JSON value, well-formed

	field string // how errors name it; empty: by Name
}

// The attributes of the standard, and those extensions that mean something here whatever the case of their letters.
const (
	attributeSpecVersion     = "specversion"
	attributeID              = "id"
	attributeSource          = "source"
	attributeType            = "type"
	attributeSubject         = "subject"
	attributeTime            = "time"
	attributeDataContentType = "datacontenttype"
	attributeDataSchema      = "dataschema"

	attributeUserID             = "userid"
	attributeOwnerID            = "ownerid"
	attributeTenantID           = "tenantid"
	attributeAudience           = "audience"
	attributeSpaceID            = "spaceid"
	attributeTopLevelResourceID = "toplevelresourceid"

	// legacyVersion is what CloudEvents 0.1 had in place of specversion.
	legacyVersion = "cloudEventsVersion"
)

// FromCloudEvent makes the Event of a CloudEvent. Its identity is source and id. The error is a *FieldError that names the attribute.
//
// With a cloud type of the catalogue as its type, the data is the event's data, and the extensions are kept to be sent on; so are the
// subject and the schema of the data. The extensions userid and ownerid become the event's user and owner, audience (user ids with commas
// between them) its audience; tenantid is passed over, since the sender's key decides the tenant.
//
// Events of the portal, of services and of webhooks have as type the any form of their trigger (/items/share), as subject their URI
// (/items/<id>/share; a bulk event may leave it out) and as data an object of the members that a plain event would have: username,
// userId, when, properties and the others. What the data leaves out is taken from the attributes: time, userid, ownerid, audience;
// further extensions are passed over. The data may repeat what the attributes say already, as it does when Portalhook itself sends
// such an event, but not contradict it.
func (c *Catalog) FromCloudEvent(ce CloudEvent) (*Event, error) {
	if err := ce.judge(); err != nil {
		return nil, err
	}
	var ev *Event
	var err error
	if strings.HasPrefix(ce.Type, "/") {
		ev, err = c.fromPath(&ce)
	} else {
		ev, err = c.fromCloudType(&ce)
	}
	if err != nil {
		return nil, err
	}
	if ce.Time != "" && !ev.HasWhen {
		if ev.When, err = milliseconds(ce.Time); err != nil {
			return nil, err
		}
		ev.HasWhen = true
	}
	return ev, nil
}

// judge checks what holds for CloudEvents of every type.
func (ce *CloudEvent) judge() error {
	switch ce.SpecVersion {
	case "1.0":
	case "":
		return Invalid(CodeRequired, attributeSpecVersion, "specversion is missing: a CloudEvent has specversion, id, source and type")
	default:
		return Invalid(CodeNotSupported, attributeSpecVersion, "CloudEvents are read as of version 1.0, not %q", clip(ce.SpecVersion))
	}
	for _, a := range [...]struct {
		name, text string
		required   bool
		most       int // characters; 0: the bound of the event will do
	}{
		{attributeID, ce.ID, true, MaxEventIDCharacters},
		{attributeSource, ce.Source, true, MaxNameCharacters},
		{attributeType, ce.Type, true, 0},
		{attributeSubject, ce.Subject, false, 0},
		{attributeDataSchema, ce.DataSchema, false, 0},
	} {
		switch n := utf8.RuneCountInString(a.text); {
		case a.required && a.text == "":
			return Invalid(CodeRequired, a.name, "%s is missing: a CloudEvent has specversion, id, source and type", a.name)
		case !utf8.ValidString(a.text):
			return Invalid(CodeOutOfRange, a.name, "%s is not UTF-8", a.name)
		case hasControl(a.text):
			return Invalid(CodeOutOfRange, a.name, "%s holds a control character", a.name)
		case a.most > 0 && n > a.most:
			return Invalid(CodeTooLong, a.name, "%s has at most %d characters, not %d", a.name, a.most, n)
		}
	}
	if _, err := url.Parse(ce.Source); err != nil {
		return Invalid(CodeOutOfRange, attributeSource, "source is a URI, or the end of one such as com.qlik/engine, not %q", clip(ce.Source))
	}
	return ce.judgeData()
}

// judgeData checks that the data is JSON, by its content type and by its bytes.
func (ce *CloudEvent) judgeData() error {
	if ce.DataContentType != "" && !isJSONType(ce.DataContentType) {
		e := Invalid(CodeMediaType, attributeDataContentType, "the data of an event is JSON (application/json, in UTF-8), not %q", clip(ce.DataContentType))
		e.kind = ErrMediaType
		return e
	}
	switch {
	case len(ce.Data) > MaxEventBytes:
		return tooLarge("an event has at most %d bytes, not %d", MaxEventBytes, len(ce.Data))
	case ce.Data != nil && !ce.isJSON:
		if err := checkValue(ce.Data); err != nil {
			return inData(err)
		}
		return checkDepth([]byte(`"data"`), ce.Data)
	}
	return nil
}

// isJSONType reports whether a content type says JSON in UTF-8: application/json, or a subtype that ends in +json.
func isJSONType(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	_, subtype, _ := strings.Cut(media, "/")
	return err == nil && isUTF8(params) && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}

// milliseconds reads a date of RFC 3339 as milliseconds since 1970.
func milliseconds(text string) (int64, error) {
	var t time.Time
	// UnmarshalText is strict where Parse is not, but it takes the two letters in upper case only.
	if err := t.UnmarshalText([]byte(strings.ToUpper(text))); err != nil {
		return 0, Invalid(CodeOutOfRange, attributeTime, "time is a date of RFC 3339 such as 2018-11-26T00:29:56.521Z, not %q", clip(text))
	}
	ms := t.UnixMilli()
	if ms < 0 || ms > maxMilliseconds {
		return 0, Invalid(CodeOutOfRange, attributeTime, "time must be from 1970 to 9999, not %s", clip(text))
	}
	return ms, nil
}

// fromCloudType makes the Event of a CloudEvent with a type of the catalogue.
func (c *Catalog) fromCloudType(ce *CloudEvent) (*Event, error) {
	uri, err := c.ParseURI(ce.Type)
	if err != nil {
		return nil, within(attributeType, err)
	}
	ev := &Event{URI: uri, EventID: ce.ID, Source: ce.Source, Kind: c.cloudKind(uri.ID), Data: compact(ce.Data)}
	extensions := ce.Extensions
	for _, a := range [...]struct{ name, text string }{{attributeDataSchema, ce.DataSchema}, {attributeSubject, ce.Subject}} {
		if a.text != "" {
			extensions = append([]Extension{{Name: a.name, Value: appendQuoted(nil, a.text)}}, extensions...)
		}
	}
	ev.Extensions, err = ev.takeExtensions(extensions)
	return ev, err
}

// fromPath makes the Event of a CloudEvent whose type is a trigger's any form.
func (c *Catalog) fromPath(ce *CloudEvent) (*Event, error) {
	uri, err := c.subject(ce)
	if err != nil {
		return nil, err
	}
	w := wire{isData: true}
	if ce.Data != nil {
		r := c.newReader(ce.Data)
		defer r.release()
		if err := r.object(&w); err != nil {
			return nil, inData(err)
		}
		if err := w.judge(); err != nil {
			return nil, inData(err)
		}
	}
	var text [textMembers]string
	if err := w.texts(&text); err != nil {
		return nil, inData(err)
	}
	if err := w.agrees(c, &uri, ce, &text); err != nil {
		return nil, inData(err)
	}
	ev, err := w.eventAt(c, uri, &text)
	if err != nil {
		return nil, inData(err)
	}
	ev.EventID, ev.Source = ce.ID, ce.Source
	_, err = ev.takeExtensions(ce.Extensions)
	return ev, err
}

// subject reads the URI of an event whose type is a path, and checks that they belong together.
func (c *Catalog) subject(ce *CloudEvent) (URI, error) {
	text := ce.Subject
	if text == "" {
		uri, err := c.ParseURI(ce.Type)
		if err != nil || !IsBulk(uri.Resource, uri.Operation) {
			return URI{}, Invalid(CodeRequired, attributeSubject, "subject is missing: an event of type /items/share has its URI there, "+
				"as in /items/<id>/share")
		}
		return uri, nil
	}
	uri, err := c.ParseURI(text)
	if err != nil {
		return URI{}, within(attributeSubject, err)
	}
	if form := uri.AnyForm(); !equalFoldASCII(ce.Type, form) {
		e := Invalid(CodeBadURI, attributeType, "the type of what happened at %s is %s, not %q", clip(text), form, clip(ce.Type))
		e.Suggestion = form
		return URI{}, e
	}
	return uri, nil
}

// agrees checks that the members of a CloudEvent's data which repeat its address or its id say the same.
func (w *wire) agrees(c *Catalog, uri *URI, ce *CloudEvent, text *[textMembers]string) error {
	for _, said := range [...]struct {
		member    member
		attribute string
		same      func(text string) bool
	}{
		{memberURI, attributeSubject, func(text string) bool {
			other, err := c.ParseURI(text)
			return err == nil && sameAddress(&other, uri)
		}},
		{memberSource, attributeSubject, func(text string) bool {
			resource, ok := sourceNamed(text)
			return ok && resource == uri.Resource
		}},
		{memberOperation, attributeSubject, func(text string) bool {
			op, ok := operationNamed(uri.Resource, text)
			return ok && op == uri.Operation
		}},
		{memberID, attributeSubject, func(text string) bool { return idKey(uri.Resource, text) == uri.key }},
		{memberEventID, attributeID, func(text string) bool { return text == ce.ID }},
	} {
		if m := said.member; w.raw[m] != nil && !said.same(text[m]) {
			name := members[m].name
			return Invalid(CodeNotAllowed, name, "%s says another thing than the attribute %s: leave it out", name, said.attribute)
		}
	}
	return nil
}

// sameAddress reports whether two URIs are one under their rules of comparison.
func sameAddress(a, b *URI) bool {
	return a.Resource == b.Resource && a.Operation == b.Operation && a.folderKey == b.folderKey && a.key == b.key
}

// inData names the field of an error as one of the CloudEvent's data. A nil error stays nil.
func inData(err error) error {
	if e, ok := errors.AsType[*FieldError](err); ok {
		if e.Field == "" {
			e.Field = "data"
		} else {
			e.Field = "data." + e.Field
		}
	}
	return err
}
