package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/triggers"
)

// pastEvents reads sixteen events at once.
const pastEvents = `SELECT id, event_id, source, uri, username, heard_by, accepted_ms, body, matches FROM event_$day
  WHERE id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AND tenant = ?`

// pastRow is a stored event and what it matched when it was accepted.
type pastRow struct {
	delivery.PastEvent
	matches []byte
}

// heardBy is who may hear of an event at user level, as it is stored; null for nobody.
func heardBy(ev *triggers.Event) driver.Value {
	if ev.OwnerID == "" && len(ev.Audience) == 0 {
		return nil
	}
	users := ev.Audience
	if ev.OwnerID != "" {
		users = append([]string{ev.OwnerID}, users...)
	}
	text, err := json.Marshal(users)
	if err != nil {
		return nil // cannot be: texts come from JSON
	}
	return string(text)
}

// pastRows reads events of the tenant, in the order of the ids; what is not stored, or not the tenant's, is left out.
func (s *base) pastRows(ctx context.Context, tx querier, tenant uint32, ids []triggers.ID) ([]pastRow, error) {
	found := make(map[triggers.ID]pastRow, len(ids))
	byTable := make(map[string][]triggers.ID)
	for _, id := range ids {
		suffix := s.tables.suffix(id)
		byTable[suffix] = append(byTable[suffix], id)
	}
	for suffix, wanted := range byTable {
		query := forDay(pastEvents, suffix)
		for chunk := range slices.Chunk(wanted, rowsAtOnce) {
			args := make([]any, 0, rowsAtOnce+1)
			for i := range rowsAtOnce {
				args = append(args, int64(chunk[min(i, len(chunk)-1)]))
			}
			err := each(ctx, tx, query, append(args, tenant), func(rows *sql.Rows) error {
				row, err := s.scanPast(rows)
				found[row.ID] = row
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	rows := make([]pastRow, 0, len(found))
	for _, id := range ids {
		if row, ok := found[id]; ok {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (s *base) scanPast(rows *sql.Rows) (pastRow, error) {
	var row pastRow
	var id, accepted int64
	var eventID, users sql.NullString
	var uri string
	err := rows.Scan(&id, &eventID, &row.Source, &uri, &row.Username, &users, &accepted, &row.Body, &row.matches)
	if err != nil {
		return row, err
	}
	row.ID, row.EventID, row.URI, row.AcceptedAt = triggers.ID(id), eventID.String, s.uri(uri), timeOf(accepted)
	if users.Valid {
		if err := json.Unmarshal([]byte(users.String), &row.HeardBy); err != nil {
			return row, fmt.Errorf("event %s: who may hear of it: %w", row.ID.Event(), err)
		}
	}
	return row, nil
}

// EachPast implements delivery.PastStore, in steps between which days may be dropped.
func (s *base) EachPast(ctx context.Context, q delivery.PastQuery, visit func(*delivery.PastEvent)) (stopped triggers.ID, err error) {
	for looked := 0; ; {
		// The tail is taken before the database's state, so that what moves from the one to the other meanwhile is seen.
		look := search{lookup: lookup{store: s, tail: s.newTail()}, query: delivery.EventQuery{Tenant: q.Tenant}}
		first, last := bounds(delivery.HistoryQuery{From: q.From, To: q.To, After: stopped})
		done := false
		err := s.view(ctx, func(tx querier) error {
			look.tx = tx
			batch, err := look.hearing(q.Triggers)(ctx, first, last, searchStep)
			if err != nil {
				return err
			}
			ids := look.ordered(batch, first, last)
			if most := q.Most - looked; len(ids) > most {
				ids = ids[:most]
				batch.covered = ids[most-1]
			}
			done, stopped = batch.covered == 0, batch.covered
			looked += len(ids)
			rows, err := s.pastRows(ctx, tx, q.Tenant, ids)
			for i := range rows {
				visit(&rows[i].PastEvent)
			}
			return err
		})
		switch {
		case err != nil:
			return 0, fmt.Errorf("past events: %w", err)
		case done || stopped <= first:
			return 0, nil
		case looked >= q.Most:
			return stopped, nil
		}
	}
}

// maxHeardHashes is how many values one search looks up in the index; when triggers need more, every event is looked at.
const maxHeardHashes = 64

// hearing proposes the events that one of the triggers may hear.
func (l *search) hearing(ts []triggers.Trigger) source {
	hashes := make(map[uint64]struct{})
	for i := range ts {
		if !l.heard(&ts[i], hashes) || len(hashes) > maxHeardHashes {
			return l.all
		}
	}
	sources := make([]source, 0, len(hashes))
	for hash := range hashes {
		sources = append(sources, l.hashed(hash))
	}
	return l.first(sources...)
}

// heard adds what the events that a trigger hears are found by; false when that is too much.
func (l *search) heard(t *triggers.Trigger, hashes map[uint64]struct{}) bool {
	if t.Root || t.Resource == triggers.NoResource {
		return false
	}
	for _, resource := range []triggers.Resource{t.Resource, t.Also} {
		if resource == triggers.NoResource {
			continue
		}
		if uri, ok := l.onlyThing(t, resource); ok {
			hash, _ := uriHash(nil, l.query.Tenant, byThing, &uri)
			hashes[hash] = struct{}{}
			continue
		}
		operations := t.OperationsOf(resource)
		if operations.Len() == 0 {
			return false
		}
		for op := range triggers.Operation(32) {
			if operations.Has(op) {
				hash, _ := uriHash(nil, l.query.Tenant, byOperation, &triggers.URI{Resource: resource, Operation: op})
				hashes[hash] = struct{}{}
			}
		}
	}
	return true
}

// onlyThing is the one thing whose events a trigger hears; false when there may be several.
func (l *search) onlyThing(t *triggers.Trigger, resource triggers.Resource) (triggers.URI, bool) {
	if t.Any || t.Rest || len(t.Path) == 0 {
		return triggers.URI{}, false
	}
	words := make([]string, len(t.Path))
	for i := range t.Path {
		word, ok := t.Path[i].Literal()
		if !ok {
			return triggers.URI{}, false
		}
		words[i] = word
	}
	if resource == triggers.CloudTypes {
		uri, err := l.store.catalog.ParseURI(strings.Join(words, "."))
		return uri, err == nil
	}
	folder, id := "", words[len(words)-1]
	if len(words) == 2 {
		folder = words[0]
	}
	uri, err := triggers.NewURI(resource, 0, folder, id)
	return uri, err == nil
}
