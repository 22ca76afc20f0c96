package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"portalhook/triggers"
)

// ErrUnfinished says that a database is the target of a transfer that has not come to its end: what is in it is not all there is.
var ErrUnfinished = errors.New("the store is the target of a transfer that has not finished")

// Transfer takes a store from one kind of database to the other.
type Transfer struct {
	// From is the store there is, To an empty one, or one that an earlier call for the same store has begun to fill. One has a Path and the
	// other a URL. KeyFile is From's, and must open its secrets: they stay sealed as they are, so To needs the same.
	From, To Config
	// CountOnly leaves To alone.
	CountOnly bool
	// Progress is told how many of the rows are done, of those that were done before too; nil: nobody is.
	Progress func(step TransferStep, done, total int64)
}

// TransferStep is what a transfer is at.
type TransferStep string

// The steps, in order.
const (
	TransferCounting TransferStep = "counting"
	TransferCopying  TransferStep = "copying"
	TransferChecking TransferStep = "checking"
)

// TransferReport is what was transferred.
type TransferReport struct {
	Tables  []TransferredTable
	Resumed int64 // rows that an earlier call had copied
}

// TransferredTable is a table as both stores have it: how many rows, and the hash over all of them, in hex; none of one that was only counted.
type TransferredTable struct {
	Name string
	Rows int64
	Hash string
}

// Rows is how many there are altogether.
func (r *TransferReport) Rows() (n int64) {
	for _, t := range r.Tables {
		n += t.Rows
	}
	return n
}

// transferSide is one of the two databases. It is open for the transfer alone.
type transferSide interface {
	days(ctx context.Context) ([]int64, error)
	// count is how many rows a part has, rows are those behind a key, nil for all.
	count(ctx context.Context, p part) (int64, error)
	rows(ctx context.Context, p part, after []any) rowSeq
	// newest is the highest number that was drawn.
	newest(ctx context.Context) (triggers.ID, error)

	// freed says from when, in milliseconds since 1970, what is leased waits.
	freed(ms int64)

	// note reads what the store notes of itself, empty when it does not; setNote writes it.
	note(ctx context.Context, name string) (string, error)
	setNote(ctx context.Context, name, value string) error

	// The following are asked of the target.

	makeDays(ctx context.Context, days []int64) error
	// write adds rows to a part and sets a note, both or neither.
	write(ctx context.Context, p part, rows [][]any, name, value string) error
	// derive makes, of the rows that were written, what this database has beside them.
	derive(ctx context.Context, newest triggers.ID) error
	// finish forgets the notes of the transfer.
	finish(ctx context.Context) error
	close() error
}

// The names of notes.
const (
	noteStore    = "store"     // a random name of the store: two that have the same are one
	noteTransfer = "transfer"  // a transferMark, as long as the store is the target of a transfer
	notePart     = "transfer " // then the name of a part: a partMark
	noteKeys     = "keys"      // the fingerprints of the key file that all nodes have (PostgreSQL)
)

// transferMark says what a store is being filled from.
type transferMark struct {
	Store string `json:"store"`
	From  string `json:"from"` // as people named it, without a password
	At    int64  `json:"at"`   // when it began, in milliseconds since 1970: what was leased waits from then
}

// partMark says how much of a part has been copied.
type partMark struct {
	After []string `json:"after,omitempty"` // the key of the last row; none: nothing
	Rows  int64    `json:"rows"`
	Done  bool     `json:"done"`
}

// Bounds of what is written in one transaction.
const (
	transferRows  = 2000
	transferBytes = 4 << 20
)

type transfer struct {
	from, to transferSide
	parts    []part
	counts   []int64 // of the parts
	total    int64
	progress func(step TransferStep, done, total int64)
	resumed  int64
}

// Run copies all there is and then compares both stores row by row. The error is a *TransferError when they differ, ErrLocked when a
// server has one of them open, and ErrSecrets when the key file does not open the secrets. After an error, or when it is cut off, the next call
// goes on behind the last rows that were committed; until it has succeeded no server opens the target: ErrUnfinished.
func (t Transfer) Run(ctx context.Context) (report *TransferReport, err error) {
	if (t.From.URL == "") == (t.To.URL == "") {
		return nil, errors.New("a transfer goes from SQLite to PostgreSQL, or from PostgreSQL to SQLite")
	}
	run := transfer{progress: t.Progress}
	if run.progress == nil {
		run.progress = func(TransferStep, int64, int64) {}
	}
	run.from, err = openSide(ctx, t.From)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, run.from.close()) }()
	if err := run.count(ctx); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if t.CountOnly {
		return run.report(nil), nil
	}
	t.To.KeyFile = t.From.KeyFile
	run.to, err = openTargetSide(ctx, t.To)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, run.to.close()) }()
	if err := run.begin(ctx, t.From); err != nil {
		return nil, err
	}
	if err := run.copyAll(ctx); err != nil {
		return nil, err
	}
	checked, err := run.check(ctx)
	if err != nil {
		return nil, err
	}
	if err := run.to.finish(ctx); err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	return run.report(checked), nil
}

func openSide(ctx context.Context, config Config) (transferSide, error) {
	if config.URL != "" {
		return openPostgresSide(ctx, config, true)
	}
	return openSQLiteSide(ctx, config, true)
}

func openTargetSide(ctx context.Context, config Config) (transferSide, error) {
	if config.URL != "" {
		return openPostgresSide(ctx, config, false)
	}
	return openSQLiteSide(ctx, config, false)
}

// count finds out what there is.
func (t *transfer) count(ctx context.Context) error {
	// What is itself no more than begun must not be taken for the whole.
	if err := checkFinished(ctx, t.from); err != nil {
		return err
	}
	days, err := t.from.days(ctx)
	if err != nil {
		return err
	}
	t.parts = partsOf(days)
	t.counts = make([]int64, len(t.parts))
	for i, p := range t.parts {
		t.progress(TransferCounting, int64(i), int64(len(t.parts)))
		if t.counts[i], err = t.from.count(ctx, p); err != nil {
			return fmt.Errorf("count %s: %w", p, err)
		}
		t.total += t.counts[i]
	}
	return nil
}

func checkFinished(ctx context.Context, side transferSide) error {
	text, err := side.note(ctx, noteTransfer)
	if err != nil || text == "" {
		return err
	}
	return unfinished(text)
}

// unfinished is the ErrUnfinished of a store with a mark.
func unfinished(text string) error {
	var mark transferMark
	if err := json.Unmarshal([]byte(text), &mark); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	return fmt.Errorf("%w: run portalhook migrate --from %s once more, or begin with an empty one", ErrUnfinished, mark.From)
}

// begin marks the target, unless an earlier call for the same source has.
func (t *transfer) begin(ctx context.Context, from Config) error {
	store, err := t.from.note(ctx, noteStore)
	if err == nil && store == "" {
		store = newStoreName()
		err = t.from.setNote(ctx, noteStore, store)
	}
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	ours := transferMark{Store: store, From: nameOfStore(from), At: from.withDefaults().Now().UnixMilli()}
	text, err := t.to.note(ctx, noteTransfer)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if text != "" {
		var mark transferMark
		if err := json.Unmarshal([]byte(text), &mark); err != nil {
			return fmt.Errorf("target: %w", err)
		}
		if mark.Store != ours.Store {
			return fmt.Errorf("target: it has begun to be filled from another store, %s", mark.From)
		}
		ours = mark
	} else {
		if err := t.requireEmpty(ctx); err != nil {
			return fmt.Errorf("target: %w", err)
		}
		mark, err := json.Marshal(ours)
		if err != nil {
			return err
		}
		if err := t.to.setNote(ctx, noteTransfer, string(mark)); err != nil {
			return fmt.Errorf("target: %w", err)
		}
	}
	t.from.freed(ours.At)
	return t.sameDays(ctx)
}

// sameDays makes the tables of the source's days. A target that has others was begun when the source was another.
func (t *transfer) sameDays(ctx context.Context) error {
	days, err := t.from.days(ctx)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := t.to.makeDays(ctx, days); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	there, err := t.to.days(ctx)
	if err == nil && !slices.Equal(days, there) {
		err = errors.New("it has days that the source has not any more: begin with an empty one")
	}
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	return nil
}

func (t *transfer) requireEmpty(ctx context.Context) error {
	days, err := t.to.days(ctx)
	if err != nil {
		return err
	}
	for _, p := range partsOf(days) {
		for _, err := range t.to.rows(ctx, p, nil) {
			if err != nil {
				return err
			}
			if p.name == tableNumber { // given once, and gone
				continue
			}
			return fmt.Errorf("it is not empty: there are rows in %s, and nothing was copied", p)
		}
	}
	return nil
}

// copyAll copies what has not been copied yet.
func (t *transfer) copyAll(ctx context.Context) error {
	marks := make([]partMark, len(t.parts))
	var done int64
	for i, p := range t.parts {
		text, err := t.to.note(ctx, notePart+p.String())
		if err == nil && text != "" {
			err = json.Unmarshal([]byte(text), &marks[i])
		}
		if err != nil {
			return fmt.Errorf("target: %w", err)
		}
		done += marks[i].Rows
	}
	t.resumed = done
	for i, p := range t.parts {
		if marks[i].Done {
			continue
		}
		if err := t.copyPart(ctx, p, &marks[i], &done); err != nil {
			return fmt.Errorf("copy %s: %w", p, err)
		}
	}
	newest, err := t.from.newest(ctx)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := t.to.derive(ctx, newest); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	return nil
}

func (t *transfer) copyPart(ctx context.Context, p part, mark *partMark, done *int64) error {
	t.progress(TransferCopying, *done, t.total)
	after, err := p.parseKey(mark.After)
	if err != nil {
		return err
	}
	var chunk [][]any
	size := 0
	flush := func() error {
		if n := len(chunk); n > 0 {
			mark.After = p.keyTexts(chunk[n-1])
			mark.Rows += int64(n)
			*done += int64(n)
		}
		text, err := json.Marshal(mark)
		if err == nil {
			err = t.to.write(ctx, p, chunk, notePart+p.String(), string(text))
		}
		chunk, size = chunk[:0], 0
		t.progress(TransferCopying, *done, max(*done, t.total))
		return err
	}
	for row, err := range t.from.rows(ctx, p, after) {
		if err != nil {
			return err
		}
		chunk, size = append(chunk, row), size+sizeOf(row)
		if len(chunk) == transferRows || size >= transferBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	mark.Done = true
	return flush()
}

// report is of what was checked, or of what there is.
func (t *transfer) report(checked *sums) *TransferReport {
	r := &TransferReport{Resumed: t.resumed}
	for _, table := range transferTables {
		one := TransferredTable{Name: table.name}
		if checked != nil {
			one.Rows, one.Hash = checked.rows[table.name], checked.sum(table)
		} else {
			for i, p := range t.parts {
				if p.transferTable == table {
					one.Rows += t.counts[i]
				}
			}
		}
		r.Tables = append(r.Tables, one)
	}
	return r
}
