package triggers

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The bounds of an event as it comes in.
const (
	MaxEventBytes        = 256 << 10
	MaxEventIDCharacters = 128
	MaxNameCharacters    = 256            // of username, userId, ownerId, source and each of audience
	maxMilliseconds      = 253402300799999 // the end of the year 9999
)

// member is one member of an event as a backend sends it.
type member uint8

// The members, those with text first: their values are copied into one string.
const (
	memberURI member = iota
	memberEventID
	memberSource
	memberOperation
	memberID
	memberUsername
	memberUserID
	memberOwnerID
	memberServiceName
	memberFolderName
	memberChangesURL
	memberJobID
	memberTaskName
	memberStatusURL
	memberStatus
	memberWhen
	memberAudience
	memberProperties
	memberLayerID
	memberServerGens
	memberData
	memberExtensions
	memberCount

	textMembers = memberWhen
)

// anyKind stands for every kind of JSON value.
const anyKind jsontext.Kind = 0

// members tells of each member its name, the kind of its value, the most characters of its text (0: the event's bound will do) and
// whose events alone may have it (0: everyone's).
var members = [memberCount]struct {
	name string
	kind jsontext.Kind
	most int
	of   scope
}{
	memberURI:         {name: "uri", kind: '"'},
	memberEventID:     {name: "eventId", kind: '"', most: MaxEventIDCharacters},
	memberSource:      {name: "source", kind: '"', most: MaxNameCharacters},
	memberOperation:   {name: "operation", kind: '"'},
	memberID:          {name: "id", kind: '"'},
	memberUsername:    {name: "username", kind: '"', most: MaxNameCharacters},
	memberUserID:      {name: "userId", kind: '"', most: MaxNameCharacters},
	memberOwnerID:     {name: "ownerId", kind: '"', most: MaxNameCharacters},
	memberServiceName: {name: "serviceName", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberFolderName:  {name: "folderName", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberChangesURL:  {name: "changesUrl", kind: '"', of: ofServices},
	memberJobID:       {name: "jobId", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberTaskName:    {name: "taskName", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberStatusURL:   {name: "statusURL", kind: '"', of: ofServices},
	memberStatus:      {name: "status", kind: '"', of: ofServices},
	memberWhen:        {name: "when", kind: '0'},
	memberAudience:    {name: "audience", kind: '['},
	memberProperties:  {name: "properties", kind: '{', of: notOfCloud},
	memberLayerID:     {name: "layerId", kind: '0', of: ofServices},
	memberServerGens:  {name: "serverGens", kind: '[', of: ofServices},
	memberData:        {name: "data", kind: anyKind, of: ofCloud},
	memberExtensions:  {name: "extensions", kind: '{', of: ofCloud},
}

// scope says which events may have a member.
type scope uint8

const (
	_ scope = iota // every event
	ofServices
	ofCloud
	notOfCloud
)

func (s scope) admits(r Resource) bool {
	switch s {
	case ofServices:
		return r == FeatureServices || r == Geoprocessing
	case ofCloud:
		return r == CloudTypes
	case notOfCloud:
		return r != CloudTypes
	}
	return true
}

func (s scope) String() string {
	return [...]string{"every event", "events of services", "events with a cloud type", "events without a cloud type"}[s]
}

// memberNamed finds a member by the text between the quotes of its name.
func memberNamed(name []byte) (member, bool) {
	switch string(name) {
	case "uri":
		return memberURI, true
	case "username":
		return memberUsername, true
	case "userId":
		return memberUserID, true
	case "when":
		return memberWhen, true
	case "properties":
		return memberProperties, true
	case "eventId":
		return memberEventID, true
	}
	for m := range memberCount {
		if string(name) == members[m].name {
			return m, true
		}
	}
	return 0, false
}

// wire is an event as its JSON came: the raw value of each member, nil where there was none.
type wire struct {
	raw     [memberCount][]byte
	unknown string // the first member that there is no such
	cloud   bool   // specversion was among the unknown
}

// reader reads events out of one body.
type reader struct {
	catalog *Catalog
	body    []byte
	dec     *jsontext.Decoder
	in      *bytes.Reader
}

// readers are kept, as a decoder's buffers are worth more than an event.
var readers = sync.Pool{New: func() any {
	in := bytes.NewReader(nil)
	return &reader{in: in, dec: jsontext.NewDecoder(in)}
}}

// maxKeptBody bounds the bodies whose decoder is kept for the next: its buffer has grown to hold them.
const maxKeptBody = 2 * MaxEventBytes

func (c *Catalog) newReader(body []byte) *reader {
	r := readers.Get().(*reader) //nolint:errcheck,forcetypeassert // nothing else is put there
	r.catalog = c
	r.reset(body)
	return r
}

// reset turns to another body.
func (r *reader) reset(body []byte) {
	r.body = body
	r.in.Reset(body)
	r.dec.Reset(r.in)
}

// release gives the reader back; it is not used again.
func (r *reader) release() {
	if cap(r.body) > maxKeptBody {
		return
	}
	r.catalog, r.body = nil, nil
	r.in.Reset(nil)
	readers.Put(r)
}

// event reads one event, an object.
func (r *reader) event() (*Event, error) {
	var w wire
	if err := r.object(&w); err != nil {
		return nil, err
	}
	return w.event(r.catalog)
}

// object reads the members of one object into w.
func (r *reader) object(w *wire) error {
	if kind := r.dec.PeekKind(); kind != '{' {
		// An error of syntax comes out of reading on.
		if _, err := r.dec.ReadToken(); err != nil {
			return syntaxError(err)
		}
		return Invalid(CodeWrongType, "", "an event is a JSON object, not %s", kindName(kind))
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntaxError(err)
	}
	start := r.dec.InputOffset() - 1
	var wrong *FieldError
	for r.dec.PeekKind() != '}' {
		name, err := r.value()
		if err != nil {
			return syntaxError(err)
		}
		value, err := r.value()
		if err != nil {
			return syntaxError(err)
		}
		if e := w.set(name, value); e != nil && wrong == nil {
			wrong = e // but what follows must be JSON first
		}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntaxError(err)
	}
	switch size := r.dec.InputOffset() - start; {
	case size > MaxEventBytes:
		return tooLarge("an event has at most %d bytes, not %d", MaxEventBytes, size)
	case w.cloud:
		return Invalid(CodeNotSupported, "specversion", "CloudEvents are not accepted here yet: send the event as plain JSON, with uri, username, "+
			"userId, when and properties")
	case w.unknown != "":
		near := nearWithin(w.unknown, memberNames, 2)
		e := Invalid(CodeUnknownField, w.unknown, "an event has no member %q", w.unknown)
		if near != "" {
			e.Suggestion = near
			e.Detail += "; the nearest is " + near
		}
		return e
	case wrong != nil:
		return wrong
	}
	return nil
}

var memberNames = func() (names []string) {
	for _, m := range members {
		names = append(names, m.name)
	}
	return names
}()

// value reads the next value, or name, and gives the part of the body where it stands.
func (r *reader) value() ([]byte, error) {
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := r.dec.InputOffset()
	return r.body[end-int64(len(v)) : end], nil
}

// end reads to the end of the body, which must hold nothing more.
func (r *reader) end() error {
	switch _, err := r.dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return syntaxError(err)
	}
	return Invalid(CodeNotJSON, "", "something follows the event, by byte %d; several events are sent as an array, or as application/x-ndjson, "+
		"one a line", r.dec.InputOffset())
}

// set takes one member.
func (w *wire) set(name, value []byte) *FieldError {
	inner := name[1 : len(name)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner, _ = jsontext.AppendUnquote(nil, name) // the decoder has found it well-formed
	}
	m, ok := memberNamed(inner)
	if !ok {
		if string(inner) == "specversion" {
			w.cloud = true
		}
		if w.unknown == "" {
			w.unknown = clip(string(inner))
		}
		return nil
	}
	w.raw[m] = value
	if kind := jsontext.Value(value).Kind(); kind != members[m].kind && members[m].kind != anyKind {
		return Invalid(CodeWrongType, members[m].name, "%s must be %s, not %s", members[m].name, kindName(members[m].kind), kindName(kind))
	}
	return nil
}

// event makes the Event of what came.
func (w *wire) event(c *Catalog) (*Event, error) {
	text, err := w.texts()
	if err != nil {
		return nil, err
	}
	uri, err := w.uri(c, &text)
	if err != nil {
		return nil, err
	}
	for m := range memberCount {
		if of := members[m].of; of != 0 && w.raw[m] != nil && !of.admits(uri.Resource) {
			return nil, Invalid(CodeNotAllowed, members[m].name, "only %s have %s", of, members[m].name)
		}
	}
	ev := &Event{
		URI: uri, EventID: text[memberEventID], Username: text[memberUsername], UserID: text[memberUserID], OwnerID: text[memberOwnerID],
		Properties: compact(w.raw[memberProperties]), Data: compact(w.raw[memberData]), Extensions: compact(w.raw[memberExtensions]),
	}
	if uri.Resource == CloudTypes {
		ev.Source = text[memberSource]
	}
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
		if ev.Service, err = w.service(&text); err != nil {
			return nil, err
		}
	}
	return ev, nil
}

// texts copies the members that are text, all into one string, and checks their lengths.
func (w *wire) texts() (text [textMembers]string, err error) {
	size := 0
	for m := range textMembers {
		size += len(w.raw[m])
	}
	all := make([]byte, 0, size)
	var ends [textMembers]int
	for m := range textMembers {
		if raw := w.raw[m]; bytes.IndexByte(raw, '\\') >= 0 {
			if all, err = jsontext.AppendUnquote(all, raw); err != nil {
				return text, syntaxError(err)
			}
		} else if raw != nil {
			all = append(all, raw[1:len(raw)-1]...)
		}
		ends[m] = len(all)
	}
	joined, start := string(all), 0
	for m := range textMembers {
		text[m] = joined[start:ends[m]]
		start = ends[m]
		if most := members[m].most; most > 0 && len(text[m]) > most {
			if n := utf8.RuneCountInString(text[m]); n > most {
				return text, Invalid(CodeTooLong, members[m].name, "%s has at most %d characters, not %d", members[m].name, most, n)
			}
		}
	}
	return text, nil
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
		for _, g := range generations {
			n, err := integer(g, "serverGens", maxInteger, "generations")
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

const maxInteger = 1<<53 - 1

// integer reads a number that must be whole, not negative and at most most.
func integer(raw []byte, field string, most int64, what string) (int64, error) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, Invalid(CodeWrongType, field, "%s must be a whole number (%s), not %s", field, what, clip(string(raw)))
	case err != nil || n < 0 || n > most:
		return 0, Invalid(CodeOutOfRange, field, "%s must be from 0 to %d (%s), not %s", field, most, what, clip(string(raw)))
	}
	return n, nil
}

// audience reads the user ids that may hear of an event.
func audience(raw []byte) ([]string, error) {
	values, err := elements(raw, "audience", '"')
	if err != nil {
		return nil, err
	}
	users := make([]string, 0, len(values))
	for _, v := range values {
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, syntaxError(err)
		}
		if n := utf8.RuneCount(b); n > MaxNameCharacters {
			return nil, Invalid(CodeTooLong, "audience", "a user id has at most %d characters, not %d", MaxNameCharacters, n)
		}
		users = append(users, string(b))
	}
	return users, nil
}

// elements cuts a JSON array into its values, which must all be of one kind.
func elements(raw []byte, field string, kind jsontext.Kind) ([][]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	var values [][]byte
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			return nil, syntaxError(err)
		}
		if v.Kind() != kind {
			return nil, Invalid(CodeWrongType, field+"["+strconv.Itoa(len(values))+"]", "%s holds %s only, not %s", field, kindPlural(kind), kindName(v.Kind()))
		}
		values = append(values, bytes.Clone(v))
	}
	return values, nil
}

// within says which field an error of ParseURI and the like is about.
func within(field string, err error) error {
	var e *FieldError
	if errors.As(err, &e) {
		e.Field = field
	}
	return err
}

// syntaxError makes the error of a body that the decoder refused.
func syntaxError(err error) error {
	var at *jsontext.SyntacticError
	switch {
	case !errors.As(err, &at):
		return Invalid(CodeNotJSON, "", "the body ends before the JSON does")
	case errors.Is(err, jsontext.ErrDuplicateName):
		field := fieldPath(at.JSONPointer)
		return Invalid(CodeDuplicateKey, field, "the key stands twice in its object, the second time by byte %d", at.ByteOffset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Invalid(CodeNotJSON, "", "the body ends before the JSON does, at byte %d", at.ByteOffset)
	}
	return Invalid(CodeNotJSON, "", "not JSON after byte %d: %s", at.ByteOffset, strings.TrimPrefix(at.Err.Error(), "jsontext: "))
}

// fieldPath writes a JSON pointer as properties.sharedToGroups[2]; of an event within an array the index is left out.
func fieldPath(pointer jsontext.Pointer) string {
	var b strings.Builder
	first := true
	for token := range pointer.Tokens() {
		_, err := strconv.ParseUint(token, 10, 32)
		switch {
		case err == nil && first:
		case err == nil:
			b.WriteString("[" + token + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(clip(token))
		}
		first = false
	}
	return b.String()
}

// compact copies a JSON value without white space and with the fewest escapes; everything else stays as it came. nil stays nil.
func compact(raw []byte) []byte {
	switch {
	case raw == nil:
		return nil
	case bytes.IndexByte(raw, '\\') >= 0:
		out, err := jsontext.AppendFormat(make([]byte, 0, len(raw)), raw, jsontext.PreserveRawStrings(false))
		if err != nil {
			return bytes.Clone(raw) // cannot be: the decoder has read it
		}
		return out
	}
	// Without backslashes a quote always begins or ends a string.
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		switch c := raw[0]; c {
		case ' ', '\t', '\r', '\n':
			raw = raw[1:]
		case '"':
			end := bytes.IndexByte(raw[1:], '"') + 2
			out = append(out, raw[:end]...)
			raw = raw[end:]
		default:
			out = append(out, c)
			raw = raw[1:]
		}
	}
	return out
}

func tooLarge(format string, args ...any) *FieldError {
	e := Invalid(CodeTooLarge, "", format, args...)
	e.kind = ErrTooLarge
	return e
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "anything else"
}

func kindPlural(k jsontext.Kind) string {
	if k == '0' {
		return "numbers"
	}
	return "strings"
}
