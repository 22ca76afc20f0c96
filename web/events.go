package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Dispatcher accepts events: it is met by *delivery.Dispatcher.
type Dispatcher interface {
	// Dispatch stores the events, all or none, and returns when they are on disk. It keeps nothing of them that points into the
	// body they were parsed from once it has returned without an error. Its errors are *triggers.FieldError,
	// *delivery.ConflictError, delivery.ErrTooMany and *delivery.Overload; after any other the outcome is unknown.
	Dispatch(ctx context.Context, tenant uint32, events []*triggers.Event) ([]delivery.Receipt, error)
}

// unknownOutcomeWait is how long a client should wait before it asks again what became of an event, the commit having failed.
const unknownOutcomeWait = time.Second

// postEvents takes one event, an array of them, or one per line, and CloudEvents in any mode. This is the hot path: the body is read once, parsed in place, and
// the answer is built by hand.
func (s *Server) postEvents(c echo.Context, key *triggers.APIKey) error {
	r := c.Request()
	room := bodyRoom{of: s.largeBodies}
	defer room.release()
	buf, err := readBody(r, maxEventsBody, &room)
	if err != nil {
		return err
	}
	events, batch, err := s.parseEvents(r.Header, *buf)
	if err != nil {
		recycle(buf)
		return err
	}
	receipts, err := s.config.Dispatcher.Dispatch(r.Context(), key.Tenant, events)
	if err != nil {
		// The buffer is left to the collector: after an error somebody may still be reading the events.
		return dispatchProblem(err, batch)
	}
	answer := buffers.Get().(*[]byte)
	*answer = appendReceipts(*answer, events, receipts, batch)
	recycle(buf)
	writeJSON(c, http.StatusAccepted, *answer)
	recycle(answer)
	return nil
}

// parseEvents reads the events of a request; batch says that there may be several.
func (s *Server) parseEvents(header http.Header, body []byte) (events []*triggers.Event, batch bool, err error) {
	if !isBinaryCloudEvent(header) {
		return s.config.Catalog.ParseEvents(header.Get("Content-Type"), body)
	}
	ce, err := fromHTTP(header, body)
	if err != nil {
		return nil, false, err
	}
	ev, err := s.config.Catalog.FromCloudEvent(ce)
	if err != nil {
		return nil, false, err
	}
	return []*triggers.Event{ev}, false, nil
}

// dispatchProblem says why events were not taken. Anything that is not a clear refusal leaves open whether they are stored.
func dispatchProblem(err error, batch bool) error {
	wait := unknownOutcomeWait
	if overload, ok := errors.AsType[*delivery.Overload](err); ok {
		if !overload.Unknown {
			return problemOf(overload)
		}
		wait = max(wait, overload.RetryAfter)
	}
	if errors.Is(err, delivery.ErrTooMany) {
		return fault(codeTooManyDeliveries, "the batch leads to more deliveries than one request may; send it in smaller parts")
	}
	if f, ok := errors.AsType[*triggers.FieldError](err); ok {
		return &problem{Code: f.Code, Field: f.Field, Index: indexIn(batch, f.Index), Detail: f.Detail}
	}
	if conflict, ok := errors.AsType[*delivery.ConflictError](err); ok {
		return problemOf(&delivery.ConflictError{Index: indexIn(batch, conflict.Index)})
	}
	return &problem{
		Code: codeOutcomeUnknown, Index: -1, RetryAfter: wait, cause: err,
		Detail: "the commit failed and its outcome is unknown; send the same events again with the same eventId, which never makes a second one",
	}
}

// indexIn keeps the index for a batch; one event alone has none.
func indexIn(batch bool, index int) int {
	if batch {
		return index
	}
	return -1
}

// appendReceipts writes {"id","eventId","matched"[,"duplicate"]}, or {"events":[…]} of them for a batch.
func appendReceipts(dst []byte, events []*triggers.Event, receipts []delivery.Receipt, batch bool) []byte {
	if !batch {
		return appendReceipt(dst, events[0], &receipts[0])
	}
	dst = append(dst, `{"events":[`...)
	for i := range receipts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendReceipt(dst, events[i], &receipts[i])
	}
	return append(dst, "]}"...)
}

func appendReceipt(dst []byte, ev *triggers.Event, receipt *delivery.Receipt) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, receipt.ID.Event()...)
	dst = append(dst, '"')
	if ev.EventID != "" {
		dst = append(dst, `,"eventId":`...)
		dst = appendText(dst, ev.EventID)
	}
	dst = append(dst, `,"matched":`...)
	dst = strconv.AppendInt(dst, int64(receipt.Matched), 10)
	if receipt.Duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	return append(dst, '}')
}
