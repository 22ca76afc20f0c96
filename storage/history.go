package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

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
	ownOfEvent  = `SELECT ` + recordColumns + ` FROM delivery_$day WHERE id > ? AND id <= ? AND tenant = ?`
	openOfEvent = `SELECT ` + openRecordColumns + ` FROM work WHERE id > ? AND id <= ? AND tenant = ?`
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
func (s *Store) record(ctx context.Context, tx *sql.Tx, r *recordRow) (*delivery.Record, error) {
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
func (s *Store) Delivery(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error) {
	var record *delivery.Record
	err := s.view(ctx, func(tx *sql.Tx) error {
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

func (s *Store) findDelivery(ctx context.Context, tx *sql.Tx, tenant uint32, id triggers.ID) (*recordRow, error) {
	row := new(recordRow)
	into := append(row.scan(), &row.first)
	err := tx.QueryRowContext(ctx, forDay(oneDelivery, s.calendar.suffix(id)), int64(id), tenant).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, oneOpen, int64(id), tenant).Scan(into...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = triggers.ErrNotFound
	}
	return row, err
}

// addEvents reads the events of a delivery.
func (s *Store) addEvents(ctx context.Context, tx *sql.Tx, record *delivery.Record, members int) error {
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
func (s *Store) addAttempts(ctx context.Context, tx *sql.Tx, record *delivery.Record, first []byte) error {
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
	query := forDay(`SELECT body FROM attempt_$day WHERE delivery = ? ORDER BY number`, s.calendar.suffix(record.ID))
	rows, err := tx.QueryContext(ctx, query, int64(record.ID))
	if err != nil {
		return err
	}
	return eachRow(rows, func() error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		attempt, err := parseAttempt(body)
		record.Attempts = append(record.Attempts, attempt)
		return err
	})
}

// Event is a tenant's event with its matches; triggers.ErrNotFound when there is none, or no more.
func (s *Store) Event(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventRecord, error) {
	var event *delivery.EventRecord
	err := s.view(ctx, func(tx *sql.Tx) error {
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

func (s *Store) findEvent(ctx context.Context, tx *sql.Tx, tenant uint32, id triggers.ID) (e *delivery.EventRecord, matches []byte, err error) {
	e = &delivery.EventRecord{ID: id, Tenant: tenant}
	var eventID sql.NullString
	var when, accepted int64
	query := forDay(`SELECT uri, event_id, source, username, when_ms, accepted_ms, body, matches FROM event_$day WHERE id = ? AND tenant = ?`,
		s.calendar.suffix(id))
	err = tx.QueryRowContext(ctx, query, int64(id), tenant).
		Scan(&e.URI, &eventID, &e.Source, &e.Username, &when, &accepted, &e.Body, &matches)
	if errors.Is(err, sql.ErrNoRows) {
		err = triggers.ErrNotFound
	}
	e.EventID, e.When, e.AcceptedAt = eventID.String, time.UnixMilli(when).UTC(), timeOf(accepted)
	return e, matches, err
}

// addMatches reads what became of each webhook that the event matched. Deliveries made later, by a resend, are not among them.
func (s *Store) addMatches(ctx context.Context, tx *sql.Tx, event *delivery.EventRecord, blob []byte) error {
	matches, err := parseMatches(blob)
	if err != nil {
		return err
	}
	own := make(map[triggers.ID]*delivery.Record, len(matches))
	for _, query := range []string{forDay(ownOfEvent, s.calendar.suffix(event.ID)), openOfEvent} {
		rows, err := tx.QueryContext(ctx, query, int64(event.ID), int64(event.ID)+int64(len(matches)), event.Tenant)
		if err != nil {
			return err
		}
		list, err := s.records(ctx, tx, rows)
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
func (s *Store) ofInterval(ctx context.Context, tx *sql.Tx, event *delivery.EventRecord, m *match) (*delivery.Record, error) {
	rows, err := tx.QueryContext(ctx, `SELECT delivery FROM delivery_event WHERE event = ? ORDER BY delivery`, int64(event.ID))
	if err != nil {
		return nil, err
	}
	var ids []triggers.ID
	err = eachRow(rows, func() error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, triggers.ID(id))
		return err
	})
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
	record := &delivery.Record{Tenant: event.Tenant, Webhook: m.webhook, EventID: event.ID, State: delivery.Waiting, DueAt: timeOf(m.until)}
	var waits bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM member WHERE until_ms = ? AND webhook = ? AND event = ?)`,
		m.until, m.webhook, int64(event.ID)).Scan(&waits)
	if err == nil && !waits {
		record.State, record.Reason, record.DueAt = delivery.Cancelled, reasonDeleted, time.Time{}
	}
	return record, err
}

// records reads summaries of recordColumns.
func (s *Store) records(ctx context.Context, tx *sql.Tx, rows *sql.Rows) ([]*delivery.Record, error) {
	var found []recordRow
	err := eachRow(rows, func() error {
		var row recordRow
		err := rows.Scan(row.scan()...)
		found = append(found, row)
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]*delivery.Record, len(found))
	for i := range found {
		if list[i], err = s.record(ctx, tx, &found[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// A page is read day by day: the ids between two bounds, of states and triggers given as JSON arrays or null for any.
const (
	pageOfDay = `SELECT ` + recordColumns + ` FROM delivery_$day
  WHERE webhook = ?1 AND tenant = ?2 AND id >= ?3 AND id <= ?4
    AND (?5 IS NULL OR state IN (SELECT value FROM json_each(?5)))
    AND (?6 IS NULL OR revision * 256 + trigger IN (SELECT value FROM json_each(?6)))
    AND tries >= ?7
  ORDER BY id $direction LIMIT ?8`
	// Open work has no index by webhook and id: it is bounded, and changes with every delivery.
	pageOfWork = `SELECT ` + openRecordColumns + ` FROM work
  WHERE webhook = ?1 AND tenant = ?2 AND id >= ?3 AND id <= ?4
    AND (?5 IS NULL OR CASE WHEN due_ms IS NULL THEN 1 ELSE 0 END IN (SELECT value FROM json_each(?5)))
    AND (?6 IS NULL OR revision * 256 + trigger IN (SELECT value FROM json_each(?6)))
    AND tries >= ?7
  ORDER BY id $direction LIMIT ?8`
)

// Deliveries is a page of a webhook's deliveries, open and ended.
func (s *Store) Deliveries(ctx context.Context, q delivery.HistoryQuery) ([]delivery.Record, error) {
	var page []delivery.Record
	err := s.view(ctx, func(tx *sql.Tx) error {
		var err error
		page, err = s.page(ctx, tx, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("deliveries of webhook %d: %w", q.Webhook, err)
	}
	return page, nil
}

func (s *Store) page(ctx context.Context, tx *sql.Tx, q delivery.HistoryQuery) ([]delivery.Record, error) {
	first, last := bounds(q)
	states, err := statesOf(q.States)
	if err != nil {
		return nil, err
	}
	pairs, err := s.triggersOf(ctx, tx, q)
	if err != nil {
		return nil, err
	}
	direction := "DESC"
	if q.OldestFirst {
		direction = "ASC"
	}
	least := 0
	if q.FinishedOnly {
		least = 1
	}
	args := []any{q.Webhook, q.Tenant, int64(first), int64(last), states, pairs, least, q.Limit}
	rows, err := tx.QueryContext(ctx, withDirection(pageOfWork, direction), args...)
	if err != nil {
		return nil, err
	}
	list, err := s.records(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	ended := 0
	for _, suffix := range s.calendar.suffixes(first, last, q.OldestFirst) {
		if ended >= q.Limit {
			break
		}
		rows, err := tx.QueryContext(ctx, withDirection(forDay(pageOfDay, suffix), direction), args...)
		if err != nil {
			return nil, err
		}
		day, err := s.records(ctx, tx, rows)
		if err != nil {
			return nil, err
		}
		ended += len(day)
		list = append(list, day...)
	}
	slices.SortFunc(list, func(a, b *delivery.Record) int {
		if q.OldestFirst {
			a, b = b, a
		}
		return cmp.Compare(b.ID, a.ID)
	})
	list = list[:min(len(list), q.Limit)]
	return s.withURIs(ctx, tx, list)
}

// bounds are the lowest and the highest id that the query asks for.
func bounds(q delivery.HistoryQuery) (first, last triggers.ID) {
	first, last = 0, math.MaxInt64
	if !q.From.IsZero() {
		first = firstID(q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		last = firstID(q.To.UnixMilli()) - 1
	}
	if q.After != 0 && q.OldestFirst {
		first = max(first, q.After+1)
	}
	if q.After != 0 && !q.OldestFirst {
		last = min(last, q.After-1)
	}
	return first, last
}
