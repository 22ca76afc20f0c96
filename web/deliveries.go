package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// History answers what was stored: it is met by *storage.Store.
type History interface {
	// Webhooks lists in the query's order; one row more than a page tells whether there is another.
	Webhooks(ctx context.Context, q delivery.WebhookQuery) ([]*triggers.Webhook, error)
	// WebhookKeys are those of the webhooks that the query's filters leave, in no order and no more than its limit; it passes over what the
	// query says of summaries, order and place.
	WebhookKeys(ctx context.Context, q delivery.WebhookQuery) ([]uint32, error)
	// Event is triggers.ErrNotFound when there is no such event.
	Event(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventRecord, error)
	// EventSummary is the event, its body included, as Events lists it; triggers.ErrNotFound when there is no such event.
	EventSummary(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventSummary, error)
	// Matches is a page of the webhooks that an event matched, and Matched the keys of all; triggers.ErrNotFound when there is no such event.
	Matches(ctx context.Context, q delivery.MatchQuery) (*delivery.MatchPage, error)
	Matched(ctx context.Context, tenant uint32, event triggers.ID) ([]uint32, error)
	// Events is a page of the events that are asked for.
	Events(ctx context.Context, q delivery.EventQuery) (*delivery.EventPage, error)
	Deliveries(ctx context.Context, q delivery.HistoryQuery) (*delivery.HistoryPage, error)
	// Delivery is triggers.ErrNotFound when there is no such delivery.
	Delivery(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error)
	// Hourly lists the hours of the span in which a webhook had attempts, the oldest first.
	Hourly(ctx context.Context, tenant, webhook uint32, from, to time.Time) ([]delivery.HourCounts, error)
	// Health is how the webhooks with the keys have failed since they were created or last switched on; those that have not are not in it.
	Health(ctx context.Context, webhooks ...uint32) (map[uint32]delivery.Health, error)
}

// Resender sends an old delivery again: it is met by *delivery.Dispatcher.
type Resender interface {
	// Resend sends the bytes of a delivery under a new id to where the webhook points now, waits for the answer, and gives the new
	// delivery as it stands then, without its trigger. Its errors are triggers.ErrNotFound and *delivery.Overload.
	Resend(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error)
}

// listDeliveries answers a page of a webhook's deliveries: those with a finished attempt, newest first unless asked otherwise.
func (s *Server) listDeliveries(c echo.Context, key *triggers.APIKey) error {
	w, err := s.webhook(c, key)
	if err != nil {
		return err
	}
	l, err := readListing(c, "-triggeredAt", deliverySorts, deliveryFilters)
	if err != nil {
		return err
	}
	k, err := s.newWalk(l, w)
	if err != nil {
		return err
	}
	rows, err := k.rows(c.Request().Context())
	if err != nil {
		return fmt.Errorf("list deliveries of webhook %s: %w", w.ID, err)
	}
	page, next, prev := paged(l, rows, k.stopped, deliveryCursor)
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte { return s.appendDelivery(dst, &page[i]) })
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// getDelivery shows one delivery with what was sent and what came back.
func (s *Server) getDelivery(c echo.Context, key *triggers.APIKey) error {
	record, err := s.delivery(c, key)
	if err != nil {
		return err
	}
	return s.writeDelivery(c, http.StatusOK, record)
}

// resendDelivery sends the bytes of a delivery again to where the webhook points now, and answers with the new delivery once that
// attempt has ended: 201 says that there is a new delivery, its status whether it arrived.
func (s *Server) resendDelivery(c echo.Context, key *triggers.APIKey) error {
	if err := noMembers(c.Request()); err != nil {
		return err
	}
	old, err := s.delivery(c, key)
	if err != nil {
		return err
	}
	record, err := s.config.Resender.Resend(c.Request().Context(), key.Tenant, old.ID)
	if err != nil {
		return deliveryError("resend", err)
	}
	record.Trigger = old.Trigger
	// It has been sent, although whoever asked for it may be gone.
	ctx, change := audited(c, key, webhookResend, old.WebhookID.String())
	change.Tenant, change.After = key.Tenant, auditedResend(old, record)
	if err := s.config.Audit.AddChange(context.WithoutCancel(ctx), change); err != nil {
		return fmt.Errorf("resend delivery %s: %w", old.ID.Delivery(), err)
	}
	return s.writeDelivery(c, http.StatusCreated, record)
}

// auditedResend is what the audit tells of a resend: which delivery was sent again, as which, and what came of it.
func auditedResend(old, record *delivery.Record) []byte {
	o := openObject(nil)
	o.text("deliveryId", old.ID.Delivery())
	o.text("resentAs", record.ID.Delivery())
	o.text("status", statusOf(record))
	return o.close()
}

// delivery finds the delivery that the path names; it must be the named webhook's.
func (s *Server) delivery(c echo.Context, key *triggers.APIKey) (*delivery.Record, error) {
	w, err := s.webhook(c, key)
	if err != nil {
		return nil, err
	}
	id, ok := triggers.ParseDeliveryID(c.Param("delivery"))
	if !ok {
		return nil, deliveryError("find", triggers.ErrNotFound)
	}
	record, err := s.config.History.Delivery(c.Request().Context(), key.Tenant, id)
	if err != nil {
		return nil, deliveryError("find", err)
	}
	if record.Webhook != w.Key {
		return nil, deliveryError("find", triggers.ErrNotFound)
	}
	return record, nil
}

// deliveryError says that there is no such delivery where that is the trouble.
func deliveryError(doing string, err error) error {
	if errors.Is(err, triggers.ErrNotFound) {
		return fault(codeNotFound, "this webhook has no such delivery, or its history is past")
	}
	return fmt.Errorf("%s delivery: %w", doing, err)
}
