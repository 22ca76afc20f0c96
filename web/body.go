package web

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

const (
	// maxEventsBody bounds the body of POST /events, in bytes; one event of it is bounded by its parser.
	maxEventsBody = 8 << 20
	// maxManagementBody bounds every other body, in bytes.
	maxManagementBody = 1 << 20
	// keptBuffer is the largest buffer that is kept for the next request, in bytes: one huge batch must not stay in memory.
	keptBuffer = 256 << 10
	// firstRead is the size of a new buffer and trustedLength how much of an announced length is believed at once, in bytes: who
	// announces much and sends nothing must not cost much.
	firstRead     = 2 << 10
	trustedLength = 64 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, firstRead); return &b }}

// recycle gives a body's buffer back. It must be called only when nothing points into it any more.
func recycle(b *[]byte) {
	if cap(*b) <= keptBuffer {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// readBody reads a whole body of at most limit bytes into a buffer that recycle takes back. One that is large must find room; nil is no bound.
func readBody(r *http.Request, limit int64, room *bodyRoom) (*[]byte, error) {
	for _, encoding := range r.Header["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return nil, fault(triggers.CodeMediaType, "the body must not be compressed: send it without Content-Encoding")
		}
	}
	if len(r.Header["Content-Type"]) > 1 { // a proxy may have looked at another one than we would
		return nil, fault(triggers.CodeMediaType, "the header Content-Type is given twice")
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	buf := buffers.Get().(*[]byte)
	body := (*buf)[:0]
	// One byte more than announced, so that the last read finds the end without growing the buffer.
	if need := int(min(r.ContentLength+1, trustedLength)); cap(body) < need {
		body = make([]byte, 0, need)
	}
	for {
		if room != nil && room.taken == 0 && len(body) > keptBuffer {
			if err := room.take(r, limit); err != nil {
				recycle(buf)
				return nil, err
			}
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		*buf = body
		switch {
		case int64(len(body)) > limit:
			recycle(buf)
			return nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			recycle(buf)
			return nil, bodyFailed(err)
		}
	}
}

func tooLarge(limit int64) *problem {
	return fault(triggers.CodeTooLarge, "the body is larger than "+strconv.FormatInt(limit, 10)+" bytes")
}

func bodyFailed(err error) *problem {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &problem{Code: codeTimeout, Index: -1, Detail: "the body did not arrive in time", cause: err}
	}
	return &problem{Code: codeBadBody, Index: -1, Detail: "the body ended before it was whole, or was framed wrongly", cause: err}
}

// readJSON reads the body of a management request: one JSON value of the content type application/json (or one of also), without
// duplicate names, invalid UTF-8 or text behind it.
func readJSON(r *http.Request, also ...string) (jsontext.Value, error) {
	if !isJSON(r.Header.Get("Content-Type"), also) {
		return nil, notJSON()
	}
	value, err := readValue(r)
	if err != nil {
		return nil, err
	}
	if err := checkJSON(value); err != nil {
		return nil, err
	}
	return value, nil
}

// readValue reads the body of a management request, whatever it is. Management is rare and what it reads lives on in webhooks: the
// value is not taken from the pool.
func readValue(r *http.Request) (jsontext.Value, error) {
	buf, err := readBody(r, maxManagementBody, nil)
	if err != nil {
		return nil, err
	}
	defer recycle(buf)
	return append(jsontext.Value(nil), *buf...), nil
}

// readOptions is readJSON for a request that may do without a body: none is the same as {}, whatever its content type.
func readOptions(r *http.Request) (jsontext.Value, error) {
	value, err := readValue(r)
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(value)) == 0:
		return jsontext.Value("{}"), nil
	case !isJSON(r.Header.Get("Content-Type"), nil):
		return nil, notJSON()
	}
	if err := checkJSON(value); err != nil {
		return nil, err
	}
	return value, nil
}

func notJSON() *problem {
	return fault(triggers.CodeMediaType, "the content type must be application/json")
}

func isJSON(contentType string, also []string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return kind == "application/json" || slices.Contains(also, kind)
}

// checkJSON reports what is wrong with the syntax of a value, and where.
func checkJSON(value jsontext.Value) error {
	if len(strings.TrimSpace(string(value))) == 0 {
		return fault(triggers.CodeNotJSON, "the body is empty")
	}
	decoder := jsontext.NewDecoder(strings.NewReader(string(value)))
	if _, err := decoder.ReadValue(); err != nil {
		return syntaxProblem(err, value)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return fault(triggers.CodeNotJSON, "there is text behind the JSON value, at byte "+strconv.FormatInt(decoder.InputOffset(), 10))
	}
	return nil
}

func syntaxProblem(err error, value jsontext.Value) *problem {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fault(triggers.CodeNotJSON, "the JSON ends too early, at byte "+strconv.Itoa(len(value)))
		}
		return &problem{Code: triggers.CodeNotJSON, Index: -1, Detail: "the body is not JSON", cause: err}
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		field := fieldOf(syntax.JSONPointer, value.Kind() == jsontext.KindBeginArray)
		return &problem{Code: triggers.CodeDuplicateKey, Field: field, Index: -1, Detail: "the member is given twice"}
	}
	at := strconv.FormatInt(syntax.ByteOffset, 10)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fault(triggers.CodeNotJSON, "the JSON ends too early, at byte "+at)
	}
	return fault(triggers.CodeNotJSON, "at byte "+at+": "+syntax.Err.Error())
}

// fieldOf spells a JSON pointer as fields are named in errors: /headers/x-env is headers.x-env, /eventTypes/2 is eventTypes[2],
// and in an array /1/path is [1].path.
func fieldOf(pointer jsontext.Pointer, inArray bool) string {
	var field strings.Builder
	for token := range pointer.Tokens() {
		if _, err := strconv.Atoi(token); err == nil && (field.Len() > 0 || inArray) {
			field.WriteString("[" + token + "]")
			continue
		}
		if field.Len() > 0 {
			field.WriteByte('.')
		}
		field.WriteString(token)
	}
	return field.String()
}

// noMembers reads the body of a request that needs none: empty, or an empty object.
func noMembers(r *http.Request) error {
	buf, err := readBody(r, maxManagementBody, nil)
	if err != nil {
		return err
	}
	defer recycle(buf)
	switch text := strings.TrimSpace(string(*buf)); {
	case text == "":
		return nil
	case !isJSON(r.Header.Get("Content-Type"), nil):
		return fault(triggers.CodeMediaType, "this request takes no body, or {} as application/json")
	case text == "{}":
		return nil
	}
	return fault(triggers.CodeUnknownField, "this request takes no body")
}
