package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

const (
	insertWebhook = `INSERT INTO webhook (id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by,
  created_ms, updated_ms, triggers, settings, secrets, name_folded, url_folded)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key`
	updateWebhook = `UPDATE webhook SET revision = ?, name = ?, url = ?, enabled = ?, level = ?, owner_id = ?, origin = ?, created_by = ?,
  updated_by = ?, created_ms = ?, updated_ms = ?, triggers = ?, settings = ?, secrets = ?, name_folded = ?, url_folded = ? WHERE key = ?`
	endRevision    = `UPDATE revision SET ended_ms = ? WHERE number = (SELECT revision FROM webhook WHERE key = ?) AND ended_ms IS NULL`
	insertRevision = `INSERT INTO revision (webhook, body) VALUES (?, ?) RETURNING number`
	// presentRevision says which revision a webhook has.
	presentRevision = `UPDATE webhook SET revision = ? WHERE key = ?`
)

// CreateWebhook stores a webhook and sets its Key and Revision, and cuts its times to milliseconds. The error is triggers.ErrLimit when
// the tenant has as many webhooks as it may have, triggers.ErrOwnerLimit when the owner has.
func (s *Store) CreateWebhook(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error {
	row, err := s.rowOf(w)
	if err != nil {
		return err
	}
	return s.write(ctx, func(wr *writer) error {
		var created triggers.Webhook
		err := wr.db.transaction(func() error {
			created = *w
			return wr.createWebhook(ctx, &created, row, limits)
		})
		if err != nil {
			return fmt.Errorf("create webhook: %w", known(err))
		}
		w.Key, w.Revision = created.Key, created.Revision
		wr.webhooks[w.Key] = struct{}{}
		if w.Ordered {
			wr.ordered[w.Key] = newLines()
		}
		return nil
	})
}

// createWebhook inserts a webhook, and sets its Key and Revision.
func (e *editor) createWebhook(ctx context.Context, w *triggers.Webhook, row *webhookRow, limits delivery.WebhookLimits) error {
	tenant, err := e.tenant(w.Tenant)
	if err != nil {
		return err
	}
	if limits.Tenant > 0 {
		count, err := e.db.integer(`SELECT count(*) FROM (SELECT 1 FROM webhook WHERE tenant = ? LIMIT ?) AS counted`, int64(w.Tenant), int64(limits.Tenant))
		if err != nil {
			return err
		}
		if count >= int64(limits.Tenant) {
			return fmt.Errorf("more than %d webhooks: %w", limits.Tenant, triggers.ErrLimit)
		}
	}
	if err := e.checkOwner(row, 0, limits.Owner); err != nil {
		return err
	}
	key, err := e.db.integer(insertWebhook, append([]driver.Value{row.id, int64(row.tenant), int64(0)}, row.values()...)...)
	if err != nil {
		return err
	}
	w.Key = uint32(key) //nolint:gosec // fewer than four billion webhooks are ever made
	if w.Revision, err = e.revise(w, tenant); err != nil {
		return err
	}
	if err := e.db.run(presentRevision, w.Revision, key); err != nil {
		return err
	}
	if err := e.noteListening(w); err != nil {
		return err
	}
	return e.note(ctx, w.Tenant)
}

// checkOwner refuses a row that would be one too many of its owner's. Of the webhook with the key, which is not counted, a row whose
// owner stays is never that; 0 is the key of none.
func (e *editor) checkOwner(row *webhookRow, key uint32, limit int) error {
	if limit == 0 || row.level != string(triggers.UserLevel) {
		return nil
	}
	const his = ` FROM webhook WHERE tenant = ? AND level = ? AND owner_id = ?`
	mine, err := e.db.integer(`SELECT count(*)`+his+` AND key = ?`, int64(row.tenant), row.level, row.owner, int64(key))
	if err != nil || mine > 0 {
		return err
	}
	count, err := e.db.integer(`SELECT count(*)`+his, int64(row.tenant), row.level, row.owner)
	if err == nil && count >= int64(limit) {
		err = fmt.Errorf("more than %d webhooks of %q: %w", limit, row.owner, triggers.ErrOwnerLimit)
	}
	return err
}

// values are the columns from name on that both insert and update set.
func (r *webhookRow) values() []driver.Value {
	return []driver.Value{
		r.name, r.url, r.enabled, r.level, r.owner, r.origin, r.createdBy, r.updatedBy, r.created, r.updated,
		string(r.triggers), string(r.settings), textOrNull(r.secrets), r.nameFolded, r.urlFold,
	}
}

func textOrNull(text []byte) driver.Value {
	if text == nil {
		return nil
	}
	return string(text)
}

// known leaves those errors as they are that a caller can act on, and makes the others commit errors.
func known(err error) error {
	var field *triggers.FieldError
	if errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // nothing was asked of the database
	}
	if errors.Is(err, delivery.ErrOutdated) || errors.Is(err, triggers.ErrLimit) || errors.Is(err, triggers.ErrOwnerLimit) || errors.Is(err, triggers.ErrNotFound) || errors.As(err, &field) {
		return err
	}
	return commitError(err)
}

// revise writes a new revision of the webhook and ends the one before.
func (e *editor) revise(webhook *triggers.Webhook, tenant *triggers.Tenant) (int64, error) {
	body, err := json.Marshal(delivery.RevisionOf(webhook, tenant, e.legacyCloud))
	if err != nil {
		return 0, err
	}
	if err := e.db.run(endRevision, e.now().UnixMilli(), int64(webhook.Key)); err != nil {
		return 0, err
	}
	return e.db.integer(insertRevision, int64(webhook.Key), string(body))
}

// UpdateWebhook replaces the webhook with this Tenant and ID, sets its Key, cuts its times to milliseconds, and gives it a new
// Revision when what a revision holds has changed; triggers.ErrNotFound when there is none, triggers.ErrOwnerLimit when it becomes the
// webhook of an owner who has as many as he may. The delivery.Notice that ctx carries is stored with it.
func (s *Store) UpdateWebhook(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error {
	row, err := s.rowOf(w)
	if err != nil {
		return err
	}
	return s.write(ctx, func(wr *writer) error {
		var updated triggers.Webhook
		var reordered func()
		err := wr.db.transaction(func() error {
			updated = *w
			enabled, err := wr.updateWebhook(ctx, &updated, row, limits)
			if err != nil {
				return err
			}
			if w.Enabled && !enabled {
				if err := wr.forgetHealth(updated.Key); err != nil {
					return err
				}
			}
			reordered, err = wr.reorder(updated.Key, w.Ordered)
			return err
		})
		wr.healthWritten(err == nil)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", w.ID, known(err))
		}
		reordered()
		w.Key, w.Revision = updated.Key, updated.Revision
		return nil
	})
}

// updateWebhook replaces a webhook, sets its Key and Revision, and says whether it was on before.
func (e *editor) updateWebhook(
	ctx context.Context, w *triggers.Webhook, row *webhookRow, limits delivery.WebhookLimits,
) (enabled bool, err error) {
	tenant, err := e.tenant(w.Tenant)
	if err != nil {
		return false, err
	}
	var body string
	found := false
	err = e.db.each(`SELECT webhook.key, number, body, enabled FROM webhook JOIN revision ON number = revision WHERE id = ? AND tenant = ?`,
		"", 4, func(values []driver.Value) error {
			w.Key, w.Revision, body = uint32(integer(values[0])), integer(values[1]), textOf(values[2]) //nolint:gosec // written from one
			found, enabled = true, integer(values[3]) != 0
			return nil
		}, row.id, int64(w.Tenant))
	if err != nil {
		return false, err
	}
	if !found {
		return false, triggers.ErrNotFound
	}
	if err := e.checkOwner(row, w.Key, limits.Owner); err != nil {
		return false, err
	}
	revised, err := differs(body, delivery.RevisionOf(w, tenant, e.legacyCloud))
	if err != nil {
		return false, err
	}
	if revised {
		if w.Revision, err = e.revise(w, tenant); err != nil {
			return false, err
		}
	}
	args := append([]driver.Value{w.Revision}, row.values()...)
	if err := e.db.run(updateWebhook, append(args, int64(w.Key))...); err != nil {
		return false, err
	}
	if err := e.noteListening(w); err != nil {
		return false, err
	}
	if err := e.keepNotice(delivery.NoticeIn(ctx)); err != nil {
		return false, err
	}
	return enabled, e.note(ctx, w.Tenant)
}

// differs reports whether the revision has become another than the stored one.
func differs(stored string, revision payload.Revision) (bool, error) {
	var before payload.Revision
	if err := json.Unmarshal([]byte(stored), &before); err != nil {
		return false, fmt.Errorf("revision %d: %w", revision.Number, err)
	}
	return !before.Equal(&revision), nil
}

// cancelAtOnce is how much of a deleted webhook's work is cancelled in one transaction, so that others need not wait for all of it.
const cancelAtOnce = 500

// DeleteWebhook removes a webhook and cancels what waits for it; what is being sent ends as it ends. Its history stays. The error is
// triggers.ErrNotFound when there is none.
func (s *Store) DeleteWebhook(ctx context.Context, tenant uint32, id triggers.WebhookID) error {
	var key int64
	err := s.write(ctx, func(w *writer) error {
		err := w.db.transaction(func() error {
			var err error
			if key, err = w.deleteWebhook(ctx, tenant, id); err != nil {
				return err
			}
			if err := w.db.run(deleteMembers, key); err != nil {
				return err
			}
			return w.forgetHealth(uint32(key)) //nolint:gosec // a key
		})
		w.healthWritten(err == nil)
		if err == nil {
			delete(w.webhooks, uint32(key)) //nolint:gosec // a key
			delete(w.ordered, uint32(key))  //nolint:gosec // a key
		}
		return known(err)
	})
	if err != nil {
		return fmt.Errorf("webhook %s: %w", id, err)
	}
	// It is gone now, whatever happens: what is left of its work is cancelled at the next start if not here.
	for left := true; left; {
		err := s.write(context.WithoutCancel(ctx), func(w *writer) error {
			var err error
			left, err = w.cancelSome(uint32(key)) //nolint:gosec // a key
			return commitError(err)
		})
		if err != nil {
			return fmt.Errorf("cancel the work of webhook %s: %w", id, err)
		}
	}
	return nil
}

// deleteWebhook deletes a webhook and what only it needs, and gives its key.
func (e *editor) deleteWebhook(ctx context.Context, tenant uint32, id triggers.WebhookID) (key int64, err error) {
	if key, err = e.db.integer(`SELECT key FROM webhook WHERE id = ? AND tenant = ?`, id[:], int64(tenant)); err != nil {
		return 0, err
	}
	if key == 0 {
		return 0, triggers.ErrNotFound
	}
	if err := e.db.run(endRevision, e.now().UnixMilli(), key); err != nil {
		return 0, err
	}
	if err := e.cancelRecovery(key); err != nil {
		return 0, err
	}
	if err := e.db.run(`DELETE FROM off_span WHERE webhook = ?`, key); err != nil {
		return 0, err
	}
	if err := e.db.run(`DELETE FROM webhook WHERE key = ?`, key); err != nil {
		return 0, err
	}
	return key, e.note(ctx, tenant)
}

// cancelSome ends some of the waiting work of a webhook that was deleted, and says whether there may be more.
func (w *writer) cancelSome(webhook uint32) (more bool, err error) {
	if err := w.prepareDays(); err != nil {
		return false, err
	}
	var taken []leased
	now := w.store.now().UnixMilli()
	const ever = int64(1) << 62
	err = w.db.transaction(func() error {
		taken = nil
		if err := w.leaseDue(webhook, ever, cancelAtOnce, &taken); err != nil {
			return err
		}
		ids := make([]triggers.ID, len(taken))
		for i := range taken {
			ids[i] = taken[i].id
			if err := w.end(ids[i], taken[i].lease, ending{state: delivery.Cancelled, reason: reasonDeleted, ended: now}); err != nil {
				return err
			}
		}
		if err := w.deleteWork(ids); err != nil {
			return err
		}
		return w.flushTenantHours()
	})
	if err != nil {
		w.forgetTenantHours()
		return false, err
	}
	for i := range taken {
		w.opened(taken[i].lease.tenant, -1)
	}
	if more = len(taken) == cancelAtOnce; !more {
		w.turns.forget(webhook)
	}
	return more, nil
}

// cancelOrphans cancels what waits for webhooks that are gone: a process may have ended while it was deleting.
func (w *writer) cancelOrphans() error {
	var orphans []uint32
	for webhook := range w.turns.places {
		if _, exists := w.webhooks[webhook]; !exists {
			orphans = append(orphans, webhook)
		}
	}
	for _, webhook := range orphans {
		for more := true; more; {
			var err error
			if more, err = w.cancelSome(webhook); err != nil {
				return fmt.Errorf("cancel the work of deleted webhooks: %w", err)
			}
		}
	}
	return nil
}

// Webhook is a tenant's webhook; triggers.ErrNotFound when there is none.
func (s *base) Webhook(ctx context.Context, tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error) {
	row := new(webhookRow)
	err := s.direct().QueryRowContext(ctx, `SELECT `+webhookColumns+` FROM webhook WHERE id = ? AND tenant = ?`, id[:], tenant).Scan(row.scan()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = triggers.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", id, err)
	}
	return s.webhookOf(row)
}

// EachWebhook calls visit with every webhook of every tenant, in the order of their keys. An error of visit ends it and comes back.
func (s *base) EachWebhook(ctx context.Context, visit func(*triggers.Webhook) error) error {
	return each(ctx, s.direct(), `SELECT `+webhookColumns+` FROM webhook ORDER BY key`, nil, func(rows *sql.Rows) error {
		row := new(webhookRow)
		if err := rows.Scan(row.scan()...); err != nil {
			return fmt.Errorf("webhooks: %w", err)
		}
		w, err := s.webhookOf(row)
		if err != nil {
			return err
		}
		return visit(w)
	})
}
