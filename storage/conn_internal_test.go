package storage

import (
	"database/sql/driver"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who has waited in vain for another process to end its transaction does not have everybody behind it wait as long again.
func TestPatienceWithOtherProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	other, err := openConn(dataSource(path, "_mutex=no&_journal_mode=WAL"))
	require.NoError(t, err)
	defer func() { require.NoError(t, other.close()) }()
	c, err := openConn(dataSource(path, "_mutex=no&_journal_mode=WAL&_busy_timeout=1"))
	require.NoError(t, err)
	defer func() { require.NoError(t, c.close()) }()
	patience := func() (milliseconds int64) {
		require.NoError(t, c.eachOnce("PRAGMA busy_timeout", 1, func(row []driver.Value) error {
			milliseconds = integer(row[0])
			return nil
		}))
		return milliseconds
	}
	nothing := func() error { return nil }

	require.NoError(t, other.script("BEGIN IMMEDIATE"))
	require.ErrorContains(t, c.transaction(nothing), "locked")
	require.EqualValues(t, 100, patience())
	require.ErrorContains(t, c.transaction(nothing), "locked")
	require.NoError(t, other.script("ROLLBACK"))
	require.NoError(t, c.transaction(nothing))
	require.EqualValues(t, 10_000, patience())
}
