package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"portalhook/delivery"
)

// transactionTime is how long a transaction may take: whoever is frozen in the middle of one holds up nobody for longer.
const transactionTime = 10 * time.Second

// What transactions lock, beside rows. Locks of PostgreSQL's that have nothing to do with tables have two numbers: of a kind, and of a thing.
const (
	lockKind = 0x706f // of what there is once
	nodeKind = 0x706e // of nodes, by the lower half of their id

	// lockWebhooks is held for sharing by whoever draws numbers or makes work, and alone by whoever deletes a webhook or makes it ordered:
	// nobody plans for a webhook, or for what it was, after that is done.
	lockWebhooks  = 1
	lockEdit      = 2  // one edit at a time
	lockDays      = 3  // one node makes days or drops them
	lockHistory   = 4  // held for sharing by whoever makes new work of old events, alone by who drops them
	lockClosing   = 5  // one node closes intervals
	lockSealing   = 6  // one node writes segments of the search index
	lockFounding  = 7  // one node makes what a new store begins with
	lockTransfer  = 8  // held for sharing by a node that joins, alone by a transfer as long as it lasts
	lockReceivers = 9  // one node makes a built-in receiver
	lockDrawing   = 10 // one draws numbers
	lockFolding   = 11 // one node folds counters
)

// rowQuerier reads one row: a pool, or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, text string, args ...any) pgx.Row
}

var numberedTexts sync.Map // of statements with ? to those with $1

// numbered gives a statement as PostgreSQL wants it: what is given is $1, and days have no tables of their own.
func numbered(text string) string {
	if known, ok := numberedTexts.Load(text); ok {
		return known.(string)
	}
	var out strings.Builder
	n := 0
	rest := strings.ReplaceAll(text, "_$day", "")
	for {
		before, after, found := strings.Cut(rest, "?")
		out.WriteString(before)
		if !found {
			break
		}
		digits := len(after) - len(strings.TrimLeft(after, "0123456789"))
		number := after[:digits]
		if digits == 0 {
			n++
			number = strconv.Itoa(n)
		}
		out.WriteString("$" + number)
		rest = after[digits:]
	}
	numberedTexts.Store(text, out.String())
	return out.String()
}

// pgStatements is statements in a transaction of PostgreSQL's.
type pgStatements struct {
	ctx context.Context //nolint:containedctx // that of the transaction, which it does not outlive
	tx  pgx.Tx
}

func (s pgStatements) run(text string, args ...driver.Value) error {
	_, err := s.tx.Exec(s.ctx, numbered(text), given(args)...)
	return err
}

// each reads the whole answer first, since row may ask for more on the same connection.
func (s pgStatements) each(text, _ string, _ int, row func([]driver.Value) error, args ...driver.Value) error {
	rows, err := s.tx.Query(s.ctx, numbered(text), given(args)...)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]driver.Value, error) {
		values, err := r.Values()
		taken := make([]driver.Value, len(values))
		for i, value := range values {
			taken[i] = asSQLite(value)
		}
		return taken, err
	})
	if err != nil {
		return err
	}
	for _, values := range all {
		if err := row(values); err != nil {
			return err
		}
	}
	return nil
}

func (s pgStatements) integer(text string, args ...driver.Value) (found int64, err error) {
	first := true
	err = s.each(text, "", 1, func(row []driver.Value) error {
		if first {
			found = integer(row[0])
		}
		first = false
		return nil
	}, args...)
	return found, err
}

// asSQLite makes a value one of those that SQLite's driver gives.
func asSQLite(value any) driver.Value {
	switch v := value.(type) {
	case int32:
		return int64(v)
	case int16:
		return int64(v)
	case bool:
		return flag(v)
	}
	return value
}

func flag(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// given are arguments as PostgreSQL takes them.
func given(args []driver.Value) []any {
	list := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case bool:
			list[i] = flag(v)
		case string:
			list[i] = pgText(v)
		default:
			list[i] = v
		}
	}
	return list
}

// pgText is a text that PostgreSQL can keep: it refuses the character zero, and bytes that are no UTF-8, which an answer may hold.
func pgText(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return strings.ReplaceAll(text, "\x00", "\uFFFD")
}

// pgTextOrNull is null for the empty text.
func pgTextOrNull(text string) *string {
	if text == "" {
		return nil
	}
	text = pgText(text)
	return &text
}

// hasParameter reports whether a URL of PostgreSQL sets a parameter.
func hasParameter(text, name string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Query().Has(name)
}

// asynchronous has a commit return before it is on disk. It is there before any commit that was begun later.
func asynchronous(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SET synchronous_commit = off`)
	return err
}

// neverAsynchronous sees to it that a commit is on disk when it returns, whatever the server's default: a session says more than that may not.
func neverAsynchronous(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

// tracer tells of every statement.
type tracer struct{ observe func(statement string) }

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.observe(data.SQL)
	return ctx
}

func (t tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (t tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, one := range data.Batch.QueuedQueries {
		t.observe(one.SQL)
	}
	return ctx
}

func (t tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (t tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// The codes of PostgreSQL's errors that something can be made of.
const (
	codeDiskFull     = "53100"
	codeUnique       = "23505"
	codeDeadlock     = "40P01"
	codeSerial       = "40001"
	codeNoLock       = "55P03"
	codeCacheChanged = "0A000" // cached plan must not change result type
)

func codeOfError(err error) string {
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failed.Code
	}
	return ""
}

// pgCommitError makes what a failed transaction says to those outside.
func pgCommitError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*delivery.CommitError](err); ok {
		return err
	}
	return &delivery.CommitError{Full: codeOfError(err) == codeDiskFull, Err: err}
}

// RedactURL is a URL of PostgreSQL without its password, for people to read.
func RedactURL(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return "postgres://"
	}
	query := parsed.Query()
	if query.Has("password") {
		query.Set("password", "xxxxx")
		parsed.RawQuery = query.Encode()
	}
	return parsed.Redacted()
}
