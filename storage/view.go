package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// view reads one state of the database. While it does, no day is dropped, so that it is known which tables there are.
func (s *base) view(ctx context.Context, read func(querier) error) error {
	defer s.tables.hold()()
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.isolation})
	if err != nil {
		return err
	}
	return errors.Join(read(bound{tx, s.bind}), tx.Rollback())
}

// each calls row with the answer standing at every row of it.
func each(ctx context.Context, q querier, query string, args []any, row func(*sql.Rows) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// load gives leased work the revisions and events it is sent with.
func (s *base) load(ctx context.Context, taken []leased) ([]delivery.Claimed, error) {
	if len(taken) == 0 {
		return nil, nil
	}
	claimed := make([]delivery.Claimed, len(taken))
	err := s.view(ctx, func(tx querier) error {
		events := eventSet{store: s, tx: tx}
		for i := range taken {
			ids, err := eventsOf(ctx, tx, taken[i].id, taken[i].lease.event, taken[i].lease.members)
			if err != nil {
				return err
			}
			events.want(ids)
			claimed[i].Events = make([]payload.Event, len(ids))
			for k, id := range ids {
				claimed[i].Events[k].ID = id
			}
		}
		if err := events.load(ctx); err != nil {
			return err
		}
		for i := range taken {
			l := &taken[i].lease
			revision, err := s.revision(ctx, tx, l.revision)
			if err != nil {
				return err
			}
			c := &claimed[i]
			c.ID, c.Tenant, c.Webhook, c.Revision = taken[i].id, l.tenant, l.webhook, *revision
			c.BuiltAt, c.Tries, c.Fence, c.DueAt = timeOf(l.built), l.tries, l.fence, timeOf(taken[i].due)
			for k := range c.Events {
				if c.Events[k], err = events.get(c.Events[k].ID); err != nil {
					return fmt.Errorf("delivery %s: %w", c.ID.Delivery(), err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// eventsOf are the events of a delivery, in the order of their ids.
func eventsOf(ctx context.Context, tx querier, id, first triggers.ID, members int) ([]triggers.ID, error) {
	if members == 0 {
		return []triggers.ID{first}, nil
	}
	return idsOf(ctx, tx, `SELECT event FROM delivery_event WHERE delivery = ? ORDER BY event`, id)
}

// idsOf are the ids that a query about an id gives.
func idsOf(ctx context.Context, tx querier, query string, about triggers.ID) ([]triggers.ID, error) {
	var ids []triggers.ID
	err := each(ctx, tx, query, []any{int64(about)}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, triggers.ID(id))
		return err
	})
	return ids, err
}

// eventSet reads many events with few statements.
type eventSet struct {
	store  *base
	tx     querier
	wanted map[string][]triggers.ID // by suffix of their tables
	found  map[triggers.ID]payload.Event
}

func (e *eventSet) want(ids []triggers.ID) {
	if e.wanted == nil {
		e.wanted = make(map[string][]triggers.ID)
		e.found = make(map[triggers.ID]payload.Event)
	}
	for _, id := range ids {
		if _, asked := e.found[id]; !asked {
			e.found[id] = payload.Event{}
			suffix := e.store.tables.suffix(id)
			e.wanted[suffix] = append(e.wanted[suffix], id)
		}
	}
}

const (
	sixteen       = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)` // rowsAtOnce
	payloadEvents = `SELECT id, event_id, source, uri, body FROM event_$day WHERE id IN ` + sixteen
)

// eachOf calls row with the rows of the ids, in any order. The query ends in sixteen.
func eachOf(ctx context.Context, tx querier, query string, ids []triggers.ID, row func(*sql.Rows) error) error {
	for chunk := range slices.Chunk(ids, rowsAtOnce) {
		args := make([]any, rowsAtOnce)
		for i := range args {
			args[i] = int64(chunk[min(i, len(chunk)-1)])
		}
		if err := each(ctx, tx, query, args, row); err != nil {
			return err
		}
	}
	return nil
}

func (e *eventSet) load(ctx context.Context) error {
	for suffix, ids := range e.wanted {
		if err := eachOf(ctx, e.tx, forDay(payloadEvents, suffix), ids, e.scan); err != nil {
			return err
		}
	}
	return nil
}

func (e *eventSet) scan(rows *sql.Rows) error {
	var id int64
	var event payload.Event
	var eventID sql.NullString
	var uri string
	if err := rows.Scan(&id, &eventID, &event.Source, &uri, &event.Body); err != nil {
		return err
	}
	event.ID, event.EventID, event.URI = triggers.ID(id), eventID.String, e.store.uri(uri)
	e.found[event.ID] = event
	return nil
}

func (e *eventSet) get(id triggers.ID) (payload.Event, error) {
	event := e.found[id]
	if event.ID == 0 {
		return event, fmt.Errorf("its event %s is not stored", id.Event())
	}
	return event, nil
}

// uri reads a stored URI. What the catalogue no longer has can only be a cloud type that was taken out of it: its event is still
// delivered.
func (s *base) uri(text string) triggers.URI {
	uri, err := s.catalog.ParseURI(text)
	if err != nil {
		return triggers.URI{Resource: triggers.CloudTypes, ID: text}
	}
	return uri
}

// maxRevisions bounds the revisions held in memory.
const maxRevisions = 50_000

// revision is the revision with the number. It is shared: callers do not change it.
func (s *base) revision(ctx context.Context, tx querier, number int64) (*payload.Revision, error) {
	s.revisions.Lock()
	known := s.revisions.byNumber[number]
	s.revisions.Unlock()
	if known != nil {
		return known, nil
	}
	var body []byte
	err := tx.QueryRowContext(ctx, `SELECT body FROM revision WHERE number = ?`, number).Scan(&body)
	if err != nil {
		return nil, fmt.Errorf("revision %d: %w", number, err)
	}
	revision := &payload.Revision{Number: number}
	if err := json.Unmarshal(body, revision); err != nil {
		return nil, fmt.Errorf("revision %d: %w", number, err)
	}
	s.revisions.Lock()
	defer s.revisions.Unlock()
	if len(s.revisions.byNumber) >= maxRevisions {
		clear(s.revisions.byNumber)
	}
	s.revisions.byNumber[number] = revision
	return revision, nil
}
