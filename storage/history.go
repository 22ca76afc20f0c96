package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// recordColumns are those of recordRow, in order; work has no state, end or attempt but the last.
	recordColumns     = `id, tenant, webhook, event, members, revision, trigger, state, built_ms, ended_ms, tries, status_code, started_ms, reason`
	openRecordColumns = `id, tenant, webhook, event, members, revision, trigger, CASE WHEN due_ms IS NULL THEN 1 ELSE 0 END, built_ms,
  coalesce(due_ms, 0), tries, status_code, started_ms, reason`

	oneDelivery = `SELECT ` + recordColumns + `, first FROM delivery_$day WHERE id = ? AND tenant = ?`
	oneOpen     = `SELECT ` + openRecordColumns + `, first FROM work WHERE id = ? AND tenant = ?`
)

// recordRow is a delivery's row, of the history or of open work.
type recordRow struct {
	id, event        int64
	tenant, webhook  uint32
	members, trigger int
	revision, state  int64
	built            int64
	at               int64 // when it ended; of open work, when it falls due
	tries, status    int
	started          int64
	reason           string
	first            []byte
}

func (r *recordRow) scan() []any {
	return []any{
		&r.id, &r.tenant, &r.webhook, &r.event, &r.members, &r.revision, &r.trigger, &r.state, &r.built, &r.at, &r.tries, &r.status,
		&r.started, &r.reason,
	}
}

// record is the summary of a row.
func (s *base) record(ctx context.Context, tx querier, r *recordRow) (*delivery.Record, error) {
	revision, err := s.revision(ctx, tx, r.revision)
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", triggers.ID(r.id).Delivery(), err)
	}
	record := &delivery.Record{
		ID: triggers.ID(r.id), Tenant: r.tenant, Webhook: r.webhook, WebhookID: revision.WebhookID, EventID: triggers.ID(r.event),
		State: stateOf(r.state), Reason: r.reason, CreatedAt: triggers.ID(r.id).Time().UTC(), Tries: r.tries, StatusCode: r.status,
		StartedAt: timeOf(r.started),
	}
	if r.trigger < len(revision.Triggers) {
		record.Trigger = revision.Triggers[r.trigger]
	}
	switch record.State {
	case delivery.Waiting, delivery.Sending:
		record.DueAt = timeOf(r.at)
	case delivery.Succeeded, delivery.Exhausted, delivery.Skipped, delivery.Cancelled:
		record.EndedAt = timeOf(r.at)
	}
	return record, nil
}

// Delivery is a tenant's delivery with its revision, events and attempts; triggers.ErrNotFound when there is none, or no more.
func (s *base) Delivery(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error) {
	var record *delivery.Record
	err := s.view(ctx, func(tx querier) error {
		row, err := s.findDelivery(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		if record, err = s.record(ctx, tx, row); err != nil {
			return err
		}
		revision, err := s.revision(ctx, tx, row.revision)
		if err != nil {
			return err
		}
		record.Revision, record.BuiltAt = *revision, timeOf(row.built)
		if err := s.addEvents(ctx, tx, record, row.members); err != nil {
			return err
		}
		return s.addAttempts(ctx, tx, record, row.first)
	})
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", id.Delivery(), err)
	}
	return record, nil
}

func (s *base) findDelivery(ctx context.Context, tx querier, tenant uint32, id triggers.ID) (*recordRow, error) {
	row := new(recordRow)
	into := append(row.scan(), &row.first)
	err := tx.QueryRowContext(ctx, forDay(oneDelivery, s.tables.suffix(id)), int64(id), tenant).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, oneOpen, int64(id), tenant).Scan(into...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = triggers.ErrNotFound
	}
	return row, err
}

// addEvents reads the events of a delivery.
func (s *base) addEvents(ctx context.Context, tx querier, record *delivery.Record, members int) error {
	ids, err := eventsOf(ctx, tx, record.ID, record.EventID, members)
	if err != nil {
		return err
	}
	events := eventSet{store: s, tx: tx}
	events.want(ids)
	if err := events.load(ctx); err != nil {
		return err
	}
	for _, id := range ids {
		if event, err := events.get(id); err == nil { // history shows what there is
			record.Events = append(record.Events, event)
		}
	}
	if len(record.Events) > 0 {
		record.URI = record.Events[0].URI.String()
	}
	return nil
}

// addAttempts reads the attempts of a delivery; the first stands in its own row.
func (s *base) addAttempts(ctx context.Context, tx querier, record *delivery.Record, first []byte) error {
	if len(first) == 0 {
		return nil
	}
	attempt, err := parseAttempt(first)
	if err != nil {
		return err
	}
	record.Attempts = append(record.Attempts, attempt)
	if record.Tries < 2 {
		return nil
	}
	query := forDay(`SELECT body FROM attempt_$day WHERE delivery = ? ORDER BY number`, s.tables.suffix(record.ID))
	return each(ctx, tx, query, []any{int64(record.ID)}, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		attempt, err := parseAttempt(body)
		record.Attempts = append(record.Attempts, attempt)
		return err
	})
}
