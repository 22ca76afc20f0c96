package storage

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"
)

// TransferDifference is a row in which two stores differ.
type TransferDifference struct {
	Table, Key string
	What       string // how
}

func (d TransferDifference) String() string {
	return fmt.Sprintf("%s %s: %s", d.Table, d.Key, d.What)
}

// TransferError says that the target is not as the source.
type TransferError struct {
	Differences []TransferDifference // the first of them
	Count       int64                // of all
}

func (e *TransferError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the stores differ in %d rows; the target cannot be used", e.Count)
	for _, d := range e.Differences {
		text.WriteString("\n  " + d.String())
	}
	if more := e.Count - int64(len(e.Differences)); more > 0 {
		fmt.Fprintf(&text, "\n  and %d more", more)
	}
	return text.String()
}

// maxDifferences is how many are named.
const maxDifferences = 20

// How rows differ.
const (
	differMissing = "it is missing in the target"
	differMore    = "it is in the target only"
	differOther   = "it is another in the target"
)

// check reads both stores side by side, in the order of their keys. It gives what it has added up of each table: the same of both, or the error is a
// *TransferError.
func (t *transfer) check(ctx context.Context) (*sums, error) {
	var failed TransferError
	source, target := newSums(), newSums()
	var done int64
	for _, p := range t.parts {
		c := comparison{part: p, source: source, target: target, failed: &failed, step: func() {
			done++
			if done%transferRows == 0 {
				t.progress(TransferChecking, done, max(done, t.total))
			}
		}}
		if err := c.run(t.from.rows(ctx, p, nil), t.to.rows(ctx, p, nil)); err != nil {
			return nil, fmt.Errorf("check %s: %w", p, err)
		}
	}
	t.progress(TransferChecking, done, done)
	// Both ways of seeing a difference must say the same.
	for _, table := range transferTables {
		if failed.Count == 0 && (source.rows[table.name] != target.rows[table.name] || source.sum(table) != target.sum(table)) {
			failed.add(TransferDifference{table.name, "as a whole", differOther})
		}
	}
	if failed.Count > 0 {
		return nil, &failed
	}
	return source, nil
}

func (e *TransferError) add(d TransferDifference) {
	if e.Count++; len(e.Differences) < maxDifferences {
		e.Differences = append(e.Differences, d)
	}
}

// comparison merges the rows of a part of both stores.
type comparison struct {
	part           part
	source, target *sums
	failed         *TransferError
	step           func() // after each row of the source
}

func (c *comparison) run(source, target rowSeq) error {
	nextSource, stopSource := iter.Pull2(source)
	defer stopSource()
	nextTarget, stopTarget := iter.Pull2(target)
	defer stopTarget()
	read := func(next func() ([]any, error, bool)) ([]any, error) {
		row, err, ok := next()
		if !ok {
			return nil, nil //nolint:nilnil // there is no more
		}
		return row, err
	}
	s, err := read(nextSource)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	t, err := read(nextTarget)
	for err == nil && (s != nil || t != nil) {
		order := 0
		switch {
		case s == nil:
			order = 1
		case t == nil:
			order = -1
		default:
			order = c.part.compareKeys(s, t)
		}
		c.look(s, t, order)
		if order <= 0 {
			if s, err = read(nextSource); err != nil {
				return fmt.Errorf("source: %w", err)
			}
			c.step()
		}
		if order >= 0 {
			t, err = read(nextTarget)
		}
	}
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	return nil
}

// look takes in the row whose key comes first, or both when they have the same.
func (c *comparison) look(s, t []any, order int) {
	table := c.part.transferTable
	var ours, theirs []byte
	if order <= 0 {
		ours = c.source.add(table, s)
	}
	if order >= 0 {
		theirs = c.target.add(table, t)
	}
	switch {
	case order < 0:
		c.differ(s, differMissing)
	case order > 0:
		c.differ(t, differMore)
	case !bytes.Equal(ours, theirs):
		var others []string
		for i, column := range table.columns {
			if !bytes.Equal(appendRow(nil, s[i:i+1]), appendRow(nil, t[i:i+1])) {
				others = append(others, column)
			}
		}
		c.differ(s, differOther+" ("+strings.Join(others, ", ")+")")
	}
}

func (c *comparison) differ(row []any, what string) {
	texts := c.part.keyTexts(row)
	for i := range texts {
		texts[i] = c.part.columns[i] + " " + texts[i]
	}
	c.failed.add(TransferDifference{c.part.name, strings.Join(texts, ", "), what})
}
