package storage

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

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
	rows, err := tx.QueryContext(ctx, `SELECT number, body FROM revision WHERE webhook = ?`, q.Webhook)
	if err != nil {
		return nil, err
	}
	pairs := []int64{-1} // so that a trigger it never had finds nothing
	err = eachRow(rows, func() error {
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
