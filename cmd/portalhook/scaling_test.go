package main_test

import (
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
		{storagetest.Postgres, 1, 1, 1, 0, false},
		{storagetest.Postgres, 2, 1, 1, 0, false},
		{storagetest.Postgres, 4, 1, 1, 0, false},
		{"", 1, 10, 1, 0, false},
		{"", 1, 100, 1, 0, false},
		{storagetest.Postgres, 2, 10, 1, 0, false},
		{storagetest.Postgres, 2, 100, 1, 0, false},
		{storagetest.Postgres, 2, 1, 1, 1_000, false},
		{storagetest.Postgres, 2, 1, 1, 10_000, false},
		{storagetest.Postgres, 2, 1, 100, 0, false},
		{storagetest.Postgres, 2, 1, 1_000, 0, false},
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
	var database *postgrestest.Measured
	first := &process{key: processKey, store: filepath.Join(b.TempDir(), "portalhook.db"), listen: "127.0.0.1:0"}
	b.Cleanup(first.kill)
	if s.store == storagetest.Postgres {
		database = postgrestest.Measure(b)
		first.database = database.URL
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
	database.Forget(b)
	if s.dump {
		database.Hold(b)
	}

	figures := make(map[string][]float64)
	var rounds []string
	for range *scalingRounds {
		start := time.Now()
		post(b, plain, *scalingDeliveries, conns, http.StatusOK)
		raw := float64(*scalingDeliveries) / time.Since(start).Seconds()

		arrived, spent := receiver.count.Load(), cpuOf(b, nodes)
		work := database.Work(b)
		start = time.Now()
		post(b, to, events, conns, http.StatusAccepted)
		awaitNoneOpen(b, first)
		took := time.Since(start).Seconds()
		require.EqualValues(b, events*s.fanOut, receiver.count.Load()-arrived, "every delivery arrives once")
		did := database.Work(b).Since(work)
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
		note("pg-cpu-µs/event", did.CPU/n*1e6)
		note("pg-share", did.CPU/(did.CPU+spent))
		note("statements/event", did.Statements/n)
		note("commits/event", did.Commits/n)
		note("wal-B/event", did.WAL/n)
		note("disk-B/event", did.Size/n)
		rounds = append(rounds, fmt.Sprintf("%.0f events/s: PostgreSQL %.0f µs and %.2f statements each", n/took, did.CPU/n*1e6, did.Statements/n))
	}
	b.Log(strings.Join(append(rounds, database.Slowest(b, *scalingStatements)...), "\n"))
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
	client := new(http.Client)
	defer client.CloseIdleConnections()
	for _, e := range to[max(0, len(to)-len(nodes)):] { // the newest is known everywhere
		require.Eventually(b, func() bool {
			return postOne(client, e, throughputEvent(0), http.StatusAccepted) == nil
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
