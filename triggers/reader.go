package triggers

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// reader reads events out of one body.
type reader struct {
	catalog *Catalog
	// cloudOnly is true when each event must be a CloudEvent, as the content type says so.
	cloudOnly bool
	body      []byte
	dec       *jsontext.Decoder
	in        bytes.Buffer // of body: the decoder reads a bytes.Buffer in place
}

// readers are kept, as a decoder is worth more than an event.
var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.dec = jsontext.NewDecoder(&r.in)
	return r
}}

func (c *Catalog) newReader(body []byte) *reader {
	r, _ := readers.Get().(*reader) // nothing else is put there
	r.catalog = c
	r.reset(body)
	return r
}

// reset turns to another body.
func (r *reader) reset(body []byte) {
	r.body = body
	r.in = *bytes.NewBuffer(body)
	r.dec.Reset(&r.in)
}

// release gives the reader back; it is not used again.
func (r *reader) release() {
	r.reset(nil)
	r.catalog, r.cloudOnly = nil, false
	readers.Put(r)
}

// event reads one event, an object. One with specversion is a CloudEvent.
func (r *reader) event() (*Event, error) {
	var w wire
	if err := r.object(&w); err != nil {
		return nil, err
	}
	if w.cloud || r.cloudOnly {
		return r.catalog.cloudEvent(w.object)
	}
	if err := w.judge(); err != nil {
		return nil, err
	}
	return w.event(r.catalog)
}

// object reads the members of one object into w. Its errors are those of syntax and size; w.judge has the others.
func (r *reader) object(w *wire) error {
	start, err := r.enter()
	if err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.value()
		if err != nil {
			return syntaxError(err)
		}
		value, err := r.value()
		if err != nil {
			return syntaxError(err)
		}
		if err := checkDepth(name, value); err != nil {
			return err
		}
		w.set(name, value)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return syntaxError(err)
	}
	end := r.dec.InputOffset()
	if size := end - start; size > MaxEventBytes {
		return tooLarge("an event has at most %d bytes, not %d", MaxEventBytes, size)
	}
	w.object = r.body[start:end]
	return nil
}

// members calls visit for each member of one object, with the name's text and the value where it stands.
func (r *reader) members(visit func(name string, value []byte) error) error {
	if _, err := r.enter(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		raw, err := r.value()
		if err != nil {
			return syntaxError(err)
		}
		name, err := jsontext.AppendUnquote(nil, raw)
		if err != nil {
			return syntaxError(err)
		}
		value, err := r.value()
		if err != nil {
			return syntaxError(err)
		}
		if err := checkDepth(raw, value); err != nil {
			return err
		}
		if err := visit(string(name), value); err != nil {
			return err
		}
	}
	return nil
}

// enter reads the brace that opens an object, and says where it stands.
func (r *reader) enter() (start int64, err error) {
	kind := r.dec.PeekKind()
	// An error of syntax comes out of reading on.
	if _, err := r.dec.ReadToken(); err != nil {
		return 0, syntaxError(err)
	}
	if kind != '{' {
		return 0, Invalid(CodeWrongType, "", "an event is a JSON object, not %s", kindName(kind))
	}
	return r.dec.InputOffset() - 1, nil
}

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

func tooLarge(format string, args ...any) *FieldError {
	e := Invalid(CodeTooLarge, "", format, args...)
	e.kind = ErrTooLarge
	return e
}
