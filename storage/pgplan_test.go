package storage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/storage"
	"portalhook/storage/storagetest"
)

// pgPlans collects the statements that suites have a store run, and then asks PostgreSQL how it goes about each.
type pgPlans struct {
	mu         sync.Mutex
	statements map[string]bool
}

func (p *pgPlans) read(statement string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.statements == nil {
		p.statements = make(map[string]bool)
	}
	p.statements[statement] = true
}

// unplanned are statements that are not about rows.
var unplanned = regexp.MustCompile(`^(?i)\s*(begin|commit|rollback|set|lock|create|alter|drop|listen|unlisten|deallocate|prepare|explain|execute)\b`)

// small are tables that stay small whatever happens: those of people, of nodes, of days, and what outlives its day.
var small = []string{
	"meta", "drawn", "node", "receiver", "day", "tenant", "api_key", "off_span", "recovery", "health", "opened", "webhook_gone",
	"event_kept", "delivery_kept", "attempt_kept", "put_aside", "attempts_aside", "pg_class",
}

// pgExcused are statements, by what they begin with, that go through a whole table, each with its reason.
var pgExcused = map[string]string{
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets FROM webhook ORDER BY key": "all webhooks are asked for, at the start",
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets FROM webhook WHERE secrets IS NOT NULL": "all secrets are opened, at the start",
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets, body FROM webhook JOIN": "after an upgrade all webhooks are looked at",
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets FROM webhook WHERE tenant = $1 AND ($2": "a list of webhooks looks at those of its tenant, whose number is limited",
	"SELECT coalesce((SELECT sum(n) FROM opened":                                            "what is being sent is counted: as much as nodes have in hand",
	"SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'keys'), (SELECT count(*) FROM webhook": "all webhooks are counted that have secrets, before a key file is made",
	"DELETE FROM rate WHERE filled_ms":                                                      "buckets that are full are forgotten, once a minute: those of webhooks that were tried within two",
	"UPDATE work SET due_ms = due_ms - greatest":                                            "waits are put right at the start",
	"UPDATE member SET until_ms = greatest":                                                 "all intervals' ends move when the clock was set",
	"UPDATE work SET due_ms = greatest":                                                     "all due dates move when the clock was set",
	"INSERT INTO put_aside":                                                                 "retention: what is needed of a day is looked for in open work",
	"DELETE FROM attempt_kept":                                                              "retention looks at open work",
	"DELETE FROM delivery_event":                                                            "retention, as above",
	"DELETE FROM redelivery":                                                                "retention, as above",
	"DELETE FROM revision WHERE ended_ms":                                                   "retention, as above",
	"DELETE FROM event_kept":                                                                "retention, as above",
	"SELECT work.id, work.members, event.uri":                                               "a webhook becomes ordered: what is being sent is looked at, as much as nodes have in hand",
}

// sample is a value for a parameter of a kind.
func sample(kind string, now time.Time) string {
	number := fmt.Sprint(now.UnixMilli() << 21)
	switch {
	case strings.HasSuffix(kind, "[]"):
		return "{}"
	case kind == "bytea":
		return `\x00`
	case kind == "boolean":
		return "true"
	case kind == "integer", kind == "double precision":
		return "1"
	case kind == "bigint":
		return number
	}
	return "x"
}

// planNode is a step of a plan.
type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Index    string     `json:"Index Name"`
	Cond     string     `json:"Index Cond"`
	Plans    []planNode `json:"Plans"`
}

// notNull is all that some conditions say: it is that of the index itself.
var notNull = regexp.MustCompile(`^\(\w+ IS NOT NULL\)$`)

// scans collects the steps that read a large table from end to end, or sort what they have found of it so that a limit comes too late. What stands
// under a limit, in an index's order, reads no more than that.
func (n *planNode) scans(limited, sorted bool, found *[]string) {
	switch n.Type {
	case "Limit":
		limited, sorted = true, false
	case "Sort", "Incremental Sort":
		limited, sorted = false, limited
	case "Aggregate", "Hash", "WindowAgg", "Materialize", "Nested Loop":
		limited = false
	}
	whole := n.Type == "Seq Scan" || n.Type == "Bitmap Heap Scan" || strings.Contains(n.Type, "Index") && (n.Cond == "" || notNull.MatchString(n.Cond)) && !limited
	if table := dayNames.ReplaceAllString(n.Relation, ""); table != "" && !slices.Contains(small, table) && (whole || sorted) {
		*found = append(*found, fmt.Sprintf("%s of %s by %q, sorted after that: %t", n.Type, n.Relation, n.Index, sorted))
	}
	for i := range n.Plans {
		n.Plans[i].scans(limited, sorted, found)
	}
}

// requireNoScan refuses every statement that would read a large table from end to end.
func (p *pgPlans) requireNoScan(t *testing.T) {
	t.Helper()
	store := nodes(t, 1)[0]
	w := sharedHook(t, store)
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{shared(t, store, w, 1, "", waitingFor(w))})
	require.NoError(t, err)
	today := store.Now().UTC().Format("20060102")
	unused := maps.Clone(pgExcused)
	planned := 0
	for _, statement := range slices.Sorted(maps.Keys(p.statements)) {
		if unplanned.MatchString(statement) || strings.Contains(statement, ";\n") {
			continue
		}
		// Statements of retention name the tables of a day.
		text := dayNames.ReplaceAllString(statement, "_"+today)
		var plan []struct{ Plan planNode }
		require.NoError(t, json.Unmarshal([]byte(store.Explain(t, text, func(kind string) string { return sample(kind, store.Now()) })), &plan), statement)
		planned++
		var found []string
		plan[0].Plan.scans(false, false, &found)
		if len(found) == 0 {
			continue
		}
		begin := beginning(pgExcused, strings.TrimSpace(spaces.ReplaceAllString(statement, " ")))
		if begin == "" {
			t.Errorf("%s\n%s", statement, strings.Join(found, "\n"))
		}
		delete(unused, begin)
	}
	require.Greater(t, planned, 100, "the suites run many statements")
	require.Empty(t, unused, "these were not seen, or need no excuse")
}

// sealingPostgres is a store that writes a segment of its search index every few calls, and folds its counters.
type sealingPostgres struct {
	*storage.Postgres
	t     *testing.T
	calls int
}

func (s *sealingPostgres) Enqueue(ctx context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	receipts, err := s.Postgres.Enqueue(ctx, batch)
	if s.calls++; s.calls%7 == 0 {
		s.Seal(s.t)
		s.Fold(s.t)
	}
	return receipts, err
}

// TestStoreOnPostgresInSegments also asks PostgreSQL how it goes about every statement that both suites had it run.
func TestStoreOnPostgresInSegments(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the suite is run as it is; what is done to it here comes between its calls, one after the other")
	}
	var plans pgPlans
	observed := func(t *testing.T, now func() time.Time) deliverytest.Harness {
		t.Helper()
		return postgresHarness(t, storage.Observed(postgresConfig(t, now), plans.read))
	}
	storagetest.TestStore(t, func(t *testing.T, now func() time.Time) storagetest.Harness {
		t.Helper()
		h := observed(t, now)
		sealing := func(store deliverytest.Store) storagetest.Store {
			return &sealingPostgres{Postgres: store.(*storage.Postgres), t: t}
		}
		return storagetest.Harness{Store: sealing(h.Store), Reopen: func() storagetest.Store { return sealing(h.Reopen()) }}
	})
	deliverytest.TestQueue(t, observed)
	// What only nodes of one database have.
	store := openPostgres(t, storage.Observed(postgresConfig(t, nil), plans.read))
	storagetest.TestReceivers(t, store)
	limited(t, store, sharedHook(t, store), 60, 3)
	require.Equal(t, 1, claimAt(t, store, store.Now().Add(time.Second), 10))
	require.NoError(t, store.Tell(t.Context(), []string{"nothing"}))
	store.Tidy(t)
	require.NoError(t, store.Close())
	plans.requireNoScan(t)
}
