package storage

import (
	"database/sql/driver"
	"maps"
	"slices"

	"portalhook/delivery"
	"portalhook/triggers"
)

func newWriter(s *Store, db *conn) *writer {
	w := &writer{
		store: s, db: db, ids: sequence{now: s.now}, leases: make(map[triggers.ID]lease), turns: newTurns(),
		webhooks: make(map[uint32]struct{}), hours: make(map[hourKey]*hourRow), tenantHours: make(map[hourKey]*tenantHourRow),
		open: make(map[uint32]int64), known: make(knownEvents),
		ordered: make(map[uint32]*lines), ailing: make(map[uint32]delivery.Health),
	}
	w.editor = editor{
		base: &s.base, db: db, texts: make(map[int64][]string),
		nextID:   func() (triggers.ID, error) { return w.ids.next(), nil },
		oldestID: func() (triggers.ID, error) { return w.oldest(), nil },
	}
	return w
}

// newest is the highest id that was ever drawn, as far as rows tell. An event's deliveries follow it without a gap, those that are
// members of an interval too, which have no row of that number.
func (w *writer) newest() (triggers.ID, error) {
	var last triggers.ID
	for _, query := range []string{
		`SELECT max(id) FROM work`, `SELECT max(delivery) FROM delivery_event`, `SELECT max(id) FROM delivery_kept`,
	} {
		found, err := w.db.integer(query)
		if err != nil {
			return 0, err
		}
		last = max(last, triggers.ID(found))
	}
	// The tables of the newest days may be empty.
	for _, day := range slices.Backward(w.store.calendar.days) {
		suffix := suffixOf(day)
		delivered, err := w.db.integerOnce(forDay(`SELECT max(id) FROM delivery_$day`, suffix))
		if err != nil {
			return 0, err
		}
		last = max(last, triggers.ID(delivered))
		found := false
		err = w.db.each(`SELECT id, matches FROM event_$day ORDER BY id DESC LIMIT 1`, suffix, 2, func(row []driver.Value) error {
			found = true
			last = max(last, triggers.ID(integer(row[0]))+triggers.ID(countMatches(bytesOf(row[1]))))
			return nil
		})
		if err != nil {
			return 0, err
		}
		if found {
			break
		}
	}
	return last, nil
}

func (w *writer) loadWebhooks() error {
	return w.db.each(`SELECT key FROM webhook`, "", 1, func(row []driver.Value) error {
		w.webhooks[uint32(integer(row[0]))] = struct{}{} //nolint:gosec // a key
		return nil
	})
}

// waitAnew has those wait from now that were tried, or came, at a date that is still to come and fall due after it: the clock was set back while
// nobody was here to move their dates along.
const waitAnew = `UPDATE work SET due_ms = due_ms - max(started_ms, built_ms) + ?1
	WHERE due_ms >= max(started_ms, built_ms) AND max(started_ms, built_ms) > ?1 + ?2`

// setBack is by how much, in milliseconds, a date must lie in the future to show that the clock was set back.
const setBack = int64(30_000)

// loadTurns lines up the webhooks that have waiting work, by the lines of those that are ordered, and counts all open work.
func (w *writer) loadTurns() error {
	w.turns = newTurns()
	const earliest = `SELECT webhook, min(due_ms) FROM work WHERE due_ms IS NOT NULL GROUP BY webhook ORDER BY webhook`
	err := w.db.each(earliest, "", 2, func(row []driver.Value) error {
		webhook := uint32(integer(row[0])) //nolint:gosec // a key
		if w.ordered[webhook] == nil {
			w.turns.mark(webhook, integer(row[1]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, webhook := range slices.Sorted(maps.Keys(w.ordered)) {
		w.markFirst(webhook)
	}
	return w.loadOpen()
}
