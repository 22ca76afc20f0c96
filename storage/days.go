package storage

import (
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"portalhook/triggers"
)

// kept is the suffix of the tables for rows that outlive their day: what open work still needs of a day that was dropped, and what
// becomes of that work.
const kept = "kept"

// dayTables makes the tables of one day. Rows belong to the day of their id. $older is the day's lowest id.
const dayTables = `
CREATE TABLE event_$day (
  id          INTEGER PRIMARY KEY,
  tenant      INTEGER NOT NULL,
  uri         TEXT NOT NULL,
  event_id    TEXT,             -- the sender's own
  source      TEXT NOT NULL,
  username    TEXT NOT NULL,
  when_ms     INTEGER NOT NULL,
  accepted_ms INTEGER NOT NULL,
  digest      BLOB,
  body        BLOB NOT NULL,
  matches     BLOB,             -- see matches.go
  heard_by    TEXT              -- JSON array of its owner and its audience: who may hear of it at user level
) STRICT;
-- Not unique: the writer sees to that, and a job's event, which has no digest, may have the id of another. The sender's ids as they
-- are and not a hash of them, although that would be shorter: many senders' ids rise, and then so does the end of the index, where ids
-- that fall anywhere make every insert write a page of its own.
CREATE INDEX event_$day_identity ON event_$day (tenant, event_id, source) WHERE event_id IS NOT NULL;

CREATE TABLE delivery_$day (
  id          INTEGER PRIMARY KEY,
  tenant      INTEGER NOT NULL,
  webhook     INTEGER NOT NULL,
  event       INTEGER NOT NULL,
  members     INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  trigger     INTEGER NOT NULL,
  state       INTEGER NOT NULL,
  built_ms    INTEGER NOT NULL,
  ended_ms    INTEGER NOT NULL,
  tries       INTEGER NOT NULL,
  status_code INTEGER NOT NULL,
  started_ms  INTEGER NOT NULL,
  reason      TEXT NOT NULL,
  first       BLOB              -- the first attempt
) STRICT;
-- Each ends in the row's id by itself, so that what ended in one way, and was tried at all, is read in its order however rare it is.
-- One entry a delivery, as if it were by webhook alone.
CREATE INDEX delivery_$day_webhook ON delivery_$day (webhook, state, tries > 0);
-- Nearly empty: deliveries of events of an earlier day, whose events must outlive that day.
CREATE INDEX delivery_$day_older ON delivery_$day (event) WHERE event < $older;

-- Second and later attempts.
CREATE TABLE attempt_$day (
  delivery INTEGER NOT NULL,
  number   INTEGER NOT NULL,
  body     BLOB NOT NULL,
  PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;
` + jobTables + searchTables

// dayTableNames are the tables of a day, without their suffix.
var dayTableNames = [...]string{"event", "delivery", "attempt", "job", "search"}

// olderThan puts a day's lowest id into a statement: as a number, so that SQLite sees that the index of older events serves.
func olderThan(text string, day int64) string {
	return strings.ReplaceAll(text, "$older", strconv.FormatInt(int64(firstOf(day)), 10))
}

// calendar is the days that have tables, ascending. The writer alone changes it, and holds the lock while it does; whoever reads
// history holds it for reading as long as it reads.
type calendar struct {
	sync.RWMutex
	days []int64
}

func (c *calendar) hold() (release func()) {
	c.RLock()
	return c.RUnlock
}

// suffix names the tables that hold an id.
func (c *calendar) suffix(id triggers.ID) string {
	day := dayOf(id)
	if _, ok := slices.BinarySearch(c.days, day); ok {
		return suffixOf(day)
	}
	return kept
}

// suffixes are those of the days from first to last, in either order, kept at the old end.
func (c *calendar) suffixes(from, to triggers.ID, oldestFirst bool) []string {
	list := []string{kept}
	for _, day := range c.days {
		if day >= dayOf(from) && day <= dayOf(to) {
			list = append(list, suffixOf(day))
		}
	}
	if !oldestFirst {
		slices.Reverse(list)
	}
	return list
}

// oldest is the lowest id that lies in the tables of a day; what is lower was kept.
func (c *calendar) oldest() triggers.ID {
	if len(c.days) == 0 {
		return math.MaxInt64
	}
	return firstOf(c.days[0])
}

// endOf is the last id, in the direction, that the tables with the suffix hold; zero when there are no tables beyond them.
func (c *calendar) endOf(suffix string, oldestFirst bool) triggers.ID {
	day, err := dayOfSuffix(suffix)
	switch {
	case err == nil && oldestFirst:
		return firstOf(day+1) - 1
	case err == nil:
		return firstOf(day)
	case oldestFirst && len(c.days) > 0:
		return c.oldest() - 1
	}
	return 0
}

// loadDays finds the days that have tables, and makes the tables of kept rows when there are none yet.
func (w *writer) loadDays() error {
	var days []int64
	hasKept := false
	err := w.eachTable("event_", func(suffix string) error {
		if suffix == kept {
			hasKept = true
			return nil
		}
		day, err := dayOfSuffix(suffix)
		days = append(days, day)
		return err
	})
	if err != nil {
		return fmt.Errorf("find the tables by day: %w", err)
	}
	if !hasKept {
		if err := w.db.transaction(func() error { return w.db.script(forDay(olderThan(dayTables, 0), kept)) }); err != nil {
			return fmt.Errorf("make tables: %w", err)
		}
	}
	slices.Sort(days)
	w.store.calendar.days = days
	return nil
}

// eachTable calls each with the suffix of every table whose name begins with the prefix.
func (w *writer) eachTable(prefix string, each func(suffix string) error) error {
	var names []string
	err := w.db.each(`SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`, "", 1, func(row []driver.Value) error {
		if suffix, ok := strings.CutPrefix(textOf(row[0]), prefix); ok {
			names = append(names, suffix)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, suffix := range names {
		if err := each(suffix); err != nil {
			return err
		}
	}
	return nil
}

// prepareDays makes the tables of the day that the next id falls in, and of the one after it, so that no event waits for that at
// midnight.
func (w *writer) prepareDays() error {
	today := dayOf(w.ids.next())
	for day := today; day <= today+1; day++ {
		// Later days may have tables and this one none: they were made before the clock was set back.
		place, ok := slices.BinarySearch(w.store.calendar.days, day)
		if ok {
			continue
		}
		if err := w.db.transaction(func() error { return w.db.script(forDay(olderThan(dayTables, day), suffixOf(day))) }); err != nil {
			return fmt.Errorf("make the tables of %s: %w", suffixOf(day), err)
		}
		w.store.calendar.Lock()
		w.store.calendar.days = slices.Insert(slices.Clone(w.store.calendar.days), place, day) // who reads has the old ones still
		w.store.calendar.Unlock()
	}
	return nil
}
