package storage

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"portalhook/payload"
	"portalhook/triggers"
)

// A webhook's deliveries are found by their event type in the search index: by the trigger that hears all events of the kind, and by
// the trigger that matched where that is another.

// heardHash is the hash of an event type of a webhook.
func heardHash(webhook uint32, eventType string) uint64 {
	hash, _ := searchHash(nil, webhook, byHeard, eventType)
	return hash
}

// heard is a delivery as the index sees it.
type heard struct {
	id      triggers.ID
	webhook uint32
	form    string // the trigger that hears all events of the kind of its first event
	trigger string // that matched; empty when it is not known
}

// indexDelivery notes the event types of a committed delivery.
func (w *writer) indexDelivery(h heard) {
	tail := &w.store.search
	tail.Lock()
	defer tail.Unlock()
	tail.entries, w.scratch = appendHeard(tail.entries, w.scratch, h)
}

// appendHeard adds the entries of a delivery.
func appendHeard(entries []searchEntry, scratch []byte, h heard) ([]searchEntry, []byte) {
	add := func(eventType string) {
		var hash uint64
		hash, scratch = searchHash(scratch, h.webhook, byHeard, eventType)
		entries = append(entries, searchEntry{hash, h.id})
	}
	add(h.form)
	if h.trigger != "" && h.trigger != h.form {
		add(h.trigger)
	}
	return entries, scratch
}

// maxTexts bounds the revisions whose triggers the writer holds in memory.
const maxTexts = 10_000

// forgetTexts makes room for those that will be learned; not while what was learned is needed.
func (e *editor) forgetTexts() {
	if len(e.texts) > maxTexts {
		clear(e.texts)
	}
}

// learn reads the triggers of a revision, unless they are known.
func (e *editor) learn(revision int64) error {
	if _, known := e.texts[revision]; known {
		return nil
	}
	var stored payload.Revision
	err := e.db.each(`SELECT body FROM revision WHERE number = ?`, "", 1, func(row []driver.Value) error {
		return json.Unmarshal([]byte(textOf(row[0])), &stored)
	}, revision)
	if err != nil {
		return fmt.Errorf("revision %d: %w", revision, err)
	}
	e.texts[revision] = stored.Triggers
	return nil
}

// triggerOf is a revision's trigger that was learned, empty when it has none at the place.
func (e *editor) triggerOf(revision int64, place uint8) string {
	if texts := e.texts[revision]; int(place) < len(texts) {
		return texts[place]
	}
	return ""
}

// heardOf reads what a delivery is found by, from its first event and its revision.
func (e *editor) heardOf(id triggers.ID, l *lease) (heard, error) {
	e.forgetTexts()
	if err := e.learn(l.revision); err != nil {
		return heard{}, err
	}
	h := heard{id: id, webhook: l.webhook, trigger: e.triggerOf(l.revision, l.trigger)}
	err := e.db.each(uriOfEvent, e.tables.suffix(l.event), 1, func(row []driver.Value) error {
		uri := e.uri(textOf(row[0]))
		h.form = uri.AnyForm()
		return nil
	}, int64(l.event))
	return h, err
}

const (
	unindexed      = `SELECT id, tenant, uri, username, matches IS NULL FROM event_$day WHERE id > ? ORDER BY id LIMIT ?`
	unindexedAtOne = 10_000

	unindexedEnded = `SELECT id, webhook, event, revision, trigger FROM delivery_$day WHERE id > ? AND id <= ?`
	unindexedOpen  = `SELECT id, webhook, event, revision, trigger FROM work WHERE id > ? AND id <= ?`
)

// loadSearch reads the events and deliveries that are in no segment.
func (w *writer) loadSearch() error {
	w.store.search.sealAt = sealEntries
	for _, day := range w.store.calendar.days {
		if err := w.loadUnindexed(day); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) loadUnindexed(day int64) error {
	suffix := suffixOf(day)
	last := firstOf(day) - 1
	err := w.db.each(newestSegment, suffix, 2, func(row []driver.Value) error {
		last = triggers.ID(integer(row[1]))
		return nil
	})
	for more := err == nil; more; {
		var events []indexed
		err = w.db.each(unindexed, suffix, 5, func(row []driver.Value) error {
			uri := w.store.uri(textOf(row[2]))
			events = append(events, indexed{
				id: triggers.ID(integer(row[0])), tenant: uint32(integer(row[1])), uri: &uri, username: textOf(row[3]), //nolint:gosec // written from one
				unmatched: integer(row[4]) != 0,
			})
			return nil
		}, int64(last), int64(unindexedAtOne))
		if err != nil {
			return err
		}
		// The deliveries of the last of many are read with those that come after it.
		next := firstOf(day+1) - 1
		if more = len(events) == unindexedAtOne; more {
			next = events[unindexedAtOne-1].id
		}
		if err = w.indexAgain(suffix, events, last, next); err != nil {
			return err
		}
		last = next
		w.sealDue()
	}
	return err
}

// indexAgain notes events and the deliveries in their range, in the order of their numbers.
func (w *writer) indexAgain(suffix string, events []indexed, after, to triggers.ID) error {
	var deliveries []leased
	for _, statement := range []string{unindexedEnded, unindexedOpen} {
		err := w.db.each(statement, suffix, 5, func(row []driver.Value) error {
			deliveries = append(deliveries, leased{id: triggers.ID(integer(row[0])), lease: lease{
				webhook: uint32(integer(row[1])), event: triggers.ID(integer(row[2])), //nolint:gosec // this and the following were written from such types
				revision: integer(row[3]), trigger: uint8(integer(row[4])), //nolint:gosec // as above
			}})
			return nil
		}, int64(after), int64(to))
		if err != nil {
			return err
		}
	}
	slices.SortFunc(deliveries, func(a, b leased) int { return cmp.Compare(a.id, b.id) })
	for i := range deliveries {
		for len(events) > 0 && events[0].id < deliveries[i].id {
			w.index(events[0])
			events = events[1:]
		}
		h, err := w.heardOf(deliveries[i].id, &deliveries[i].lease)
		if err != nil {
			return err
		}
		w.indexDelivery(h)
	}
	for _, e := range events {
		w.index(e)
	}
	return nil
}
