package storage

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"portalhook/triggers"
)

// dayPartitions are the tables that have a partition for each day, with what is compared to its bounds.
var dayPartitions = [...]struct {
	table string
	byDay bool // the bounds are days, not numbers
}{{"event", false}, {"delivery", false}, {"attempt", false}, {"search", false}, {"identity", true}}

const insertDay = `INSERT INTO day (day) VALUES (?) ON CONFLICT DO NOTHING`

// knownDays is the days that have partitions, as far as this node has heard. It is base's tables: there are no others than those that are
// asked, whatever the day.
type knownDays struct {
	list atomic.Pointer[[]int64] // ascending
}

func (d *knownDays) hold() (release func()) { return func() {} }

func (d *knownDays) suffix(triggers.ID) string { return "" }

func (d *knownDays) suffixes(_, _ triggers.ID, _ bool) []string { return []string{""} }

func (d *knownDays) endOf(string, bool) triggers.ID { return 0 }

// oldest is the lowest id that lies in the partition of a day.
func (d *knownDays) oldest() triggers.ID {
	if list := d.all(); len(list) > 0 {
		return firstOf(list[0])
	}
	return 1<<63 - 1
}

func (d *knownDays) all() []int64 {
	if list := d.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (d *knownDays) has(day int64) bool { return slices.Contains(d.all(), day) }

// load reads the days there are.
func (d *knownDays) load(ctx context.Context, pool *pgxpool.Pool) error {
	rows, err := pool.Query(ctx, `SELECT day FROM day ORDER BY day`)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	d.list.Store(&list)
	return nil
}

// prepareDays makes the partitions of a day and of the one after it, so that no event waits for that at midnight. What falls into no day's
// partition lies with what was kept.
func (p *Postgres) prepareDays(ctx context.Context, today int64) error {
	if p.days.has(today) && p.days.has(today+1) {
		return nil
	}
	for _, day := range []int64{today, today + 1} {
		if err := p.makeDay(ctx, day); err != nil {
			return fmt.Errorf("make the tables of %s: %w", suffixOf(day), err)
		}
	}
	return p.days.load(ctx, p.pool)
}

// makeDay makes the partitions of a day, unless there are: each in a transaction of its own, so that nobody who reads several tables is in the way
// of it for more than one.
func (p *Postgres) makeDay(ctx context.Context, day int64) error {
	for i := range dayPartitions {
		err := p.patiently(ctx, func() error {
			return p.plain(ctx, func(tx pgStatements) error { return tx.makePartition(i, day) })
		})
		if err != nil {
			return err
		}
	}
	return p.plain(ctx, func(tx pgStatements) error {
		return tx.run(insertDay, day)
	})
}

// patiently tries something again for which a table is needed that others read: they are waited for, but others behind them not for long.
func (p *Postgres) patiently(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		switch {
		case err == nil || try == tableTries || codeOfError(err) != codeNoLock && !mayTryAgain(err):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// makePartition makes one of a day's partitions. It is made apart and then taken in, so that nobody waits who reads or writes those of other days.
func (s pgStatements) makePartition(place int, day int64) error {
	one := dayPartitions[place]
	name := one.table + "_" + suffixOf(day)
	if _, err := s.tx.Exec(s.ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %d`, tableWait.Milliseconds())); err != nil {
		return err
	}
	if err := s.lock(lockDays, false); err != nil {
		return err
	}
	var there bool
	if err := s.tx.QueryRow(s.ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
		return err
	}
	from, to := int64(firstOf(day)), int64(firstOf(day+1))
	if one.byDay {
		from, to = day, day+1
	}
	// The names are ours, from the schema.
	statements := fmt.Sprintf(`CREATE TABLE %[2]s (LIKE %[1]s INCLUDING ALL);
ALTER TABLE %[1]s ATTACH PARTITION %[2]s FOR VALUES FROM (%[3]d) TO (%[4]d)`, one.table, name, from, to)
	if one.table == "delivery" {
		// Nearly empty: deliveries of events of an earlier day, whose events must outlive that day.
		statements += fmt.Sprintf(`;
CREATE INDEX %[1]s_older ON %[1]s (event) WHERE event < %[2]d`, name, from)
	}
	_, err := s.tx.Exec(s.ctx, statements, pgx.QueryExecModeSimpleProtocol)
	return err
}
