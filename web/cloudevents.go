package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"portalhook/triggers"
)

// The headers of a CloudEvent in the binary mode, in Go's spelling.
const (
	attributePrefix   = "Ce-"
	specVersionHeader = "Ce-Specversion"
)

// isBinaryCloudEvent reports whether a request holds a CloudEvent in the binary mode: the attributes in headers, the data as body. The
// content type of the other two modes counts before the headers.
func isBinaryCloudEvent(header http.Header) bool {
	return header[specVersionHeader] != nil && !strings.HasPrefix(header.Get("Content-Type"), "application/cloudevents")
}

// fromHTTP reads a CloudEvent in the binary mode. Its data is body itself, which it does not judge: that is for FromCloudEvent. The
// error is a *triggers.FieldError.
func fromHTTP(header http.Header, body []byte) (triggers.CloudEvent, error) {
	if err := checkAttributes(header); err != nil {
		return triggers.CloudEvent{}, err
	}
	var w cloudWriter
	message := cehttp.NewMessage(header, io.NopCloser(bytes.NewReader(nil)))
	if message.ReadEncoding() != binding.EncodingBinary {
		// A version that the SDK does not know: this is all that is needed to refuse it.
		return triggers.CloudEvent{SpecVersion: header.Get(specVersionHeader)}, nil
	}
	if err := message.ReadBinary(context.Background(), &w); err != nil {
		return triggers.CloudEvent{}, fmt.Errorf("read CloudEvent: %w", err)
	}
	// Headers come in no order, and the same event must be the same each time.
	slices.SortFunc(w.event.Extensions, func(a, b triggers.Extension) int { return strings.Compare(a.Name, b.Name) })
	if len(body) > 0 {
		w.event.Data = body
	}
	return w.event, nil
}

// checkAttributes refuses headers that are no attribute, of which the SDK cannot stand the one without a name.
func checkAttributes(header http.Header) error {
	for name, values := range header {
		attribute, ok := strings.CutPrefix(name, attributePrefix)
		if !ok {
			continue
		}
		attribute = strings.ToLower(attribute)
		switch {
		case attribute == "" || strings.Trim(attribute, "abcdefghijklmnopqrstuvwxyz0123456789") != "":
			return triggers.Invalid(triggers.CodeUnknownField, "ce-"+attribute, "the names of attributes are of the letters a to z and digits")
		case len(values) > 1:
			return triggers.Invalid(triggers.CodeDuplicateKey, "ce-"+attribute, "the header is given twice")
		}
	}
	return nil
}

// cloudWriter takes what the SDK reads out of a message.
type cloudWriter struct{ event triggers.CloudEvent }

var _ binding.BinaryWriter = (*cloudWriter)(nil)

// Start does nothing: there is no order to keep.
func (w *cloudWriter) Start(context.Context) error { return nil }

// SetAttribute takes an attribute of the standard.
func (w *cloudWriter) SetAttribute(attribute spec.Attribute, value any) error {
	text := attributeText(value)
	ce := &w.event
	switch attribute.Kind() {
	case spec.ID:
		ce.ID = text
	case spec.Source:
		ce.Source = text
	case spec.SpecVersion:
		ce.SpecVersion = text
	case spec.Type:
		ce.Type = text
	case spec.DataContentType:
		ce.DataContentType, _ = value.(string) // the header of HTTP itself, which nobody encodes
	case spec.DataSchema:
		ce.DataSchema = text
	case spec.Subject:
		ce.Subject = text
	case spec.Time:
		ce.Time = text
	}
	return nil
}

// SetExtension takes any other attribute. In headers all are text.
func (w *cloudWriter) SetExtension(name string, value any) error {
	w.event.Extensions = append(w.event.Extensions, triggers.Extension{Name: name, Value: appendText(nil, attributeText(value))})
	return nil
}

// SetData passes over the data, which fromHTTP has already.
func (w *cloudWriter) SetData(io.Reader) error { return nil }

// End does nothing.
func (w *cloudWriter) End(context.Context) error { return nil }

// attributeText decodes what senders must write percent-encoded in a header: the space, the double quote, the percent sign and all that
// is not printable ASCII (CloudEvents' HTTP binding 1.0.2, section 3.1.3.2). Anything else stays as it is, although the binding has it
// decoded, too: SDKs, Go's among them, encode nothing, and an event's URI as subject (/users/a%2Fb/update) must arrive as it was sent.
func attributeText(value any) string {
	text, _ := value.(string) // headers hold nothing else
	if !strings.Contains(text, "%") {
		return text
	}
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) {
			if b, ok := hexByte(text[i+1], text[i+2]); ok && (b <= ' ' || b == '"' || b == '%' || b >= 0x7f) {
				decoded = append(decoded, b)
				i += 2
				continue
			}
		}
		decoded = append(decoded, c)
	}
	return string(decoded)
}

func hexByte(high, low byte) (byte, bool) {
	h, okHigh := hexDigit(high)
	l, okLow := hexDigit(low)
	return h<<4 | l, okHigh && okLow
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
