package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

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
	list, err := s.records(ctx, tx, withDirection(pageOfWork, direction), args...)
	if err != nil {
		return nil, err
	}
	ended := 0
	for _, suffix := range s.calendar.suffixes(first, last, q.OldestFirst) {
		if ended >= q.Limit {
			break
		}
		day, err := s.records(ctx, tx, withDirection(forDay(pageOfDay, suffix), direction), args...)
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

func withDirection(query, direction string) string {
	return strings.ReplaceAll(query, "$direction", direction)
}

// statesOf are the codes of the states as a JSON array, null for any.
func statesOf(states []delivery.State) (any, error) {
	codes := make([]int, len(states))
	for i, state := range states {
		codes[i] = codeOf(state)
	}
	return arrayOrNull(codes)
}

// triggersOf are the query's trigger as the revisions of the webhook have it: a JSON array of revision * 256 + place, null for any.
func (s *Store) triggersOf(ctx context.Context, tx *sql.Tx, q delivery.HistoryQuery) (any, error) {
	if q.Trigger == "" {
		return nil, nil //nolint:nilnil // null is the answer
	}
	pairs := []int64{-1} // so that a trigger it never had finds nothing
	err := each(ctx, tx, `SELECT number, body FROM revision WHERE webhook = ?`, []any{q.Webhook}, func(rows *sql.Rows) error {
		var number int64
		var body []byte
		if err := rows.Scan(&number, &body); err != nil {
			return err
		}
		var revision payload.Revision
		if err := json.Unmarshal(body, &revision); err != nil {
			return err
		}
		for place, trigger := range revision.Triggers {
			if trigger == q.Trigger {
				pairs = append(pairs, number*256+int64(place))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return arrayOrNull(pairs)
}

// withURIs gives summaries the URIs of their first events.
func (s *Store) withURIs(ctx context.Context, tx *sql.Tx, list []*delivery.Record) ([]delivery.Record, error) {
	page := make([]delivery.Record, len(list))
	for i, record := range list {
		page[i] = *record
		var err error
		if page[i].URI, err = s.uriOf(ctx, tx, record.EventID); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// uriOf is the URI of an event, empty when it is not stored.
func (s *Store) uriOf(ctx context.Context, tx *sql.Tx, event triggers.ID) (uri string, err error) {
	query := forDay(`SELECT uri FROM event_$day WHERE id = ?`, s.calendar.suffix(event))
	err = tx.QueryRowContext(ctx, query, int64(event)).Scan(&uri)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uri, err
}
