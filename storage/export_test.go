package storage

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// Exec does to the tables what no method does.
func (s *Store) Exec(t *testing.T, statement string) {
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

// SearchStatements are the statements that propose events to a search.
func SearchStatements() []string { return searchStatements }

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

// Plan is how SQLite would go about a statement, step by step.
func (s *Store) Plan(t *testing.T, statement string) (steps []string) {
	t.Helper()
	require.NoError(t, each(t.Context(), s.readers, "EXPLAIN QUERY PLAN "+statement, []any{0, 1, 1, 1, 1}, func(rows *sql.Rows) error {
		var id, parent, unused int
		var step string
		err := rows.Scan(&id, &parent, &unused, &step)
		steps = append(steps, step)
		return err
	}))
	return steps
}
