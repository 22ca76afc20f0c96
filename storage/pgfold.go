package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"portalhook/delivery"
)

const (
	// foldAfter is how long after its end an hour is folded first: nearly all that is counted in it is there by then.
	foldAfter = time.Minute
	// foldAgain is how many hours are looked at once more whenever one is over, since something may have been counted late. What comes later
	// than that stays in rows of its own, which are read like any.
	foldAgain = 24
	// foldTime is how long a look may take, before the next beat goes on.
	foldTime = transactionTime / 2
	// foldRows and foldTenants are how much one transaction folds.
	foldRows    = 2000
	foldTenants = 50
	// noteFolded is the hour before which all were folded.
	noteFolded = "folded"
)

// folds is how far the hours are folded, as far as this node knows while it leads.
type folds struct {
	mu   sync.Mutex
	read bool  // what others have noted
	over int64 // all hours before this one were looked at
	next int64 // where the look under way goes on; 0 when there is none
}

const (
	// pgFirstHour is the first hour from one on in which anything was counted.
	pgFirstHour = `SELECT least((SELECT hour FROM hour WHERE hour >= $1 ORDER BY hour LIMIT 1),
  (SELECT min(first) FROM tenant CROSS JOIN LATERAL (SELECT hour AS first FROM tenant_hour WHERE tenant = key AND hour >= $1 ORDER BY hour LIMIT 1) AS of_tenant))`
	// Rows that somebody is adding to at the moment are left for the next look, so that the one who folds waits for nobody.
	pgFoldTenantHours = `WITH few AS MATERIALIZED (SELECT key FROM tenant WHERE key > $2 ORDER BY key LIMIT $3),
  piece AS MATERIALIZED (SELECT h.tenant, h.hour, h.slot FROM few JOIN tenant_hour AS h ON h.tenant = key AND h.hour = $1 AND h.slot <> 0 FOR UPDATE OF h SKIP LOCKED),
  gone AS (DELETE FROM tenant_hour AS h USING piece WHERE h.tenant = piece.tenant AND h.hour = piece.hour AND h.slot = piece.slot RETURNING h.*),
  added AS (INSERT INTO tenant_hour AS h (slot, tenant, hour, ` + tenantHourColumns + `) SELECT 0, tenant, hour, %s FROM gone GROUP BY tenant, hour` + pgTenantHourAdds + `)
  SELECT coalesce(max(key), 0) FROM few`
	pgFoldHours = `WITH piece AS MATERIALIZED (SELECT hour, tenant, webhook, slot FROM hour
    WHERE hour = $1 AND (tenant, webhook, slot) > ($2, $3, $4) AND slot <> 0 ORDER BY hour, tenant, webhook, slot LIMIT $5 FOR UPDATE SKIP LOCKED),
  gone AS (DELETE FROM hour AS h USING piece WHERE h.hour = piece.hour AND h.tenant = piece.tenant AND h.webhook = piece.webhook AND h.slot = piece.slot RETURNING h.*),
  added AS (INSERT INTO hour AS h (slot, hour, tenant, webhook, ` + pgHourSums + `) SELECT 0, hour, tenant, webhook, %s FROM gone GROUP BY hour, tenant, webhook` + pgHourAdds + `)
  SELECT tenant, webhook, slot FROM piece`
)

var (
	foldHours       = fmt.Sprintf(pgFoldHours, sumsOf(fields(strings.ReplaceAll(pgHourSums, ",", ""))))
	foldTenantHours = fmt.Sprintf(pgFoldTenantHours, sumsOf(fields(strings.ReplaceAll(tenantHourColumns, ",", ""))))
)

// sumsOf adds up counters of several writers, each under its name: classes of latency one by one, and of the last attempt's that of the latest.
func sumsOf(columns []string) string {
	list := make([]string, len(columns))
	for i, column := range columns {
		switch {
		case column == "latency":
			var classes []string
			for class := range len(delivery.LatencyBounds) + 1 {
				classes = append(classes, fmt.Sprintf("coalesce(sum(latency[%d]), 0)::bigint", class+1))
			}
			list[i] = "ARRAY[" + strings.Join(classes, ", ") + "] AS latency"
		case strings.HasPrefix(column, "last_"):
			list[i] = fmt.Sprintf("(array_agg(%[1]s ORDER BY last_ms DESC, last_id DESC))[1] AS %[1]s", column)
		default:
			list[i] = fmt.Sprintf("sum(%[1]s)::bigint AS %[1]s", column)
		}
	}
	return strings.Join(list, ", ")
}

// foldDue adds up what several writers have counted in hours that are over. The oldest node does so for all. While no hour has ended since the
// last look, it asks the database nothing.
func (p *Postgres) foldDue(ctx context.Context) error {
	f := &p.folds
	f.mu.Lock()
	defer f.mu.Unlock()
	if !p.Leads() {
		f.read, f.next = false, 0
		return nil
	}
	over := p.now().Add(-foldAfter).Unix() / 3600
	if f.read && f.next == 0 && over <= f.over {
		return nil
	}
	if !f.read {
		folded, err := p.readFolded(ctx)
		if err != nil {
			return err
		}
		f.read, f.over, f.next = true, folded, 0
	}
	if f.next == 0 {
		f.next = max(f.over-foldAgain, 1)
	}
	next, err := p.foldHours(ctx, f.next, over)
	if f.next = next; err != nil || next < over {
		return err
	}
	err = p.plain(ctx, func(tx pgStatements) error { return tx.run(setNote, noteFolded, strconv.FormatInt(over, 10)) })
	if err == nil {
		f.over, f.next = over, 0
	}
	return err
}

// readFolded is the hour before which others have folded all, 0 when none has.
func (p *Postgres) readFolded(ctx context.Context) (int64, error) {
	var text string
	err := p.pool.QueryRow(ctx, numbered(readNote), noteFolded).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask how far hours are folded: %w", err)
	}
	return strconv.ParseInt(text, 10, 64)
}

// foldHours folds the hours from one until before another, as far as it gets in its time: next is the first that it has not.
func (p *Postgres) foldHours(ctx context.Context, from, over int64) (next int64, err error) {
	until := time.Now().Add(foldTime)
	for {
		var hour *int64
		if err := p.pool.QueryRow(ctx, pgFirstHour, from).Scan(&hour); err != nil {
			return from, fmt.Errorf("look for hours to fold: %w", err)
		}
		if hour == nil || *hour >= over {
			return over, nil
		}
		from = *hour
		switch done, err := p.foldHour(ctx, *hour, until); {
		case err != nil:
			return from, fmt.Errorf("fold counters of hour %d: %w", *hour, err)
		case !done:
			return from, nil
		}
		from++
	}
}

// foldHour adds up the rows of all writers in those of none, in several transactions, as far as it gets until a time. Whoever counts in the hour
// after that makes a row anew.
func (p *Postgres) foldHour(ctx context.Context, hour int64, until time.Time) (done bool, err error) {
	for last, n := [3]int64{}, foldRows; n == foldRows; {
		if time.Now().After(until) {
			return false, nil
		}
		err := p.folding(ctx, func(tx pgStatements) error {
			rows, err := tx.tx.Query(ctx, foldHours, hour, last[0], last[1], last[2], int64(foldRows))
			if err != nil {
				return err
			}
			piece, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (key [3]int64, err error) {
				err = row.Scan(&key[0], &key[1], &key[2])
				return key, err
			})
			for _, key := range piece {
				last = slices.MaxFunc([][3]int64{last, key}, func(a, b [3]int64) int { return slices.Compare(a[:], b[:]) })
			}
			n = len(piece)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	for after, more := int64(0), true; more; {
		err := p.folding(ctx, func(tx pgStatements) error {
			var last int64
			err := tx.tx.QueryRow(ctx, foldTenantHours, hour, after, int64(foldTenants)).Scan(&last)
			after, more = last, last != 0
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// folding runs a transaction in which nobody else folds: rows of no writer are written by one at a time.
func (p *Postgres) folding(ctx context.Context, do func(pgStatements) error) error {
	return p.plain(ctx, func(tx pgStatements) error {
		if err := tx.lock(lockFolding, false); err != nil {
			return err
		}
		return do(tx)
	})
}
