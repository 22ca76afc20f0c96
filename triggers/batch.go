package triggers

import (
	"bytes"
	"errors"
	"mime"
	"strings"
)

// The bounds of a batch.
const (
	MaxBatchBytes  = 8 << 20
	MaxBatchEvents = 10_000
)

// The content types that events are read from.
const (
	jsonType       = "application/json"
	ndjsonType     = "application/x-ndjson"
	cloudEventType = "application/cloudevents+json"
	cloudBatchType = "application/cloudevents-batch+json"
)

// ParseEvent reads one event: a JSON object of at most MaxEventBytes with uri, or source, operation and id. The error is a *FieldError;
// one that is too large also is ErrTooLarge.
func (c *Catalog) ParseEvent(body []byte) (*Event, error) {
	r := c.newReader(body)
	defer r.release()
	return r.only()
}

// ParseEvents reads the events of a body: one object or an array of them as application/json, or one a line as application/x-ndjson,
// blank lines left out; each may be a CloudEvent. One CloudEvent may also come as application/cloudevents+json, an array of them as
// application/cloudevents-batch+json. batch is true for an array and for lines, even of one event. Events stay in order; either all are
// good or the error says which is not: a *FieldError with Index set in a batch, which is ErrMediaType for any other content type and
// ErrTooLarge past MaxEventBytes, MaxBatchBytes or MaxBatchEvents.
func (c *Catalog) ParseEvents(contentType string, body []byte) (events []*Event, batch bool, err error) {
	media, err := mediaOf(contentType)
	switch {
	case err != nil:
		return nil, false, err
	case len(body) > MaxBatchBytes:
		return nil, false, tooLarge("a body has at most %d bytes, not %d", MaxBatchBytes, len(body))
	}
	r := c.newReader(body)
	defer r.release()
	r.cloudOnly = media == cloudEventType || media == cloudBatchType
	switch {
	case media == ndjsonType:
		events, err = r.lines()
		return events, true, err
	case media == cloudBatchType && r.dec.PeekKind() == '{':
		return nil, true, Invalid(CodeWrongType, "", "a batch of CloudEvents is a JSON array; one alone is sent as %s", cloudEventType)
	case r.dec.PeekKind() == '[' && media != cloudEventType:
		events, err = r.array()
		return events, true, err
	}
	ev, err := r.only()
	if err != nil {
		return nil, false, err
	}
	return []*Event{ev}, false, nil
}

// mediaOf tells the content types apart; one that is none of them is an error.
func mediaOf(contentType string) (string, error) {
	if contentType == jsonType {
		return jsonType, nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && isUTF8(params) {
		switch media {
		case jsonType, ndjsonType, cloudEventType, cloudBatchType:
			return media, nil
		}
	}
	e := Invalid(CodeMediaType, "", "events come as %s (one object, or an array), %s, %s or %s, in UTF-8, not as %q", jsonType, ndjsonType,
		cloudEventType, cloudBatchType, clip(contentType))
	e.kind = ErrMediaType
	return "", e
}

// isUTF8 reports whether a content type's parameters name no other charset.
func isUTF8(params map[string]string) bool {
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}

// only reads the one event of a body.
func (r *reader) only() (*Event, error) {
	if size := len(bytes.TrimSpace(r.body)); size > MaxEventBytes && r.dec.PeekKind() == '{' {
		return nil, tooLarge("an event has at most %d bytes, not %d", MaxEventBytes, size)
	}
	ev, err := r.event()
	if err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return ev, nil
}

// array reads an array of events.
func (r *reader) array() ([]*Event, error) {
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	var events []*Event
	for r.dec.PeekKind() != ']' {
		if len(events) == MaxBatchEvents {
			return nil, tooMany()
		}
		ev, err := r.event()
		if err != nil {
			return nil, at(len(events), err)
		}
		events = append(events, ev)
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, syntaxError(err)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return nonEmpty(events)
}

// lines reads one event a line.
func (r *reader) lines() ([]*Event, error) {
	var events []*Event
	for line := range bytes.Lines(r.body) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
			continue
		case len(events) == MaxBatchEvents:
			return nil, tooMany()
		}
		r.reset(line)
		ev, err := r.only()
		if err != nil {
			return nil, at(len(events), err)
		}
		events = append(events, ev)
	}
	return nonEmpty(events)
}

func nonEmpty(events []*Event) ([]*Event, error) {
	if len(events) == 0 {
		return nil, Invalid(CodeRequired, "", "the batch is empty: send at least one event")
	}
	return events, nil
}

func tooMany() *FieldError { return tooLarge("a batch has at most %d events", MaxBatchEvents) }

// at says which event of a batch an error is about.
func at(index int, err error) error {
	if e, ok := errors.AsType[*FieldError](err); ok {
		e.Index = index
	}
	return err
}
