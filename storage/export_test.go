package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// Script does to the tables what no method does.
func (s *Store) Script(t *testing.T, statement string) {
	t.Helper()
	require.NoError(t, s.write(t.Context(), func(w *writer) error {
		return w.db.transaction(func() error { return w.db.script(statement) })
	}))
}

// Tables lists the tables whose names begin with the prefix, without it.
func (s *Store) Tables(t *testing.T, prefix string) (names []string) {
	t.Helper()
	require.NoError(t, s.write(t.Context(), func(w *writer) error {
		return w.eachTable(prefix, func(name string) error { names = append(names, name); return nil })
	}))
	return names
}

// Seal writes the tail of the search index, however short.
func (s *Store) Seal(t *testing.T) {
	t.Helper()
	require.NoError(t, s.write(t.Context(), func(w *writer) error {
		for len(s.search.entries) > 0 {
			if err := w.seal(); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Observe tells seen every statement that is read with from now on.
func (s *Store) Observe(t *testing.T, seen func(statement string)) {
	t.Helper()
	require.NoError(t, s.readers.Close())
	s.readers = sql.OpenDB(observed{readerSource(s.path), seen})
	s.readers.SetMaxOpenConns(readerCount)
}

// Prepared are the statements that the writer has kept so far.
func (s *Store) Prepared(t *testing.T) (statements []string) {
	t.Helper()
	require.NoError(t, s.write(context.Background(), func(w *writer) error {
		for key := range w.db.statements {
			statements = append(statements, forDay(key.text, key.suffix))
		}
		return nil
	}))
	return statements
}

// Older is the number that $older stands for in the statements about a day.
func Older(t *testing.T, suffix string) string {
	t.Helper()
	day, err := dayOfSuffix(suffix)
	require.NoError(t, err)
	return olderThan("$older", day)
}

// observed opens connections that tell what they are asked.
type observed struct {
	dsn  string
	seen func(statement string)
}

func (o observed) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func (o observed) Connect(context.Context) (driver.Conn, error) {
	db, err := openConn(o.dsn)
	if err != nil {
		return nil, err
	}
	return observedConn{db.db, o.seen}, nil
}

type observedConn struct {
	*sqlite3.SQLiteConn
	seen func(statement string)
}

func (c observedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.seen(query)
	return c.SQLiteConn.QueryContext(ctx, query, args)
}

// Plan is how SQLite would go about a statement, step by step.
func (s *Store) Plan(t *testing.T, statement string) (steps []string) {
	t.Helper()
	args := make([]any, 64) // more than any statement has
	require.NoError(t, each(t.Context(), s.readers, "EXPLAIN QUERY PLAN "+statement, args, func(rows *sql.Rows) error {
		var id, parent, unused int
		var step string
		err := rows.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	}))
	return steps
}

// DayForms are the tables and indexes of all days, each with its columns.
func (s *Store) DayForms(t *testing.T) map[string]string {
	t.Helper()
	made := make(map[string]string)
	require.NoError(t, s.write(t.Context(), func(w *writer) error {
		all, err := forms(w.db)
		for name, f := range all {
			if day, ours := dayTableOf(f.table); ours {
				made[name] = fmt.Sprint(day, f.columns)
				if f.columns == nil {
					made[name] = strings.Join(strings.Fields(f.sql), " ")
				}
			}
		}
		return err
	}))
	return made
}

func dayTableOf(table string) (suffix string, ours bool) {
	for _, name := range dayTableNames {
		if suffix, ours = strings.CutPrefix(table, name+"_"); ours && (suffix == kept || len(suffix) == len("20261125")) {
			return suffix, true
		}
	}
	return "", false
}

// FirstID is the lowest id of a millisecond since 1970.
var FirstID = firstID

// LatencyClasses is how many classes attempts are counted in.
const LatencyClasses = len(delivery.LatencyBounds) + 1
