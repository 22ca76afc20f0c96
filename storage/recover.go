package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	recoveryColumns = `id, tenant, webhook, state, body`
	insertRecovery  = `INSERT INTO recovery (id, tenant, webhook, state, body) VALUES (?, ?, ?, ?, ?)`
	updateRecovery  = `UPDATE recovery SET state = ?, body = ? WHERE id = ?`
	oneRecovery     = `SELECT ` + recoveryColumns + ` FROM recovery WHERE id = ?`
	openRecoveries  = `SELECT ` + recoveryColumns + ` FROM recovery WHERE state IN ('counting', 'running', 'paused') ORDER BY id`
	openRecovery    = `SELECT ` + recoveryColumns + ` FROM recovery WHERE webhook = ? AND state IN ('counting', 'running', 'paused')`
	pageOfRecovery  = `SELECT ` + recoveryColumns + ` FROM recovery WHERE webhook = ? AND tenant = ? AND id >= ? AND id <= ?
  ORDER BY id $direction LIMIT ?`
	recoveryColumnCount = 5
)

// recoveryBody is what of a recovery is stored as JSON: ids as numbers, times in milliseconds since 1970, 0 for none.
type recoveryBody struct {
	Spans   [][2]int64       `json:"spans,omitempty"`
	States  []delivery.State `json:"states,omitempty"`
	Trigger string           `json:"trigger,omitzero"`
	Missed  bool             `json:"missed,omitzero"`
	Rate    int              `json:"rate"`

	PausedBy delivery.Pauser `json:"pausedBy,omitzero"`
	Reason   string          `json:"reason,omitzero"`

	Exhausted int  `json:"exhausted,omitzero"`
	Skipped   int  `json:"skipped,omitzero"`
	Cancelled int  `json:"cancelled,omitzero"`
	NoneMade  int  `json:"missedCount,omitzero"`
	Complete  bool `json:"complete,omitzero"`
	Made      int  `json:"made,omitzero"`
	Passed    int  `json:"passed,omitzero"`

	Position  int64    `json:"position,omitzero"`
	CountedTo int64    `json:"countedTo,omitzero"`
	Until     int64    `json:"until"`
	Oldest    int64    `json:"oldest"`
	Lost      [2]int64 `json:"lost,omitzero"`
	NextAt    int64    `json:"nextAt,omitzero"`
	UpdatedAt int64    `json:"updatedAt"`
	EndedAt   int64    `json:"endedAt,omitzero"`
}

func spanMilli(s delivery.Span) [2]int64 { return [2]int64{unixMilli(s.From), unixMilli(s.To)} }

func spanOf(ms [2]int64) delivery.Span { return delivery.Span{From: timeOf(ms[0]), To: timeOf(ms[1])} }

func recoveryJSON(r *delivery.Recovery) ([]byte, error) {
	body := recoveryBody{
		States: r.States, Trigger: r.Trigger, Missed: r.Missed, Rate: r.RatePerMinute, PausedBy: r.PausedBy, Reason: r.Reason,
		Exhausted: r.Counts.Exhausted, Skipped: r.Counts.Skipped, Cancelled: r.Counts.Cancelled, NoneMade: r.Counts.Missed,
		Complete: r.Counts.Complete, Made: r.Made, Passed: r.Passed, Position: int64(r.Position), CountedTo: int64(r.CountedTo),
		Until: int64(r.Until), Oldest: int64(r.Oldest), Lost: spanMilli(r.Lost),
		NextAt: unixMilli(r.NextAt), UpdatedAt: unixMilli(r.UpdatedAt), EndedAt: unixMilli(r.EndedAt),
	}
	for _, span := range r.Spans {
		body.Spans = append(body.Spans, spanMilli(span))
	}
	return json.Marshal(body)
}

func recoveryOf(id int64, tenant, webhook uint32, state string, text []byte) (*delivery.Recovery, error) {
	var body recoveryBody
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("recovery %s: %w", triggers.ID(id).Recovery(), err)
	}
	r := &delivery.Recovery{
		ID: triggers.ID(id), State: delivery.RecoveryState(state), PausedBy: body.PausedBy, Reason: body.Reason,
		RecoveryRequest: delivery.RecoveryRequest{
			Tenant: tenant, Webhook: webhook, States: body.States, Trigger: body.Trigger, Missed: body.Missed, RatePerMinute: body.Rate,
		},
		Counts: delivery.RecoveryCounts{
			Exhausted: body.Exhausted, Skipped: body.Skipped, Cancelled: body.Cancelled, Missed: body.NoneMade, Complete: body.Complete,
		},
		Made: body.Made, Passed: body.Passed, Position: triggers.ID(body.Position), CountedTo: triggers.ID(body.CountedTo),
		Until: triggers.ID(body.Until), Oldest: triggers.ID(body.Oldest), Lost: spanOf(body.Lost), NextAt: timeOf(body.NextAt),
		CreatedAt: triggers.ID(id).Time().UTC(), UpdatedAt: timeOf(body.UpdatedAt), EndedAt: timeOf(body.EndedAt),
	}
	for _, span := range body.Spans {
		r.Spans = append(r.Spans, spanOf(span))
	}
	return r, nil
}

// StartRecovery implements delivery.RecoveryStore. It sets ID, Until, Oldest and the times.
func (s *base) StartRecovery(ctx context.Context, r *delivery.Recovery) error {
	var started delivery.Recovery
	err := s.edit(ctx, func(e *editor) error {
		started = *r
		return e.startRecovery(ctx, &started)
	})
	if err != nil {
		return fmt.Errorf("start recovery: %w", knownRecovery(err))
	}
	*r = started
	return nil
}

func (e *editor) startRecovery(ctx context.Context, r *delivery.Recovery) error {
	exists, err := e.exists(r.Webhook)
	if err == nil && !exists {
		err = triggers.ErrNotFound
	}
	if err != nil {
		return err
	}
	if err := e.noOpenRecovery(r.Webhook); err != nil {
		return err
	}
	newest, err := e.db.integer(`SELECT max(id) FROM recovery`)
	if err != nil {
		return err
	}
	now := e.now()
	r.ID = max(triggers.ID(newest)+1, firstID(now.UnixMilli()))
	if r.Until, err = e.nextID(); err != nil {
		return err
	}
	if r.Oldest, err = e.oldestID(); err != nil {
		return err
	}
	r.CreatedAt, r.UpdatedAt = r.ID.Time().UTC(), timeOf(now.UnixMilli())
	if change := delivery.ChangeIn(ctx); change != nil {
		change.ObjectID = r.ID.Recovery()
	}
	if err := e.writeRecovery(r, true); err != nil {
		return err
	}
	return e.note(ctx, r.Tenant)
}

// oldest is the first event of the days that are kept.
func (w *writer) oldest() triggers.ID {
	if days := w.store.calendar.days; len(days) > 0 {
		return firstOf(days[0])
	}
	return w.ids.next()
}

// knownRecovery leaves those errors as they are that a caller can act on.
func knownRecovery(err error) error {
	if errors.Is(err, delivery.ErrRecoveryOpen) || errors.Is(err, delivery.ErrRecoveryEnded) {
		return err
	}
	return known(err)
}

// recovery is the first that a query gives, as the present transaction sees it; nil when there is none.
func (e *editor) recovery(query string, args ...driver.Value) (found *delivery.Recovery, err error) {
	err = e.db.each(query, "", recoveryColumnCount, func(row []driver.Value) (err error) {
		found, err = recoveryOf(integer(row[0]), uint32(integer(row[1])), uint32(integer(row[2])), textOf(row[3]), []byte(textOf(row[4]))) //nolint:gosec // written from such types
		return err
	}, args...)
	return found, err
}

func (e *editor) noOpenRecovery(webhook uint32) error {
	open, err := e.recovery(openRecovery, int64(webhook))
	if err == nil && open != nil {
		err = delivery.ErrRecoveryOpen
	}
	return err
}

func (e *editor) writeRecovery(r *delivery.Recovery, fresh bool) error {
	body, err := recoveryJSON(r)
	if err != nil {
		return err
	}
	if fresh {
		return e.db.run(insertRecovery, int64(r.ID), int64(r.Tenant), int64(r.Webhook), string(r.State), string(body))
	}
	return e.db.run(updateRecovery, string(r.State), string(body), int64(r.ID))
}

// ControlRecovery implements delivery.RecoveryStore.
func (s *base) ControlRecovery(ctx context.Context, c delivery.RecoveryControl) (*delivery.Recovery, error) {
	var controlled *delivery.Recovery
	err := s.edit(ctx, func(e *editor) error {
		r, err := e.recovery(oneRecovery, int64(c.ID))
		if err == nil && (r == nil || r.Tenant != c.Tenant || r.Webhook != c.Webhook) {
			err = triggers.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := e.control(r, &c); err != nil {
			return err
		}
		controlled = r
		return e.note(ctx, c.Tenant)
	})
	if err != nil {
		return nil, fmt.Errorf("recovery %s: %w", c.ID.Recovery(), knownRecovery(err))
	}
	return controlled, nil
}

func (e *editor) control(r *delivery.Recovery, c *delivery.RecoveryControl) error {
	to := c.To
	if to == delivery.RecoveryRunning && !r.Counts.Complete {
		to = delivery.RecoveryCounting
	}
	switch {
	case c.Automatic && (!r.Open() || r.State == delivery.RecoveryPaused && r.PausedBy == delivery.PausedByRequest):
		return nil
	case r.Ended(), !r.Open() && to == delivery.RecoveryPaused:
		return delivery.ErrRecoveryEnded
	case !r.Open() && to != delivery.RecoveryCancelled:
		if err := e.noOpenRecovery(r.Webhook); err != nil {
			return err
		}
	}
	r.State, r.PausedBy, r.Reason = to, c.PausedBy, c.Reason
	r.UpdatedAt, r.EndedAt = timeOf(unixMilli(c.Now)), time.Time{}
	if !r.Open() {
		r.EndedAt = r.UpdatedAt
	}
	return e.writeRecovery(r, false)
}

// cancelRecovery ends the recovery of a webhook that is being deleted.
func (e *editor) cancelRecovery(webhook int64) error {
	r, err := e.recovery(openRecovery, webhook)
	if err != nil || r == nil {
		return err
	}
	return e.control(r, &delivery.RecoveryControl{To: delivery.RecoveryCancelled, Reason: reasonDeleted, Now: e.now()})
}

// OpenRecoveries implements delivery.RecoveryStore.
func (s *base) OpenRecoveries(ctx context.Context) ([]delivery.Recovery, error) {
	return s.recoveries(ctx, openRecoveries)
}

// Recoveries implements delivery.RecoveryStore.
func (s *base) Recoveries(ctx context.Context, q delivery.RecoveryQuery) ([]delivery.Recovery, error) {
	first, last := bounds(delivery.HistoryQuery{OldestFirst: q.OldestFirst, After: q.After})
	direction := "DESC"
	if q.OldestFirst {
		direction = "ASC"
	}
	return s.recoveries(ctx, withDirection(pageOfRecovery, direction), q.Webhook, q.Tenant, int64(first), int64(last), q.Limit)
}

// Recovery implements delivery.RecoveryStore.
func (s *base) Recovery(ctx context.Context, tenant, webhook uint32, id triggers.ID) (*delivery.Recovery, error) {
	found, err := s.recoveries(ctx, oneRecovery, int64(id))
	if err == nil && (len(found) == 0 || found[0].Tenant != tenant || found[0].Webhook != webhook) {
		err = triggers.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("recovery %s: %w", id.Recovery(), err)
	}
	return &found[0], nil
}

func (s *base) recoveries(ctx context.Context, query string, args ...any) ([]delivery.Recovery, error) {
	var list []delivery.Recovery
	err := each(ctx, s.direct(), query, args, func(rows *sql.Rows) error {
		var id int64
		var tenant, webhook uint32
		var state string
		var body []byte
		if err := rows.Scan(&id, &tenant, &webhook, &state, &body); err != nil {
			return err
		}
		r, err := recoveryOf(id, tenant, webhook, state, body)
		if err == nil {
			list = append(list, *r)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recoveries: %w", err)
	}
	return list, nil
}
