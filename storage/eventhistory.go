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

const (
	ownOfEvent  = `SELECT ` + recordColumns + ` FROM delivery_$day WHERE id > ? AND id <= ? AND tenant = ?`
	openOfEvent = `SELECT ` + openRecordColumns + ` FROM work WHERE id > ? AND id <= ? AND tenant = ?`
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
		return s.addMatches(ctx, tx, event, matches)
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

// addMatches reads what became of each webhook that the event matched. Deliveries made later, by a resend, are not among them.
func (s *base) addMatches(ctx context.Context, tx querier, event *delivery.EventRecord, blob []byte) error {
	matches, err := parseMatches(blob)
	if err != nil {
		return err
	}
	own := make(map[triggers.ID]*delivery.Record, len(matches))
	for _, query := range []string{forDay(ownOfEvent, s.tables.suffix(event.ID)), openOfEvent} {
		list, err := s.records(ctx, tx, query, int64(event.ID), int64(event.ID)+int64(len(matches)), event.Tenant)
		if err != nil {
			return err
		}
		for _, record := range list {
			own[record.ID] = record
		}
	}
	for i := range matches {
		m := &matches[i]
		revision, err := s.revision(ctx, tx, m.revision)
		if err != nil {
			return err
		}
		shown := delivery.Match{WebhookID: revision.WebhookID, WebhookName: revision.WebhookName}
		if int(m.trigger) < len(revision.Triggers) {
			shown.Trigger = revision.Triggers[m.trigger]
		}
		record := own[deliveryID(event.ID, i)]
		if record == nil && m.until != 0 {
			if record, err = s.ofInterval(ctx, tx, event, m); err != nil {
				return err
			}
		}
		if record != nil {
			shown.Delivery = *record
		}
		shown.Delivery.URI, shown.Delivery.WebhookID = event.URI, revision.WebhookID
		if record != nil && record.EventID != event.ID { // of an interval that another event began
			if shown.Delivery.URI, err = s.uriOf(ctx, tx, record.EventID); err != nil {
				return err
			}
		}
		event.Matches = append(event.Matches, shown)
	}
	return nil
}

// ofInterval is the delivery that the end of a match's interval made: the first, since others are resends. Before that it is one
// without an id that waits for the end, and when the webhook was deleted meanwhile, a cancelled one.
func (s *base) ofInterval(ctx context.Context, tx querier, event *delivery.EventRecord, m *match) (*delivery.Record, error) {
	ids, err := idsOf(ctx, tx, `SELECT delivery FROM delivery_event WHERE event = ? ORDER BY delivery`, event.ID)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		row, err := s.findDelivery(ctx, tx, event.Tenant, id)
		if errors.Is(err, triggers.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if row.webhook == m.webhook {
			return s.record(ctx, tx, row)
		}
	}
	record := &delivery.Record{Tenant: event.Tenant, Webhook: m.webhook, EventID: event.ID, State: delivery.Waiting}
	var until int64 // the clock may have been set since
	err = tx.QueryRowContext(ctx, `SELECT until_ms FROM member WHERE event = ? AND webhook = ?`, int64(event.ID), m.webhook).Scan(&until)
	switch {
	case err == nil:
		record.DueAt = timeOf(until)
	case errors.Is(err, sql.ErrNoRows):
		err = nil
		record.State, record.Reason, record.DueAt = delivery.Cancelled, reasonDeleted, time.Time{}
	}
	return record, err
}
