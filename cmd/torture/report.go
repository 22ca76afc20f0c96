package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A page has places that this program writes; the text around them is written by hand and stays.
var tableMark = map[store]string{sqlite: "torture", postgres: "torture of nodes"}

const casesMark = "cases"

// writeReport puts the table of what was seen, or the rows of some scenarios, and the list of cases, into the page, which is in the docs folder of the module.
func writeReport(page string, on store, done []outcome, seed uint64, z size, some bool) error {
	text, err := os.ReadFile(page) // #nosec G304 -- the page that was asked for
	if err != nil {
		return err
	}
	head, table, tail, err := between(string(text), tableMark[on])
	if err != nil {
		return err
	}
	if some && table != "" {
		table = replaceRows(table, on, done)
	} else {
		table = scenarioTable(done, on, seed, z)
	}
	filled := head + table + tail
	if err := os.WriteFile(page, []byte(filled), 0o644); err != nil { // #nosec G306 -- a page of the documentation
		return err
	}
	return writeCases(page)
}

// writeCases puts the list of cases, with what shows each in this tree, into the page.
func writeCases(page string) error {
	text, err := os.ReadFile(page) // #nosec G304 -- the page that was asked for
	if err != nil {
		return err
	}
	cases, err := casesTable(filepath.Dir(filepath.Dir(page)))
	if err != nil {
		return err
	}
	filled, err := fill(string(text), casesMark, cases)
	if err != nil {
		return err
	}
	return os.WriteFile(page, []byte(filled), 0o644) // #nosec G306 -- a page of the documentation
}

// between finds what stands between <!-- mark --> and <!-- /mark -->.
func between(text, mark string) (head, body, tail string, err error) {
	opening, closing := "<!-- "+mark+" -->\n", "<!-- /"+mark+" -->"
	head, rest, opened := strings.Cut(text, opening)
	body, tail, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		err = fmt.Errorf("the page has no place %q", mark)
	}
	return head + opening, body, closing + tail, err
}

// fill replaces what stands there.
func fill(text, mark, with string) (string, error) {
	head, _, tail, err := between(text, mark)
	return head + with + tail, err
}

// replaceRows puts the rows of some scenarios in the place of those that a table has of them, or where they belong in it.
func replaceRows(table string, on store, done []outcome) string {
	var head, tail []string
	rows := map[string]string{}
	for line := range strings.Lines(table) {
		name, _, isRow := strings.Cut(strings.TrimPrefix(line, "| `"), "` |")
		switch {
		case isRow && strings.HasPrefix(line, "| `"):
			rows[name] = line
		case len(rows) == 0:
			head = append(head, line)
		default:
			tail = append(tail, line)
		}
	}
	for _, o := range done {
		rows[o.name] = o.row(on)
		if len(o.fair) > 0 {
			tail = []string{fairTable(o.fair)}
		}
	}
	for _, s := range scenarios(on) {
		head = append(head, rows[s.name])
	}
	return strings.Join(append(head, tail...), "")
}

// row is the outcome as a row of the table.
func (o outcome) row(on store) string {
	if o.left != "" {
		return fmt.Sprintf("| `%s` | %s | %s |\n", o.name, o.about, o.left)
	}
	what := strings.TrimPrefix(o.refusalsText(), "; ")
	if what == "" {
		what = "–"
	}
	if o.err != nil {
		what = "FAILED"
	}
	taken, parameter := "", ""
	if on == postgres {
		taken, parameter = " "+o.takenOverWithin()+" |", "STORE=postgres "
	}
	return fmt.Sprintf("| `%s` | %s | %d | %d | %d | %d | %s |%s %s | `make torture %sTORTURE='-run ^%s$'` |\n",
		o.name, o.about, o.faults, o.acknowledged, o.lost, o.duplicates, o.recoveredWithin(), taken, what, parameter, o.name)
}

// scenarioTable is what was seen, a row a scenario.
func scenarioTable(done []outcome, on store, seed uint64, z size) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events a scenario unless its row says otherwise, seed %d, %s, %d processors", z.events, seed, runtime.Version(), runtime.NumCPU())
	taken, line := "", ""
	if on == postgres {
		taken, line = " taken over within |", "--:|"
		fmt.Fprintf(&b, "; %d nodes, hosts are %s", clusterNodes, hostsOf(done))
	}
	b.WriteString(".\n\n")
	fmt.Fprintf(&b, "| scenario | what is done | faults | acknowledged | lost | duplicated | recovered within |%s what refused senders saw | alone |\n", taken)
	fmt.Fprintf(&b, "|---|---|--:|--:|--:|--:|--:|%s---|---|\n", line)
	for _, o := range done {
		b.WriteString(o.row(on))
	}
	for _, o := range done {
		b.WriteString(fairTable(o.fair))
	}
	return b.String()
}

// hostsOf says what the hosts of a run were.
func hostsOf(done []outcome) string {
	var kinds []string
	for _, o := range done {
		if o.hosts != "" && !slices.Contains(kinds, o.hosts) {
			kinds = append(kinds, o.hosts)
		}
	}
	return cmp.Or(strings.Join(kinds, ", "), "none")
}
