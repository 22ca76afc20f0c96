package storage

import (
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// segmentForm is what segments of the search index hold, as the database's user_version says. It rises when entries are added that older
// segments lack; then they are made anew from the tables. 1: deliveries by event type.
const segmentForm = 1

// form is how a table or an index is made.
type form struct {
	table   string // of an index
	sql     string // empty: made by SQLite for a key
	columns []column
}

// column is a row of PRAGMA table_info but for its number.
type column struct {
	name, kind, fallback string
	notNull, key         int64
}

// reformDays brings the tables of the days there are, kept ones too, to the form that new days get. A store comes here from an earlier
// version: its days gain columns, which costs nothing whatever their size, and indexes, which takes a second or so for each million
// rows. Each day is a transaction. What would need more than that is refused: it was made by a later version.
func (w *writer) reformDays() error {
	model, err := openConn("file::memory:?_mutex=no")
	if err != nil {
		return err
	}
	defer model.close()
	suffixes := []string{kept}
	if err := model.script(forDay(olderThan(dayTables, 0), kept)); err != nil {
		return err
	}
	for _, day := range w.store.calendar.days {
		if err := model.script(forDay(olderThan(dayTables, day), suffixOf(day))); err != nil {
			return err
		}
		suffixes = append(suffixes, suffixOf(day))
	}
	wanted, err := forms(model)
	if err != nil {
		return err
	}
	found, err := forms(w.db)
	if err != nil {
		return err
	}
	for _, suffix := range suffixes {
		statements, err := reform(suffix, found, wanted)
		if err != nil {
			return err
		}
		if len(statements) == 0 {
			continue
		}
		w.store.log.Info("a day's tables are brought up to date", "day", suffix)
		if err := w.db.transaction(func() error { return w.db.script(strings.Join(statements, ";\n")) }); err != nil {
			return fmt.Errorf("tables of %s: %w", suffix, err)
		}
	}
	return w.reformSegments()
}

// forms are those of all tables and indexes, by their names.
func forms(db *conn) (map[string]form, error) {
	all := make(map[string]form)
	err := db.eachOnce(`SELECT name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'index')`, 3, func(row []driver.Value) error {
		all[textOf(row[0])] = form{table: textOf(row[1]), sql: textOf(row[2])}
		return nil
	})
	if err != nil {
		return nil, err
	}
	const columns = `SELECT m.name, c.name, c.type, coalesce(c.dflt_value, ''), c."notnull", c.pk FROM sqlite_master AS m
  JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' ORDER BY m.name, c.cid`
	err = db.eachOnce(columns, 6, func(row []driver.Value) error {
		f := all[textOf(row[0])]
		f.columns = append(f.columns, column{textOf(row[1]), textOf(row[2]), textOf(row[3]), integer(row[4]), integer(row[5])})
		all[textOf(row[0])] = f
		return nil
	})
	return all, err
}

// reform gives the statements that bring the tables and indexes with the suffix from what was found to what is wanted: tables, columns
// at their ends, indexes.
func reform(suffix string, found, wanted map[string]form) (statements []string, err error) {
	var tables, indexes []string
	for _, name := range dayTableNames {
		table := name + "_" + suffix
		want, have := wanted[table], found[table]
		if have.columns == nil {
			tables = append(tables, want.sql)
			continue
		}
		if len(have.columns) > len(want.columns) || !slices.Equal(have.columns, want.columns[:len(have.columns)]) {
			return nil, fmt.Errorf("table %s is of a form that this version does not know: it was made by another one", table)
		}
		for _, c := range want.columns[len(have.columns):] {
			tables = append(tables, fmt.Sprintf(`ALTER TABLE %s ADD COLUMN %s`, table, c))
		}
	}
	isOurs := func(f form) bool {
		name, ok := strings.CutSuffix(f.table, "_"+suffix)
		return ok && f.columns == nil && f.sql != "" && slices.Contains(dayTableNames[:], name)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if isOurs(found[name]) && !sameSQL(found[name].sql, wanted[name].sql) {
			tables = append(tables, `DROP INDEX `+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if isOurs(wanted[name]) && !sameSQL(found[name].sql, wanted[name].sql) {
			indexes = append(indexes, wanted[name].sql)
		}
	}
	return append(tables, indexes...), nil
}

// String is the column as it is declared. One that may not be null needs a fallback, or SQLite refuses it.
func (c column) String() string {
	text := c.name + " " + c.kind
	if c.notNull != 0 {
		text += " NOT NULL"
	}
	if c.fallback != "" {
		text += " DEFAULT " + c.fallback
	}
	return text
}

// sameSQL compares statements but for their spaces.
func sameSQL(a, b string) bool {
	return slices.Equal(strings.Fields(a), strings.Fields(b))
}

// reformSegments forgets segments that lack what is searched by now. What they held is read again as the search index is loaded, a
// million events in a quarter of a minute; a start that ends in the middle of that goes on with what is missing.
func (w *writer) reformSegments() error {
	form, err := w.db.integerOnce(`PRAGMA user_version`)
	switch {
	case err != nil:
		return err
	case form > segmentForm:
		return fmt.Errorf("the search index has form %d, which this version does not know: it was made by a later one", form)
	case form == segmentForm:
		return nil
	}
	return w.db.transaction(func() error {
		for _, day := range w.store.calendar.days {
			if err := w.db.script(forDay(`DELETE FROM search_$day`, suffixOf(day))); err != nil {
				return err
			}
		}
		return w.db.script(fmt.Sprintf(`PRAGMA user_version = %d`, segmentForm))
	})
}
