package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Tailer lets one listen to what happens: it is met by *delivery.Dispatcher.
type Tailer interface {
	// Listen is an *delivery.Overload when too many listen or the server stops.
	Listen(q delivery.TailQuery) (*delivery.Listener, error)
}

const (
	// tailBeat is the time between two signs of life. Proxies close what is silent for a minute.
	tailBeat = 15 * time.Second
	// tailWrite is how long a client may leave a write waiting.
	tailWrite = 30 * time.Second
)

// getTail tells of events and deliveries as server-sent events, while they happen, until the client goes, its key no longer opens
// anything, or the server stops.
func (s *Server) getTail(c echo.Context, key *triggers.APIKey) error {
	q, err := s.tailQuery(c, key)
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // proxies hand on what comes at once
	if c.Request().Method == http.MethodHead {
		c.Response().WriteHeader(http.StatusOK)
		return nil
	}
	listener, err := s.config.Tailer.Listen(q)
	if err != nil {
		return err
	}
	defer listener.Close()
	out := &stream{to: c.Response(), control: http.NewResponseController(c.Response())}
	c.Response().WriteHeader(http.StatusOK)
	out.text = append(out.text, "retry: 2000\n: listening\n\n"...)
	s.follow(c, key, listener, out)
	return nil
}

// follow writes what comes until there is no more to be written or nobody who may read it.
func (s *Server) follow(c echo.Context, key *triggers.APIKey, listener *delivery.Listener, out *stream) {
	beat := time.NewTicker(s.beat)
	defer beat.Stop()
	var expired <-chan time.Time
	if !key.Expires.IsZero() {
		expiry := time.NewTimer(time.Until(key.Expires))
		defer expiry.Stop()
		expired = expiry.C
	}
	var moments []delivery.Moment
	for {
		missed, changed := 0, s.keys.changed()
		// What comes together with the end of its key is not sent: the key is looked at before each write.
		if _, err := s.permit(s.keys.byName(key.ID), tailRoles); err != nil || out.flush() != nil {
			return
		}
		select {
		case <-c.Request().Context().Done():
			return
		case <-s.ending.Done():
			return
		case <-listener.Wake:
			moments, missed = listener.Take(moments)
			out.moments(moments, missed)
		case <-listener.Done:
			moments, missed = listener.Take(moments)
			out.moments(moments, missed)
			_ = out.flush() // nothing else is left to do
			return
		case <-changed:
		case <-expired:
		case <-beat.C:
			out.text = append(out.text, ": beat\n\n"...)
		}
	}
}

// tailRoles may listen: who may read events, and users of what happens to their own webhooks.
const tailRoles = admin | user | viewer

// tailQuery reads what the listener wants, within what its key may see.
func (s *Server) tailQuery(c echo.Context, key *triggers.APIKey) (q delivery.TailQuery, err error) {
	q.Tenant = key.Tenant
	if key.Role == triggers.RoleUser {
		q.Sees = func(w *triggers.Webhook) bool { return owns(key, w) }
	}
	for kind := range strings.SplitSeq(c.QueryParam("kind"), ",") {
		switch kind := delivery.MomentKind(strings.TrimSpace(kind)); {
		case kind == "":
		case slices.Contains(delivery.MomentKinds, kind):
			q.Kinds = append(q.Kinds, kind)
		default:
			return q, triggers.Invalid(triggers.CodeOutOfRange, "kind", "the kind is %q; it must be event, attempt or end, or several by commas", kind)
		}
	}
	if text := c.QueryParam("webhook"); text != "" {
		id, ok := triggers.ParseWebhookID(text)
		w, err := s.config.Directory.ByID(key.Tenant, id)
		if !ok || err != nil || !owns(key, w) {
			return q, triggers.Invalid(triggers.CodeOutOfRange, "webhook", "there is no such webhook")
		}
		q.Webhook = w.Key
	}
	if text := c.QueryParam("uri"); text != "" {
		trigger, err := s.config.Catalog.ParseTrigger(text)
		if err != nil {
			return q, inField("uri", err)
		}
		q.Trigger = &trigger
	}
	return q, nil
}

// stream is a body of server-sent events under way.
type stream struct {
	to      http.ResponseWriter
	control *http.ResponseController
	text    []byte // not yet written
}

// flush sends what is there; a client that does not take it in time is given up.
func (s *stream) flush() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(tailWrite)); err != nil {
		return err
	}
	if _, err := s.to.Write(s.text); err != nil {
		return err
	}
	s.text = s.text[:0]
	return s.control.Flush()
}

func (s *stream) moments(list []delivery.Moment, missed int) {
	for i := range list {
		m := &list[i]
		s.frame(string(m.Kind), func(o *object) { writeMoment(o, m) })
	}
	if missed > 0 {
		s.frame("missed", func(o *object) { o.number("count", int64(missed)) })
	}
}

func (s *stream) frame(name string, fill func(o *object)) {
	s.text = append(s.text, "event: "...)
	s.text = append(s.text, name...)
	s.text = append(s.text, "\ndata: "...)
	o := openObject(s.text)
	fill(o)
	s.text = append(o.close(), "\n\n"...)
}

func writeMoment(o *object, m *delivery.Moment) {
	o.time("at", m.At)
	if m.Kind == delivery.MomentEvent {
		o.text("id", m.Event.Event())
		if m.EventID != "" {
			o.text("eventId", m.EventID)
		}
		o.text("uri", m.URI.String())
		o.text("username", m.Username)
		o.number("matched", int64(m.Matched))
		return
	}
	o.text("deliveryId", m.Delivery.Delivery())
	o.text("webhookId", m.Webhook.ID.String())
	o.text("webhookName", m.Webhook.Name)
	o.text("eventId", m.Event.Event())
	o.text("uri", m.URI.String())
	o.text("state", string(m.State))
	o.number("attempts", int64(m.Attempts))
	if a := m.Attempt; a != nil {
		o.text("outcome", string(a.Outcome))
		if a.StatusCode != 0 {
			o.number("statusCode", int64(a.StatusCode))
		}
		o.name("totalMs")
		o.buf = appendMilliseconds(o.buf, a.Total)
		o.time("nextAttemptAt", m.DueAt)
	}
	o.text("reason", m.Reason)
}
