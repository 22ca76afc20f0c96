package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Recoverer finds what webhooks did not get and makes new deliveries of it: it is met by *delivery.Recoverer.
type Recoverer interface {
	// Count says what a recovery would make; in a history too long for one request, Counts.Complete is false.
	Count(ctx context.Context, asked delivery.RecoveryRequest) (*delivery.Recovery, error)
	// Begin makes what was counted; delivery.ErrRecoveryOpen while another of the webhook has not ended.
	Begin(ctx context.Context, counted *delivery.Recovery) (*delivery.Recovery, error)
	// Control pauses, resumes or cancels; delivery.ErrRecoveryEnded, delivery.ErrRecoveryOpen, triggers.ErrNotFound.
	Control(ctx context.Context, tenant, webhook uint32, id triggers.ID, to delivery.RecoveryState) (*delivery.Recovery, error)
	// Recovery is triggers.ErrNotFound when the webhook has no such recovery.
	Recovery(ctx context.Context, tenant, webhook uint32, id triggers.ID) (*delivery.Recovery, error)
	Recoveries(ctx context.Context, q delivery.RecoveryQuery) ([]delivery.Recovery, error)
	// Past says what a webhook that does not exist yet would have got.
	Past(ctx context.Context, draft *triggers.Webhook, span delivery.Span, most int) (*delivery.PastCatch, error)
}

// recoverWebhook counts what a webhook did not get, and unless it is a dry run begins to send it: 202 with the recovery, which says how
// many deliveries it will make before it has made any.
func (s *Server) recoverWebhook(c echo.Context, key *triggers.APIKey) error {
	w, err := s.webhook(c, key)
	if err != nil {
		return err
	}
	asked, dryRun, err := s.readRecovery(c.Request())
	if err != nil {
		return err
	}
	asked.Tenant, asked.Webhook = w.Tenant, w.Key
	counted, err := s.config.Recoverer.Count(c.Request().Context(), *asked)
	if err != nil {
		return s.webhookError("recover", err)
	}
	if dryRun {
		writeJSON(c, http.StatusOK, recoveryObject(nil, counted, w.ID))
		return nil
	}
	ctx, change := audited(c, key, recoveryCreate, "") // the store draws its id
	change.After = recoveryObject(nil, counted, w.ID)
	started, err := s.config.Recoverer.Begin(ctx, counted)
	if err != nil {
		return recoveryError("begin", err)
	}
	writeJSON(c, http.StatusAccepted, recoveryObject(nil, started, w.ID))
	return nil
}

// listRecoveries answers a page of a webhook's recoveries, newest first unless asked otherwise.
func (s *Server) listRecoveries(c echo.Context, key *triggers.APIKey) error {
	w, err := s.webhook(c, key)
	if err != nil {
		return err
	}
	l, err := readListing(c, "-createdAt", []string{"createdAt"}, nil)
	if err != nil {
		return err
	}
	query := delivery.RecoveryQuery{Tenant: w.Tenant, Webhook: w.Key, OldestFirst: l.down == l.back, Limit: l.limit + 1}
	if l.cursor != "" {
		var ok bool
		if query.After, ok = triggers.ParseRecoveryID(l.cursor); !ok {
			return badCursor(l.cursorField())
		}
	}
	rows, err := s.config.Recoverer.Recoveries(c.Request().Context(), query)
	if err != nil {
		return fmt.Errorf("list recoveries of webhook %s: %w", w.ID, err)
	}
	page, next, prev := paged(l, rows, "", func(of *delivery.Recovery) string { return of.ID.Recovery() })
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte { return recoveryObject(dst, &page[i], w.ID) })
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

func (s *Server) getRecovery(c echo.Context, key *triggers.APIKey) error {
	w, r, err := s.recovery(c, key)
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, recoveryObject(nil, r, w.ID))
	return nil
}

func (s *Server) pauseRecovery(c echo.Context, key *triggers.APIKey) error {
	return s.controlRecovery(c, key, recoveryPause, delivery.RecoveryPaused)
}

func (s *Server) resumeRecovery(c echo.Context, key *triggers.APIKey) error {
	return s.controlRecovery(c, key, recoveryResume, delivery.RecoveryRunning)
}

func (s *Server) cancelRecovery(c echo.Context, key *triggers.APIKey) error {
	return s.controlRecovery(c, key, recoveryCancel, delivery.RecoveryCancelled)
}

func (s *Server) controlRecovery(c echo.Context, key *triggers.APIKey, done action, to delivery.RecoveryState) error {
	if err := noMembers(c.Request()); err != nil {
		return err
	}
	w, r, err := s.recovery(c, key)
	if err != nil {
		return err
	}
	ctx, change := audited(c, key, done, r.ID.Recovery())
	after := *r
	after.State = to
	change.Before, change.After = recoveryObject(nil, r, w.ID), recoveryObject(nil, &after, w.ID)
	changed, err := s.config.Recoverer.Control(ctx, w.Tenant, w.Key, r.ID, to)
	if err != nil {
		return recoveryError("change", err)
	}
	writeJSON(c, http.StatusOK, recoveryObject(nil, changed, w.ID))
	return nil
}

// recovery finds the recovery that the path names; it must be the named webhook's.
func (s *Server) recovery(c echo.Context, key *triggers.APIKey) (*triggers.Webhook, *delivery.Recovery, error) {
	w, err := s.webhook(c, key)
	if err != nil {
		return nil, nil, err
	}
	id, ok := triggers.ParseRecoveryID(c.Param("recovery"))
	if !ok {
		return nil, nil, recoveryError("find", triggers.ErrNotFound)
	}
	r, err := s.config.Recoverer.Recovery(c.Request().Context(), w.Tenant, w.Key, id)
	if err != nil {
		return nil, nil, recoveryError("find", err)
	}
	return w, r, nil
}

// recoveryError says what stands in the way of a recovery.
func recoveryError(doing string, err error) error {
	switch {
	case errors.Is(err, delivery.ErrRecoveryOpen):
		return fault(codeRecoveryOpen, "the webhook has a recovery that has not ended; wait for it, or cancel it")
	case errors.Is(err, delivery.ErrRecoveryEnded):
		return fault(codeRecoveryEnded, "the recovery has ended; begin another")
	case errors.Is(err, triggers.ErrNotFound):
		return fault(codeNotFound, "this webhook has no such recovery, or it is past")
	}
	return fmt.Errorf("%s recovery: %w", doing, err)
}

// recoveryObject writes a recovery; one that was only counted has no id, state or date.
func recoveryObject(dst []byte, r *delivery.Recovery, webhook triggers.WebhookID) []byte {
	o := openObject(dst)
	if r.ID != 0 {
		o.text("id", r.ID.Recovery())
	}
	o.text("webhookId", webhook.String())
	if r.ID != 0 {
		o.text("state", string(r.State))
	}
	if r.PausedBy != "" {
		o.text("pausedBy", string(r.PausedBy))
	}
	if r.Reason != "" {
		o.text("reason", r.Reason)
	}
	states := make([]string, len(r.States))
	for i, state := range r.States {
		states[i] = string(state)
	}
	o.texts("states", states)
	if r.Trigger != "" {
		o.text("trigger", r.Trigger)
	}
	o.flag("missed", r.Missed)
	o.number("ratePerMinute", int64(r.RatePerMinute))
	if n := len(r.Spans); n > 0 {
		o.time("from", r.Spans[0].From)
		o.time("to", r.Spans[n-1].To)
		if n > 1 {
			o.array("intervals", n, func(dst []byte, i int) []byte { return appendSpan(dst, r.Spans[i]) })
		}
	}
	o.object("counted", func(o *object) {
		o.number("total", int64(r.Counts.Total()))
		for _, count := range []struct {
			name string
			n    int
		}{
			{string(delivery.Exhausted), r.Counts.Exhausted},
			{string(delivery.Skipped), r.Counts.Skipped},
			{string(delivery.Cancelled), r.Counts.Cancelled},
			{"missed", r.Counts.Missed},
		} {
			o.number(count.name, int64(count.n))
		}
		o.flag("complete", r.Counts.Complete)
		if !r.Counts.Complete && r.CountedTo != 0 {
			o.time("to", r.CountedTo.Time())
		}
	})
	if r.ID == 0 {
		return o.close()
	}
	o.number("made", int64(r.Made))
	o.number("skipped", int64(r.Passed))
	if r.Position != 0 && r.Open() {
		o.time("position", r.Position.Time())
	}
	if !r.Lost.To.IsZero() {
		o.raw("forgotten", appendSpan(nil, r.Lost))
	}
	o.time("createdAt", r.CreatedAt)
	o.time("updatedAt", r.UpdatedAt)
	o.time("endedAt", r.EndedAt)
	return o.close()
}

func appendSpan(dst []byte, span delivery.Span) []byte {
	o := openObject(dst)
	o.time("from", span.From)
	o.time("to", span.To)
	return o.close()
}
