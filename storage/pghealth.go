package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"portalhook/delivery"
)

const (
	pgHealthOf      = `SELECT webhook, failing_ms, gave_up, exhausted FROM health WHERE webhook = ANY($1::bigint[])`
	pgHealthOfAll   = `SELECT webhook, failing_ms, gave_up, exhausted FROM health`
	pgBeginHealth   = `INSERT INTO health (webhook, failing_ms, gave_up) SELECT *, 0, 0 FROM unnest($1::bigint[]) ON CONFLICT DO NOTHING`
	pgLockHealth    = pgHealthOf + ` ORDER BY webhook FOR UPDATE`
	pgReplaceHealth = `UPDATE health SET failing_ms = $2, gave_up = $3, exhausted = $4 WHERE webhook = $1`
	pgDeleteHealth  = `DELETE FROM health WHERE webhook = $1`
)

func healthOf(failing, gaveUp int64, exhausted []byte) delivery.Health {
	return delivery.Health{FailingSince: timeOf(failing), GaveUp: gaveUp != 0, Exhausted: parseTimes(exhausted)}
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
		var webhook, failing, gaveUp int64
		var exhausted []byte
		err := scan(&webhook, &failing, &gaveUp, &exhausted)
		if health := healthOf(failing, gaveUp, exhausted); !health.IsZero() {
			into[uint32(webhook)] = health //nolint:gosec // a key
		}
		return err
	}
}

// settleHealth takes settlements, by their webhooks, into what is remembered: the rows are locked in one order, and there is one for each
// webhook before, so that nobody overwrites what another node has written.
func (t *pgTx) settleHealth(settlements map[uint32][]*delivery.Settlement) error {
	if len(settlements) == 0 {
		return nil
	}
	webhooks := slices.Sorted(maps.Keys(settlements))
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
		for _, one := range settlements[webhook] {
			health.Note(one)
		}
		writeHealthTo(q, webhook, health)
	}
	return q.send(t.ctx, t.tx)
}

func writeHealthTo(q *queue, webhook uint32, health delivery.Health) {
	if health.IsZero() {
		q.add(pgDeleteHealth, int64(webhook))
		return
	}
	q.add(pgReplaceHealth, int64(webhook), unixMilli(health.FailingSince), flag(health.GaveUp), bytesOrNil(appendTimes(nil, health.Exhausted)))
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
		writeHealthTo(q, webhook, shifted)
	}
	return q.send(t.ctx, t.tx)
}
