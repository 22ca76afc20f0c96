package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	pgOrdered    = `UPDATE webhook SET ordered = $1 WHERE key = $2 AND ordered <> $1`
	pgOpenOfHook = `SELECT work.id, work.members, event.uri, CASE WHEN event.uri LIKE '/%' THEN NULL ELSE event.body END
  FROM (SELECT id, members, event FROM work WHERE webhook = $1 AND due_ms IS NOT NULL
    UNION ALL SELECT id, members, event FROM work WHERE webhook = $1 AND node IS NOT NULL) AS work JOIN event ON event.id = work.event`
	pgLineUp     = `UPDATE work SET line = s.line FROM unnest($1::bigint[], $2::bigint[]) AS s (id, line)` + pgLookedUp
	pgOutOfLine  = `UPDATE work SET line = NULL WHERE webhook = $1 AND line IS NOT NULL`
	pgCancelSome = `DELETE FROM work WHERE id IN (SELECT id FROM work WHERE webhook = $1 AND due_ms IS NOT NULL ORDER BY due_ms, id LIMIT $2
    FOR UPDATE SKIP LOCKED) RETURNING ` + pgWorkColumns
	pgOrphans      = `SELECT hook.webhook FROM (` + pgWaitingHooks + `) AS hook WHERE NOT EXISTS (SELECT 1 FROM webhook WHERE key = hook.webhook)`
	pgDeleteMember = `DELETE FROM member WHERE webhook = $1`
)

// CreateWebhook stores a webhook and sets its Key and Revision, and cuts its times to milliseconds. The error is triggers.ErrLimit when
// the tenant has as many webhooks as it may have, triggers.ErrOwnerLimit when the owner has.
func (p *Postgres) CreateWebhook(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error {
	row, err := p.rowOf(w)
	if err != nil {
		return err
	}
	var created triggers.Webhook
	err = p.editing(ctx, func(t *pgTx, e *editor) error {
		created = *w
		if err := e.createWebhook(ctx, &created, row, limits); err != nil {
			return err
		}
		_, err := t.tx.Exec(t.ctx, pgOrdered, flag(w.Ordered), int64(created.Key))
		return err
	})
	if err != nil {
		return fmt.Errorf("create webhook: %w", pgKnown(err))
	}
	w.Key, w.Revision = created.Key, created.Revision
	return nil
}

// UpdateWebhook replaces the webhook with this Tenant and ID, sets its Key, cuts its times to milliseconds, and gives it a new
// Revision when what a revision holds has changed; triggers.ErrNotFound when there is none, triggers.ErrOwnerLimit when it becomes the
// webhook of an owner who has as many as he may, delivery.ErrOutdated when it is no longer the version that ctx says is to be replaced.
func (p *Postgres) UpdateWebhook(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error {
	row, err := p.rowOf(w)
	if err != nil {
		return err
	}
	var updated triggers.Webhook
	err = p.editing(ctx, func(t *pgTx, e *editor) error {
		if err := e.isPresent(w.ID, delivery.ReplacedIn(ctx)); err != nil {
			return err
		}
		updated = *w
		enabled, err := e.updateWebhook(ctx, &updated, row, limits)
		if err != nil {
			return err
		}
		if w.Enabled && !enabled {
			if err := t.forgetHealth(updated.Key); err != nil {
				return err
			}
		}
		return t.reorder(updated.Key, w.Ordered)
	})
	if err != nil {
		return fmt.Errorf("webhook %s: %w", w.ID, pgKnown(err))
	}
	w.Key, w.Revision = updated.Key, updated.Revision
	return nil
}

// isPresent refuses what is to replace another version of a webhook than the stored one; nil is any. Whoever asks is alone with it.
func (e *editor) isPresent(id triggers.WebhookID, before *triggers.Webhook) error {
	if before == nil {
		return nil
	}
	return e.db.each(`SELECT `+webhookColumns+` FROM webhook WHERE id = ? AND tenant = ?`, "", webhookColumnCount, func(values []driver.Value) error {
		present, err := e.webhookOf(rowOfValues(values))
		if err == nil && !reflect.DeepEqual(present, before) {
			err = delivery.ErrOutdated
		}
		return err
	}, id[:], int64(before.Tenant))
}

// reorder has a webhook be ordered or not any more. What is open of it is put into lines, while nobody makes work that does not know of them.
func (t *pgTx) reorder(webhook uint32, ordered bool) error {
	tag, err := t.tx.Exec(t.ctx, pgOrdered, flag(ordered), int64(webhook))
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	if err := t.lock(lockWebhooks, false); err != nil {
		return err
	}
	t.marks = append(t.marks, mark{webhook, 0})
	if !ordered {
		_, err := t.tx.Exec(t.ctx, pgOutOfLine, int64(webhook))
		return err
	}
	return t.lineUp(&t.store.base, int64(webhook))
}

// lineUp puts the open work of a webhook into lines.
func (s pgStatements) lineUp(store *base, webhook int64) error {
	var ids, lines []int64
	rows, err := s.tx.Query(s.ctx, pgOpenOfHook, webhook)
	if err != nil {
		return err
	}
	var id, members int64
	var text string
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &members, &text, &body}, func() error {
		uri := store.uri(text)
		name := delivery.TogetherOf(&uri)
		if members == 0 {
			name = delivery.LineOf(&uri, body)
		}
		ids, lines = append(ids, id), append(lines, *lineNumber(name))
		return nil
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = s.tx.Exec(s.ctx, pgLineUp, ids, lines)
	return err
}

// DeleteWebhook removes a webhook and cancels what waits for it; what is being sent ends as it ends. Its history stays. The error is
// triggers.ErrNotFound when there is none.
func (p *Postgres) DeleteWebhook(ctx context.Context, tenant uint32, id triggers.WebhookID) error {
	var key int64
	err := p.editing(ctx, func(t *pgTx, e *editor) error {
		// From then on nobody plans for it who does not see that it is gone.
		if err := t.lock(lockWebhooks, false); err != nil {
			return err
		}
		var err error
		if key, err = e.deleteWebhook(ctx, tenant, id); err != nil {
			return err
		}
		if _, err := t.tx.Exec(t.ctx, pgDeleteMember, key); err != nil {
			return err
		}
		return t.forgetHealth(uint32(key)) //nolint:gosec // a key
	})
	if err != nil {
		return fmt.Errorf("webhook %s: %w", id, pgKnown(err))
	}
	// It is gone now, whatever happens: what is left of its work is cancelled by a node's next look for such.
	if err := p.cancelAll(ctx, uint32(key)); err != nil { //nolint:gosec // a key
		return fmt.Errorf("cancel the work of webhook %s: %w", id, err)
	}
	return nil
}

// cancelAll cancels what waits for a webhook that is gone, some in each transaction.
func (p *Postgres) cancelAll(ctx context.Context, webhook uint32) error {
	for more := true; more; {
		err := p.transact(context.WithoutCancel(ctx), func(t *pgTx) error {
			rows, err := t.tx.Query(t.ctx, pgCancelSome, int64(webhook), int64(cancelAtOnce))
			if err != nil {
				return err
			}
			list, err := pgx.CollectRows(rows, scanWork)
			if err != nil {
				return err
			}
			more = len(list) == cancelAtOnce
			if len(list) == 0 {
				return errPassedOver
			}
			now := t.store.now().UnixMilli()
			ended := make([]endedDelivery, len(list))
			for i := range list {
				end := ending{state: delivery.Cancelled, reason: reasonDeleted, ended: now}
				t.counts.end(list[i].lease.tenant, end)
				t.counts.open(list[i].lease.tenant, -1)
				ended[i] = endedDelivery{list[i].id, list[i].lease, end}
			}
			q := newQueue()
			insertEnded(q, ended)
			return q.send(t.ctx, t.tx)
		})
		if err != nil {
			return pgKnown(err)
		}
	}
	return nil
}

// scanWork reads a row of pgWorkColumns.
func scanWork(row pgx.CollectableRow) (leased, error) {
	var one leased
	var id, tenant, webhook, event, trigger, fence int64
	l := &one.lease
	err := row.Scan(&id, &tenant, &webhook, &event, &l.members, &l.revision, &trigger, &l.built, &l.tries, &fence, &l.status, &l.started, &l.reason, &l.first)
	one.id, l.tenant, l.webhook, l.event = triggers.ID(id), uint32(tenant), uint32(webhook), triggers.ID(event) //nolint:gosec // written from such types
	l.trigger, l.fence = uint8(trigger), uint32(fence)                                                          //nolint:gosec // as above
	return one, err
}

// cancelOrphans cancels what waits for webhooks that are gone: a node may have ended while it was deleting.
func (p *Postgres) cancelOrphans(ctx context.Context) error {
	rows, err := p.pool.Query(ctx, pgOrphans)
	if err != nil {
		return err
	}
	orphans, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, webhook := range orphans {
		if err := p.cancelAll(ctx, uint32(webhook)); err != nil { //nolint:gosec // a key
			return fmt.Errorf("cancel the work of deleted webhooks: %w", err)
		}
	}
	return nil
}

// ReviseWebhooks gives every webhook whose revision is not what delivery.RevisionOf says now a new one: after an upgrade with another
// builder, or with another setting of the server. LegacyCloud goes for all revisions from now on. All are revised or none.
func (p *Postgres) ReviseWebhooks(ctx context.Context, legacyCloud bool) error {
	before := p.legacyCloud.Swap(legacyCloud)
	err := p.editAlone(ctx, func(e *editor) error { return e.reviseOutdated() })
	if err != nil {
		p.legacyCloud.Store(before)
		return fmt.Errorf("revise webhooks: %w", pgKnown(err))
	}
	return nil
}

// pgWebhookFilters are webhookFilters: they leave a condition out when its parameter is null.
const pgWebhookFilters = `
  WHERE tenant = ?1
    AND (?2::text IS NULL OR strpos(name_folded, ?2) > 0)
    AND (?3::text IS NULL OR strpos(url_folded, ?3) > 0)
    AND (?4::boolean IS NULL OR (enabled = 1) = ?4)
    AND (?5::text IS NULL OR triggers::jsonb @> ?5::jsonb)
    AND (?6::text IS NULL OR ?6::jsonb @> to_jsonb(origin))
    AND (?7::text IS NULL OR level = ?7)
    AND (?8::text IS NULL OR owner_id = ?8)
    AND (?9::text IS NULL OR created_by = ?9)
    AND (?10::text IS NULL OR updated_by = ?10)
    AND (?11::text IS NULL OR EXISTS (SELECT 1 FROM jsonb_array_elements_text(triggers::jsonb) AS own (value)
           WHERE strpos(translate(value, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), ?11) > 0))
    AND (?12::text IS NULL OR name_folded = ?12)
    AND (?13::text IS NULL OR url_folded = ?13)
    AND (?14::boolean IS NULL OR (enabled = 0 AND coalesce(settings::json ->> 'disabledReasonCode', '') <> '') = ?14)
    AND (?15::text IS NULL OR strpos(translate(owner_id, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'), ?15) > 0)
    AND (?16::bigint IS NULL OR created_ms >= ?16)
    AND (?17::bigint IS NULL OR created_ms < ?17)
`

const (
	pgFilterWebhooks = `SELECT ` + webhookColumns + ` FROM webhook` + pgWebhookFilters + `
    AND (?18::$type IS NULL OR ($sort, key) $after (?18, ?19::bigint))
  ORDER BY $sort $direction, key $direction LIMIT ?20`
	pgFilterWebhookKeys = `SELECT key FROM webhook` + pgWebhookFilters + ` LIMIT ?18`
)

// pgSortColumns are the columns of the orders.
var pgSortColumns = map[delivery.WebhookSort]string{
	"": "created_ms", delivery.SortCreatedAt: "created_ms", delivery.SortUpdatedAt: "updated_ms",
	delivery.SortName: "name_folded", delivery.SortURL: "url_folded",
	delivery.SortTrigger: `(coalesce(triggers::json ->> 0, '') COLLATE "C")`,
	delivery.SortLevel:   "level", delivery.SortOwner: "owner_id", delivery.SortEnabled: "enabled::text",
}

// Webhooks is a page of a tenant's webhooks.
func (p *Postgres) Webhooks(ctx context.Context, q delivery.WebhookQuery) ([]*triggers.Webhook, error) {
	kind := "text"
	if q.Sort.IsDate() {
		kind = "bigint"
	}
	return p.listWebhooks(ctx, strings.ReplaceAll(pgFilterWebhooks, "$type", kind), q)
}

// WebhookKeys are the keys of a tenant's webhooks that the query's filters leave, in no order and no more than its limit; what it says of
// summaries, order and place is passed over.
func (p *Postgres) WebhookKeys(ctx context.Context, q delivery.WebhookQuery) ([]uint32, error) {
	return p.listWebhookKeys(ctx, pgFilterWebhookKeys, q)
}
