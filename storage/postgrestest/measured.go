package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Measured is a PostgreSQL of a benchmark's own, which keeps what it acknowledges and counts what it is asked. A nil one counts nothing.
type Measured struct {
	// URL is that of an empty database.
	URL  string
	pid  int
	conn *pgx.Conn
}

// Measure starts one. The benchmark is skipped where PostgreSQL is not installed.
func Measure(b *testing.B) *Measured {
	b.Helper()
	server, err := Start(b.Context(), Options{Settings: []string{
		"fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB", "shared_preload_libraries=pg_stat_statements",
	}})
	if errors.Is(err, ErrMissing) {
		b.Skip(err)
	}
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop()) })
	url := server.Socket("postgres")
	conn, err := pgx.Connect(b.Context(), url)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
	_, err = conn.Exec(b.Context(), "CREATE EXTENSION pg_stat_statements")
	require.NoError(b, err)
	return &Measured{url, server.process.Pid, conn}
}

// Work is what a PostgreSQL has done since it was started: seconds of processors, statements, commits, bytes of log and of disk.
type Work struct{ CPU, Statements, Commits, WAL, Size float64 }

// Work is that of now.
func (d *Measured) Work(b *testing.B) (w Work) {
	b.Helper()
	if d == nil {
		return w
	}
	// The counters of commits are a second late where a connection has gone idle.
	err := d.conn.QueryRow(b.Context(), `SELECT (SELECT sum(calls) FROM pg_stat_statements WHERE toplevel)::float8,
    (SELECT sum(xact_commit) FROM pg_stat_database)::float8, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8,
    pg_database_size(current_database())::float8`).Scan(&w.Statements, &w.Commits, &w.WAL, &w.Size)
	require.NoError(b, err)
	w.CPU = cpuOfFamily(b, d.pid)
	return w
}

// Hold begins a transaction that sees the database as it is now, and stays until the end of the run.
func (d *Measured) Hold(b *testing.B) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), d.URL)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
	_, err = conn.Exec(b.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM event LIMIT 1")
	require.NoError(b, err)
}

// Forget begins the statements' counters anew.
func (d *Measured) Forget(b *testing.B) {
	b.Helper()
	if d != nil {
		_, err := d.conn.Exec(b.Context(), "SELECT pg_stat_statements_reset()")
		require.NoError(b, err)
	}
}

// Slowest gives the statements that took most of the time since they were forgotten.
func (d *Measured) Slowest(b *testing.B, n int) (lines []string) {
	b.Helper()
	if d == nil || n == 0 {
		return nil
	}
	rows, err := d.conn.Query(b.Context(), `SELECT calls, rows, total_exec_time + total_plan_time, left(regexp_replace(query, '\s+', ' ', 'g'), 150)
    FROM pg_stat_statements ORDER BY 3 DESC LIMIT $1`, n)
	require.NoError(b, err)
	var calls, touched int64
	var ms float64
	var text string
	_, err = pgx.ForEachRow(rows, []any{&calls, &touched, &ms, &text}, func() error {
		lines = append(lines, fmt.Sprintf("%8d calls %8d rows %9.0f ms  %s", calls, touched, ms, text))
		return nil
	})
	require.NoError(b, err)
	return lines
}

// Since is what was done since another moment.
func (w Work) Since(v Work) Work {
	return Work{w.CPU - v.CPU, w.Statements - v.Statements, w.Commits - v.Commits, w.WAL - v.WAL, w.Size - v.Size}
}

// cpuOfFamily is the processor time, in seconds, of a process and of its children, those that have ended included.
func cpuOfFamily(b *testing.B, parent int) (seconds float64) {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(b, err)
	for _, path := range stats {
		text, err := os.ReadFile(path) // #nosec G304 -- of /proc
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		const ppid, utime, cutime, ticksPerSecond = 1, 11, 13, 100
		own, times := filepath.Base(filepath.Dir(path)) == strconv.Itoa(parent), fields[utime:utime+2]
		if own {
			times = fields[utime : cutime+2]
		} else if fields[ppid] != strconv.Itoa(parent) {
			continue
		}
		for _, time := range times {
			ticks, err := strconv.ParseFloat(time, 64)
			require.NoError(b, err)
			seconds += ticks / ticksPerSecond
		}
	}
	return seconds
}
