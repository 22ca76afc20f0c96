package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// searchStep is how many candidates are asked for at once.
	searchStep = 256
	// maxLooked is how many candidates one search looks at before it gives up and says where it stopped.
	maxLooked = 4000
)

// search is one EventQuery being answered.
type search struct {
	lookup
	query delivery.EventQuery
}

// Events is a page of a tenant's events. Each way to search has an index that proposes events, and those are looked at one by one.
func (s *base) Events(ctx context.Context, q delivery.EventQuery) (*delivery.EventPage, error) {
	// The tail is taken before the database's state, so that what moves from the one to the other meanwhile is seen.
	look := search{lookup: lookup{store: s, tail: s.newTail(), oldestFirst: q.OldestFirst}, query: q}
	var page *delivery.EventPage
	err := s.view(ctx, func(tx querier) error {
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

// look reads an event's summary; nil when it is not one that is asked for, or no more.
func (l *search) look(ctx context.Context, id triggers.ID) (*delivery.EventSummary, error) {
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
	event.Body = nil
	all, err := l.store.newMatched(l.tx, event, matches)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id.Event(), err)
	}
	summary, err := all.count(ctx)
	switch {
	case err != nil:
	case q.Outcome != "" && !summary.Has(q.Outcome):
		return nil, nil //nolint:nilnil // as above
	default:
		err = all.addListed(ctx, summary)
	}
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id.Event(), err)
	}
	return summary, nil
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

// inIntervals proposes the events of deliveries that intervals' ends made.
func (l *search) inIntervals(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	return l.fixed(ctx, searchIntervals, first, last, n)
}

// members proposes the events that wait for the end of an interval.
func (l *search) members(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	return l.fixed(ctx, searchMembers, first, last, n)
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
		for _, suffix := range l.store.tables.suffixes(first, last, l.query.OldestFirst) {
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
