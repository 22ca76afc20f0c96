package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// conn is the writer's connection: the driver's own, without database/sql above it. It belongs to one goroutine. Its context can
// never be cancelled, since for one that can the driver starts a goroutine for every statement.
type conn struct {
	db         *sqlite3.SQLiteConn
	statements map[statementKey]*statement
	inserts    map[statementKey]*insert
	locked     bool // the last BEGIN found another process writing
}

// How long a BEGIN waits for another process that writes, such as a backup or a tool of the operator's: at first, and after one has waited
// in vain.
const (
	busyWait       = "10000" // milliseconds
	busyWaitLocked = "100"
)

// statementKey is a statement's text with $day left open, and the suffix of the tables it is for.
type statementKey struct{ text, suffix string }

type statement struct {
	stmt *sqlite3.SQLiteStmt
	args []driver.NamedValue
}

func openConn(dsn string) (*conn, error) {
	opened, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	db, ok := opened.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, fmt.Errorf("unexpected connection %T", opened)
	}
	return &conn{db: db, statements: make(map[statementKey]*statement), inserts: make(map[statementKey]*insert)}, nil
}

func (c *conn) close() error {
	c.forget(func(string) bool { return true })
	return c.db.Close()
}

// forget closes the statements for tables whose suffix is gone.
func (c *conn) forget(gone func(suffix string) bool) {
	for key, s := range c.statements {
		if gone(key.suffix) {
			_ = s.stmt.Close() // it only frees memory
			delete(c.statements, key)
		}
	}
	for key, i := range c.inserts {
		if gone(key.suffix) {
			_ = i.many.stmt.Close()
			_ = i.one.stmt.Close()
			delete(c.inserts, key)
		}
	}
}

// forDay gives a statement's text for the tables with the suffix; where there is none, days have no tables of their own.
func forDay(text, suffix string) string {
	if suffix == "" {
		return strings.ReplaceAll(text, "_$day", "")
	}
	return strings.ReplaceAll(text, "$day", suffix)
}

// script runs statements without arguments that are not worth keeping.
func (c *conn) script(text string) error {
	_, err := c.db.ExecContext(context.Background(), text, nil)
	return err
}

func (c *conn) prepare(text string) (*statement, error) {
	prepared, err := c.db.Prepare(text)
	if err != nil {
		return nil, err
	}
	stmt, ok := prepared.(*sqlite3.SQLiteStmt)
	if !ok {
		return nil, fmt.Errorf("unexpected statement %T", prepared)
	}
	return &statement{stmt: stmt}, nil
}

func (c *conn) statement(text, suffix string) (*statement, error) {
	key := statementKey{text, suffix}
	if s := c.statements[key]; s != nil {
		return s, nil
	}
	s, err := c.prepare(forDay(text, suffix))
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", forDay(text, suffix), err)
	}
	c.statements[key] = s
	return s, nil
}

// run executes a statement that gives no rows.
func (c *conn) run(text string, args ...driver.Value) error { return c.runDay(text, "", args...) }

func (c *conn) runDay(text, suffix string, args ...driver.Value) error {
	return c.each(text, suffix, 0, func([]driver.Value) error { return nil }, args...)
}

// each calls row with every row of the answer, which has columns values; the slice is only good until row returns.
func (c *conn) each(text, suffix string, columns int, row func([]driver.Value) error, args ...driver.Value) error {
	s, err := c.statement(text, suffix)
	if err != nil {
		return err
	}
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return s.query(s.args, columns, row)
}

// integer is the first column of the first row, 0 when there is none or it is null.
func (c *conn) integer(text string, args ...driver.Value) (int64, error) {
	var found int64
	err := c.each(text, "", 1, func(row []driver.Value) error {
		found, _ = row[0].(int64)
		return nil
	}, args...)
	return found, err
}

// integerOnce is integer for a statement that is not worth keeping.
func (c *conn) integerOnce(text string) (found int64, err error) {
	err = c.eachOnce(text, 1, func(row []driver.Value) error {
		found, _ = row[0].(int64)
		return nil
	})
	return found, err
}

// eachOnce is each for a statement that is not worth keeping.
func (c *conn) eachOnce(text string, columns int, row func([]driver.Value) error) error {
	s, err := c.prepare(text)
	if err != nil {
		return err
	}
	err = s.query(nil, columns, row)
	return errors.Join(err, s.stmt.Close())
}

// query takes the driver's way for queries even where nothing comes back: it binds and steps in one call into SQLite, where Exec
// makes one call for each argument.
func (s *statement) query(args []driver.NamedValue, columns int, row func([]driver.Value) error) error {
	rows, err := s.stmt.QueryContext(context.Background(), args)
	if err != nil {
		return err
	}
	if columns > 0 {
		values := make([]driver.Value, columns)
		for {
			if err = rows.Next(values); err != nil {
				break
			}
			if err = row(values); err != nil {
				break
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	return errors.Join(err, rows.Close())
}

// rowsAtOnce is how many rows an insert sends to SQLite in one statement.
const rowsAtOnce = 16

// insert collects rows of one table and sends them sixteen at a time, the rest one at a time.
type insert struct {
	columns   int
	many, one *statement
	args      []driver.NamedValue
	rows      int
}

// insert is the insert of a statement that ends in VALUES.
func (c *conn) insert(text, suffix string, columns int) (*insert, error) {
	key := statementKey{text, suffix}
	if i := c.inserts[key]; i != nil {
		return i, nil
	}
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	head := forDay(text, suffix)
	many, err := c.prepare(head + row + strings.Repeat(","+row, rowsAtOnce-1))
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", head, err)
	}
	one, err := c.prepare(head + row)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", head, err)
	}
	i := &insert{columns: columns, many: many, one: one, args: make([]driver.NamedValue, columns*rowsAtOnce)}
	c.inserts[key] = i
	return i, nil
}

func (i *insert) add(values ...driver.Value) error {
	at := i.rows * i.columns
	for n, value := range values {
		i.args[at+n] = driver.NamedValue{Ordinal: at + n + 1, Value: value}
	}
	i.rows++
	if i.rows < rowsAtOnce {
		return nil
	}
	i.rows = 0
	return i.many.query(i.args, 0, nil)
}

func (i *insert) flush() error {
	rows := i.rows
	i.rows = 0
	for n := range rows {
		args := i.args[n*i.columns : (n+1)*i.columns]
		for k := range args {
			args[k].Ordinal = k + 1
		}
		if err := i.one.query(args, 0, nil); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what all inserts have collected.
func (c *conn) flush() error {
	for _, i := range c.inserts {
		if err := i.flush(); err != nil {
			return err
		}
	}
	return nil
}

// adjustPatience takes note of how a BEGIN ended. Once one has waited in vain for another process, those behind it hardly wait: else every
// request in line would add ten seconds to the wait of those after it, and a sender would not hear for minutes that nothing can be stored.
func (c *conn) adjustPatience(begun error) error {
	var failed sqlite3.Error
	locked := errors.As(begun, &failed) && failed.Code == sqlite3.ErrBusy
	if locked == c.locked || begun != nil && !locked {
		return nil
	}
	c.locked = locked
	wait := busyWait
	if locked {
		wait = busyWaitLocked
	}
	return c.eachOnce("PRAGMA busy_timeout = "+wait, 1, func([]driver.Value) error { return nil })
}

// transaction runs fn between BEGIN and COMMIT; what it collected in inserts is sent before the commit. On an error nothing of it
// remains.
func (c *conn) transaction(fn func() error) error {
	begun := c.run("BEGIN IMMEDIATE")
	err := c.adjustPatience(begun)
	if begun != nil {
		return fmt.Errorf("begin: %w", errors.Join(begun, err))
	}
	if err == nil {
		err = fn()
	}
	if err == nil {
		err = c.flush()
	}
	if err == nil {
		if err = c.run("COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	for _, i := range c.inserts {
		i.rows = 0
	}
	// Some errors, a full disk among them, have rolled back by themselves.
	if !c.db.AutoCommit() {
		err = errors.Join(err, c.run("ROLLBACK"))
	}
	return err
}
