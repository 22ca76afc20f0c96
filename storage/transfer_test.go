package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/postgrestest"
	"portalhook/triggers"
)

// filled is a file whose every table has rows with whatever may stand in its columns, made without any knowledge of what is transferred:
// a column that is forgotten shows. The rows make no sense together.
func filled(t *testing.T, rows int) storage.Config {
	t.Helper()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "filled.db"), Now: func() time.Time { return testStart }}
	config.KeyFile = config.Path + ".key"
	store, w := seeded(t, config)
	a := acceptance(t, w, 1, "first", 0)
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{a})
	require.NoError(t, err)
	require.NoError(t, store.Close())

	db := openFile(t, config.Path)
	defer db.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for _, table := range tablesOf(t, db) {
		if table == "job_kept" || table == "search_kept" {
			continue
		}
		columns := columnsOf(t, db, table)
		tx, err := db.Begin()
		require.NoError(t, err)
		statement, err := tx.Prepare("INSERT OR IGNORE INTO " + table + " VALUES (?" + strings.Repeat(",?", len(columns)-1) + ")")
		require.NoError(t, err)
		many := rows
		if table != "audit" && table != "work" && !strings.HasPrefix(table, "event_2") {
			many = rows / 20
		}
		for n := range many {
			_, err := statement.Exec(randomRow(random, table, columns, n)...)
			require.NoError(t, err, table)
		}
		require.NoError(t, statement.Close()) //nolint:sqlclosecheck // not put off: the commit waits for it
		require.NoError(t, tx.Commit())
	}
	// Numbers were given to rows that are gone.
	_, err = db.Exec(`UPDATE sqlite_sequence SET seq = seq + 1000 WHERE name IN ('tenant', 'webhook', 'revision');
UPDATE event_kept SET digest = NULL`)
	require.NoError(t, err)
	// An event with a digest has a name, and is no job's.
	for _, table := range tablesOf(t, db) {
		if day, ok := strings.CutPrefix(table, "event_2"); ok {
			_, err := db.Exec(strings.ReplaceAll(`UPDATE event_$ SET digest = NULL WHERE event_id IS NULL OR id IN (SELECT id FROM job_$)`, "$", "2"+day))
			require.NoError(t, err)
		}
	}
	return config
}

// testStart is when what is leased is freed.
var testStart = time.Now()

// sameRows compares dumps row by row.
func sameRows(t *testing.T, want, got map[string][][]any) {
	t.Helper()
	require.Len(t, got, len(want))
	for name, rows := range want {
		require.Len(t, got[name], len(rows), name)
		for i := range rows {
			require.Equal(t, rows[i], got[name][i], name)
		}
	}
}

// seed is a file with next to nothing.
func seed(t *testing.T) storage.Config {
	t.Helper()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "seed.db")}
	config.KeyFile = config.Path + ".key"
	store, _ := seeded(t, config)
	require.NoError(t, store.Close())
	return config
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=10000")
	require.NoError(t, err)
	return db
}

// tablesOf are those that hold what a store holds.
func tablesOf(t *testing.T, db *sql.DB) (names []string) {
	t.Helper()
	for _, row := range read(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`) {
		name := fmt.Sprint(row[0])
		if name != "goose_db_version" && name != "meta" && !strings.HasPrefix(name, "sqlite_") {
			names = append(names, name)
		}
	}
	// Those that others refer to come first.
	slices.SortStableFunc(names, func(a, b string) int {
		first := func(name string) int {
			return map[bool]int{true: 0, false: 1}[name == "tenant" || strings.HasPrefix(name, "event_")]
		}
		return first(a) - first(b)
	})
	return names
}

type columnOf struct {
	name, kind string
	notNull    bool
}

func columnsOf(t *testing.T, db *sql.DB, table string) (columns []columnOf) {
	t.Helper()
	for _, row := range read(t, db, `SELECT name, type, "notnull" FROM pragma_table_info('`+table+`')`) {
		columns = append(columns, columnOf{fmt.Sprint(row[0]), fmt.Sprint(row[1]), row[2] != int64(0)})
	}
	return columns
}

func read(t *testing.T, db *sql.DB, statement string) (all [][]any) {
	t.Helper()
	rows, err := db.Query(statement)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		require.NoError(t, rows.Scan(into...))
		all = append(all, row)
	}
	require.NoError(t, rows.Err())
	return all
}

// dump is all rows of a file, table by table, as they lie there.
func dump(t *testing.T, path string) map[string][][]any {
	t.Helper()
	db := openFile(t, path)
	defer db.Close()
	tables := make(map[string][][]any)
	for _, name := range tablesOf(t, db) {
		columns := columnsOf(t, db, name)
		names := make([]string, len(columns))
		for i := range columns {
			names[i] = columns[i].name
			if names[i] == "due_ms" {
				names[i] = fmt.Sprintf("coalesce(due_ms, %d)", testStart.UnixMilli())
			}
		}
		tables[name] = read(t, db, "SELECT "+strings.Join(names, ", ")+" FROM "+name+" ORDER BY 1, 2"+map[bool]string{true: ", 3"}[len(names) > 2])
	}
	tables["sqlite_sequence"] = read(t, db, `SELECT name, seq FROM sqlite_sequence WHERE name <> 'goose_db_version' ORDER BY name`)
	return tables
}

func randomRow(random *rand.Rand, table string, columns []columnOf, n int) []any {
	row := make([]any, len(columns))
	_, suffix, _ := strings.Cut(table, "_")
	day, err := time.Parse("20060102", suffix)
	ofDay := err == nil
	for i, c := range columns {
		switch {
		case !c.notNull && i > 0 && random.IntN(4) == 0:
		case c.name == "secrets": // they are sealed
		case c.name == "tenant":
			row[i] = int64(1)
		case c.name == "settings":
			row[i] = fmt.Sprintf(`{"description": "日本 %d", "ordered": %t}`, n, n%2 == 0)
		case c.name == "triggers":
			row[i] = `["/items"]`
		case c.name == "operator", c.name == "revoked", c.name == "enabled":
			row[i] = int64(random.IntN(2))
		case c.name == "latency":
			row[i] = slices.Concat(make([]byte, 4), []byte{2, 4}, make([]byte, storage.LatencyClasses-6))
		case i == 0 && c.kind == "INTEGER" && ofDay:
			row[i] = int64(storage.FirstID(day.UnixMilli())) + 1000 + int64(n)*7
		case c.name == "first" && c.kind == "INTEGER":
			row[i] = int64(storage.FirstID(day.UnixMilli())) + int64(n)
		case c.kind == "INTEGER" && i < 3:
			row[i] = int64(2 + n)
		case c.kind == "INTEGER":
			row[i] = []int64{0, 1, -1, 1<<62 + 1, -1 << 62, random.Int64N(1 << 40)}[random.IntN(6)]
		case c.kind == "BLOB" && c.name == "id":
			row[i] = fmt.Appendf(nil, "%016d", n)
		case c.kind == "BLOB":
			row[i] = [][]byte{{}, {0}, []byte(randomText(random, n)), {0xff, 0xfe}}[random.IntN(4)]
			if c.name == "hash" {
				row[i] = fmt.Append(nil, n)
			}
		default:
			row[i] = randomText(random, n)
		}
	}
	if strings.HasPrefix(table, "job_") {
		row[0] = int64(storage.FirstID(day.UnixMilli())) + 1000 + int64(n)*7
		if n%3 > 0 { // most events are of no job
			row[1] = nil
		}
	}
	return row
}

func randomText(random *rand.Rand, n int) string {
	return []string{"", "a", "Ä", "日本", "z'\\$1\t", "🙂", "B"}[random.IntN(7)] + fmt.Sprint(n)
}

func target(t *testing.T) storage.Config {
	t.Helper()
	return storage.Config{URL: postgrestest.Database(t, "migrated", migrated)}
}

func TestTransferKeepsEveryRow(t *testing.T) {
	t.Parallel()
	source := filled(t, 2100)
	want := dump(t, source.Path)
	for name, rows := range want {
		// No name and no segment outlives its day.
		require.Equal(t, name == "job_kept" || name == "search_kept", len(rows) == 0, name)
	}
	there := target(t)
	counted, err := storage.Transfer{From: source, To: there, CountOnly: true}.Run(t.Context())
	require.NoError(t, err)
	report, err := storage.Transfer{From: source, To: there}.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, report.Resumed)
	require.Equal(t, counted.Rows(), report.Rows())
	sameRows(t, want, dump(t, source.Path)) // it is left as it was

	back := storage.Config{Path: filepath.Join(t.TempDir(), "back.db")}
	there.KeyFile = source.KeyFile
	again, err := storage.Transfer{From: there, To: back}.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, report, again, "the same rows, and the same hashes")
	sameRows(t, want, dump(t, back.Path))
}

// A transfer that is cut off wherever it is goes on where it was.
func TestTransferResumes(t *testing.T) {
	t.Parallel()
	source := filled(t, 2100)
	want := dump(t, source.Path)
	ways := map[string]func(t *testing.T) (from, to storage.Config){
		"to PostgreSQL": func(t *testing.T) (from, to storage.Config) { t.Helper(); return source, target(t) },
		"to SQLite": func(t *testing.T) (from, to storage.Config) {
			t.Helper()
			from = target(t)
			_, err := storage.Transfer{From: source, To: from}.Run(t.Context())
			require.NoError(t, err)
			from.KeyFile = source.KeyFile
			return from, storage.Config{Path: filepath.Join(t.TempDir(), "to.db")}
		},
	}
	for _, name := range []string{"to PostgreSQL", "to SQLite"} {
		t.Run(name, func(t *testing.T) {
			from, to := ways[name](t)
			var report *storage.TransferReport
			cuts, resumed, checked := 0, int64(0), false
			for allowed := 1; report == nil; allowed *= 2 {
				ctx, cancel := context.WithCancel(t.Context())
				steps := 0
				var err error
				report, err = storage.Transfer{From: from, To: to, Progress: func(step storage.TransferStep, done, total int64) {
					require.LessOrEqual(t, done, total)
					if step == storage.TransferCounting {
						return
					}
					checking := step == storage.TransferChecking && !checked
					checked = checked || checking
					if steps++; steps == allowed || checking {
						cancel()
					}
				}}.Run(ctx)
				cancel()
				if report == nil {
					require.ErrorIs(t, err, context.Canceled)
					cuts++
				} else {
					resumed = report.Resumed
				}
			}
			require.Greater(t, cuts, 3)
			require.Equal(t, report.Rows(), resumed, "it was cut off while it checked, too")
			if to.Path != "" {
				sameRows(t, want, dump(t, to.Path))
			}
		})
	}
}

// What is changed in the target behind the transfer's back is named, and no server takes the target for the store.
func TestTransferFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	source := filled(t, 400)
	there := target(t)
	transfer := storage.Transfer{From: source, To: there, Progress: atCheck(func() {
		postgrestest.Exec(t, there.URL, `UPDATE audit SET trace_id = 'changed', action = 'changed' WHERE id = 7;
DELETE FROM delivery_event WHERE delivery = 9;
INSERT INTO off_span VALUES (77, 5, NULL);
UPDATE identity SET digest = 'changed' WHERE event = (SELECT min(event) FROM identity WHERE job = 0);
SELECT setval('webhook_key_seq', 5)`)
	})}
	for range 2 { // the second time nothing is left to be copied
		_, err := transfer.Run(t.Context())
		var failed *storage.TransferError
		require.ErrorAs(t, err, &failed)
		require.EqualValues(t, 5, failed.Count)
		var texts []string
		for _, d := range failed.Differences {
			texts = append(texts, d.String())
		}
		require.Contains(t, texts, "audit id 7: it is another in the target (action, trace_id)")
		require.Contains(t, texts, "delivery_event delivery 9, event 9: it is missing in the target")
		require.Contains(t, texts, "off_span webhook 77, from_ms 5: it is in the target only")
		require.Contains(t, texts, "number name webhook: it is another in the target (last)")
		require.Contains(t, err.Error(), "digest")
		transfer.Progress = nil
		there.KeyFile = source.KeyFile
		_, err = storage.OpenPostgres(t.Context(), there)
		require.ErrorIs(t, err, storage.ErrUnfinished)
		require.ErrorContains(t, err, "sqlite:"+source.Path)
		there.KeyFile = ""
	}
}

// atCheck calls do when the check begins to read.
func atCheck(do func()) func(storage.TransferStep, int64, int64) {
	copied := false
	return func(step storage.TransferStep, done, total int64) {
		if step == storage.TransferCopying && done == total && !copied {
			copied = true
			do()
		}
	}
}

func TestTransferToSQLiteFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	source := filled(t, 100)
	there := target(t)
	_, err := storage.Transfer{From: source, To: there}.Run(t.Context())
	require.NoError(t, err)
	there.KeyFile = source.KeyFile
	back := storage.Config{Path: filepath.Join(t.TempDir(), "back.db"), KeyFile: source.KeyFile}
	_, err = storage.Transfer{From: there, To: back, Progress: atCheck(func() {
		db := openFile(t, back.Path)
		defer db.Close()
		_, err := db.Exec(`UPDATE webhook SET url = 'https://changed' WHERE key = 3`)
		require.NoError(t, err)
	})}.Run(t.Context())
	require.ErrorContains(t, err, "webhook key 3: it is another in the target (url)")
	_, err = storage.OpenSQLite(t.Context(), back)
	require.ErrorIs(t, err, storage.ErrUnfinished)
}

func TestTransferRefuses(t *testing.T) {
	t.Parallel()
	source := seed(t)
	run := func(from, to storage.Config) error {
		_, err := storage.Transfer{From: from, To: to}.Run(t.Context())
		return err
	}
	there := target(t)
	require.ErrorContains(t, run(source, storage.Config{Path: "other.db"}), "from SQLite to PostgreSQL")
	require.ErrorContains(t, run(storage.Config{Path: filepath.Join(t.TempDir(), "none.db"), KeyFile: source.KeyFile}, there), "no such file")
	noKey := source
	noKey.KeyFile = filepath.Join(t.TempDir(), "none.key")
	require.ErrorContains(t, run(noKey, there), "none.key")

	store := open(t, source)
	require.ErrorIs(t, run(source, there), storage.ErrLocked)
	require.NoError(t, store.Close())

	// Of a target with a server, with other keys, with rows.
	other := target(t)
	other.KeyFile = filepath.Join(t.TempDir(), "other.key")
	node := openPostgres(t, other)
	require.ErrorIs(t, run(source, other), storage.ErrNodesAlive)
	tenant := triggers.Tenant{Name: "t", PortalID: "t", PortalURL: "https://t.example.com/"}
	require.NoError(t, node.SaveTenant(t.Context(), &tenant))
	require.NoError(t, node.Close())
	require.ErrorIs(t, run(source, other), storage.ErrSecrets)
	postgrestest.Exec(t, other.URL, `DELETE FROM meta WHERE name = 'keys'`)
	require.ErrorContains(t, run(source, other), "not empty: there are rows in tenant")

	// Of one that has begun to be filled from another store, and as a source.
	require.NoError(t, run(source, there))
	second := seed(t)
	begun := target(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := storage.Transfer{From: second, To: begun, Progress: atCheck(cancel)}.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, run(source, begun), "from another store, sqlite:"+second.Path)
	begun.KeyFile = second.KeyFile
	require.ErrorIs(t, run(begun, storage.Config{Path: filepath.Join(t.TempDir(), "to.db")}), storage.ErrUnfinished)

	// While a transfer has it open no server joins.
	var joined error
	there.KeyFile = source.KeyFile
	_, err = storage.Transfer{From: there, To: storage.Config{Path: filepath.Join(t.TempDir(), "to.db")}, Progress: atCheck(func() {
		_, joined = storage.OpenPostgres(t.Context(), there)
	})}.Run(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, joined, storage.ErrLocked)
	require.NotErrorIs(t, joined, storage.ErrUnfinished)
}
