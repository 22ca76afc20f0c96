package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// Directory keeps the webhooks: what it has acknowledged, the next event hears. It is met by *delivery.Directory.
type Directory interface {
	// Create stores a new webhook; triggers.ErrLimit when the tenant has its number already, triggers.ErrOwnerLimit when the owner has.
	Create(ctx context.Context, w *triggers.Webhook) error
	// Update hands a copy of the stored webhook to change, which replaces slices rather than writing into them, and stores what it
	// made of it; nobody else changes the webhook meanwhile. An error of change is given back as it is, and nothing is stored;
	// triggers.ErrNotFound when there is no such webhook, triggers.ErrOwnerLimit when its new owner has his number already.
	Update(ctx context.Context, tenant uint32, id triggers.WebhookID, change func(w *triggers.Webhook) error) (*triggers.Webhook, error)
	// Delete removes a webhook and cancels its waiting work; triggers.ErrNotFound when there is no such webhook.
	Delete(ctx context.Context, tenant uint32, id triggers.WebhookID) error
	// Get is the webhook of a key; nil when there is none. What it gives is never changed.
	Get(key uint32) *triggers.Webhook
	// ByID is triggers.ErrNotFound when there is no such webhook. What it gives is never changed.
	ByID(tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error)
	// Webhooks are a tenant's, in no order.
	Webhooks(tenant uint32) iter.Seq[*triggers.Webhook]
	// Tenant is the zero value when there is none.
	Tenant(key uint32) triggers.Tenant
	// Tenants are all, in the order of their keys.
	Tenants() []triggers.Tenant
	// SaveTenant adds a tenant, drawing its Key, or changes it; a *triggers.FieldError when another has its name or portal id.
	SaveTenant(ctx context.Context, tenant *triggers.Tenant) error
}

// createWebhook answers 201 with the webhook as it was stored.
func (s *Server) createWebhook(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request())
	if err != nil {
		return err
	}
	now := now()
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("draw an id: %w", err)
	}
	w := &triggers.Webhook{
		ID: triggers.WebhookID(id), Tenant: key.Tenant, CreatedAt: now, UpdatedAt: now, CreatedBy: key.UserID, UpdatedBy: key.UserID,
	}
	w.Level = defaultLevel(key)
	if err := s.decodeNew(w, body); err != nil {
		return err
	}
	if err := staysOwned(key, w); err != nil {
		return err
	}
	if err := s.askReceiver(c, nil, w); err != nil {
		return err
	}
	ctx, change := audited(c, key, webhookCreate, w.ID.String())
	change.After = auditedWebhook(w, nil)
	if err := s.config.Directory.Create(ctx, w); err != nil {
		return s.webhookError("create", err)
	}
	return s.writeWebhook(c, http.StatusCreated, w)
}

func (s *Server) getWebhook(c echo.Context, key *triggers.APIKey) error {
	w, err := s.webhook(c, key)
	if err != nil {
		return err
	}
	return s.writeWebhook(c, http.StatusOK, w)
}

// webhook finds the webhook that the path names.
func (s *Server) webhook(c echo.Context, key *triggers.APIKey) (*triggers.Webhook, error) {
	id, err := webhookParam(c)
	if err != nil {
		return nil, err
	}
	w, err := s.config.Directory.ByID(key.Tenant, id)
	if err == nil && !owns(key, w) {
		err = triggers.ErrNotFound
	}
	if err != nil {
		return nil, s.webhookError("find", err)
	}
	return w, nil
}

// putWebhook replaces a webhook: what the body leaves out goes back to its default.
func (s *Server) putWebhook(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request())
	if err != nil {
		return err
	}
	w, err := s.update(c, key, webhookUpdate, func(w *triggers.Webhook) error {
		return s.decodeWhole(w, body, defaultLevel(key), ofCore(c))
	})
	if err != nil {
		return err
	}
	return s.writeWebhook(c, http.StatusOK, w)
}

// ofCore reports whether a request of webhooks came under the newer of the two prefixes.
func ofCore(c echo.Context) bool { return strings.HasPrefix(c.Path(), corePrefix) }

// patchWebhook applies a JSON patch whole, judges the result as one, and answers without a body.
func (s *Server) patchWebhook(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request(), "application/json-patch+json")
	if err != nil {
		return err
	}
	patch, err := parsePatch(body)
	if err != nil {
		return err
	}
	if _, err := s.update(c, key, webhookUpdate, func(w *triggers.Webhook) error { return s.patch(w, patch, defaultLevel(key)) }); err != nil {
		return err
	}
	writeNoContent(c)
	return nil
}

// deleteWebhook answers without a body. The webhook's history stays.
func (s *Server) deleteWebhook(c echo.Context, key *triggers.APIKey) error {
	w, err := s.webhook(c, key)
	if err != nil {
		return err
	}
	if err := s.remove(c, key, w); err != nil {
		return err
	}
	writeNoContent(c)
	return nil
}

// remove deletes a webhook, and notes who did it.
func (s *Server) remove(c echo.Context, key *triggers.APIKey, w *triggers.Webhook) error {
	ctx, change := audited(c, key, webhookDelete, w.ID.String())
	change.Before = auditedWebhook(w, nil)
	if err := s.config.Directory.Delete(ctx, key.Tenant, w.ID); err != nil {
		return s.webhookError("delete", err)
	}
	return nil
}

func (s *Server) enableWebhook(c echo.Context, key *triggers.APIKey) error {
	return s.switchWebhook(c, key, webhookEnable)
}

func (s *Server) disableWebhook(c echo.Context, key *triggers.APIKey) error {
	return s.switchWebhook(c, key, webhookDisable)
}

// switchWebhook switches a webhook on or off by hand.
func (s *Server) switchWebhook(c echo.Context, key *triggers.APIKey, done action) error {
	if err := noMembers(c.Request()); err != nil {
		return err
	}
	w, err := s.update(c, key, done, func(w *triggers.Webhook) error { return s.turn(w, done == webhookEnable) })
	if err != nil {
		return err
	}
	return s.writeWebhook(c, http.StatusOK, w)
}

// turn switches a webhook on or off by hand, which in either case ends what the server itself had against it.
func (s *Server) turn(w *triggers.Webhook, on bool) error {
	w.Enabled = on
	forgetReason(w)
	return w.Validate(s.targetsFor(w))
}

// update changes the webhook that the path names, as change does.
func (s *Server) update(
	c echo.Context, key *triggers.APIKey, done action, apply func(w *triggers.Webhook) error,
) (*triggers.Webhook, error) {
	id, err := webhookParam(c)
	if err != nil {
		return nil, err
	}
	return s.change(c, key, done, id, apply)
}

// change changes the webhook with the id, after its receiver has been asked what is to be asked, and notes who did it. Apply is called twice,
// with copies.
func (s *Server) change(
	c echo.Context, key *triggers.APIKey, done action, id triggers.WebhookID, apply func(w *triggers.Webhook) error,
) (*triggers.Webhook, error) {
	tried, err := s.tryOut(c, key, id, apply)
	if err != nil {
		return nil, err
	}
	return s.save(c, key, done, tried, apply)
}

// save changes a webhook as it was tried out.
func (s *Server) save(
	c echo.Context, key *triggers.APIKey, done action, tried *triggers.Webhook, apply func(w *triggers.Webhook) error,
) (*triggers.Webhook, error) {
	id := tried.ID
	ctx, change := audited(c, key, done, id.String())
	w, err := s.config.Directory.Update(ctx, key.Tenant, id, func(w *triggers.Webhook) error {
		before := *w
		if !owns(key, w) {
			return triggers.ErrNotFound
		}
		if err := apply(w); err != nil {
			return err
		}
		if err := staysOwned(key, w); err != nil {
			return err
		}
		if err := s.wasAsked(&before, w, tried); err != nil {
			return err
		}
		if w.Enabled != before.Enabled {
			forgetReason(w)
		}
		w.UpdatedAt, w.UpdatedBy = now(), key.UserID
		w.ForgetOldSecrets(w.UpdatedAt)
		change.Before, change.After = auditedWebhook(&before, nil), auditedWebhook(w, &before)
		return nil
	})
	if err != nil {
		return nil, s.webhookError("update", err)
	}
	return w, nil
}

// forgetReason forgets why the server itself switched the webhook off, or on again.
func forgetReason(w *triggers.Webhook) {
	w.EnabledReason, w.EnabledAt = "", time.Time{}
	w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = "", "", time.Time{}
}

// webhookError says that there is no such webhook, or that there are enough, where that is the trouble.
func (s *Server) webhookError(doing string, err error) error {
	switch {
	case errors.Is(err, triggers.ErrNotFound):
		return fault(codeNotFound, "there is no such webhook")
	case errors.Is(err, triggers.ErrLimit):
		return fault(codeWebhookLimit, fmt.Sprintf("a tenant may have %d webhooks; delete one first", s.config.MaxWebhooks))
	case errors.Is(err, triggers.ErrOwnerLimit):
		return &problem{
			Code: codeOwnerLimit, Field: "ownerId", Index: -1,
			Detail: fmt.Sprintf("an owner may have %d webhooks of user level; delete one of his first", s.config.MaxWebhooksPerOwner),
		}
	}
	return fmt.Errorf("%s webhook: %w", doing, err)
}

// now is the present date as webhooks keep it: UTC, whole milliseconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
