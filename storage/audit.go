package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// auditKept is the least that the audit is kept; a longer retention of history keeps it longer.
const auditKept = 90 * 24 * time.Hour

const (
	insertChange = `INSERT INTO audit (id, tenant, key_id, user_id, action, object, object_id, before_json, after_json, trace_id)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectChanges = `SELECT id, tenant, key_id, user_id, action, object, object_id, before_json, after_json, trace_id FROM audit WHERE tenant = ?`
)

// note writes the change that ctx carries into the present transaction; tenant is the one that is being changed.
func (e *editor) note(ctx context.Context, tenant uint32) error {
	change := delivery.ChangeIn(ctx)
	if change == nil {
		return nil
	}
	newest, err := e.db.integer(`SELECT max(id) FROM audit`)
	if err != nil {
		return err
	}
	// Its own sequence: rows of the audit outlive those of events, and a clock that stepped back must not give a number twice.
	id := max(triggers.ID(newest)+1, firstID(e.now().UnixMilli()))
	return e.db.run(insertChange, int64(id), int64(tenant), change.KeyID, change.UserID, change.Action, change.Object, change.ObjectID,
		textOrNull(change.Before), textOrNull(change.After), change.TraceID)
}

// auditLimit is the first id of the audit that retention leaves, where history before the time given is forgotten.
func (e *editor) auditLimit(before int64) driver.Value {
	return int64(firstID(min(before, e.now().Add(-auditKept).UnixMilli())))
}

// Changes is a page of a tenant's audit.
func (s *base) Changes(ctx context.Context, q delivery.ChangeQuery) ([]delivery.Change, error) {
	var query strings.Builder
	query.WriteString(selectChanges)
	args := []any{q.Tenant}
	where := func(wanted bool, condition string, arg any) {
		if wanted {
			query.WriteString(" AND " + condition)
			args = append(args, arg)
		}
	}
	where(q.Action != "", "action = ?", q.Action)
	where(q.Object != "", "object = ?", q.Object)
	where(q.ObjectID != "", "object_id = ?", q.ObjectID)
	where(!q.From.IsZero(), "id >= ?", int64(firstID(ceilMilli(q.From))))
	where(!q.To.IsZero(), "id < ?", int64(firstID(ceilMilli(q.To))))
	order := " ORDER BY id DESC LIMIT ?"
	if q.OldestFirst {
		order = " ORDER BY id LIMIT ?"
	}
	where(q.After != 0 && q.OldestFirst, "id > ?", int64(q.After))
	where(q.After != 0 && !q.OldestFirst, "id < ?", int64(q.After))
	var changes []delivery.Change
	err := each(ctx, s.direct(), query.String()+order, append(args, q.Limit), func(rows *sql.Rows) error {
		var c delivery.Change
		var before, after sql.NullString
		err := rows.Scan(&c.ID, &c.Tenant, &c.KeyID, &c.UserID, &c.Action, &c.Object, &c.ObjectID, &before, &after, &c.TraceID)
		if before.Valid {
			c.Before = []byte(before.String)
		}
		if after.Valid {
			c.After = []byte(after.String)
		}
		changes = append(changes, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return changes, nil
}

// ceilMilli is the first whole millisecond that is not before t.
func ceilMilli(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// AddChange writes a row of the audit by itself: of something that was done and changed nothing that is stored. Its Tenant is the one
// it was done for.
func (s *base) AddChange(ctx context.Context, change *delivery.Change) error {
	err := s.edit(ctx, func(e *editor) error { return e.note(delivery.Audited(ctx, change), change.Tenant) })
	if err != nil {
		return fmt.Errorf("audit: %w", known(err))
	}
	return nil
}
