package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bounds of one request. The server's own are 10,000 events and 8 MiB.
const (
	maxBatchEvents = 1000
	maxBatchBytes  = 4 << 20
)

const eventsPath = "/api/v1/events"

// newEventID draws an eventId, under which a repeated request is known for what it is.
func newEventID() string { return "emit-" + rand.Text() }

// receipt is what the server answers for one event.
type receipt struct {
	ID        string `json:"id"`
	EventID   string `json:"eventId"`
	Matched   int    `json:"matched"`
	Duplicate bool   `json:"duplicate"`
}

func (r receipt) String() string {
	text := fmt.Sprintf("%s  matched %d", r.ID, r.Matched)
	if r.Duplicate {
		text += "  (duplicate: the server had it)"
	}
	return text
}

// numbered is the receipt of an event of a file.
type numbered struct {
	receipt
	line int
}

// tallied is what came of a file.
type tallied struct{ events, matched, duplicates int }

func (t tallied) String() string {
	text := fmt.Sprintf("%d events accepted, %d deliveries", t.events, t.matched)
	if t.duplicates > 0 {
		text += fmt.Sprintf(", %d duplicates", t.duplicates)
	}
	return text
}

// emitAll sends what reader gives in batches, and calls accepted for each event once the server has it. It stops at the first
// event that cannot be read or that the server refuses, with an error that names its line; all before it have been accepted.
func emitAll(ctx context.Context, reader *eventReader, sender *sender, accepted func(numbered) error) (tallied, error) {
	var total tallied
	var batch []lineEvent
	size := 0
	flush := func() error {
		err := sender.batch(ctx, batch, func(n numbered) error {
			total.events++
			total.matched += n.Matched
			if n.Duplicate {
				total.duplicates++
			}
			return accepted(n)
		})
		batch, size = batch[:0], 0
		return err
	}
	for {
		event, err := reader.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if earlier := flush(); earlier != nil {
				return total, earlier
			}
			return total, err
		}
		if len(batch) == maxBatchEvents || size+len(event.body) > maxBatchBytes {
			if err := flush(); err != nil {
				return total, err
			}
		}
		batch = append(batch, event)
		size += len(event.body)
	}
	return total, flush()
}

// sender sends events and asks again where that may help.
type sender struct {
	client *client
	tries  int
	// pause waits, and reports false when ctx ended first.
	pause func(ctx context.Context, d time.Duration) bool
	// reached says that the server has answered before: then a broken connection is worth another try.
	reached bool
}

func (s *sender) one(ctx context.Context, body []byte) (receipt, error) {
	var r receipt
	answer, err := s.post(ctx, body)
	if err != nil {
		return r, err
	}
	return r, decode(answer, &r)
}

// batch sends events in one request. When the server refuses one of them it stores none of the batch: then those before the
// refused one are sent alone, so that what is accepted is always a beginning of the file.
func (s *sender) batch(ctx context.Context, events []lineEvent, accepted func(numbered) error) error {
	if len(events) == 0 {
		return nil
	}
	answer, err := s.post(ctx, arrayOf(events))
	var refused *apiError
	switch {
	case errors.As(err, &refused) && refused.Index >= 0 && refused.Index < len(events):
		bad := refused.Index
		if err := s.batch(ctx, events[:bad], accepted); err != nil {
			return err
		}
		refused.Index = -1
		return fmt.Errorf("line %d: %w", events[bad].line, refused)
	case errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge && len(events) > 1:
		half := len(events) / 2
		if err := s.batch(ctx, events[:half], accepted); err != nil {
			return err
		}
		return s.batch(ctx, events[half:], accepted)
	case err != nil && len(events) == 1:
		return fmt.Errorf("line %d: %w", events[0].line, err)
	case err != nil:
		return fmt.Errorf("lines %d to %d: %w", events[0].line, events[len(events)-1].line, err)
	}
	var many struct {
		Events []receipt `json:"events"`
	}
	if err := decode(answer, &many); err != nil {
		return err
	}
	if len(many.Events) != len(events) {
		return fmt.Errorf("the server answered %d events of %d", len(many.Events), len(events))
	}
	for i, r := range many.Events {
		if err := accepted(numbered{receipt: r, line: events[i].line}); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}

func arrayOf(events []lineEvent) []byte {
	var b bytes.Buffer
	for i, event := range events {
		b.WriteByte("[,"[min(i, 1)])
		b.Write(event.body)
	}
	b.WriteByte(']')
	return b.Bytes()
}

// The waits between tries, where the server does not name one: from the first, doubling, to the longest.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 30 * time.Second
)

// post sends a body until the server has taken or refused it, at most tries times. A wait that the server asks for is kept to, up to
// longestPause; one that is longer ends the tries.
func (s *sender) post(ctx context.Context, body []byte) ([]byte, error) {
	pause := firstPause
	for try := 1; ; try++ {
		answer, err := s.client.send(ctx, http.MethodPost, eventsPath, body)
		if err == nil {
			s.reached = true
			return answer, nil
		}
		asked, again := s.again(err)
		if !again || ctx.Err() != nil {
			return nil, err
		}
		if try >= s.tries || asked > longestPause {
			return nil, fmt.Errorf("given up after %d tries: %w", try, err)
		}
		if !s.pause(ctx, max(pause, asked)) {
			return nil, fmt.Errorf("interrupted: %w", err)
		}
		pause = min(2*pause, longestPause)
	}
}

// again says whether another try may help, and the wait that the server asks for.
func (s *sender) again(err error) (asked time.Duration, yes bool) {
	if refused, ok := errors.AsType[*apiError](err); ok {
		s.reached = true
		switch refused.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return refused.RetryAfter, true
		default:
			return 0, false
		}
	}
	_, away := errors.AsType[*noAnswer](err)
	return 0, s.reached && away
}
