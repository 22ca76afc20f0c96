package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"portalhook/triggers"
)

// The search index of PostgreSQL is that of SQLite, but for who writes it: there is no memory that has all the newest events, so a search reads
// those again that are in no segment yet, and one node at a time writes a segment when they are many.

const (
	pgIndexedTo = `SELECT coalesce(max(last), 0) FROM search WHERE id > 0 AND id < 4294967296`
	pgUnindexed = `SELECT id, tenant, uri, username, matches IS NULL FROM event WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3`
	pgHeardOf   = `SELECT id, webhook, event, revision, trigger FROM delivery WHERE id > ?1 AND id <= ?2
  UNION ALL SELECT id, webhook, event, revision, trigger FROM work WHERE id > ?1 AND id <= ?2 ORDER BY id`
	// ever is beyond every number.
	ever = triggers.ID(1<<63 - 1)
)

// readTail gives what reads the entries that are in no segment, once, in the transaction that it is asked in.
func (p *Postgres) readTail() searchTailReader {
	var entries []searchEntry
	read := false
	return func(ctx context.Context, tx querier) (_ []searchEntry, err error) {
		if read {
			return entries, nil
		}
		read = true
		var last int64
		if err := tx.QueryRowContext(ctx, pgIndexedTo).Scan(&last); err != nil {
			return nil, err
		}
		entries, err = p.unindexed(ctx, tx, triggers.ID(last), ever, math.MaxInt)
		return entries, err
	}
}

// unindexed makes the entries of the events and deliveries in a range, in the order of their numbers: all, or from the lowest on so many at least.
func (p *Postgres) unindexed(ctx context.Context, tx querier, after, to triggers.ID, enough int) ([]searchEntry, error) {
	var entries []searchEntry
	var scratch []byte
	for more := true; more && len(entries) < enough; {
		var events []indexed
		err := each(ctx, tx, pgUnindexed, []any{int64(after), int64(to), unindexedAtOne}, func(rows *sql.Rows) error {
			var id int64
			var e indexed
			var text string
			err := rows.Scan(&id, &e.tenant, &text, &e.username, &e.unmatched)
			uri := p.uri(text)
			e.id, e.uri = triggers.ID(id), &uri
			events = append(events, e)
			return err
		})
		if err != nil {
			return nil, err
		}
		// The deliveries of the last of many are read with those that come after it.
		next := to
		if more = len(events) == unindexedAtOne; more {
			next = events[unindexedAtOne-1].id
		}
		deliveries, err := p.heardBetween(ctx, tx, events, after, next)
		if err != nil {
			return nil, err
		}
		for i := range deliveries {
			for len(events) > 0 && events[0].id < deliveries[i].id {
				entries, scratch = appendEvent(entries, scratch, events[0])
				events = events[1:]
			}
			entries, scratch = appendHeard(entries, scratch, deliveries[i])
		}
		for _, e := range events {
			entries, scratch = appendEvent(entries, scratch, e)
		}
		after = next
	}
	return entries, nil
}

// heardBetween reads what the deliveries in a range are found by. Most are of events at hand.
func (p *Postgres) heardBetween(ctx context.Context, tx querier, events []indexed, after, to triggers.ID) ([]heard, error) {
	type row struct {
		heard
		event    triggers.ID
		revision int64
		place    int
	}
	var found []row
	err := each(ctx, tx, pgHeardOf, []any{int64(after), int64(to)}, func(rows *sql.Rows) error {
		var one row
		var id, event int64
		err := rows.Scan(&id, &one.webhook, &event, &one.revision, &one.place)
		one.id, one.event = triggers.ID(id), triggers.ID(event)
		found = append(found, one)
		return err
	})
	if err != nil {
		return nil, err
	}
	list := make([]heard, len(found))
	for i := range found {
		one := &found[i]
		revision, err := p.revision(ctx, tx, one.revision)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
		if err == nil && one.place < len(revision.Triggers) {
			one.trigger = revision.Triggers[one.place]
		}
		at, here := slices.BinarySearchFunc(events, one.event, func(e indexed, id triggers.ID) int { return cmp.Compare(e.id, id) })
		if here {
			one.form = events[at].uri.AnyForm()
		} else {
			text, err := p.uriOf(ctx, tx, one.event)
			if err != nil {
				return nil, err
			}
			uri := p.uri(text)
			one.form = uri.AnyForm()
		}
		list[i] = one.heard
	}
	return list, nil
}

// sealDue writes segments of what is in none yet, as far as it is much, or of a day that is over. The oldest node does so for all. It waits for the
// transactions that have drawn numbers up to then: nothing comes later that belongs into a segment.
func (p *Postgres) sealDue(ctx context.Context) error {
	for p.Leads() {
		sealed, err := p.sealOnce(ctx, pgSealEntries)
		if err != nil || !sealed {
			return err
		}
	}
	return nil
}

// sealOnce writes a segment of the oldest entries, if there are so many, or if their day is over.
func (p *Postgres) sealOnce(ctx context.Context, least int) (sealed bool, err error) {
	var due bool
	err = p.pool.QueryRow(ctx, pgSealDue, int64(least/entriesOfEvent), int64(firstOf(p.today()))).Scan(&due)
	if err != nil || !due {
		return false, err
	}
	var to int64
	err = p.plain(ctx, func(tx pgStatements) error {
		if err := tx.lock(lockWebhooks, false); err != nil {
			return err
		}
		return tx.tx.QueryRow(ctx, `SELECT last_value FROM drawn`).Scan(&to)
	})
	if err != nil {
		return false, err
	}
	var entries []searchEntry
	err = p.view(ctx, func(tx querier) error {
		var last int64
		if err := tx.QueryRowContext(ctx, pgIndexedTo).Scan(&last); err != nil {
			return err
		}
		// One more shows that the last number's are whole.
		entries, err = p.unindexed(ctx, tx, triggers.ID(last), triggers.ID(to), pgSealEntries+1)
		return err
	})
	if err != nil || len(entries) == 0 {
		return false, err
	}
	day := dayOf(entries[0].event)
	if at := slices.IndexFunc(entries, func(e searchEntry) bool { return dayOf(e.event) != day }); at >= 0 {
		entries = entries[:at]
	} else if len(entries) < least && day >= p.today() {
		return false, nil
	}
	entries = cutBetweenEvents(entries, pgSealEntries)
	err = p.plain(ctx, func(tx pgStatements) error { return tx.writeSegment(entries) })
	if errors.Is(err, errPassedOver) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("index events for search: %w", err)
	}
	return true, nil
}

// pgSealEntries is how many entries a segment has, of about 4,000 events: what is in none is read again for every question, so that it is less than what SQLite's
// writer has in memory.
const pgSealEntries = sealEntries / 4

// entriesOfEvent is how many entries an event has, with its deliveries, at least.
const entriesOfEvent = 3

// pgSealDue reports whether there are about so many events in no segment, or any of an earlier day. It looks at no more than that.
const pgSealDue = `WITH indexed AS (` + pgIndexedTo + `)
  SELECT (SELECT count(*) FROM (SELECT 1 FROM event WHERE id > (SELECT * FROM indexed) LIMIT $1) AS counted) >= $1
    OR EXISTS (SELECT 1 FROM event WHERE id > (SELECT * FROM indexed) AND id < $2 AND EXISTS (SELECT 1 FROM day WHERE day = (id >> 21) / 86400000))`

// cutBetweenEvents leaves about so many entries, all of a number's or none.
func cutBetweenEvents(entries []searchEntry, about int) []searchEntry {
	n := min(about, len(entries))
	for n < len(entries) && entries[n].event == entries[n-1].event {
		n++
	}
	return entries[:n]
}

// writeSegment writes entries of one day that are in the order of their numbers, unless another node has written them or a later one, or their
// day was dropped: such a day is not searched any more.
func (s pgStatements) writeSegment(entries []searchEntry) error {
	if alone, err := s.tryLock(lockSealing); err != nil || !alone {
		return errors.Join(err, passedOver(err))
	}
	if err := s.lock(lockDays, true); err != nil {
		return err
	}
	last, err := s.integer(pgIndexedTo)
	if err != nil {
		return err
	}
	there, err := s.integer(`SELECT 1 FROM day WHERE day = ?`, dayOf(entries[0].event))
	if err != nil || there == 0 || last >= int64(entries[0].event) {
		return errors.Join(err, passedOver(err))
	}
	number, err := s.integer(`SELECT coalesce(max(id), 0) + 1 FROM search WHERE id > 0 AND id < 4294967296`)
	if err != nil {
		return err
	}
	first, highest := entries[0].event, entries[len(entries)-1].event
	ids, bodies := []int64{number}, [][]byte{{}}
	for bucket, body := range segmentBodies(entries) {
		if body != nil {
			ids, bodies = append(ids, segmentRow(bucket, number)), append(bodies, body)
		}
	}
	_, err = s.tx.Exec(s.ctx, `INSERT INTO search (id, first, last, body) SELECT id, $3, $4, body FROM unnest($1::bigint[], $2::bytea[]) AS s (id, body)`,
		ids, bodies, int64(first), int64(highest))
	return err
}
