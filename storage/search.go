package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// searchStep is how many candidates are asked for at once.
	searchStep = 256
	// maxLooked is how many candidates one search looks at before it gives up and says where it stopped.
	maxLooked = 4000
)

// found is the candidates that a source has for a range of events.
type found struct {
	ids []triggers.ID // in any order, some perhaps twice or outside the range
	// covered is the event up to which, in the query's direction, there are no others; zero when that is so for the whole range.
	covered triggers.ID
}

// source proposes events from first to last, the newest first unless the query says otherwise, about n of them.
type source func(ctx context.Context, first, last triggers.ID, n int) (found, error)

// search is one EventQuery being answered.
type search struct {
	store *Store
	tx    *sql.Tx
	query delivery.EventQuery
	tail  []searchEntry
}

// Events is a page of a tenant's events. Each way to search has an index that proposes events, and those are looked at one by one.
func (s *Store) Events(ctx context.Context, q delivery.EventQuery) (*delivery.EventPage, error) {
	// The tail is taken before the database's state, so that what moves from the one to the other meanwhile is seen.
	look := search{store: s, query: q, tail: s.search.now()}
	var page *delivery.EventPage
	err := s.view(ctx, func(tx *sql.Tx) error {
		look.tx = tx
		var err error
		page, err = look.page(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("search events: %w", err)
	}
	return page, nil
}

func (l *search) page(ctx context.Context) (*delivery.EventPage, error) {
	q := &l.query
	page := &delivery.EventPage{}
	first, last := bounds(delivery.HistoryQuery{From: q.From, To: q.To, OldestFirst: q.OldestFirst, After: q.After})
	candidates := l.source()
	looked := 0
	for first <= last && len(page.Events) < q.Limit {
		batch, err := candidates(ctx, first, last, searchStep)
		if err != nil {
			return nil, err
		}
		for _, id := range l.ordered(batch, first, last) {
			event, err := l.look(ctx, id)
			if err != nil {
				return nil, err
			}
			if event != nil {
				page.Events = append(page.Events, *event)
			}
			if looked++; len(page.Events) == q.Limit {
				return page, nil
			}
			if looked == maxLooked {
				page.Stopped = id
				return page, nil
			}
		}
		switch {
		case batch.covered == 0:
			return page, nil
		case q.OldestFirst:
			first = batch.covered + 1
		default:
			last = batch.covered - 1
		}
	}
	return page, nil
}

// ordered is the candidates within the range and what is covered, each once, in the query's direction.
func (l *search) ordered(batch found, first, last triggers.ID) []triggers.ID {
	if batch.covered != 0 && l.query.OldestFirst {
		last = min(last, batch.covered)
	}
	if batch.covered != 0 && !l.query.OldestFirst {
		first = max(first, batch.covered)
	}
	ids := slices.DeleteFunc(batch.ids, func(id triggers.ID) bool { return id < first || id > last })
	slices.SortFunc(ids, l.compare)
	return slices.Compact(ids)
}

func (l *search) compare(a, b triggers.ID) int {
	if l.query.OldestFirst {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

// look reads an event with its matches; nil when it is not one that is asked for, or no more.
func (l *search) look(ctx context.Context, id triggers.ID) (*delivery.EventRecord, error) {
	q := &l.query
	event, matches, err := l.store.findEvent(ctx, l.tx, q.Tenant, id)
	if errors.Is(err, triggers.ErrNotFound) {
		return nil, nil //nolint:nilnil // it is not asked for
	}
	if err != nil {
		return nil, err
	}
	if !l.wants(event, len(matches) == 0) {
		return nil, nil //nolint:nilnil // as above
	}
	if err := l.store.addMatches(ctx, l.tx, event, matches); err != nil {
		return nil, fmt.Errorf("event %s: %w", id.Event(), err)
	}
	if q.Outcome != "" && !event.Has(q.Outcome) {
		return nil, nil //nolint:nilnil // as above
	}
	event.Body = nil
	return event, nil
}

// wants judges all of an event but what became of its deliveries.
func (l *search) wants(event *delivery.EventRecord, unmatched bool) bool {
	q := &l.query
	if q.EventID != "" && q.EventID != event.EventID || q.Username != "" && triggers.Fold(q.Username) != triggers.Fold(event.Username) {
		return false
	}
	if q.Outcome != "" && (q.Outcome == delivery.EventUnmatched) != unmatched {
		return false
	}
	uri := l.store.uri(event.URI)
	return q.Hears(&uri)
}

// source is the one that proposes the fewest events, as far as the query tells.
func (l *search) source() source {
	q := &l.query
	byURIHash := func(kind searchKind) source {
		hash, _ := uriHash(nil, q.Tenant, kind, &q.URI)
		return l.hashed(hash)
	}
	switch {
	case q.EventID != "":
		return l.named
	case q.Scope == delivery.WholeURI && q.URI.Key() != "":
		return byURIHash(byURI)
	case q.Scope == delivery.SameThing:
		return byURIHash(byThing)
	case q.Outcome == delivery.EventFailed:
		return l.first(l.missed(delivery.Exhausted), l.inIntervals)
	case q.Outcome == delivery.EventCancelled:
		return l.first(l.missed(delivery.Cancelled), l.inIntervals, l.members)
	case q.Outcome == delivery.EventSkipped:
		return l.missed(delivery.Skipped)
	case q.Outcome == delivery.EventPending:
		return l.first(l.open, l.inIntervals, l.members)
	case q.Username != "":
		hash, _ := searchHash(nil, q.Tenant, byUsername, triggers.Fold(q.Username))
		return l.hashed(hash)
	case q.Outcome == delivery.EventUnmatched:
		hash, _ := searchHash(nil, q.Tenant, byUnmatched)
		return l.hashed(hash)
	case q.Scope != delivery.AnyURI:
		return byURIHash(byOperation)
	}
	return l.all
}

// first joins sources: what they all cover is covered.
func (l *search) first(sources ...source) source {
	return func(ctx context.Context, first, last triggers.ID, n int) (found, error) {
		var joined found
		for _, s := range sources {
			one, err := s(ctx, first, last, n)
			if err != nil {
				return found{}, err
			}
			joined.ids = append(joined.ids, one.ids...)
			if one.covered != 0 && (joined.covered == 0 || l.compare(one.covered, joined.covered) < 0) {
				joined.covered = one.covered
			}
		}
		return joined, nil
	}
}

// The statements that propose events. Each reads its index or table by number between two bounds, in the direction, so much.
const (
	searchAll    = `SELECT id FROM event_$day WHERE id >= ?1 AND id <= ?2 ORDER BY id $direction LIMIT ?3`
	searchNamed  = `SELECT id FROM event_$day WHERE id >= ?1 AND id <= ?2 AND tenant = ?3 AND event_id = ?4 AND event_id IS NOT NULL LIMIT ?5`
	searchMissed = `SELECT event FROM delivery_$day WHERE event >= ?1 AND event <= ?2 AND tenant = ?3 AND state = ?4 AND state > 2
  ORDER BY event $direction LIMIT ?5`
	searchOpen      = `SELECT id, event FROM work WHERE id >= ?1 AND id <= ?2 ORDER BY id $direction LIMIT ?3`
	searchIntervals = `SELECT event FROM delivery_event WHERE event >= ?1 AND event <= ?2 ORDER BY event $direction LIMIT ?3`
	searchMembers   = `SELECT event FROM member WHERE event >= ?1 AND event <= ?2 ORDER BY event $direction LIMIT ?3`
	searchSegments  = `SELECT first, body FROM search_$day WHERE id > ?1 AND id < ?2 AND last >= ?3 AND first <= ?4 ORDER BY id $direction`
)

// searchStatements are all statements that propose events, for the test that looks at their plans.
var searchStatements = []string{searchAll, searchNamed, searchMissed, searchOpen, searchIntervals, searchMembers, searchSegments, recoverEnded, recoverLater}

func (l *search) direction() string {
	if l.query.OldestFirst {
		return "ASC"
	}
	return "DESC"
}

// column reads the numbers that a statement of one column gives.
func (l *search) column(ctx context.Context, statement, suffix string, args ...any) ([]triggers.ID, error) {
	var ids []triggers.ID
	err := each(ctx, l.tx, withDirection(forDay(statement, suffix), l.direction()), args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, triggers.ID(id))
		return err
	})
	return ids, err
}

// fixed reads a table that is not of a day.
func (l *search) fixed(ctx context.Context, statement string, first, last triggers.ID, n int) (found, error) {
	ids, err := l.column(ctx, statement, "", int64(first), int64(last), n)
	if err != nil || len(ids) < n {
		return found{ids: ids}, err
	}
	return found{ids, ids[n-1]}, nil
}

// inIntervals proposes the events of deliveries that intervals' ends made.
func (l *search) inIntervals(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	return l.fixed(ctx, searchIntervals, first, last, n)
}

// members proposes the events that wait for the end of an interval.
func (l *search) members(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	return l.fixed(ctx, searchMembers, first, last, n)
}

// byDay asks the tables of one day after another until there are enough.
func (l *search) byDay(ctx context.Context, statement string, first, last triggers.ID, n int, more ...any) (found, error) {
	var all found
	for _, suffix := range l.store.calendar.suffixes(first, last, l.query.OldestFirst) {
		ids, err := l.column(ctx, statement, suffix, slices.Concat([]any{int64(first), int64(last)}, more, []any{n})...)
		if err != nil {
			return found{}, err
		}
		all.ids = append(all.ids, ids...)
		if len(ids) == n {
			all.covered = ids[n-1]
			break
		}
	}
	return all, nil
}

// all proposes every event.
func (l *search) all(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	return l.byDay(ctx, searchAll, first, last, n)
}

// named proposes the events with the sender's id, of whatever source: few, so that their order need not be the index's.
func (l *search) named(ctx context.Context, first, last triggers.ID, _ int) (found, error) {
	return l.byDay(ctx, searchNamed, first, last, maxLooked, l.query.Tenant, l.query.EventID)
}

// missed proposes the events of ended deliveries in the state, of a day those whose event is of the same day: others were resent, or
// made at the end of an interval.
func (l *search) missed(state delivery.State) source {
	return func(ctx context.Context, first, last triggers.ID, n int) (found, error) {
		var all found
		for _, suffix := range l.store.calendar.suffixes(first, last, l.query.OldestFirst) {
			low, high := first, last
			if day, err := dayOfSuffix(suffix); err == nil {
				low, high = max(low, firstOf(day)), min(high, firstOf(day+1)-1)
			}
			ids, err := l.column(ctx, searchMissed, suffix, int64(low), int64(high), l.query.Tenant, codeOf(state), n)
			if err != nil {
				return found{}, err
			}
			all.ids = append(all.ids, ids...)
			if len(ids) == n {
				all.covered = ids[n-1]
				break
			}
		}
		return all, nil
	}
}

// open proposes the events of open work, which stands in the order of their numbers: a delivery's own follows its event's. Of a
// resent delivery, whose number is far from its event's, the event is not proposed; its outcome is that of its first deliveries.
func (l *search) open(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	var batch found
	read := 0
	args := []any{int64(first), int64(last), n}
	err := each(ctx, l.tx, withDirection(searchOpen, l.direction()), args, func(rows *sql.Rows) error {
		var id, event int64
		if err := rows.Scan(&id, &event); err != nil {
			return err
		}
		batch.covered = triggers.ID(id)
		if own := triggers.ID(event); id-event <= math.MaxUint16 {
			batch.ids = append(batch.ids, own)
			// Going down, the rest of the event's deliveries need not be read.
			if !l.query.OldestFirst {
				batch.covered = own
			}
		}
		read++
		return nil
	})
	if read < n {
		batch.covered = 0
	}
	return batch, err
}

// hashed proposes the events that the search index has under the hash: those in memory, which are the newest, and those in segments.
func (l *search) hashed(hash uint64) source {
	return func(ctx context.Context, first, last triggers.ID, n int) (found, error) {
		var all found
		if !l.query.OldestFirst {
			if all.ids = l.inTail(hash, first, last); len(all.ids) >= n {
				all.covered = slices.Min(all.ids)
				return all, nil
			}
		}
		for _, suffix := range l.store.calendar.suffixes(first, last, l.query.OldestFirst) {
			covered, err := l.inSegments(ctx, suffix, hash, first, last, n, &all.ids)
			if err != nil || covered != 0 {
				return found{all.ids, covered}, err
			}
		}
		if l.query.OldestFirst {
			all.ids = append(all.ids, l.inTail(hash, first, last)...)
		}
		return all, nil
	}
}

// inTail is what the tail has under the hash.
func (l *search) inTail(hash uint64, first, last triggers.ID) (ids []triggers.ID) {
	for _, e := range l.tail {
		if e.hash == hash && e.event >= first && e.event <= last {
			ids = append(ids, e.event)
		}
	}
	return ids
}

// inSegments adds what the segments of a day have under the hash. When there are n it stops, and says how far it came.
func (l *search) inSegments(
	ctx context.Context, suffix string, hash uint64, first, last triggers.ID, n int, ids *[]triggers.ID,
) (covered triggers.ID, err error) {
	bucket := bucketOf(hash)
	args := []any{segmentRow(bucket, 0), segmentRow(bucket+1, 0), int64(first), int64(last)}
	err = each(ctx, l.tx, withDirection(forDay(searchSegments, suffix), l.direction()), args, func(rows *sql.Rows) error {
		var low int64
		var body sql.RawBytes
		if err := rows.Scan(&low, &body); err != nil {
			return err
		}
		events, err := readSegment(body, triggers.ID(low), hash)
		if err != nil {
			return err
		}
		events = slices.DeleteFunc(events, func(id triggers.ID) bool { return id < first || id > last })
		if *ids = append(*ids, events...); len(*ids) < n || len(events) == 0 {
			return nil
		}
		covered = slices.MaxFunc(events, l.compare)
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return covered, err
}

// errEnough ends the reading of rows when there are enough.
var errEnough = errors.New("enough")
