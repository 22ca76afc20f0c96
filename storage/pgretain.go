package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"portalhook/triggers"
)

const (
	// retainTime is how long one step of retention may take.
	retainTime = 10 * time.Minute
	// tableWait is how long the tables of a day are waited for that others read; then they are let by, and it is tried again.
	// It is less than what PostgreSQL waits before it looks for a deadlock, of which it might have those be the victim.
	tableWait  = 500 * time.Millisecond
	tableTries = 60
)

// What open work and younger deliveries still need of a day. Bounds are the first number of the day and the last.
const (
	pgNeededEvents = `SELECT event FROM work WHERE event BETWEEN $1 AND $2
  UNION SELECT event FROM member WHERE event BETWEEN $1 AND $2
  UNION SELECT event FROM delivery_event WHERE event BETWEEN $1 AND $2 AND (delivery > $2 OR delivery IN (SELECT id FROM work) OR delivery IN (SELECT id FROM delivery_kept))
  UNION SELECT event FROM delivery_kept WHERE event BETWEEN $1 AND $2`
	pgNeededAttempts = `SELECT id FROM work WHERE id BETWEEN $1 AND $2 AND tries > 1`
)

// Retain forgets the history of whole days that ended before the given time, and counters far older than that. Open work is not touched, nor
// what it needs. One node does it at a time: while another does, there is nothing to do here.
func (p *Postgres) Retain(ctx context.Context, before time.Time) error {
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	limit := before.UnixMilli() / dayLength // the first day that stays
	if err := p.days.load(ctx, p.pool); err != nil {
		return fmt.Errorf("retain: %w", err)
	}
	for _, day := range p.days.all() {
		if day >= limit {
			break
		}
		if err := p.dropDay(ctx, day); err != nil {
			return fmt.Errorf("retain: day %s: %w", suffixOf(day), pgCommitError(err))
		}
	}
	if err := p.days.load(ctx, p.pool); err != nil {
		return fmt.Errorf("retain: %w", err)
	}
	err = p.retaining(ctx, func(tx pgStatements) error { return tx.prune(p, before.UnixMilli()) })
	if err != nil {
		return fmt.Errorf("retain: %w", pgCommitError(err))
	}
	return nil
}

// retaining runs a transaction that may take long.
func (p *Postgres) retaining(ctx context.Context, do func(pgStatements) error) error {
	ctx, cancel := context.WithTimeout(ctx, retainTime)
	defer cancel()
	return p.plain(ctx, func(tx pgStatements) error {
		if _, err := tx.tx.Exec(ctx, fmt.Sprintf(`SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d;
SET LOCAL enable_hashjoin = on; SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on`, retainTime.Milliseconds(), tableWait.Milliseconds()), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		return do(tx)
	})
}

// dropDay forgets a day, and waits for those who read its tables without holding up others for long.
func (p *Postgres) dropDay(ctx context.Context, day int64) error {
	err := p.patiently(ctx, func() error {
		return p.retaining(ctx, func(tx pgStatements) error { return tx.dropDay(day) })
	})
	if errors.Is(err, errPassedOver) {
		return nil
	}
	return err
}

// dropDay takes the partitions of a day away in one transaction: what is needed of them is put aside, and falls into the default partitions after
// that. Nobody makes new work of old events meanwhile.
func (s pgStatements) dropDay(day int64) error {
	if err := s.lock(lockHistory, false); err != nil {
		return err
	}
	if err := s.lock(lockDays, false); err != nil {
		return err
	}
	tag, err := s.tx.Exec(s.ctx, `DELETE FROM day WHERE day = $1`, day)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return errPassedOver // another node has
	}
	first, last := int64(firstOf(day)), int64(firstOf(day+1))-1
	q := newQueue()
	q.add(`CREATE TEMP TABLE put_aside ON COMMIT DROP AS SELECT * FROM event WHERE false`)
	q.add(`CREATE TEMP TABLE attempts_aside ON COMMIT DROP AS SELECT * FROM attempt WHERE false`)
	if err := q.send(s.ctx, s.tx); err != nil {
		return err
	}
	later, err := s.olderEvents()
	if err != nil {
		return err
	}
	needed := strings.Join(append([]string{pgNeededEvents}, later...), ` UNION `)
	q = newQueue()
	q.add(`INSERT INTO put_aside SELECT * FROM event WHERE id IN (`+needed+`) AND id BETWEEN $1 AND $2`, first, last)
	// A retry that ends meanwhile writes an attempt: those of open work are looked for when nobody can.
	q.add(`LOCK TABLE attempt IN ACCESS EXCLUSIVE MODE`)
	q.add(`INSERT INTO attempts_aside SELECT * FROM attempt WHERE delivery IN (`+pgNeededAttempts+`)`, first, last)
	if err := q.send(s.ctx, s.tx); err != nil {
		return err
	}
	q = newQueue()
	for _, one := range dayPartitions {
		q.add(`DROP TABLE ` + one.table + `_` + suffixOf(day)) // the names are ours, from the schema
	}
	q.add(`INSERT INTO event SELECT * FROM put_aside`)
	q.add(`INSERT INTO attempt SELECT * FROM attempts_aside`)
	return q.send(s.ctx, s.tx)
}

// olderEvents are statements that give, of each day there is, the events of earlier days that its deliveries are about. Days stand in them as
// numbers, so that PostgreSQL sees that the index of such deliveries serves.
func (s pgStatements) olderEvents() (statements []string, err error) {
	err = s.each(`SELECT day FROM day ORDER BY day`, "", 1, func(row []driver.Value) error {
		day := integer(row[0])
		statements = append(statements, fmt.Sprintf(`SELECT event FROM delivery_%s WHERE event < %d`, suffixOf(day), int64(firstOf(day))))
		return nil
	})
	return statements, err
}

// prune forgets what was kept beyond its day and is no longer needed, and what no history refers to any more.
func (s pgStatements) prune(p *Postgres, before int64) error {
	if err := s.lock(lockHistory, false); err != nil {
		return err
	}
	next, err := p.next(s.ctx, s.tx)
	if err != nil {
		return err
	}
	oldest := int64(min(next, p.days.oldest()))
	ms := min(before, triggers.ID(oldest).Time().UnixMilli())
	// Rows made with a revision carry a date not long after it was replaced.
	slack := time.Hour.Milliseconds()
	hours := (before - hoursKept.Milliseconds()) / time.Hour.Milliseconds()
	editor := editor{base: &p.base}
	q := newQueue()
	q.add(`DELETE FROM delivery_kept WHERE ended_ms < $1`, before)
	q.add(`DELETE FROM attempt_kept WHERE delivery NOT IN (SELECT id FROM work) AND delivery NOT IN (SELECT id FROM delivery_kept)`)
	for _, table := range []string{"delivery_event", "redelivery"} {
		q.add(`DELETE FROM `+table+` WHERE delivery < $1 AND delivery NOT IN (SELECT id FROM work) AND delivery NOT IN (SELECT id FROM delivery_kept)`, oldest)
	}
	q.add(`DELETE FROM recovery WHERE id < $1 AND state NOT IN ('counting', 'running', 'paused')`, numberOf(before))
	q.add(`DELETE FROM off_span WHERE to_ms < $1`, ms)
	q.add(`DELETE FROM hour WHERE hour < $1`, hours)
	q.add(`DELETE FROM tenant_hour WHERE hour < $1 AND tenant IN (SELECT key FROM tenant)`, hours)
	q.add(`DELETE FROM revision WHERE ended_ms < $1 AND number NOT IN (SELECT revision FROM work) AND number NOT IN (SELECT revision FROM member)
    AND number NOT IN (SELECT revision FROM delivery_kept)`, ms-slack)
	q.add(`DELETE FROM audit WHERE id < $1`, editor.auditLimit(before))
	q.add(`DELETE FROM webhook_gone WHERE deleted_at < clock_timestamp() - interval '1 day'`)
	later, err := s.olderEvents()
	if err != nil {
		return err
	}
	unneeded := `DELETE FROM event_kept WHERE id NOT IN (SELECT event FROM work) AND id NOT IN (SELECT event FROM member)
    AND id NOT IN (SELECT event FROM delivery_event) AND id NOT IN (SELECT event FROM delivery_kept)`
	if len(later) > 0 {
		unneeded += ` AND id NOT IN (` + strings.Join(later, ` UNION ALL `) + `)`
	}
	q.add(unneeded)
	return q.send(s.ctx, s.tx)
}
