package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"portalhook/storage/postgrestest"
	"portalhook/storage/storagetest"
)

// What an event costs, and whom, as nodes, webhooks, tenants and the webhooks that hear one event grow. Every run is beside one of plain
// net/http with the same bodies, and PostgreSQL keeps what it acknowledges (fsync), as it does where it is installed.

var (
	scalingDeliveries = flag.Int("scaling.deliveries", 20_000, "deliveries a round")
	scalingRounds     = flag.Int("scaling.rounds", 3, "rounds of each shape; medians are reported")
	scalingReport     = flag.String("scaling.report", "", "the page into which the table is written (docs/scaling.md)")
	scalingStatements = flag.Int("scaling.statements", 0, "how many of PostgreSQL's statements to list, by their time")
)

// shape is what is measured.
type shape struct {
	store    string // "" is SQLite
	nodes    int
	fanOut   int // webhooks that hear an event
	tenants  int
	webhooks int  // others, of the same tenant, that hear none
	dump     bool // somebody reads the database from end to end meanwhile, as pg_dump does: nothing that is deleted can be cleared away
}

func (s shape) String() string {
	store := s.store
	if store == "" {
		store = "sqlite"
	}
	return fmt.Sprintf("store=%s/nodes=%d/fanout=%d/tenants=%d/webhooks=%d/dump=%t", store, s.nodes, s.fanOut, s.tenants, s.webhooks, s.dump)
}

func BenchmarkScaling(b *testing.B) {
	var rows []string
	for _, s := range []shape{
		{"", 1, 1, 1, 0, false},
		{storagetest.Postgres, 1, 1, 1, 0, false}, {storagetest.Postgres, 2, 1, 1, 0, false}, {storagetest.Postgres, 4, 1, 1, 0, false},
		{"", 1, 10, 1, 0, false}, {"", 1, 100, 1, 0, false},
		{storagetest.Postgres, 2, 10, 1, 0, false}, {storagetest.Postgres, 2, 100, 1, 0, false},
		{storagetest.Postgres, 2, 1, 1, 1_000, false}, {storagetest.Postgres, 2, 1, 1, 10_000, false},
		{storagetest.Postgres, 2, 1, 100, 0, false}, {storagetest.Postgres, 2, 1, 1_000, 0, false},
		{storagetest.Postgres, 2, 1, 1, 0, true},
	} {
		b.Run(s.String(), func(b *testing.B) { rows = append(rows, s.row(measureScaling(b, s))) })
	}
	if *scalingReport != "" {
		writeTable(b, *scalingReport, rows)
	}
}

// words are those of the page.
func (s shape) words() string {
	words := "SQLite"
	if s.store == storagetest.Postgres {
		words = fmt.Sprintf("PostgreSQL, nodes: %d", s.nodes)
	}
	if s.fanOut > 1 {
		words += fmt.Sprintf("; %d webhooks hear each event", s.fanOut)
	}
	if s.webhooks > 0 {
		words += fmt.Sprintf("; %d webhooks that hear none", s.webhooks)
	}
	if s.tenants > 1 {
		words += fmt.Sprintf("; %d tenants", s.tenants)
	}
	if s.dump {
		words += "; while it is dumped"
	}
	return words
}

// row is what a shape came to, as a row of the page's table.
func (s shape) row(figures map[string]float64) string {
	cells := []string{s.words()}
	for _, name := range []string{
		"events/s", "deliveries/s", "share-of-plain", "arrival-p50-ms", "arrival-p99-ms", "node-cpu-µs/event", "pg-cpu-µs/event", "pg-share", "statements/event",
		"commits/event", "wal-B/event", "disk-B/event",
	} {
		cell := ""
		if value, ok := figures[name]; ok {
			cell = fmt.Sprintf("%.*f", max(0, 3-len(strconv.Itoa(int(value)))), value)
		}
		cells = append(cells, cell)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// writeTable puts rows between the marks of a page, below the table's head, which is the page's own.
func writeTable(b *testing.B, page string, rows []string) {
	b.Helper()
	text, err := os.ReadFile(page)
	require.NoError(b, err)
	whole := regexp.MustCompile(`(?s)(<!-- scaling -->\n\n(?:\|[^\n]*\n){2}).*?(\n<!-- /scaling -->)`)
	require.True(b, whole.Match(text), "the page has no place for the table")
	text = whole.ReplaceAll(text, []byte("${1}"+strings.Join(rows, "")+"${2}"))
	require.NoError(b, os.WriteFile(page, text, 0o600))
}

// measureScaling gives the medians of the rounds.
func measureScaling(b *testing.B, s shape) map[string]float64 {
	b.Helper()
	plain := []entrance{{startPlainReceiver(b), ""}}
	receiver := newArrivals(b)
	var database *databaseUnderLoad
	first := &process{key: processKey, store: filepath.Join(b.TempDir(), "portalhook.db"), listen: "127.0.0.1:0"}
	b.Cleanup(first.kill)
	if s.store == storagetest.Postgres {
		database = startDatabaseUnderLoad(b)
		first.database = database.url
	}
	first.start(b)
	nodes := []*process{first}
	for len(nodes) < s.nodes {
		nodes = append(nodes, first.second(b))
	}
	to := populate(b, s, nodes, receiver.URL)
	// Each node has its own senders, as each has where there is a machine for each.
	events, conns := *scalingDeliveries/s.fanOut, *throughputConns*s.nodes
	post(b, to, max(events/10, len(to)), conns, http.StatusAccepted)
	awaitNoneOpen(b, first)
	database.forget(b)
	if s.dump {
		database.hold(b)
	}

	figures := make(map[string][]float64)
	var rounds []string
	for range *scalingRounds {
		start := time.Now()
		post(b, plain, *scalingDeliveries, conns, http.StatusOK)
		raw := float64(*scalingDeliveries) / time.Since(start).Seconds()

		arrived, spent := receiver.count.Load(), cpuOf(b, nodes)
		work := database.now(b)
		start = time.Now()
		post(b, to, events, conns, http.StatusAccepted)
		awaitNoneOpen(b, first)
		took := time.Since(start).Seconds()
		require.EqualValues(b, events*s.fanOut, receiver.count.Load()-arrived, "every delivery arrives once")
		did := database.now(b).minus(work)
		spent = cpuOf(b, nodes) - spent
		n, note := float64(events), func(name string, value float64) { figures[name] = append(figures[name], value) }
		note("events/s", n/took)
		note("deliveries/s", n*float64(s.fanOut)/took)
		// An event that m webhooks hear is 1 + m exchanges.
		note("share-of-plain", n*float64(1+s.fanOut)/took/raw)
		note("node-cpu-µs/event", spent/n*1e6)
		if database == nil {
			continue
		}
		note("pg-cpu-µs/event", did.cpu/n*1e6)
		note("pg-share", did.cpu/(did.cpu+spent))
		note("statements/event", did.statements/n)
		note("commits/event", did.commits/n)
		note("wal-B/event", did.wal/n)
		note("disk-B/event", did.size/n)
		rounds = append(rounds, fmt.Sprintf("%.0f events/s: PostgreSQL %.0f µs and %.2f statements each", n/took, did.cpu/n*1e6, did.statements/n))
	}
	b.Log(strings.Join(append(rounds, database.list(b, *scalingStatements)...), "\n"))
	if s.fanOut == 1 {
		p50, p99 := steady(b, first, to, receiver)
		figures["arrival-p50-ms"], figures["arrival-p99-ms"] = []float64{p50}, []float64{p99}
	}
	b.ReportMetric(0, "ns/op")
	medians := make(map[string]float64)
	for name, values := range figures {
		medians[name] = median(values)
		b.ReportMetric(medians[name], name)
	}
	return medians
}

// populate makes what the shape says and gives the entrances: every node in turn, and every tenant.
func populate(b *testing.B, s shape, nodes []*process, receiver string) []entrance {
	b.Helper()
	webhook := func(name, trigger string) map[string]any {
		return map[string]any{
			"name": name, "url": receiver, "eventTypes": []string{trigger}, "enabled": true, "secret": "0123456789abcdef0123456789abcdef",
		}
	}
	first := nodes[0]
	for i := range s.webhooks {
		first.createWebhook(b, webhook(fmt.Sprint("other ", i), fmt.Sprintf("/groups/%032x/update", i)))
	}
	var to []entrance
	for tenant := range s.tenants {
		as := &process{url: first.url, key: first.key}
		if tenant > 0 {
			name := fmt.Sprintf("tenant-%d", tenant)
			first.call(b, http.MethodPost, "/api/v1/tenants", map[string]any{"name": name}, nil, http.StatusCreated)
			var key struct {
				Key string `json:"key"`
			}
			first.call(b, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": name, "role": "admin", "tenant": name}, &key, http.StatusCreated)
			as.key = key.Key
		}
		for i := range s.fanOut {
			as.createWebhook(b, webhook(fmt.Sprint("hears ", i), "/items"))
		}
		to = append(to, entrance{nodes[tenant%len(nodes)].entrance().url, as.key})
	}
	for s.tenants == 1 && len(to) < len(nodes) {
		to = append(to, nodes[len(to)].entrance())
	}
	for _, e := range to[max(0, len(to)-len(nodes)):] { // the newest is known everywhere
		require.Eventually(b, func() bool {
			return postOne(http.DefaultClient, e, throughputEvent(0), http.StatusAccepted) == nil
		}, time.Minute, 10*time.Millisecond)
	}
	awaitNoneOpen(b, first)
	return to
}

func cpuOf(b *testing.B, nodes []*process) (seconds float64) {
	b.Helper()
	for _, node := range nodes {
		seconds += node.cpu(b)
	}
	return seconds
}

// databaseUnderLoad is a PostgreSQL that counts what it is asked. A nil one is SQLite, which counts nothing.
type databaseUnderLoad struct {
	url  string
	pid  int
	conn *pgx.Conn
}

func startDatabaseUnderLoad(b *testing.B) *databaseUnderLoad {
	b.Helper()
	server, err := postgrestest.Start(b.Context(), postgrestest.Options{Settings: []string{
		"fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB", "shared_preload_libraries=pg_stat_statements",
	}})
	if errors.Is(err, postgrestest.ErrMissing) {
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
	return &databaseUnderLoad{url, server.PID(), conn}
}

// databaseWork is what a PostgreSQL has done since it was started.
type databaseWork struct{ cpu, statements, commits, wal, size float64 }

func (d *databaseUnderLoad) now(b *testing.B) (w databaseWork) {
	b.Helper()
	if d == nil {
		return w
	}
	// Its own counters of a transaction are told after it, a second late at most where a connection has gone idle.
	err := d.conn.QueryRow(b.Context(), `SELECT (SELECT sum(calls) FROM pg_stat_statements WHERE toplevel)::float8,
    (SELECT sum(xact_commit) FROM pg_stat_database)::float8, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8, pg_database_size(current_database())::float8`).Scan(&w.statements, &w.commits, &w.wal, &w.size)
	require.NoError(b, err)
	w.cpu = cpuOfFamily(b, d.pid)
	return w
}

// hold begins a transaction that sees the database as it is now, and stays until the end of the run.
func (d *databaseUnderLoad) hold(b *testing.B) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), d.url)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
	_, err = conn.Exec(b.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM event LIMIT 1")
	require.NoError(b, err)
}

// forget begins the statements' counters anew.
func (d *databaseUnderLoad) forget(b *testing.B) {
	b.Helper()
	if d != nil {
		_, err := d.conn.Exec(b.Context(), "SELECT pg_stat_statements_reset()")
		require.NoError(b, err)
	}
}

// list gives the statements that took most of the time since they were forgotten.
func (d *databaseUnderLoad) list(b *testing.B, n int) (lines []string) {
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

func (w databaseWork) minus(v databaseWork) databaseWork {
	return databaseWork{w.cpu - v.cpu, w.statements - v.statements, w.commits - v.commits, w.wal - v.wal, w.size - v.size}
}

// cpuOfFamily is the processor time, in seconds, of a process and of its children, those that have ended included.
func cpuOfFamily(b *testing.B, parent int) (seconds float64) {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(b, err)
	for _, path := range stats {
		text, err := os.ReadFile(path)
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
