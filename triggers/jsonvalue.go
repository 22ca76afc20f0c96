package triggers

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

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

// checkValue checks that raw is one JSON value, strictly: in UTF-8, without duplicate keys, nothing after it.
func checkValue(raw []byte) error {
	r := (*Catalog)(nil).newReader(raw)
	defer r.release()
	if _, err := r.dec.ReadValue(); err != nil {
		return syntaxError(err)
	}
	switch _, err := r.dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return syntaxError(err)
	}
	return Invalid(CodeNotJSON, "", "something follows the JSON value, by byte %d", r.dec.InputOffset())
}

// checkDepth refuses a member whose value has more than MaxEventDepth objects and arrays within each other.
func checkDepth(name, value []byte) error {
	// Nearly every value has fewer than that at all.
	if bytes.Count(value, []byte{'{'})+bytes.Count(value, []byte{'['}) <= MaxEventDepth || depthOf(value) <= MaxEventDepth {
		return nil
	}
	field, err := jsontext.AppendUnquote(nil, name)
	if err != nil {
		return syntaxError(err)
	}
	return Invalid(CodeOutOfRange, clip(string(field)), "at most %d objects and arrays may stand within each other", MaxEventDepth)
}

// depthOf is how many objects and arrays of a JSON value stand within each other.
func depthOf(value []byte) int {
	most, depth, quoted := 0, 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}

// stringOf is the text of a value that must be a JSON string.
func stringOf(field string, raw []byte) (string, error) {
	if kind := jsontext.Value(raw).Kind(); kind != '"' {
		return "", Invalid(CodeWrongType, field, "%s must be a string, not %s", field, kindName(kind))
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", within(field, syntaxError(err))
	}
	return string(text), CheckText(field, string(text))
}

// appendQuoted appends text as a JSON string with the fewest escapes; what is no UTF-8 becomes the replacement character.
func appendQuoted(dst []byte, text string) []byte {
	out, _ := jsontext.AppendQuote(dst, text)
	return out
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
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		tight := tightPrefix(raw)
		out = append(out, raw[:tight]...)
		raw = bytes.TrimLeft(raw[tight:], " \t\r\n")
	}
	return out
}

// tightPrefix is the length of the part before the first white space outside strings, in JSON that has no backslash: there a quote always
// begins or ends a string.
func tightPrefix(raw []byte) int {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ' ', '\t', '\r', '\n':
			return i
		case '"':
			i += bytes.IndexByte(raw[i+1:], '"') + 1
		}
	}
	return len(raw)
}

// kindNames say what a value is in a sentence.
var kindNames = map[jsontext.Kind]string{
	'n': "null", 't': "a boolean", 'f': "a boolean", '"': "a string", '0': "a number", '{': "an object", '[': "an array",
}

func kindName(k jsontext.Kind) string { return kindNames[k] }

func kindPlural(k jsontext.Kind) string {
	if k == '0' {
		return "numbers"
	}
	return "strings"
}
