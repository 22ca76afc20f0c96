package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"portalhook/delivery"
	"portalhook/triggers"
)

// The statements that propose a webhook's deliveries: in the order of their numbers between two bounds, so many.
const (
	historyEnded = `SELECT id FROM delivery_$day WHERE webhook = ?1 AND state = ?2 AND (tries > 0) = ?3 AND id >= ?4 AND id <= ?5
  ORDER BY id $direction LIMIT ?6`
	historyTried = `SELECT id FROM work WHERE webhook = ?1 AND tries > 0 AND id >= ?2 AND id <= ?3 ORDER BY id $direction LIMIT ?4`
	// Work that was not tried yet has no index by webhook and number, which every accepted event would pay for: all open work is
	// gone through by number.
	historyOpen = `SELECT id FROM work WHERE id >= ?2 AND id <= ?3 AND webhook = ?1 ORDER BY id $direction LIMIT ?4`

	recordsOfDay  = `SELECT ` + recordColumns + ` FROM delivery_$day WHERE id IN ` + sixteen
	recordsOfWork = `SELECT ` + openRecordColumns + ` FROM work WHERE id IN ` + sixteen
	uriOfEvent    = `SELECT uri FROM event_$day WHERE id = ?`
	urisOfDay     = `SELECT id, uri FROM event_$day WHERE id IN ` + sixteen
)

const (
	// historyStep is how many numbers at most are taken from each index at once where an event type is asked for. The first step is
	// short, since mostly what is asked for is not rare; each is four times as long as that before.
	firstHistoryStep, historyStep = 128, 2048
	// maxHistorySteps is how often; with maxLooked it bounds what one page costs.
	maxHistorySteps = 32
)

// ends are deliveries that ended in one way.
type ends struct {
	state int
	tried bool
}

// history is one HistoryQuery being answered.
type history struct {
	lookup
	query delivery.HistoryQuery
	ends  []ends // those that are asked for
	open  string // the statement for open work; empty when none is asked for
	step  int
}

// Deliveries is a page of a webhook's deliveries, open and ended.
func (s *base) Deliveries(ctx context.Context, q delivery.HistoryQuery) (*delivery.HistoryPage, error) {
	look := newHistory(s, q)
	var page *delivery.HistoryPage
	err := s.view(ctx, func(tx querier) error {
		look.tx = tx
		var err error
		page, err = look.page(ctx)
		if errors.Is(err, errForeign) {
			page, err = &delivery.HistoryPage{}, nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("deliveries of webhook %d: %w", q.Webhook, err)
	}
	return page, nil
}

func newHistory(s *base, q delivery.HistoryQuery) *history {
	// The tail is taken before the database's state, as by Events.
	h := &history{lookup: lookup{store: s, tail: s.newTail(), oldestFirst: q.OldestFirst}, query: q, step: q.Limit}
	if q.EventType != "" {
		h.step = firstHistoryStep
	}
	for code, state := range stateCodes {
		if !h.wantsState(state) {
			continue
		}
		switch state {
		case delivery.Waiting, delivery.Sending:
			h.open = historyOpen
			if q.FinishedOnly {
				h.open = historyTried
			}
		case delivery.Succeeded, delivery.Exhausted, delivery.Skipped, delivery.Cancelled:
			h.ends = append(h.ends, ends{code, true})
			if !q.FinishedOnly {
				h.ends = append(h.ends, ends{code, false})
			}
		}
	}
	return h
}

func (h *history) wantsState(state delivery.State) bool {
	return len(h.query.States) == 0 || slices.Contains(h.query.States, state)
}

func (h *history) page(ctx context.Context) (*delivery.HistoryPage, error) {
	q := &h.query
	page := &delivery.HistoryPage{}
	first, last := bounds(*q)
	looked := 0
	for step := 1; first <= last && len(page.Deliveries) < q.Limit; step++ {
		batch, err := h.candidates(ctx, first, last)
		if err != nil {
			return nil, err
		}
		// As many are read at once as are still wanted: mostly they are those that are asked for.
		for ids := h.ordered(batch, first, last); len(ids) > 0; {
			n := min(len(ids), max(q.Limit-len(page.Deliveries), rowsAtOnce), maxLooked-looked)
			records, err := h.look(ctx, ids[:n])
			if err != nil {
				return nil, err
			}
			page.Deliveries = append(page.Deliveries, records...)
			if len(page.Deliveries) >= q.Limit {
				page.Deliveries = page.Deliveries[:q.Limit]
				return page, nil
			}
			if looked += n; looked == maxLooked {
				page.Stopped = ids[n-1]
				return page, nil
			}
			ids = ids[n:]
		}
		switch {
		case batch.covered == 0:
			return page, nil
		case step == maxHistorySteps:
			page.Stopped = batch.covered
			return page, nil
		case q.OldestFirst:
			first = batch.covered + 1
		default:
			last = batch.covered - 1
		}
		h.step = min(4*h.step, historyStep)
	}
	return page, nil
}

// candidates proposes deliveries: of the webhook and in the states asked for and, where an event type is asked for, of that.
func (h *history) candidates(ctx context.Context, first, last triggers.ID) (found, error) {
	if h.query.EventType == "" {
		return h.owned(ctx, first, last, h.step)
	}
	// What was kept beyond its day is little, and in no search index.
	oldest := h.store.tables.oldest()
	switch {
	case last < oldest || h.oldestFirst && first < oldest:
		batch, err := h.owned(ctx, first, min(last, oldest-1), h.step)
		if batch.covered == 0 && last >= oldest {
			batch.covered = oldest - 1
		}
		return batch, err
	case first < oldest:
		batch, err := h.ofType(ctx, oldest, last)
		if batch.covered == 0 {
			batch.covered = oldest
		}
		return batch, err
	}
	return h.ofType(ctx, first, last)
}

// ofType proposes what both indexes have, that of states and that of types. The one with fewer deliveries reaches farther: what it
// has beyond the other is proposed too, as long as that is not much.
func (h *history) ofType(ctx context.Context, first, last triggers.ID) (found, error) {
	sparse, err := h.hashed(heardHash(h.query.Webhook, h.query.EventType))(ctx, first, last, h.step)
	if err != nil || sparse.covered == 0 && len(sparse.ids) == 0 {
		return sparse, err
	}
	dense, err := h.owned(ctx, first, last, h.step)
	if err != nil {
		return found{}, err
	}
	if h.nearer(sparse.covered, dense.covered) != dense.covered {
		sparse, dense = dense, sparse
	}
	sparse.ids, dense.ids = h.ordered(sparse, first, last), h.ordered(dense, first, last)
	near := sparse.ids[:0:0]
	for i, id := range sparse.ids {
		if dense.covered != 0 && h.compare(id, dense.covered) > 0 {
			far := sparse.ids[i:]
			if len(far) > searchStep {
				far = far[:searchStep]
				sparse.covered = far[searchStep-1]
			}
			return found{append(near, far...), sparse.covered}, nil
		}
		if _, both := slices.BinarySearchFunc(dense.ids, id, h.compare); both {
			near = append(near, id)
		}
	}
	return found{near, sparse.covered}, nil
}

// owned proposes the webhook's deliveries in the states asked for, day by day, until there are n.
func (h *history) owned(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	var all found
	if h.open != "" {
		ids, err := h.column(ctx, h.open, "", h.query.Webhook, int64(first), int64(last), n)
		if err != nil {
			return found{}, err
		}
		if all.ids = ids; len(ids) == n {
			all.covered = ids[n-1]
		}
	}
	ended := 0
	for _, suffix := range h.store.tables.suffixes(first, last, h.oldestFirst) {
		for _, e := range h.ends {
			ids, err := h.column(ctx, historyEnded, suffix, h.query.Webhook, e.state, e.tried, int64(first), int64(last), n)
			if err != nil {
				return found{}, err
			}
			ended += len(ids)
			if all.ids = append(all.ids, ids...); len(ids) == n {
				all.covered = h.nearer(all.covered, ids[n-1])
			}
		}
		if ended >= n {
			all.covered = h.nearer(all.covered, h.store.tables.endOf(suffix, h.oldestFirst))
			break
		}
	}
	return all, nil
}

// errForeign says that the webhook is another tenant's.
var errForeign = errors.New("the webhook is another tenant's")

// look reads proposed deliveries, and gives those that are asked for, in their order.
func (h *history) look(ctx context.Context, ids []triggers.ID) ([]delivery.Record, error) {
	rows, err := h.store.rows(ctx, h.tx, ids)
	if err != nil {
		return nil, err
	}
	var list []*delivery.Record
	for _, id := range ids {
		row, ok := rows[id]
		switch {
		case !ok || row.webhook != h.query.Webhook || h.query.FinishedOnly && row.tries == 0 || !h.wantsState(stateOf(row.state)):
			continue
		case row.tenant != h.query.Tenant:
			return nil, errForeign
		}
		record, err := h.store.record(ctx, h.tx, &row)
		if err != nil {
			return nil, err
		}
		list = append(list, record)
	}
	page, err := h.withURIs(ctx, list)
	if err != nil || h.query.EventType == "" {
		return page, err
	}
	return slices.DeleteFunc(page, func(r delivery.Record) bool { return !h.isOfType(&r) }), nil
}

func (h *history) isOfType(r *delivery.Record) bool {
	if r.Trigger == h.query.EventType {
		return true
	}
	uri := h.store.uri(r.URI)
	return uri.AnyForm() == h.query.EventType
}

// rows reads deliveries, wherever they lie.
func (s *base) rows(ctx context.Context, tx querier, ids []triggers.ID) (map[triggers.ID]recordRow, error) {
	rows := make(map[triggers.ID]recordRow, len(ids))
	read := func(from *sql.Rows) error {
		var row recordRow
		err := from.Scan(row.scan()...)
		rows[triggers.ID(row.id)] = row
		return err
	}
	for suffix, ids := range s.byTables(ids) {
		if err := eachOf(ctx, tx, forDay(recordsOfDay, suffix), ids, read); err != nil {
			return nil, err
		}
	}
	open := slices.DeleteFunc(slices.Clone(ids), func(id triggers.ID) bool { _, ended := rows[id]; return ended })
	return rows, eachOf(ctx, tx, recordsOfWork, open, read)
}

// byTables are ids by the suffix of the tables they lie in.
func (s *base) byTables(ids []triggers.ID) map[string][]triggers.ID {
	lie := make(map[string][]triggers.ID)
	for _, id := range ids {
		suffix := s.tables.suffix(id)
		lie[suffix] = append(lie[suffix], id)
	}
	return lie
}

// withURIs gives summaries the URIs of their first events; empty where the event is not stored.
func (h *history) withURIs(ctx context.Context, list []*delivery.Record) ([]delivery.Record, error) {
	events := make([]triggers.ID, len(list))
	for i, record := range list {
		events[i] = record.EventID
	}
	uris := make(map[triggers.ID]string, len(list))
	for suffix, ids := range h.store.byTables(events) {
		err := eachOf(ctx, h.tx, forDay(urisOfDay, suffix), ids, func(rows *sql.Rows) error {
			var id int64
			var uri string
			err := rows.Scan(&id, &uri)
			uris[triggers.ID(id)] = uri
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	page := make([]delivery.Record, len(list))
	for i, record := range list {
		page[i] = *record
		page[i].URI = uris[record.EventID]
	}
	return page, nil
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

// uriOf is the URI of an event, empty when it is not stored.
func (s *base) uriOf(ctx context.Context, tx querier, event triggers.ID) (uri string, err error) {
	query := forDay(uriOfEvent, s.tables.suffix(event))
	err = tx.QueryRowContext(ctx, query, int64(event)).Scan(&uri)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uri, err
}
