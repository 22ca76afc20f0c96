package triggers

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The bounds of an event as it comes in.
const (
	MaxEventBytes = 256 << 10
	// MaxEventDepth is how many objects and arrays of a member may stand within each other. Payloads put three more around them, and widely used
	// readers (System.Text.Json for one) read 64.
	MaxEventDepth        = 60
	MaxEventIDCharacters = 128
	MaxNameCharacters    = 256             // of username, userId, ownerId, source and each of audience
	maxMilliseconds      = 253402300799999 // the end of the year 9999
)

// wire is an event as its JSON came: the raw value of each member, nil where there was none.
type wire struct {
	raw     [memberCount][]byte
	object  []byte // all of it
	unknown string // the first member that there is no such
	wrong   member // the first member whose value is of another kind than it must be
	isWrong bool
	cloud   bool // specversion was among the unknown
	// isData is true of the data of a CloudEvent, which may repeat what the event's other attributes say.
	isData bool
}

// set takes one member.
func (w *wire) set(name, value []byte) {
	inner := name[1 : len(name)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner, _ = jsontext.AppendUnquote(nil, name) // the decoder has found it well-formed
	}
	m, ok := memberNamed(inner)
	if !ok {
		switch text := string(inner); {
		case text == attributeSpecVersion && !w.isData:
			w.cloud = true
		case w.isData && (text == "serviceType" || text == "eventType"):
		case w.unknown == "":
			w.unknown = clip(text)
		}
		return
	}
	w.raw[m] = value
	if kind := members[m].kind; !w.isWrong && kind != anyKind && kind != jsontext.Value(value).Kind() {
		w.wrong, w.isWrong = m, true
	}
}

// judge refuses unknown members and values of a wrong kind.
func (w *wire) judge() error {
	if w.unknown == legacyVersion {
		return Invalid(CodeNotSupported, legacyVersion, "CloudEvents are read as of version 1.0, which have specversion, not those of version 0.1")
	}
	if w.unknown != "" {
		near := nearWithin(w.unknown, memberNames, 2)
		e := Invalid(CodeUnknownField, w.unknown, "an event has no member %q", w.unknown)
		if near != "" {
			e.Suggestion = near
			e.Detail += "; the nearest is " + near
		}
		return e
	}
	if w.isWrong {
		m := &members[w.wrong]
		kind := jsontext.Value(w.raw[w.wrong]).Kind()
		return Invalid(CodeWrongType, m.name, "%s must be %s, not %s", m.name, kindName(m.kind), kindName(kind))
	}
	return nil
}

// event makes the Event of what came.
func (w *wire) event(c *Catalog) (*Event, error) {
	var text [textMembers]string
	if err := w.texts(&text); err != nil {
		return nil, err
	}
	uri, err := w.uri(c, &text)
	if err != nil {
		return nil, err
	}
	return w.eventAt(c, uri, &text)
}

// eventAt makes the Event at an address.
func (w *wire) eventAt(c *Catalog, uri URI, text *[textMembers]string) (*Event, error) {
	for m := range memberCount {
		if of := members[m].of; of != 0 && w.raw[m] != nil && !of.admits(uri.Resource) {
			return nil, Invalid(CodeNotAllowed, members[m].name, "only %s have %s", of, members[m].name)
		}
	}
	ev := &Event{
		URI: uri, EventID: text[memberEventID], Username: text[memberUsername], UserID: text[memberUserID], OwnerID: text[memberOwnerID],
		Properties: compact(w.raw[memberProperties]), Data: compact(w.raw[memberData]),
	}
	var err error
	if raw := w.raw[memberWhen]; raw != nil {
		ev.HasWhen = true
		if ev.When, err = integer(raw, "when", maxMilliseconds, "milliseconds since 1970"); err != nil {
			return nil, err
		}
	}
	if raw := w.raw[memberAudience]; raw != nil {
		if ev.Audience, err = audience(raw); err != nil {
			return nil, err
		}
	}
	if uri.Resource == FeatureServices || uri.Resource == Geoprocessing {
		if ev.Service, err = w.service(text); err != nil {
			return nil, err
		}
	}
	if uri.Resource == CloudTypes {
		ev.Source, ev.Kind = text[memberSource], c.cloudKind(uri.ID)
		if raw := w.raw[memberExtensions]; raw != nil {
			if ev.Extensions, err = ev.takeExtensions(extensionsOf(raw)); err != nil {
				return nil, err
			}
		}
	}
	return ev, nil
}

// texts copies the members that are text, all into one string, and checks their lengths.
func (w *wire) texts(text *[textMembers]string) error {
	size := 0
	for m := range textMembers {
		size += len(w.raw[m])
	}
	var all strings.Builder
	all.Grow(size)
	var ends [textMembers]int
	for m := range textMembers {
		if raw := w.raw[m]; raw != nil {
			if bytes.IndexByte(raw, '\\') >= 0 {
				unquoted, err := jsontext.AppendUnquote(nil, raw)
				if err != nil {
					return syntaxError(err)
				}
				all.Write(unquoted)
			} else {
				all.Write(raw[1 : len(raw)-1])
			}
		}
		ends[m] = all.Len()
	}
	joined, start := all.String(), 0
	for m := range textMembers {
		text[m] = joined[start:ends[m]]
		start = ends[m]
		if err := CheckText(members[m].name, text[m]); err != nil {
			return err
		}
		if most := members[m].most; most > 0 && len(text[m]) > most {
			if n := utf8.RuneCountInString(text[m]); n > most {
				return Invalid(CodeTooLong, members[m].name, "%s has at most %d characters, not %d", members[m].name, most, n)
			}
		}
	}
	return nil
}

// uri reads the event's address: from uri, or from source, operation and id.
func (w *wire) uri(c *Catalog, text *[textMembers]string) (URI, error) {
	if w.raw[memberURI] == nil {
		return w.uriOfParts(text)
	}
	uri, err := c.ParseURI(text[memberURI])
	if err != nil {
		return URI{}, within("uri", err)
	}
	for _, m := range [...]member{memberOperation, memberID, memberSource} {
		if w.raw[m] != nil && (m != memberSource || uri.Resource != CloudTypes) {
			return URI{}, Invalid(CodeNotAllowed, members[m].name, "%s stands in uri already: send uri, or source, operation and id", members[m].name)
		}
	}
	return uri, nil
}

func (w *wire) uriOfParts(text *[textMembers]string) (URI, error) {
	for _, m := range [...]member{memberSource, memberOperation} {
		if w.raw[m] == nil {
			name := members[m].name
			if w.raw[memberSource] == nil {
				name = "uri"
			}
			return URI{}, Invalid(CodeRequired, name, "%s is missing: an event has uri, or source, operation and id", name)
		}
	}
	resource, ok := sourceNamed(text[memberSource])
	if !ok {
		return URI{}, Invalid(CodeBadURI, "source", "without uri the source is items, groups, users, roles or webhooks, not %q", clip(text[memberSource]))
	}
	op, err := eventOperation(resource, text[memberOperation])
	if err != nil {
		return URI{}, within("operation", err)
	}
	uri, err := NewURI(resource, op, "", text[memberID])
	if err != nil {
		return URI{}, within("id", err)
	}
	return uri, nil
}

// sourceNamed finds the resource that a payload's source names, in the singular or plural.
func sourceNamed(word string) (Resource, bool) {
	if r, ok := resourceNamed(word); ok && r != FeatureServices {
		return r, true
	}
	for _, r := range [...]Resource{Items, Groups, Users, Roles, Webhooks} {
		if name := r.String(); equalFoldASCII(word, name[:len(name)-1]) {
			return r, true
		}
	}
	return NoResource, false
}

// service reads what a service event adds.
func (w *wire) service(text *[textMembers]string) (*ServiceFacts, error) {
	s := &ServiceFacts{
		ServiceName: text[memberServiceName], FolderName: text[memberFolderName], ChangesURL: text[memberChangesURL],
		JobID: text[memberJobID], TaskName: text[memberTaskName], StatusURL: text[memberStatusURL], Status: text[memberStatus],
	}
	if raw := w.raw[memberLayerID]; raw != nil {
		id, err := integer(raw, "layerId", maxInteger, "a layer's number")
		if err != nil {
			return nil, err
		}
		s.LayerID = &id
	}
	if raw := w.raw[memberServerGens]; raw != nil {
		generations, err := elements(raw, "serverGens", '0')
		if err != nil {
			return nil, err
		}
		for i, g := range generations {
			n, err := integer(g, fmt.Sprintf("serverGens[%d]", i), maxInteger, "generations")
			if err != nil {
				return nil, err
			}
			s.ServerGens = append(s.ServerGens, n)
		}
	}
	switch s.Status {
	case "", "succeeded", "failed", "cancelled":
	default:
		return nil, Invalid(CodeOutOfRange, "status", "status is succeeded, failed or cancelled, not %q", clip(s.Status))
	}
	return s, nil
}

// audience reads the user ids that may hear of an event.
func audience(raw []byte) ([]string, error) {
	values, err := elements(raw, "audience", '"')
	if err != nil {
		return nil, err
	}
	users := make([]string, 0, len(values))
	for i, v := range values {
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, syntaxError(err)
		}
		if err := CheckText("", string(b)); err != nil {
			return nil, within(fmt.Sprintf("audience[%d]", i), err)
		}
		if n := utf8.RuneCount(b); n > MaxNameCharacters {
			return nil, Invalid(CodeTooLong, fmt.Sprintf("audience[%d]", i), "a user id has at most %d characters, not %d", MaxNameCharacters, n)
		}
		users = append(users, string(b))
	}
	return users, nil
}

// within says which field an error of ParseURI and the like is about.
func within(field string, err error) error {
	if e, ok := errors.AsType[*FieldError](err); ok {
		e.Field = field
	}
	return err
}
