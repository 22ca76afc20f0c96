package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/payload"
)

// eventType is what kind of event a delivery is about: the trigger that hears all events of its kind, or the cloud type.
func (s *Server) eventType(r *delivery.Record) string {
	uri, err := s.config.Catalog.ParseURI(r.URI)
	if err != nil {
		return r.URI // of an older catalogue
	}
	return uri.AnyForm()
}

// appendDelivery writes a delivery as lists show it.
func (s *Server) appendDelivery(dst []byte, r *delivery.Record) []byte {
	o := openObject(dst)
	s.writeSummary(o, r)
	if r.StatusCode != 0 {
		o.object("response", func(o *object) { o.number("statusCode", int64(r.StatusCode)) })
	}
	return o.close()
}

func (s *Server) writeSummary(o *object, r *delivery.Record) {
	o.text("id", r.ID.Delivery())
	o.text("webhookId", r.WebhookID.String())
	o.text("eventId", r.EventID.Event())
	o.text("eventType", s.eventType(r))
	o.text("uri", r.URI)
	o.text("trigger", r.Trigger)
	o.text("status", statusOf(r))
	o.text("statusMessage", statusMessage(r))
	o.time("triggeredAt", r.CreatedAt)
	writeState(o, r)
}

// writeState writes how far a delivery has come.
func writeState(o *object, r *delivery.Record) {
	o.text("state", string(r.State))
	o.number("attempts", int64(r.Tries))
	if r.StatusCode != 0 {
		o.number("statusCode", int64(r.StatusCode))
	}
	o.time("lastAttemptAt", r.StartedAt)
	if r.State == delivery.Waiting {
		o.time("nextAttemptAt", r.DueAt)
	}
	o.time("endedAt", r.EndedAt)
	if r.Reason != "" {
		o.text("reason", r.Reason)
	}
}

// statusMessage tells in one sentence how a delivery stands: the attempt, its end, and when the next one is due.
func statusMessage(r *delivery.Record) string {
	last := r.Reason
	if r.Tries > 0 {
		last = "attempt " + strconv.Itoa(r.Tries) + ": " + r.Reason
	}
	switch r.State {
	case delivery.Waiting:
		next := "the next attempt is due " + stamp(r.DueAt)
		if r.DueAt.IsZero() {
			next = "the next attempt waits"
		}
		if r.Tries == 0 {
			return "no attempt has ended yet; " + next
		}
		return last + "; " + next
	case delivery.Sending:
		now := "attempt " + strconv.Itoa(r.Tries+1) + " is under way"
		if r.Tries == 0 {
			return now
		}
		return last + "; " + now
	case delivery.Exhausted:
		return last + "; no attempt is left"
	case delivery.Skipped, delivery.Cancelled:
		if r.Reason == "" {
			return string(r.State)
		}
		return string(r.State) + ": " + r.Reason
	case delivery.Succeeded:
	}
	return last
}

// writeDelivery answers with one delivery in full: the request as it went out and the answer to its last attempt.
func (s *Server) writeDelivery(c echo.Context, status int, r *delivery.Record) error {
	body, err := payload.Build(nil, &r.Revision, r.BuiltAt, r.Events)
	if err != nil {
		return fmt.Errorf("build the body of delivery %s: %w", r.ID.Delivery(), err)
	}
	o := openObject(nil)
	s.writeSummary(o, r)
	var last *delivery.Attempt
	if n := len(r.Attempts); n > 0 {
		last = &r.Attempts[n-1]
	}
	writeExchange(o, &r.Revision, body, last)
	o.array("attemptLog", len(r.Attempts), func(dst []byte, i int) []byte { return appendAttempt(dst, &r.Attempts[i]) })
	writeJSON(c, status, o.close())
	return nil
}

// writeExchange writes the request of an attempt as it went out and what it was answered, if anything; without an attempt, the request
// as it would go out but for its signatures.
func writeExchange(o *object, revision *payload.Revision, body []byte, a *delivery.Attempt) {
	headers := append([][2]string{{"Content-Type", revision.ContentType()}}, revision.Headers...)
	if a != nil {
		headers = append(headers, a.Signed...)
	}
	o.object("request", func(o *object) {
		o.text("url", revision.URL)
		writeHeaders(o, headers)
		if revision.Form {
			o.text("body", string(body))
		} else {
			o.raw("body", body)
		}
	})
	if a == nil || a.StatusCode == 0 {
		return
	}
	o.object("response", func(o *object) {
		o.number("statusCode", int64(a.StatusCode))
		writeHeaders(o, a.ResponseHeaders)
		o.text("body", string(a.ResponseBody))
		if a.Truncated {
			o.flag("truncated", true)
		}
	})
}

// appendAttempt writes one attempt of several.
func appendAttempt(dst []byte, a *delivery.Attempt) []byte {
	o := openObject(dst)
	o.number("number", int64(a.Number))
	writeAttempt(o, a)
	return o.close()
}

// writeAttempt writes how an attempt went; its times are in milliseconds since its start, and absent where it did not get so far.
func writeAttempt(o *object, a *delivery.Attempt) {
	o.time("startedAt", a.StartedAt)
	o.text("outcome", string(a.Outcome))
	if a.StatusCode != 0 {
		o.number("statusCode", int64(a.StatusCode))
	}
	if a.Error != "" {
		o.text("error", a.Error)
	}
	for _, span := range []struct {
		name string
		took time.Duration
	}{
		{"waitedMs", a.Waited}, {"dnsMs", a.DNS}, {"connectMs", a.Connect}, {"tlsMs", a.TLS}, {"firstByteMs", a.FirstByte}, {"totalMs", a.Total},
	} {
		if span.took > 0 {
			o.name(span.name)
			o.buf = strconv.AppendFloat(o.buf, float64(span.took.Microseconds())/1000, 'f', -1, 64)
		}
	}
}

// writeHeaders writes headers as an object; what came several times is joined by commas.
func writeHeaders(o *object, headers [][2]string) {
	o.object("headers", func(o *object) {
		written := make(map[string]bool, len(headers))
		for i, h := range headers {
			name := http.CanonicalHeaderKey(h[0])
			if written[name] {
				continue
			}
			written[name] = true
			values := []string{h[1]}
			for _, other := range headers[i+1:] {
				if http.CanonicalHeaderKey(other[0]) == name {
					values = append(values, other[1])
				}
			}
			o.text(h[0], strings.Join(values, ", "))
		}
	})
}
