package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// AuditLog answers who changed what: it is met by *storage.Store.
type AuditLog interface {
	// Changes is a page in the query's order; one row more than a page tells whether there is another.
	Changes(ctx context.Context, q delivery.ChangeQuery) ([]delivery.Change, error)
	// AddChange writes a row by itself, of something that was done and changed nothing that is stored.
	AddChange(ctx context.Context, change *delivery.Change) error
}

// action is what an administrative request does to an object: its kind, a dot and a verb.
type action string

const (
	webhookCreate  action = "webhook.create"
	webhookUpdate  action = "webhook.update"
	webhookEnable  action = "webhook.enable"
	webhookDisable action = "webhook.disable"
	webhookDelete  action = "webhook.delete"
	webhookTest    action = "webhook.test"
	webhookRotate  action = "webhook.rotate-secret"
	webhookResend  action = "webhook.resend"
	tenantCreate   action = "tenant.create"
	tenantUpdate   action = "tenant.update"
	keyCreate      action = "api-key.create"
	keyRevoke      action = "api-key.revoke"
	recoveryCreate action = "recovery.create"
	recoveryPause  action = "recovery.pause"
	recoveryResume action = "recovery.resume"
	recoveryCancel action = "recovery.cancel"
	backupCreate   action = "backup.create"
)

// actions are all that the audit tells of.
var actions = []string{
	string(webhookCreate), string(webhookUpdate), string(webhookEnable), string(webhookDisable), string(webhookDelete),
	string(webhookTest), string(webhookRotate), string(webhookResend),
	string(tenantCreate), string(tenantUpdate), string(keyCreate), string(keyRevoke),
	string(recoveryCreate), string(recoveryPause), string(recoveryResume), string(recoveryCancel),
	string(backupCreate),
}

// objects are the kinds of what can be changed.
var objects = []string{"webhook", "tenant", "api-key", "recovery", "backup"}

// kind is that of the object.
func (a action) kind() string {
	kind, _, _ := strings.Cut(string(a), ".")
	return kind
}

// audited gives the context under which the store writes who made a change, and the row, whose before and after are still to be set.
func audited(c echo.Context, key *triggers.APIKey, done action, id string) (context.Context, *delivery.Change) {
	change := &delivery.Change{
		KeyID: key.ID, UserID: key.UserID, Action: string(done), Object: done.kind(), ObjectID: id, TraceID: traceID(c),
	}
	return delivery.Audited(c.Request().Context(), change), change
}

// auditFilters are the list's parameters beside the common ones.
var auditFilters = []string{"tenant", "from", "to", "action", "object", "objectId"}

// listAudit answers a page of what was changed in a tenant, newest first unless asked otherwise.
func (s *Server) listAudit(c echo.Context, key *triggers.APIKey) error {
	l, err := readListing(c, "-at", []string{"at"}, auditFilters)
	if err != nil {
		return err
	}
	query, err := auditQuery(l)
	if err != nil {
		return err
	}
	if query.Tenant, err = s.tenantFor(key, l.values.Get("tenant")); err != nil {
		return err
	}
	rows, err := s.config.Audit.Changes(c.Request().Context(), *query)
	if err != nil {
		return fmt.Errorf("list audit: %w", err)
	}
	page, next, prev := paged(l, rows, "", func(change *delivery.Change) string { return change.ID.Audit() })
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte { return appendChange(dst, &page[i]) })
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// auditQuery turns the list's parameters into the store's question.
func auditQuery(l *listing) (*delivery.ChangeQuery, error) {
	get := l.values.Get
	query := &delivery.ChangeQuery{
		Action: get("action"), Object: get("object"), ObjectID: get("objectId"), OldestFirst: l.down == l.back, Limit: l.limit + 1,
	}
	if query.Action != "" && !slices.Contains(actions, query.Action) {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "action", "the action is %q; it must be one of %s", query.Action, strings.Join(actions, ", "))
	}
	if query.Object != "" && !slices.Contains(objects, query.Object) {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "object", "the object is %q; it must be one of %s", query.Object, strings.Join(objects, ", "))
	}
	if query.ObjectID != "" && query.Object == "" {
		return nil, triggers.Invalid(triggers.CodeRequired, "object", "an objectId needs the object, such as webhook")
	}
	for _, bound := range []struct {
		name string
		into *time.Time
	}{{"from", &query.From}, {"to", &query.To}} {
		text := get(bound.name)
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.Year() < 1970 {
			return nil, triggers.Invalid(triggers.CodeOutOfRange, bound.name, "%q is not a date such as 2026-11-22T03:00:00Z", text)
		}
		*bound.into = at
	}
	if l.cursor != "" {
		id, ok := triggers.ParseAuditID(l.cursor)
		if !ok {
			return nil, badCursor(l.cursorField())
		}
		query.After = id
	}
	return query, nil
}

func appendChange(dst []byte, change *delivery.Change) []byte {
	o := openObject(dst)
	o.text("id", change.ID.Audit())
	o.time("at", change.ID.Time())
	o.text("keyId", change.KeyID)
	o.text("userId", change.UserID)
	o.text("action", change.Action)
	o.text("object", change.Object)
	o.text("objectId", change.ObjectID)
	o.raw("before", change.Before)
	o.raw("after", change.After)
	o.text("traceId", change.TraceID)
	return o.close()
}

// auditedWebhook is a webhook as the audit keeps it: as answers show it, and of an update also which secrets became others.
func auditedWebhook(w, before *triggers.Webhook) []byte {
	return webhookObject(nil, w, func(o *object) {
		writeGuarded(o, w)
		if before != nil {
			if changed := changedSecrets(before, w); len(changed) > 0 {
				o.texts("changedSecrets", changed)
			}
		}
	})
}

// changedSecrets names what was changed of that which is never shown.
func changedSecrets(before, after *triggers.Webhook) []string {
	var changed []string
	if before.Secret != after.Secret {
		changed = append(changed, "secret")
	}
	for _, h := range after.EncryptedHeaders {
		if !slices.Contains(before.EncryptedHeaders, h) {
			changed = append(changed, "encryptedHeaders."+h.Name)
		}
	}
	return changed
}
