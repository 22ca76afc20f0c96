package storage_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
)

// plans collects statements, and then asks SQLite how it would go about each.
type plans struct {
	mu         sync.Mutex
	statements map[string]bool
}

var (
	dayNames = regexp.MustCompile(`_\d{8}\b`)
	// An event older than a day is told by a number that differs from day to day.
	olderThan = regexp.MustCompile(`event < \d+`)
	spaces    = regexp.MustCompile(`\s+`)
)

func (p *plans) read(statement string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.statements == nil {
		p.statements = make(map[string]bool)
	}
	statement = olderThan.ReplaceAllString(dayNames.ReplaceAllString(statement, "_$$day"), "event < $$older")
	p.statements[spaces.ReplaceAllString(statement, " ")] = true
}

// written adds what the writer of a store has run.
func (p *plans) written(t *testing.T, store *storage.Store) {
	t.Helper()
	for _, statement := range store.Prepared(t) {
		p.read(statement)
	}
}

// excused are statements, by what they begin with, that go through a whole table or sort what they have found, each with its reason.
var excused = map[string]string{
	"SELECT key, name, portal_id, portal_url, server_url, created_ms, settings FROM tenant ORDER BY key": "all tenants are asked for",
	"SELECT webhook, failing_ms, gave_up, exhausted, warned, told, probe FROM health":                    "what is known of failures is read at the start",
	"SELECT id, tenant, webhook, operation, name, at_ms, properties FROM notice":                         "what is to be told is read from its beginning, some at a time",
	"SELECT id, tenant, webhook, state, body FROM recovery WHERE state IN":                               "recoveries are begun by people and forgotten with history: there are few",
	"DELETE FROM off_span WHERE to_ms < ?":                                                               "retention: webhooks are switched off by people, so there are few",
	"UPDATE member SET until_ms = max(1, until_ms + ?)":                                                  "all intervals' ends move when the clock was set",
	"SELECT id, hash, tenant, name, role, operator, user_id":                                             "all keys are asked for",
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets FROM webhook ORDER BY key": "all webhooks are asked for, at the start",
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets FROM webhook WHERE tenant = ?1 AND (?2": "a list of webhooks looks at those of its tenant, whose number is limited",
	"WITH RECURSIVE asked (n)": "the hours are counted, and each is looked up",
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets FROM webhook WHERE tenant = ? ORDER BY key": "another portal URL revises all webhooks of its tenant",
	"SELECT key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by, created_ms, updated_ms, triggers, " +
		"settings, secrets, body FROM webhook JOIN": "after an upgrade all webhooks are looked at",
	"SELECT key FROM webhook":                                     "all webhooks are known from the start",
	"SELECT tenant, count(*) FROM work":                           "open work is counted at the start",
	"SELECT webhook, min(due_ms) FROM work WHERE due_ms":          "turns are lined up at the start",
	"UPDATE work SET due_ms = ? WHERE due_ms IS NULL":             "leases are freed at the start",
	"UPDATE work SET due_ms = due_ms - max(started_ms, built_ms)": "waits are put right at the start",
	"UPDATE work SET due_ms = max(1, due_ms + ?)":                 "all due dates move when the clock was set",
	"SELECT id, matches FROM event_$day ORDER BY id DESC LIMIT 1": "one row, at the start",
	"SELECT name FROM sqlite_master":                              "the names of tables, as many as there are days",
	"DELETE FROM attempt_kept":                                    "retention: what was kept beyond its day is little",
	"DELETE FROM delivery_kept":                                   "retention, as above",
	"SELECT event FROM delivery_kept":                             "retention, as above",
	"DELETE FROM revision WHERE ended_ms < ?":                     "retention looks at all open work for the revisions that it needs",
}

// served are statements, by what they begin with, and the terms by which their index must be entered.
var served = map[string]string{
	"SELECT id FROM delivery_$day WHERE webhook = ?1 AND state": "delivery_$day_webhook (webhook=? AND state=? AND <expr>=? AND rowid>? AND rowid<?)",
	"SELECT id FROM work WHERE webhook = ?1 AND tries > 0":      "work_tried (webhook=? AND rowid>? AND rowid<?)",
	"SELECT id FROM work WHERE id >= ?2":                        "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
	"SELECT event FROM delivery_$day WHERE event >= ?1":         "delivery_$day_missed (tenant=? AND state=? AND event>? AND event<?)",
	"SELECT first, body FROM search_$day":                       "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
	"SELECT id, tenant, key_id":                                 "(tenant=?",
}

func beginning(table map[string]string, statement string) string {
	for begin := range table {
		if strings.HasPrefix(statement, begin) {
			return begin
		}
	}
	return ""
}

// requireNoScan refuses every statement that would read a table from end to end, or sort what it has found.
func (p *plans) requireNoScan(t *testing.T) {
	t.Helper()
	store, w := seeded(t, storage.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	defer func() { require.NoError(t, store.Close()) }()
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 1, "", 1)})
	require.NoError(t, err)
	day := "2" + store.Tables(t, "event_2")[0]
	older := storage.Older(t, day)
	tables := regexp.MustCompile(`^SCAN (` + strings.Join(store.Tables(t, ""), "|") + `)\b`)
	unused := maps.Clone(excused)
	maps.Copy(unused, served)
	for _, statement := range slices.Sorted(maps.Keys(p.statements)) {
		text := strings.NewReplacer("$day", day, "$older", older).Replace(statement)
		plan := strings.ReplaceAll(strings.Join(store.Plan(t, text), "\n"), day, "$day")
		if begin := beginning(served, statement); begin != "" {
			require.Contains(t, plan, served[begin], statement)
			delete(unused, begin)
		}
		for step := range strings.Lines(plan) {
			if !tables.MatchString(strings.ReplaceAll(step, "$day", day)) && !strings.HasPrefix(step, "USE TEMP B-TREE") {
				continue
			}
			begin := beginning(excused, statement)
			if begin == "" {
				t.Errorf("%s\n%s", statement, step)
			}
			delete(unused, begin)
		}
	}
	require.Empty(t, unused, "these were not seen, or need no excuse")
}
