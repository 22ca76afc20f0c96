package payload

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// What the cloud forms say of themselves.
const (
	specVersion       = "1.0"              // of CloudEvents
	legacyVersion     = "0.1"              // of the CloudEvents from before there was a standard
	legacyTypeVersion = "1.0.0"            // of every type, in the legacy form
	dataContentType   = "application/json" // of data
)

// cloudTime prints dates in the cloud forms: RFC 3339 in UTC, always with milliseconds.
const cloudTime = "2006-01-02T15:04:05.000Z"

// cloudEvent is an event as the cloud forms tell of it.
type cloudEvent struct {
	id, kind string // kind is the type
	subject  string // empty for the cloud types, whose senders may have one among the extensions
	tenantID string
	when     int64 // milliseconds since 1970
	// cloudOnly says that the event must not be sent with legacy members.
	cloudOnly bool
	// What follows is JSON: strings, and the extensions' values and data as they came; nil where unknown.
	source, userID, ownerID []byte
	extensions              []member
	data                    []byte
}

// readCloudType reads what renderCloud gave.
func (e *cloudEvent) readCloudType(body []byte) error {
	var room [8]member
	all, err := members(room[:0], body)
	if err != nil {
		return err
	}
	for _, m := range all {
		switch string(m.name) {
		case `"when"`:
			e.when, err = strconv.ParseInt(string(m.value), 10, 64)
		case `"source"`:
			e.source = m.value
		case `"cloudOnly"`:
			e.cloudOnly = string(m.value) == "true"
		case `"userId"`:
			e.userID = m.value
		case `"ownerId"`:
			e.ownerID = m.value
		case `"extensions"`:
			e.extensions, err = members(nil, m.value)
		case `"data"`:
			e.data = m.value
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readPortal reads what renderPortal gave, all of which is the data.
func (e *cloudEvent) readPortal(rev *Revision, body []byte) error {
	var room [8]member
	all, err := members(room[:0], body)
	if err != nil {
		return err
	}
	if userID := find(all, "userId"); !isEmptyString(userID) {
		e.userID = userID
	}
	e.data = body
	if rev.SingularSource {
		e.data = appendEvent(nil, rev, body)
	}
	e.when, err = strconv.ParseInt(string(find(all, "when")), 10, 64)
	return err
}

// appendCloudEvent appends a CloudEvent of version 1.0 in its structured form.
func (e *cloudEvent) appendCloudEvent(dst []byte) []byte {
	dst = appendText(append(dst, '{'), "specversion", specVersion)
	dst = appendText(dst, "id", e.id)
	dst = appendMember(dst, "source", e.source)
	dst = appendText(dst, "type", e.kind)
	if e.subject != "" {
		dst = appendText(dst, "subject", e.subject)
	}
	dst = e.appendDate(dst, "time")
	if e.data != nil {
		dst = appendText(dst, "datacontenttype", dataContentType)
	}
	dst, left := e.appendAttributes(dst)
	if len(left) > 0 {
		dst = append(appendName(dst, "extensions"), '{')
		dst = append(appendOthers(dst, len(dst), left), '}')
	}
	dst = appendOptional(dst, "data", e.data)
	return append(dst, '}')
}

// appendLegacy appends the form from before CloudEvents had a standard. Its receivers ask for every one of its members, so that an
// unknown user or owner is an empty string and absent data an empty object.
func (e *cloudEvent) appendLegacy(dst []byte) []byte {
	dst = e.appendLegacyHead(append(dst, '{'))
	return append(e.appendLegacyTail(dst), '}')
}

// appendHybrid appends the members of both forms: receivers of either find all they know.
func (e *cloudEvent) appendHybrid(dst []byte) []byte {
	dst = e.appendLegacyHead(append(dst, '{'))
	dst = appendText(dst, "specversion", specVersion)
	dst = appendText(dst, "id", e.id)
	dst = appendText(dst, "type", e.kind)
	dst = e.appendDate(dst, "time")
	dst = appendText(dst, "datacontenttype", dataContentType)
	dst, _ = e.appendAttributes(dst) // the others are in the legacy extensions
	return append(e.appendLegacyTail(dst), '}')
}

func (e *cloudEvent) appendLegacyHead(dst []byte) []byte {
	dst = appendText(dst, "cloudEventsVersion", legacyVersion)
	dst = appendMember(dst, "source", e.source)
	dst = appendText(dst, "contentType", dataContentType)
	dst = appendText(dst, "eventId", e.id)
	dst = e.appendDate(dst, "eventTime")
	dst = appendText(dst, "eventTypeVersion", legacyTypeVersion)
	return appendText(dst, "eventType", e.kind)
}

func (e *cloudEvent) appendLegacyTail(dst []byte) []byte {
	dst = append(appendName(dst, "extensions"), '{')
	dst = appendMember(dst, "ownerId", orElse(e.ownerID, `""`))
	dst = appendText(dst, "tenantId", e.tenantID)
	dst = appendMember(dst, "userId", orElse(e.userID, `""`))
	for _, m := range e.extensions {
		dst = append(append(dst, ','), e.legacyName(m.name)...)
		dst = append(append(dst, ':'), m.value...)
	}
	dst = append(dst, '}')
	return appendMember(dst, "data", orElse(e.data, `{}`))
}

func orElse(value []byte, other string) []byte {
	if value == nil {
		return []byte(other)
	}
	return value
}

// legacyName is the name of an extension in the legacy form: the sender's, but for the two that CloudEvents can only write in lower case.
func (e *cloudEvent) legacyName(name []byte) []byte {
	legacy := ""
	switch string(name) {
	case `"spaceid"`:
		legacy = "spaceId"
	case `"toplevelresourceid"`:
		legacy = "topLevelResourceId"
	}
	if legacy == "" || find(e.extensions, legacy) != nil {
		return name
	}
	return []byte(`"` + legacy + `"`)
}

func (e *cloudEvent) appendDate(dst []byte, name string) []byte {
	dst = append(appendName(dst, name), '"')
	dst = time.UnixMilli(e.when).UTC().AppendFormat(dst, cloudTime)
	return append(dst, '"')
}

// appendAttributes appends the extensions that can be attributes of a CloudEvent, in lower case and the sender's order, after those of
// every event: its tenant, its user, its owner. What cannot be one is left: Qlik Cloud sends it in a member extensions.
func (e *cloudEvent) appendAttributes(dst []byte) (attributes []byte, left []member) {
	dst = appendText(dst, "tenantid", e.tenantID)
	dst = appendOptional(dst, "userid", e.userID)
	dst = appendOptional(dst, "ownerid", e.ownerID)
	var taken seen
	for _, m := range e.extensions {
		name := attributeName(m.name)
		switch {
		case string(m.value) == "null": // CloudEvents has no such value: it is none
		case name == "" || reserved(name) || !isAttribute(name, m.value) || taken.before([]byte(name)):
			left = append(left, m)
		default:
			dst = appendMember(dst, name, m.value)
		}
	}
	return dst, left
}

// attributeName is the name of an extension, in its quotes, as the name of an attribute: in lower-case letters and digits. It is empty
// when there are other characters in it.
func attributeName(name []byte) string {
	for _, c := range name[1 : len(name)-1] {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return ""
		}
	}
	return strings.ToLower(string(name[1 : len(name)-1]))
}

// reserved reports whether an attribute has a meaning of its own, so that no extension may bear its name.
func reserved(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "time", "datacontenttype", "data", "extensions", "tenantid", "userid",
		"ownerid":
		return true
	}
	return false
}

// isAttribute reports whether CloudEvents allows the value: a truth value, a whole number of 32 bits, a string without control
// characters. The subject is not empty, and the schema is an absolute URI.
func isAttribute(name string, value []byte) bool {
	switch value[0] {
	case 't', 'f':
		return name != "subject" && name != "dataschema"
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil || bytes.ContainsFunc(text, unicode.IsControl) {
			return false
		}
		switch name {
		case "subject":
			return len(text) > 0
		case "dataschema":
			schema, err := url.Parse(string(text))
			return err == nil && schema.IsAbs()
		}
		return true
	}
	_, err := strconv.ParseInt(string(value), 10, 32)
	return err == nil && name != "subject" && name != "dataschema"
}
