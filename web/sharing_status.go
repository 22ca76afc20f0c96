package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// maxNotifications is how many deliveries this surface tells of, the newest. Pages are found by counting from the first, and clients walk
// through all there are; the JSON API tells of all.
const maxNotifications = 1000

// getNotificationStatus answers a page of a webhook's deliveries, the newest first: those with a finished attempt.
func (s *Server) getNotificationStatus(c echo.Context, key *triggers.APIKey) error {
	w, err := s.organisationWebhook(c, key)
	if err != nil {
		return err
	}
	page, err := parametersOf(c).page()
	if err != nil {
		return err
	}
	rows, err := s.newestDeliveries(c.Request().Context(), w)
	if err != nil {
		return fmt.Errorf("list deliveries of webhook %s: %w", w.ID, err)
	}
	from, to := page.bounds(len(rows))
	var shown [][]byte
	for _, summary := range rows[from:to] {
		notification, err := s.notification(c.Request().Context(), w, &summary)
		switch {
		case errors.Is(err, triggers.ErrNotFound): // its history has become past meanwhile
		case err != nil:
			return err
		default:
			shown = append(shown, notification)
		}
	}
	o := openObject(nil)
	page.write(o, len(rows))
	o.array("WebhookStatus", len(shown), func(dst []byte, i int) []byte { return append(dst, shown[i]...) })
	return s.reply(c, o.close(), view{title: "Notification Status", up: append(webhookLinks(c), webhookLink(c, w))})
}

// newestDeliveries are those that this surface tells of. Open ones without an attempt may lie before them, so the search goes on where the
// store stops short, as often as one request may.
func (s *Server) newestDeliveries(ctx context.Context, w *triggers.Webhook) ([]delivery.Record, error) {
	const searches = 10
	query := delivery.HistoryQuery{Tenant: w.Tenant, Webhook: w.Key, FinishedOnly: true}
	var rows []delivery.Record
	for range searches {
		query.Limit = maxNotifications - len(rows)
		page, err := s.config.History.Deliveries(ctx, query)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page.Deliveries...)
		if page.Stopped == 0 || len(rows) == maxNotifications {
			break
		}
		query.After = page.Stopped
	}
	return rows, nil
}

// notification writes a delivery as a portal prints it. The id is the webhook's; what was sent, and what came back, are texts, the date is
// UTC and does not say so. A delivery that has not arrived was not invoked, and where nothing came back its text says why.
func (s *Server) notification(ctx context.Context, w *triggers.Webhook, summary *delivery.Record) ([]byte, error) {
	r, err := s.config.History.Delivery(ctx, w.Tenant, summary.ID)
	if err != nil {
		return nil, fmt.Errorf("read delivery %s: %w", summary.ID.Delivery(), err)
	}
	body, err := payload.Build(nil, &r.Revision, r.BuiltAt, r.Events)
	if err != nil {
		return nil, fmt.Errorf("build the body of delivery %s: %w", r.ID.Delivery(), err)
	}
	response := ""
	answered := false
	if n := len(r.Attempts); n > 0 {
		last := &r.Attempts[n-1]
		response, answered = string(last.ResponseBody), last.StatusCode != 0
	}
	if !answered {
		response = cmp.Or(r.Reason, response)
	}
	o := openObject(nil)
	o.text("id", w.ID.String())
	o.flag("isInvoked", r.State == delivery.Succeeded)
	o.text("invokedTimestamp", r.StartedAt.UTC().Format("2006-01-02 15:04:05.000"))
	o.text("responseText", response)
	o.text("payload", string(body))
	return o.close(), nil
}
