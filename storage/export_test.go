package storage

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// LimitPages bounds the size of the database, as a full disk would; never below what it has.
func (s *Store) LimitPages(t *testing.T, pages int) {
	t.Helper()
	require.NoError(t, s.write(t.Context(), func(w *writer) error {
		_, err := w.db.integerOnce(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
		return err
	}))
}

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
