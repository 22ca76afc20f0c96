package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"portalhook/triggers"
)

// errPassedOver says that a transaction need not be committed, and nothing is wrong.
var errPassedOver = errors.New("nothing to commit")

// maxTries is how often a transaction is tried that another one has stood in the way of.
const maxTries = 5

// mayTryAgain reports whether a transaction failed since another one stood in its way, or its connection broke before it could take place.
func mayTryAgain(err error) bool {
	if pgconn.SafeToRetry(err) { // nothing was sent
		return true
	}
	if _, broken := errors.AsType[*brokenError](err); broken {
		return true
	}
	switch codeOfError(err) {
	case codeDeadlock, codeSerial, codeUnique, codeCacheChanged:
		return true
	}
	return false
}

// brokenError says that the connection broke before the commit, so that the transaction has not taken place.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

func (e *brokenError) Unwrap() error { return e.err }

// pgTx is a transaction that makes work, ends it or draws numbers.
type pgTx struct {
	pgStatements
	store  *Postgres
	node   int64
	slot   int64
	counts counts          // what it adds to the counters
	marks  []mark          // of turns, after the commit
	leases []doubtfulLease // that it makes
}

type mark struct {
	webhook uint32
	due     int64
}

// transact runs do in a transaction of this node's, and once more when another stood in its way. The counters that do has added to are
// written, and what it marks is known to this node's turns after the commit.
func (p *Postgres) transact(ctx context.Context, do func(*pgTx) error) error {
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	return p.transactInside(ctx, do)
}

// transactInside is transact for what is done inside another call, or behind all of them. Locks are taken in the order in which they are given,
// before those that every transaction takes.
func (p *Postgres) transactInside(ctx context.Context, do func(*pgTx) error, first ...int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	slot := p.slots.take()
	defer p.slots.give(slot)
	// It must become known whether it took place: whoever asks for it cannot cut it off.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*transactionTime)
	defer cancel()
	var missing noDayError
	var dead notAliveError
	for try := 1; ; try++ {
		err := p.transactOnce(ctx, slot, first, do)
		switch {
		case errors.Is(err, errPassedOver):
			return nil
		case errors.As(err, &dead):
			if err := p.join(ctx, int64(dead)); err != nil {
				return pgCommitError(err)
			}
		case errors.As(err, &missing):
			if err := p.prepareDays(ctx, int64(missing)); err != nil {
				return err
			}
		case err == nil || !mayTryAgain(err):
			return err
		}
		if try == maxTries {
			return err
		}
	}
}

// notAliveError says that this node has been taken for dead, under the number that it had when the transaction began.
type notAliveError int64

func (e notAliveError) Error() string {
	return fmt.Sprintf("this node was taken for dead as node %d", int64(e))
}

func (p *Postgres) transactOnce(ctx context.Context, slot int, first []int, do func(*pgTx) error) (err error) {
	tx, err := p.pool.Begin(ctx)
	if err != nil {
		return err
	}
	committing := false
	defer func() {
		if err == nil {
			return
		}
		if tx.Conn().IsClosed() && !committing && ctx.Err() == nil {
			err = &brokenError{err}
		}
		_ = tx.Rollback(ctx) // the first error tells more
	}()
	node := p.node.Load()
	t := &pgTx{pgStatements: pgStatements{ctx, tx}, store: p, node: node, slot: node*writersAtOnce + int64(slot) + 1}
	if err := t.begin(first); err != nil {
		return err
	}
	if err := do(t); err != nil {
		return err
	}
	if err := t.flushCounts(); err != nil {
		return err
	}
	committing = true
	if err := tx.Commit(ctx); err != nil {
		p.doubts.add(t.leases)
		return fmt.Errorf("commit: %w", err)
	}
	p.opened.add(node, &t.counts)
	p.turns.markAll(t.marks)
	return nil
}

// begin takes the locks under which work is made, and sees to it that this node is alive: as long as the transaction lasts it is not taken for
// dead.
func (t *pgTx) begin(first []int) error {
	batch := &pgx.Batch{}
	for _, what := range first {
		batch.Queue(`SELECT pg_advisory_xact_lock($1, $2)`, lockKind, what)
	}
	batch.Queue(`SELECT pg_advisory_xact_lock_shared($1, $2)`, lockKind, lockWebhooks)
	batch.Queue(`SELECT pg_advisory_xact_lock_shared($1, $2)`, nodeKind, lockOfNode(t.node))
	alive := false
	batch.Queue(`SELECT EXISTS (SELECT 1 FROM node WHERE id = $1)`, t.node).QueryRow(func(row pgx.Row) error { return row.Scan(&alive) })
	if err := t.tx.SendBatch(t.ctx, batch).Close(); err != nil {
		return err
	}
	if !alive {
		return notAliveError(t.node)
	}
	return nil
}

func lockOfNode(node int64) int32 { return int32(node) } //nolint:gosec // its lower half

// lock waits for one of the locks that there are once.
func (s pgStatements) lock(what int, share bool) error {
	text := `SELECT pg_advisory_xact_lock($1, $2)`
	if share {
		text = `SELECT pg_advisory_xact_lock_shared($1, $2)`
	}
	_, err := s.tx.Exec(s.ctx, text, lockKind, what)
	return err
}

// tryLock takes one of the locks that there are once, unless somebody has it.
func (s pgStatements) tryLock(what int) (taken bool, err error) {
	err = s.tx.QueryRow(s.ctx, `SELECT pg_try_advisory_xact_lock($1, $2)`, lockKind, what).Scan(&taken)
	return taken, err
}

// plain runs do in a transaction that makes no work.
func (p *Postgres) plain(ctx context.Context, do func(pgStatements) error) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error { return do(pgStatements{ctx, tx}) })
}

// editAlone is base's edit.
func (p *Postgres) editAlone(ctx context.Context, do func(*editor) error) error {
	return p.editing(ctx, func(_ *pgTx, e *editor) error { return do(e) })
}

// editing runs an edit that may make work as well.
func (p *Postgres) editing(ctx context.Context, do func(*pgTx, *editor) error) error {
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	return p.transactInside(ctx, func(t *pgTx) error { return do(t, t.editor()) }, lockEdit)
}

func (t *pgTx) editor() *editor {
	p := t.store
	return &editor{
		base: &p.base, db: t.pgStatements, legacyCloud: p.legacyCloud.Load(), texts: make(map[int64][]string),
		nextID: func() (triggers.ID, error) { return p.next(t.ctx, t.tx) },
		oldestID: func() (triggers.ID, error) {
			switch day, err := t.integer(`SELECT min(day) FROM day`); {
			case err != nil:
				return 0, err
			case day == 0: // nothing has been kept yet, so nothing was forgotten
				return p.next(t.ctx, t.tx)
			default:
				return firstOf(day), nil
			}
		},
	}
}
