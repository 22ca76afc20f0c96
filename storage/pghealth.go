package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"portalhook/delivery"
)

const (
	pgHealthColumns = `webhook, failing_ms, gave_up, exhausted, warned, told, coalesce(probe, '')`
	pgHealthOf      = `SELECT ` + pgHealthColumns + ` FROM health WHERE webhook = ANY($1::bigint[])`
	pgHealthOfAll   = `SELECT ` + pgHealthColumns + ` FROM health`
	pgBeginHealth   = `INSERT INTO health (webhook, failing_ms, gave_up) SELECT *, 0, 0 FROM unnest($1::bigint[]) ON CONFLICT DO NOTHING`
	pgLockHealth    = pgHealthOf + ` ORDER BY webhook FOR UPDATE`
	pgReplaceHealth = `UPDATE health SET failing_ms = $2, gave_up = $3, exhausted = $4, warned = $5, told = $6, probe = $7 WHERE webhook = $1`
	pgDeleteHealth  = `DELETE FROM health WHERE webhook = $1`
	pgInsertNotice  = `INSERT INTO notice (tenant, webhook, operation, name, at_ms, properties) VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (tenant, name) DO NOTHING`
	pgToldNotices = `DELETE FROM notice USING unnest($1::bigint[], $2::text[]) AS told (tenant, name)
  WHERE notice.tenant = told.tenant AND notice.name = told.name`
)

// healthRow is a row of pgHealthColumns.
type healthRow struct {
	webhook, failing, gaveUp, warned, told int64
	exhausted                              []byte
	probe                                  string
}

func (r *healthRow) into() []any {
	return []any{&r.webhook, &r.failing, &r.gaveUp, &r.exhausted, &r.warned, &r.told, &r.probe}
}

func (r *healthRow) health() (delivery.Health, error) {
	probe, err := probeOf(r.probe)
	return delivery.Health{
		FailingSince: timeOf(r.failing), GaveUp: r.gaveUp != 0, Exhausted: parseTimes(r.exhausted), Warned: int(r.warned), Told: int(r.told), Probe: probe,
	}, err
}

// Health implements delivery.Queue.
func (p *Postgres) Health(ctx context.Context, webhooks ...uint32) (map[uint32]delivery.Health, error) {
	found := make(map[uint32]delivery.Health)
	text, args := pgHealthOfAll, []any(nil)
	if len(webhooks) > 0 {
		keys := make([]int64, len(webhooks))
		for i, key := range webhooks {
			keys[i] = int64(key)
		}
		text, args = pgHealthOf, []any{keys}
	}
	err := p.eachPooled(ctx, text, scanHealth(found), args...)
	if err != nil {
		return nil, fmt.Errorf("health of webhooks: %w", err)
	}
	return found, nil
}

// scanHealth reads rows of health; those of webhooks that have not failed are left out.
func scanHealth(into map[uint32]delivery.Health) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var row healthRow
		if err := scan(row.into()...); err != nil {
			return err
		}
		health, err := row.health()
		if !health.IsZero() {
			into[uint32(row.webhook)] = health //nolint:gosec // a key
		}
		return err
	}
}

// changeHealth changes what is remembered of webhooks: the rows are locked in one order, and there is one for each webhook before, so that nobody
// overwrites what another node has written.
func (t *pgTx) changeHealth(webhooks []uint32, change func(webhook uint32, health *delivery.Health)) error {
	if len(webhooks) == 0 {
		return nil
	}
	webhooks = slices.Sorted(slices.Values(webhooks))
	keys := make([]int64, len(webhooks))
	for i, webhook := range webhooks {
		keys[i] = int64(webhook)
	}
	present := make(map[uint32]delivery.Health)
	q := newQueue()
	q.add(pgBeginHealth, keys)
	q.rows(scanHealth(present), pgLockHealth, keys)
	if err := q.send(t.ctx, t.tx); err != nil {
		return err
	}
	q = newQueue()
	for _, webhook := range webhooks {
		health := present[webhook]
		health = health.Clone()
		change(webhook, &health)
		if err := writeHealthTo(q, webhook, &health); err != nil {
			return err
		}
	}
	return q.send(t.ctx, t.tx)
}

func writeHealthTo(q *queue, webhook uint32, health *delivery.Health) error {
	if health.IsZero() {
		q.add(pgDeleteHealth, int64(webhook))
		return nil
	}
	probe, err := probeValue(&health.Probe)
	if err != nil {
		return err
	}
	text, _ := probe.(string)
	q.add(pgReplaceHealth, int64(webhook), unixMilli(health.FailingSince), flag(health.GaveUp), bytesOrNil(appendTimes(nil, health.Exhausted)),
		int64(health.Warned), int64(health.Told), pgTextOrNull(text))
	return nil
}

// NoteProbe implements delivery.Queue.
func (p *Postgres) NoteProbe(ctx context.Context, webhook uint32, probe delivery.Probing) error {
	err := p.editing(ctx, func(t *pgTx, e *editor) error {
		off, err := e.db.integer(webhookIsOff, int64(webhook))
		if err != nil || off == 0 {
			return err
		}
		return t.changeHealth([]uint32{webhook}, func(_ uint32, health *delivery.Health) {
			health.Probe = probe
			health.Probe.At, health.Probe.NextAt = timeOf(unixMilli(probe.At)), timeOf(unixMilli(probe.NextAt))
		})
	})
	if err != nil {
		return fmt.Errorf("note a probe: %w", pgKnown(err))
	}
	return nil
}

// addNotice stores what is to be told; what is known by its name is told once.
func addNotice(q *queue, n *delivery.Notice) {
	q.add(pgInsertNotice, int64(n.Tenant), n.Webhook[:], int64(n.Operation), pgText(n.Name), unixMilli(n.At), string(n.Properties))
}

// forgetHealth has a webhook's health begin anew.
func (t *pgTx) forgetHealth(webhook uint32) error {
	_, err := t.tx.Exec(t.ctx, pgDeleteHealth, int64(webhook))
	return err
}

// shiftHealth moves the dates of all healths.
func (t *pgTx) shiftHealth(by time.Duration) error {
	present := make(map[uint32]delivery.Health)
	q := newQueue()
	q.rows(scanHealth(present), pgHealthOfAll+` ORDER BY webhook FOR UPDATE`)
	if err := q.send(t.ctx, t.tx); err != nil {
		return err
	}
	q = newQueue()
	for webhook, health := range present {
		shifted := health.Clone()
		shifted.Shift(by)
		if err := writeHealthTo(q, webhook, &shifted); err != nil {
			return err
		}
	}
	return q.send(t.ctx, t.tx)
}
