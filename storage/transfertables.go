package storage

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"iter"
	"slices"
	"strconv"
	"strings"

	"portalhook/delivery"
)

// A transfer knows rows in one form, whichever database they lie in: that of SQLite's tables, but for what transferTables says. Values are
// int64, string, []byte and nil.

// transferTable is a table that is transferred.
type transferTable struct {
	name    string
	columns []string // those of the key first
	keys    int      // how many of the columns are the key
	textKey bool     // the key is a text
	reach   reach
}

// reach is in how many parts a table lies.
type reach uint8

const (
	once        reach = iota // one table
	ofDays                   // one for each day
	ofDaysAndIn              // and one of what outlived its day
)

// The tables whose rows a database has in another form.
const (
	tableWork       = "work"
	tableHour       = "hour"
	tableTenantHour = "tenant_hour"
	// tableIdentity is what makes events the same. SQLite has it in the tables event and job; of a job the name is the job's, and the source
	// its folder's length, a colon, folder and service. A job has no digest.
	tableIdentity = "identity"
	// tableNumber is the highest number that was given to a row of a table, which may be gone.
	tableNumber = "number"
)

// numberedTables are those whose numbers are never given again, with the columns they stand in.
var numberedTables = [...]struct{ table, column string }{{"revision", "number"}, {"tenant", "key"}, {"webhook", "key"}}

// transferTables are in the order in which they refer to each other. Left out is what a store makes for itself: who is alive, whose a lease
// is, the lines of ordered webhooks, how much is open, versions of changes, schema. The number of each drawn id is that of its row.
var transferTables = []*transferTable{
	{name: "tenant", keys: 1, columns: fields(`key name portal_id portal_url server_url created_ms settings`)},
	{name: "api_key", keys: 1, textKey: true, columns: fields(`id hash tenant name role operator user_id user_name expires_ms revoked created_ms used_ms`)},
	{name: "webhook", keys: 1, columns: fields(`key id tenant revision name name_folded url url_folded enabled level owner_id origin created_by
	  updated_by created_ms updated_ms triggers settings secrets`)},
	{name: "revision", keys: 1, columns: fields(`number webhook body ended_ms`)},
	{name: "recovery", keys: 1, columns: fields(`id tenant webhook state body`)},
	{name: "off_span", keys: 2, columns: fields(`webhook from_ms to_ms`)},
	{name: "health", keys: 1, columns: fields(`webhook failing_ms gave_up exhausted warned told probe`)},
	{name: "notice", keys: 1, columns: fields(`id tenant webhook operation name at_ms properties`)},
	{name: "audit", keys: 1, columns: fields(`id tenant key_id user_id action object object_id before_json after_json trace_id`)},
	{name: tableHour, keys: 2, columns: fields(`hour webhook attempts succeeded failed exhausted took_us latency last_ms last_id last_state last_status`)},
	{name: tableTenantHour, keys: 2, columns: fields(`tenant hour events unmatched planned skipped cancelled attempts succeeded failed exhausted
	  took_us latency`)},
	{name: "event", keys: 1, reach: ofDaysAndIn, columns: fields(`id tenant uri event_id source username when_ms accepted_ms body matches heard_by`)},
	{name: tableIdentity, keys: 1, reach: ofDays, columns: fields(`event tenant job name source digest matched`)},
	{name: "delivery", keys: 1, reach: ofDaysAndIn, columns: fields(`id tenant webhook event members revision trigger state built_ms ended_ms tries
	  status_code started_ms reason first`)},
	{name: "attempt", keys: 2, reach: ofDaysAndIn, columns: fields(`delivery number body`)},
	{name: "search", keys: 1, reach: ofDays, columns: fields(`id first last body`)},
	{name: tableWork, keys: 1, columns: fields(`id tenant webhook event members revision trigger built_ms tries fence due_ms status_code started_ms
	  reason first`)},
	{name: "member", keys: 2, columns: fields(`event webhook until_ms line size tenant revision trigger`)},
	{name: "delivery_event", keys: 2, columns: fields(`delivery event`)},
	{name: "redelivery", keys: 3, columns: fields(`webhook event delivery`)},
	{name: tableNumber, keys: 1, textKey: true, columns: []string{"name", "last"}},
}

func fields(text string) []string { return strings.Fields(text) }

// part is a table, or as much of it as lies in one day.
type part struct {
	*transferTable
	suffix string // of the day's tables, or kept; empty where all lies in one
}

// partsOf are all of the tables of a store that has the days.
func partsOf(days []int64) (parts []part) {
	for _, t := range transferTables {
		if t.reach == once {
			parts = append(parts, part{t, ""})
			continue
		}
		if t.reach == ofDaysAndIn {
			parts = append(parts, part{t, kept})
		}
		for _, day := range days {
			parts = append(parts, part{t, suffixOf(day)})
		}
	}
	return parts
}

func (p part) String() string {
	if p.suffix == "" {
		return p.name
	}
	return p.name + "_" + p.suffix
}

// day is the one whose rows the part holds, and their bounds.
func (p part) day() (day, first, last int64, err error) {
	day, err = dayOfSuffix(p.suffix)
	return day, int64(firstOf(day)), int64(firstOf(day+1)) - 1, err
}

// after is a condition for what comes after a key whose columns are bound in order, true where there is none.
func (t *transferTable) after(bound bool, bind func(n int) string) string {
	if !bound {
		return "true"
	}
	marks := make([]string, t.keys)
	for i := range marks {
		marks[i] = bind(i + 1)
	}
	return fmt.Sprintf("(%s) > (%s)", t.key(), strings.Join(marks, ", "))
}

func (t *transferTable) key() string { return strings.Join(t.columns[:t.keys], ", ") }

// keyTexts and parseKey write a key down and read it.
func (t *transferTable) keyTexts(row []any) []string {
	texts := make([]string, t.keys)
	for i := range texts {
		texts[i] = fmt.Sprint(row[i])
	}
	return texts
}

func (t *transferTable) parseKey(texts []string) ([]any, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	if len(texts) != t.keys {
		return nil, fmt.Errorf("%s: %q is no key of it", t.name, texts)
	}
	key := make([]any, len(texts))
	for i, text := range texts {
		key[i] = text
		if !t.textKey {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is no key of it", t.name, texts)
			}
			key[i] = n
		}
	}
	return key, nil
}

// compareKeys gives the order in which both databases read rows.
func (t *transferTable) compareKeys(a, b []any) int {
	for i := range t.keys {
		if t.textKey {
			x, _ := a[i].(string)
			y, _ := b[i].(string)
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			continue
		}
		if c := cmp.Compare(integer(a[i]), integer(b[i])); c != 0 {
			return c
		}
	}
	return 0
}

// rowSeq is rows in the order of their keys, until an error. Rows are the receiver's.
type rowSeq = iter.Seq2[[]any, error]

// appendRow writes a row so that no two different ones are written alike.
func appendRow(dst []byte, row []any) []byte {
	for _, value := range row {
		switch v := value.(type) {
		case nil:
			dst = append(dst, 'n')
		case int64:
			dst = binary.AppendVarint(append(dst, 'i'), v)
		case string:
			dst = append(binary.AppendUvarint(append(dst, 's'), uint64(len(v))), v...)
		case []byte:
			dst = append(binary.AppendUvarint(append(dst, 'b'), uint64(len(v))), v...)
		default:
			panic(fmt.Sprintf("a row has a %T", value)) // of no column of ours
		}
	}
	return dst
}

// sizeOf is about how much memory a row takes.
func sizeOf(row []any) int {
	n := 0
	for _, value := range row {
		n += 16
		switch v := value.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n
}

// sums counts the rows of tables and hashes them.
type sums struct {
	rows    map[string]int64
	hashes  map[string]hash.Hash
	scratch []byte
}

func newSums() *sums {
	s := &sums{rows: make(map[string]int64), hashes: make(map[string]hash.Hash)}
	for _, t := range transferTables {
		s.hashes[t.name] = sha256.New()
	}
	return s
}

// add takes in a row and gives it as it was written, which is good until the next is added.
func (s *sums) add(t *transferTable, row []any) []byte {
	s.scratch = appendRow(s.scratch[:0], row)
	s.rows[t.name]++
	_, _ = s.hashes[t.name].Write(s.scratch) // a hash never fails
	return s.scratch
}

func (s *sums) sum(t *transferTable) string { return fmt.Sprintf("%x", s.hashes[t.name].Sum(nil)[:16]) }

// latencyColumn is where a table has the classes of latency: a varint each, as SQLite's tables do.
func (t *transferTable) latencyColumn() int { return slices.Index(t.columns, "latency") }

// latencyOf writes classes as SQLite's tables have them.
func latencyOf(classes [len(delivery.LatencyBounds) + 1]int64) []byte {
	return latencyBlob(&delivery.HourCounts{Latency: classes})
}

// jobSource is the source of a job's identity.
func jobSource(folder, service string) string {
	return fmt.Sprintf("%d:%s%s", len(folder), folder, service)
}

// parseJobSource is the other way.
func parseJobSource(source string) (folder, service string, err error) {
	length, rest, _ := strings.Cut(source, ":")
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > len(rest) {
		return "", "", fmt.Errorf("%q is no source of a job", source)
	}
	return rest[:n], rest[n:], nil
}
