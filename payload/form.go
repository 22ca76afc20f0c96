package payload

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// formField is the one field of a form, before its value.
const formField = "payload="

// ContentType is the media type of what Build makes for the revision. It is the same for every format: receivers of CloudEvents
// too are sent application/json, as Qlik Cloud does.
func (r *Revision) ContentType() string {
	if r.Form {
		return triggers.ContentTypeForm
	}
	return triggers.ContentTypeJSON
}

// dress makes of the JSON behind dst[:at] what is sent: indented, in a form, as the revision asks for.
func (r *Revision) dress(dst []byte, at int) ([]byte, error) {
	if !r.Pretty && !r.Form {
		return dst, nil
	}
	text := jsontext.Value(bytes.Clone(dst[at:]))
	if r.Pretty {
		if err := text.Indent(jsontext.WithIndent("  ")); err != nil {
			return dst[:at], err
		}
	}
	dst = dst[:at]
	if !r.Form {
		return append(dst, text...), nil
	}
	return appendFormValue(append(dst, formField...), text), nil
}

// appendFormValue escapes no more than a reader of forms would take for something else, or than cannot stand in one: receivers that do not
// read the form but cut the JSON out of it find JSON there.
func appendFormValue(dst, text []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, b := range text {
		if b > ' ' && b < 0x7f && b != '%' && b != '&' && b != '+' && b != ';' {
			dst = append(dst, b)
			continue
		}
		dst = append(dst, '%', digits[b>>4], digits[b&15])
	}
	return dst
}

// own is what the families' own signatures cover of a body: the JSON, also where that stands in a form; false when there is none in it.
func own(contentType string, body []byte) ([]byte, bool) {
	media, _, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(media), triggers.ContentTypeForm) {
		return body, true
	}
	for pair := range bytes.SplitSeq(body, []byte{'&'}) {
		if value, ok := bytes.CutPrefix(pair, []byte(formField)); ok {
			text, err := url.QueryUnescape(string(value))
			return []byte(text), err == nil
		}
	}
	return nil, false
}
