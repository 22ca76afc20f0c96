package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portalhook/triggers"
)

const (
	setNote  = `INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2`
	readNote = `SELECT value FROM meta WHERE name = ?`
	// forgetNotes are those of the transfer.
	forgetNotes = `DELETE FROM meta WHERE name = '` + noteTransfer + `' OR name LIKE '` + notePart + `%'`

	namedOfDay = `SELECT id AS event, tenant, 0 AS job, event_id AS name, source, digest, matches AS matched FROM event_$day WHERE digest IS NOT NULL`
	jobsOfDay  = `SELECT ended.id AS event, ended.tenant, 1 AS job, job AS name, length(CAST(folder AS BLOB)) || ':' || folder || service AS source, x'' AS digest,
  matches AS matched FROM job_$day AS ended CROSS JOIN event_$day AS told ON told.id = ended.id`
	setDigest = `UPDATE event_$day SET digest = ?1 WHERE id = ?2`
)

func newStoreName() string { return rand.Text() }

// nameOfStore is a store as people name it, without a password.
func nameOfStore(config Config) string {
	if config.URL != "" {
		return RedactURL(config.URL)
	}
	return "sqlite:" + config.Path
}

// sqliteSide is a file that a transfer has open.
type sqliteSide struct {
	store *Store // locked; its writer does not run
	w     *writer
	read  *conn
	waits int64
}

// openSQLiteSide locks a file and brings its tables up to date. A source must be there, and the key file must open its secrets.
func openSQLiteSide(ctx context.Context, config Config, source bool) (_ *sqliteSide, err error) {
	config = config.withDefaults()
	path, err := filepath.Abs(config.Path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil && source {
		return nil, err
	}
	held, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	side := &sqliteSide{store: newStore(config, path)}
	side.store.lock = held
	if err := side.open(ctx, config, source); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), side.close())
	}
	return side, nil
}

func (s *sqliteSide) open(ctx context.Context, config Config, source bool) error {
	if err := migrate(ctx, s.store.path); err != nil {
		return err
	}
	db, err := openConn(dataSource(s.store.path, writerPragmas))
	if err != nil {
		return err
	}
	s.w = newWriter(s.store, db)
	if err := s.w.loadDays(); err != nil {
		return err
	}
	if err := s.w.reformDays(); err != nil {
		return err
	}
	if s.read, err = openConn(dataSource(s.store.path, readerPragmas)); err != nil || !source {
		return err
	}
	if s.store.ring, err = openKeyRing(config.KeyFile); err != nil {
		return err
	}
	if s.store.readers, err = sql.Open("sqlite3", readerSource(s.store.path)); err != nil {
		return err
	}
	config.ForgetSecrets = false
	return s.store.checkSecrets(ctx, config, nil)
}

func (s *sqliteSide) close() error {
	var err error
	if s.read != nil {
		err = s.read.close()
	}
	if s.store.readers != nil {
		err = errors.Join(err, s.store.readers.Close())
	}
	if s.w != nil {
		err = errors.Join(err, s.w.db.close())
	}
	return errors.Join(err, s.store.lock.release())
}

func (s *sqliteSide) days(context.Context) ([]int64, error) { return s.store.calendar.days, nil }

func (s *sqliteSide) freed(ms int64) { s.waits = ms }

func (s *sqliteSide) newest(context.Context) (triggers.ID, error) { return s.w.newest() }

func (s *sqliteSide) note(_ context.Context, name string) (value string, err error) {
	err = s.w.db.each(readNote, "", 1, func(row []driver.Value) error {
		value = textOf(row[0])
		return nil
	}, name)
	return value, err
}

func (s *sqliteSide) setNote(_ context.Context, name, value string) error {
	return s.w.db.transaction(func() error { return s.w.db.run(setNote, name, value) })
}

// from is what a part is read from: a table, or statements together.
func (s *sqliteSide) from(p part) string {
	switch p.name {
	case tableIdentity:
		return "(" + namedOfDay + " UNION ALL " + jobsOfDay + ")"
	case tableNumber:
		var each []string
		for _, n := range numberedTables {
			each = append(each, fmt.Sprintf(`SELECT '%[1]s' AS name, coalesce((SELECT seq FROM sqlite_sequence WHERE name = '%[1]s'), 0) AS last`, n.table))
		}
		return "(" + strings.Join(each, " UNION ALL ") + ")"
	}
	return p.String()
}

func (s *sqliteSide) count(_ context.Context, p part) (int64, error) {
	return s.read.integerOnce(forDay(`SELECT count(*) FROM `+s.from(p), p.suffix))
}

func (s *sqliteSide) rows(ctx context.Context, p part, after []any) rowSeq {
	columns := slices.Clone(p.columns)
	if p.name == tableWork {
		columns[slices.Index(columns, "due_ms")] = fmt.Sprintf(`coalesce(due_ms, %d)`, s.waits)
	}
	text := fmt.Sprintf(`SELECT %s FROM %s WHERE %s ORDER BY %s`, strings.Join(columns, ", "), s.from(p),
		p.after(after != nil, func(n int) string { return fmt.Sprint("?", n) }), p.key())
	latency, matched := p.latencyColumn(), -1
	if p.name == tableIdentity {
		matched = slices.Index(p.columns, "matched")
	}
	return func(yield func([]any, error) bool) {
		args := make([]driver.Value, len(after))
		for i, value := range after {
			args[i] = value
		}
		err := s.read.each(text, p.suffix, len(columns), func(values []driver.Value) error {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			row := make([]any, len(values))
			for i, value := range values {
				row[i] = value
				if text, ok := value.(string); ok {
					row[i] = pgText(text)
				}
			}
			if latency >= 0 {
				row[latency] = latencyOf(parseLatency(bytesOf(row[latency])))
			}
			if matched >= 0 {
				row[matched] = int64(countMatches(bytesOf(row[matched])))
			}
			if !yield(row, nil) {
				return errPassedOver
			}
			return nil
		}, args...)
		if err != nil && !errors.Is(err, errPassedOver) {
			yield(nil, err)
		}
	}
}

func (s *sqliteSide) makeDays(_ context.Context, days []int64) error {
	calendar := &s.store.calendar
	for _, day := range days {
		if slices.Contains(calendar.days, day) {
			continue
		}
		if err := s.w.db.transaction(func() error { return s.w.db.script(forDay(olderThan(dayTables, day), suffixOf(day))) }); err != nil {
			return fmt.Errorf("make the tables of %s: %w", suffixOf(day), err)
		}
		calendar.days = append(calendar.days, day)
		slices.Sort(calendar.days)
	}
	return nil
}

func (s *sqliteSide) write(_ context.Context, p part, rows [][]any, name, value string) error {
	return s.w.db.transaction(func() error {
		add := s.addRow
		switch p.name {
		case tableIdentity:
			add = s.addIdentity
		case tableNumber:
			add = s.addNumber
		}
		for _, row := range rows {
			if err := add(p, row); err != nil {
				return err
			}
		}
		return s.w.db.run(setNote, name, value)
	})
}

func (s *sqliteSide) addRow(p part, row []any) error {
	rows, err := s.w.db.insert(fmt.Sprintf(`INSERT INTO %s (%s) VALUES `, p, strings.Join(p.columns, ", ")), "", len(p.columns))
	if err != nil {
		return err
	}
	values := make([]driver.Value, len(row))
	for i, value := range row {
		values[i] = value
	}
	return rows.add(values...)
}

func (s *sqliteSide) addIdentity(p part, row []any) error {
	event, tenant, name, source, digest := integer(row[0]), integer(row[1]), textOf(row[3]), textOf(row[4]), bytesOf(row[5])
	if integer(row[2]) == 0 {
		return s.w.db.runDay(setDigest, p.suffix, digest, event)
	}
	folder, service, err := parseJobSource(source)
	if err != nil {
		return err
	}
	jobs, err := s.w.db.insert(insertJob, p.suffix, 5)
	if err != nil {
		return err
	}
	return jobs.add(event, tenant, folder, service, name)
}

func (s *sqliteSide) addNumber(_ part, row []any) error {
	if integer(row[1]) == 0 {
		return nil
	}
	if err := s.w.db.run(`DELETE FROM sqlite_sequence WHERE name = ?`, row[0]); err != nil {
		return err
	}
	return s.w.db.run(`INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, row[0], row[1])
}

// derive has nothing to do: what this database has beside the rows is in memory.
func (s *sqliteSide) derive(context.Context, triggers.ID) error { return nil }

func (s *sqliteSide) finish(context.Context) error {
	return s.w.db.transaction(func() error { return s.w.db.run(forgetNotes) })
}

// refuseUnfinished refuses a store that is not all there yet.
func (s *Store) refuseUnfinished(ctx context.Context) error {
	var text string
	err := s.direct().QueryRowContext(ctx, readNote, noteTransfer).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return unfinished(text)
}
