package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A page has two places that this program writes; the text around them is written by hand and stays.
const (
	tableMark = "torture"
	casesMark = "cases"
)

// writeReport puts the table of what was seen, or the rows of some scenarios, and the list of cases, into the page, which is in the docs folder of the module.
func writeReport(page string, done []outcome, seed uint64, z size, some bool) error {
	text, err := os.ReadFile(page) // #nosec G304 -- the page that was asked for
	if err != nil {
		return err
	}
	filled := replaceRows(string(text), done)
	if !some {
		if filled, err = fill(filled, tableMark, scenarioTable(done, seed, z)); err != nil {
			return err
		}
	}
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

// fill replaces what stands between <!-- mark --> and <!-- /mark -->.
func fill(text, mark, with string) (string, error) {
	opening, closing := "<!-- "+mark+" -->\n", "<!-- /"+mark+" -->"
	head, rest, opened := strings.Cut(text, opening)
	_, tail, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		return "", fmt.Errorf("the page has no place %q", mark)
	}
	return head + opening + with + closing + tail, nil
}

// replaceRows puts the rows of some scenarios in the place of those that the page has of them.
func replaceRows(text string, done []outcome) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		for _, o := range done {
			if strings.HasPrefix(line, "| `"+o.name+"` |") {
				lines[i] = o.row()
			}
		}
	}
	return strings.Join(lines, "")
}

// row is the outcome as a row of the table.
func (o outcome) row() string {
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
	return fmt.Sprintf("| `%s` | %s | %d | %d | %d | %d | %s | %s | `make torture TORTURE='-run ^%s$'` |\n",
		o.name, o.about, o.faults, o.acknowledged, o.lost, o.duplicates, o.recoveredWithin(), what, o.name)
}

// scenarioTable is what was seen, a row a scenario.
func scenarioTable(done []outcome, seed uint64, z size) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events a scenario unless its row says otherwise, seed %d, %s, %d processors.\n\n", z.events, seed, runtime.Version(), runtime.NumCPU())
	b.WriteString("| scenario | what is done | faults | acknowledged | lost | duplicated | recovered within | what refused senders saw | alone |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|---|---|\n")
	for _, o := range done {
		b.WriteString(o.row())
	}
	for _, o := range done {
		b.WriteString(fairTable(o.fair))
	}
	return b.String()
}
