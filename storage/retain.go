package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"portalhook/triggers"
)

// What open work and younger deliveries still need of a day is copied before the day is dropped.
const (
	neededByWork = `INSERT OR IGNORE INTO event_kept SELECT * FROM event_$day WHERE id IN (SELECT event FROM work)
    OR id IN (SELECT event FROM member) OR id IN (SELECT event FROM delivery_event WHERE delivery > ?)`
	attemptsOfWork = `INSERT OR IGNORE INTO attempt_kept SELECT * FROM attempt_$day WHERE delivery IN (SELECT id FROM work)`
	olderEvents    = `SELECT event FROM delivery_$day WHERE event < $older`
	keepEvent      = `INSERT OR IGNORE INTO event_kept SELECT * FROM event_$day WHERE id = ?`
)

// droppedPrefix is put before the name of a table whose day is over, until it has been emptied.
const droppedPrefix = "dropped_"

// emptiedAtOnce is how many rows of a table are deleted in one transaction.
const emptiedAtOnce = 2000

// Retain forgets the history of whole days that ended before the given time, and counters far older than that. Open work is not
// touched, nor what it needs. It takes long when there is much to delete, in steps between which others write; what it has not
// finished when ctx ends is finished by the next call.
func (s *Store) Retain(ctx context.Context, before time.Time) error {
	limit := before.UnixMilli() / dayLength // the first day that stays
	for {
		more := false
		err := s.write(ctx, func(w *writer) error {
			var err error
			more, err = w.retireDay(limit)
			return commitError(err)
		})
		if err != nil {
			return fmt.Errorf("retain: %w", err)
		}
		if !more {
			break
		}
	}
	if err := s.emptyDropped(ctx); err != nil {
		return fmt.Errorf("retain: %w", err)
	}
	err := s.write(ctx, func(w *writer) error { return commitError(w.prune(before.UnixMilli())) })
	if err != nil {
		return fmt.Errorf("retain: %w", err)
	}
	return nil
}

// retireDay takes the oldest day before limit out of the calendar: what is needed of it is copied, its tables are renamed, and
// nobody reads them any more. More is true when it did.
func (w *writer) retireDay(limit int64) (more bool, err error) {
	calendar := &w.store.calendar
	if len(calendar.days) == 0 || calendar.days[0] >= limit {
		return false, nil
	}
	day := calendar.days[0]
	suffix := suffixOf(day)
	calendar.Lock()
	defer calendar.Unlock()
	err = w.db.transaction(func() error {
		if err := w.keepNeeded(day, suffix); err != nil {
			return err
		}
		w.db.forget(func(used string) bool { return used == suffix })
		for _, name := range dayTableNames {
			if err := w.db.script(forDay(`ALTER TABLE `+name+`_$day RENAME TO `+droppedPrefix+name+`_$day`, suffix)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("day %s: %w", suffix, err)
	}
	calendar.days = calendar.days[1:]
	return true, nil
}

func (w *writer) keepNeeded(day int64, suffix string) error {
	if err := w.db.runDay(neededByWork, suffix, int64(firstOf(day+1))-1); err != nil {
		return err
	}
	if err := w.db.runDay(attemptsOfWork, suffix); err != nil {
		return err
	}
	needed, err := w.eventsOfLaterDays(day)
	if err != nil {
		return err
	}
	for _, event := range needed {
		if err := w.db.runDay(keepEvent, suffix, int64(event)); err != nil {
			return err
		}
	}
	return nil
}

// eventsOfLaterDays are the events of a day that deliveries of later days, or kept ones, are about.
func (w *writer) eventsOfLaterDays(day int64) ([]triggers.ID, error) {
	var needed []triggers.ID
	collect := func(row []driver.Value) error {
		if event := triggers.ID(integer(row[0])); dayOf(event) == day {
			needed = append(needed, event)
		}
		return nil
	}
	for _, later := range w.store.calendar.days {
		if later <= day {
			continue
		}
		if err := w.db.each(olderThan(olderEvents, later), suffixOf(later), 1, collect); err != nil {
			return nil, err
		}
	}
	if err := w.db.each(`SELECT event FROM delivery_kept`, "", 1, collect); err != nil {
		return nil, err
	}
	return needed, nil
}

// emptyDropped deletes the rows of retired tables, some at a time, and then the tables.
func (s *Store) emptyDropped(ctx context.Context) error {
	for {
		var left []string
		err := s.write(ctx, func(w *writer) error {
			left = nil
			return w.eachTable(droppedPrefix, func(name string) error {
				left = append(left, droppedPrefix+name)
				return nil
			})
		})
		if err != nil || len(left) == 0 {
			return err
		}
		if err := s.write(ctx, func(w *writer) error { return commitError(w.emptySome(left[0])) }); err != nil {
			return err
		}
	}
}

// emptySome deletes some rows of a retired table, and the table when none is left.
func (w *writer) emptySome(table string) error {
	return w.db.transaction(func() error {
		key := "id"
		if strings.HasPrefix(table, droppedPrefix+"attempt") {
			key = "delivery"
		}
		// The names are ours, from the schema.
		some := strings.NewReplacer("$table", table, "$key", key, "$rows", strconv.Itoa(emptiedAtOnce))
		err := w.db.script(some.Replace(`DELETE FROM $table WHERE $key <=
  (SELECT max(last) FROM (SELECT $key AS last FROM $table ORDER BY $key LIMIT $rows))`))
		if err != nil {
			return err
		}
		rest, err := w.db.integerOnce(some.Replace(`SELECT EXISTS (SELECT 1 FROM $table)`))
		if err != nil || rest != 0 {
			return err
		}
		return w.db.script(some.Replace(`DROP TABLE $table`))
	})
}

// prune forgets what was kept beyond its day and is no longer needed, and what no history refers to any more.
func (w *writer) prune(before int64) error {
	oldest := w.ids.next()
	if days := w.store.calendar.days; len(days) > 0 {
		oldest = min(oldest, firstOf(days[0]))
	}
	// Rows made with a revision carry a date not long after it was replaced.
	const slack = int64(time.Hour / time.Millisecond)
	statements := []struct {
		text string
		args []driver.Value
	}{
		{`DELETE FROM delivery_kept WHERE ended_ms < ?`, []driver.Value{before}},
		{`DELETE FROM attempt_kept WHERE delivery NOT IN (SELECT id FROM work) AND delivery NOT IN (SELECT id FROM delivery_kept)`, nil},
		{`DELETE FROM delivery_event WHERE delivery < ? AND delivery NOT IN (SELECT id FROM work)
       AND delivery NOT IN (SELECT id FROM delivery_kept)`, []driver.Value{int64(oldest)}},
		{`DELETE FROM redelivery WHERE delivery < ? AND delivery NOT IN (SELECT id FROM work)
       AND delivery NOT IN (SELECT id FROM delivery_kept)`, []driver.Value{int64(oldest)}},
		{`DELETE FROM recovery WHERE id < ? AND state NOT IN ('counting', 'running', 'paused')`, []driver.Value{int64(firstID(before))}},
		{`DELETE FROM off_span WHERE to_ms < ?`, []driver.Value{min(before, oldest.Time().UnixMilli())}},
		{`DELETE FROM hour WHERE hour < ?`, []driver.Value{(before - hoursKept.Milliseconds()) / time.Hour.Milliseconds()}},
		{`DELETE FROM tenant_hour WHERE tenant IN (SELECT key FROM tenant) AND hour < ?`, []driver.Value{(before - hoursKept.Milliseconds()) / time.Hour.Milliseconds()}},
		{`DELETE FROM revision WHERE ended_ms < ? AND number NOT IN (SELECT revision FROM work) AND number NOT IN (SELECT revision FROM member)
       AND number NOT IN (SELECT revision FROM delivery_kept)`, []driver.Value{min(before, oldest.Time().UnixMilli()) - slack}},
		{`DELETE FROM audit WHERE id < ?`, []driver.Value{w.auditLimit(before)}},
	}
	w.forgetHours()
	err := w.db.transaction(func() error {
		for _, s := range statements {
			if err := w.db.run(s.text, s.args...); err != nil {
				return err
			}
		}
		return w.pruneEvents()
	})
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}

// pruneEvents deletes the kept events that nothing needs any more.
func (w *writer) pruneEvents() error {
	if err := w.db.script(`CREATE TEMP TABLE needed (event INTEGER PRIMARY KEY) STRICT;
INSERT OR IGNORE INTO temp.needed SELECT event FROM work;
INSERT OR IGNORE INTO temp.needed SELECT event FROM member;
INSERT OR IGNORE INTO temp.needed SELECT event FROM delivery_event;
INSERT OR IGNORE INTO temp.needed SELECT event FROM delivery_kept`); err != nil {
		return err
	}
	for _, day := range w.store.calendar.days {
		if err := w.db.script(`INSERT OR IGNORE INTO temp.needed ` + forDay(olderThan(olderEvents, day), suffixOf(day))); err != nil {
			return err
		}
	}
	return w.db.script(`DELETE FROM event_kept WHERE id NOT IN (SELECT event FROM temp.needed); DROP TABLE temp.needed`)
}
