package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Event is a tenant's event with its matches; triggers.ErrNotFound when there is none, or no more.
func (s *base) Event(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventRecord, error) {
	var event *delivery.EventRecord
	err := s.view(ctx, func(tx querier) error {
		var matches []byte
		var err error
		if event, matches, err = s.findEvent(ctx, tx, tenant, id); err != nil {
			return err
		}
		all, err := s.newMatched(tx, event, matches)
		if err != nil {
			return err
		}
		event.Matches, err = all.at(ctx, all.places())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id.Event(), err)
	}
	return event, nil
}

func (s *base) findEvent(ctx context.Context, tx querier, tenant uint32, id triggers.ID) (e *delivery.EventRecord, matches []byte, err error) {
	e = &delivery.EventRecord{ID: id, Tenant: tenant}
	var eventID sql.NullString
	var when, accepted int64
	query := forDay(`SELECT uri, event_id, source, username, when_ms, accepted_ms, body, matches FROM event_$day WHERE id = ? AND tenant = ?`,
		s.tables.suffix(id))
	err = tx.QueryRowContext(ctx, query, int64(id), tenant).
		Scan(&e.URI, &eventID, &e.Source, &e.Username, &when, &accepted, &e.Body, &matches)
	if errors.Is(err, sql.ErrNoRows) {
		err = triggers.ErrNotFound
	}
	e.EventID, e.When, e.AcceptedAt = eventID.String, time.UnixMilli(when).UTC(), timeOf(accepted)
	return e, matches, err
}
