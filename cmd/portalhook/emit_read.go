package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lineEvent is an event of a file, ready to be sent, and the line it begins on.
type lineEvent struct {
	body []byte
	line int
}

// eventReader reads events one after the other: JSON objects in a row (one a line, or over several), or one array of them.
type eventReader struct {
	lines   *lineReader
	decoder *jsontext.Decoder
	begun   bool
	array   bool
}

func newEventReader(in io.Reader) *eventReader {
	lines := &lineReader{in: in}
	return &eventReader{lines: lines, decoder: jsontext.NewDecoder(lines)}
}

// next gives the next event, with an eventId of ours where it has none; io.EOF after the last. An error names the line.
func (r *eventReader) next() (lineEvent, error) {
	if !r.begun {
		r.begun = true
		if r.decoder.PeekKind() == '[' {
			r.array = true
			if _, err := r.decoder.ReadToken(); err != nil {
				return lineEvent{}, r.broken(err)
			}
		}
	}
	if r.array && r.decoder.PeekKind() == ']' {
		return lineEvent{}, r.end()
	}
	value, err := r.decoder.ReadValue()
	if err != nil {
		return lineEvent{}, r.broken(err)
	}
	line := r.lines.at(r.decoder.InputOffset() - int64(len(value)))
	body, err := identified(value)
	if err != nil {
		return lineEvent{}, fmt.Errorf("line %d: %w", line, err)
	}
	return lineEvent{body: body, line: line}, nil
}

// end reads the bracket that closes the array, and makes sure that nothing follows it.
func (r *eventReader) end() error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return r.broken(err)
	}
	_, err := r.decoder.ReadToken()
	if err == nil {
		return fmt.Errorf("line %d: there is more after the array", r.lines.at(r.decoder.InputOffset()))
	}
	r.array = false // a further call finds the end again
	return r.broken(err)
}

// broken says where and why reading stopped; io.EOF stays what it is.
func (r *eventReader) broken(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("line %d: not valid JSON: it ends too early", r.lines.at(r.lines.offset))
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: not valid JSON: %w", r.lines.at(syntax.ByteOffset), syntax.Err)
	}
	return fmt.Errorf("read events: %w", err)
}

// identified is a copy of an event with an eventId in front, unless it has an identity: an eventId, or a CloudEvent's id.
func identified(value jsontext.Value) ([]byte, error) {
	if value.Kind() != '{' {
		return nil, errors.New("an event is a JSON object")
	}
	var known struct {
		EventID     jsontext.Value `json:"eventId"`
		SpecVersion jsontext.Value `json:"specversion"`
	}
	if err := json.Unmarshal(value, &known); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if known.EventID != nil || known.SpecVersion != nil {
		return bytes.Clone(value), nil
	}
	rest := bytes.TrimLeft(value[1:], " \t\r\n")
	body := append([]byte(`{"eventId":"`), newEventID()...)
	body = append(body, '"')
	if rest[0] != '}' {
		body = append(body, ',')
	}
	return append(body, rest...), nil
}

// lineReader passes bytes on and knows the line of each offset. Lines are asked for in rising order, and those passed are forgotten.
type lineReader struct {
	in       io.Reader
	offset   int64
	newlines []int64 // offsets of the newlines read and not yet passed
	passed   int
}

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.newlines = append(l.newlines, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	return n, err
}

// at is the line of the byte at offset, from 1.
func (l *lineReader) at(offset int64) int {
	n := sort.Search(len(l.newlines), func(i int) bool { return l.newlines[i] >= offset })
	l.newlines = l.newlines[n:]
	l.passed += n
	return l.passed + 1
}
