package payload

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// appendQuoted appends text as a JSON string with the fewest escapes. Text that is not UTF-8 cannot reach this place by way of the
// parsers; were it to, each stray byte would become U+FFFD.
func appendQuoted(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}

// member is one name and value of a JSON object, both as they stand in it: the name in its quotes.
type member struct{ name, value []byte }

// is reports whether the member has the name. Names are compared as written, which is enough in JSON with the fewest escapes.
func (m member) is(name string) bool {
	return len(m.name) == len(name)+2 && string(m.name[1:len(m.name)-1]) == name
}

// find is the value of the member with the name, nil when there is none.
func find(all []member, name string) []byte {
	for _, m := range all {
		if m.is(name) {
			return m.value
		}
	}
	return nil
}

// appendName appends the name of an object's member, which needs no escape, after a comma unless it is the first.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, `":`...)
}

// appendMember appends a member whose value is JSON already.
func appendMember(dst []byte, name string, value []byte) []byte {
	return append(appendName(dst, name), value...)
}

// appendText appends a member that is a string.
func appendText(dst []byte, name, text string) []byte {
	return appendQuoted(appendName(dst, name), text)
}

// appendInteger appends a member that is a whole number.
func appendInteger(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

// unquoted is the text of a JSON string.
func unquoted(value []byte) (string, error) {
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

// isString reports whether a JSON value is a string.
func isString(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// isEmptyString reports whether a JSON value is the string without characters.
func isEmptyString(value []byte) bool { return string(value) == `""` }

// reader cuts JSON into its parts without copying any.
type reader struct {
	input   bytes.Buffer // a decoder reads a Buffer's bytes where they are
	decoder jsontext.Decoder
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// members appends the members of a JSON object to dst, in their order.
func members(dst []member, object []byte) ([]member, error) {
	err := parts(object, jsontext.KindBeginObject, func(d *jsontext.Decoder) error {
		name, err := next(d, object)
		if err != nil {
			return err
		}
		value, err := next(d, object)
		dst = append(dst, member{name, value})
		return err
	})
	return dst, err
}

// elements appends the elements of a JSON array to dst, in their order.
func elements(dst [][]byte, array []byte) ([][]byte, error) {
	err := parts(array, jsontext.KindBeginArray, func(d *jsontext.Decoder) error {
		value, err := next(d, array)
		dst = append(dst, value)
		return err
	})
	return dst, err
}

// parts opens a JSON value of the kind begin and calls part until it ends.
func parts(value []byte, begin jsontext.Kind, part func(*jsontext.Decoder) error) error {
	r := readers.Get().(*reader)
	defer func() {
		r.input = bytes.Buffer{} // the pool must not keep the event alive
		readers.Put(r)
	}()
	r.input = *bytes.NewBuffer(value)
	r.decoder.Reset(&r.input)
	if token, err := r.decoder.ReadToken(); err != nil {
		return err
	} else if token.Kind() != begin {
		return fmt.Errorf("%v where %v was expected", token.Kind(), begin)
	}
	for kind := r.decoder.PeekKind(); kind != jsontext.KindEndObject && kind != jsontext.KindEndArray; kind = r.decoder.PeekKind() {
		if err := part(&r.decoder); err != nil {
			return err
		}
	}
	return nil
}

// next reads one value and gives the place in input where it stands; what the decoder hands out is valid for a moment only.
func next(d *jsontext.Decoder, input []byte) ([]byte, error) {
	value, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	end := d.InputOffset()
	return input[end-int64(len(value)) : end], nil
}
