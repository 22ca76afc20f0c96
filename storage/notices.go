package storage

import (
	"context"
	"database/sql"
	"fmt"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	insertNotice = `INSERT INTO notice (tenant, webhook, operation, name, at_ms, properties) VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (tenant, name) DO NOTHING`
	oldNotices = `SELECT id, tenant, webhook, operation, name, at_ms, properties FROM notice ORDER BY id LIMIT ?`
	// toldNotice deletes what the event with this name tells.
	toldNotice   = `DELETE FROM notice WHERE tenant = ? AND name = ?`
	forgetNotice = `DELETE FROM notice WHERE id = ?`
)

// keepNotice stores a notice, if there is one, in a transaction of the caller's. What is known by its name is told once.
func (e *editor) keepNotice(n *delivery.Notice) error {
	if n == nil {
		return nil
	}
	return e.db.run(insertNotice, int64(n.Tenant), n.Webhook[:], int64(n.Operation), n.Name, unixMilli(n.At), string(n.Properties))
}

// noticeTold deletes the notice that an event tells, in the transaction that stores it.
func (w *writer) noticeTold(a *delivery.Acceptance) error {
	if a.Event.URI.Resource != triggers.Webhooks {
		return nil
	}
	return w.db.run(toldNotice, int64(a.Tenant), a.Event.EventID)
}

// Notices implements delivery.Queue.
func (s *base) Notices(ctx context.Context, limit int) ([]delivery.Notice, error) {
	var list []delivery.Notice
	err := each(ctx, s.direct(), oldNotices, []any{limit}, func(rows *sql.Rows) error {
		var (
			n          delivery.Notice
			webhook    []byte
			at         int64
			properties string
		)
		if err := rows.Scan(&n.ID, &n.Tenant, &webhook, &n.Operation, &n.Name, &at, &properties); err != nil {
			return err
		}
		copy(n.Webhook[:], webhook)
		n.At, n.Properties = timeOf(at), []byte(properties)
		list = append(list, n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	return list, nil
}

// ForgetNotices implements delivery.Queue.
func (s *base) ForgetNotices(ctx context.Context, ids ...int64) error {
	err := s.edit(ctx, func(e *editor) error {
		for _, id := range ids {
			if err := e.db.run(forgetNotice, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget notices: %w", known(err))
	}
	return nil
}
