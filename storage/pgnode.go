package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// beatInterval is how often a node says that it is alive, and looks for others that are not.
	beatInterval = 2 * time.Second
	// nodeSilence is how long a node may not be heard of, by the database's clock, before it is taken for dead. With the time between two looks
	// its work is taken over within 15 s.
	nodeSilence = 12 * time.Second
	// tidyInterval is how often waiting work of webhooks that are gone is looked for, of a node that ended while it deleted one, and buckets that are full.
	tidyInterval = time.Minute
)

// join makes a row for this node, in place of the one that was found dead; 0 at the start. The leases of that are of a node that is dead.
func (p *Postgres) join(ctx context.Context, dead int64) error {
	p.joins.Lock()
	defer p.joins.Unlock()
	if p.node.Load() != dead {
		return nil // somebody else has
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var id int64
	err = p.plain(ctx, func(tx pgStatements) error {
		if err := tx.refuseTransfer(); err != nil {
			return err
		}
		return tx.tx.QueryRow(ctx, `INSERT INTO node (host) VALUES ($1) RETURNING id`, pgText(host)).Scan(&id)
	})
	if err != nil {
		return fmt.Errorf("join the other nodes: %w", err)
	}
	p.opened.begin(id) // before anything is counted under it
	if before := p.node.Swap(id); before != 0 {
		p.log.Warn("this node was not heard of for long: its deliveries have gone to others", "node", id)
	}
	if err := p.elect(ctx); err != nil {
		return err
	}
	return p.countOthers(ctx)
}

// leave frees this node's leases and takes its row away.
func (p *Postgres) leave(ctx context.Context) error {
	node := p.node.Load()
	if node == 0 {
		return nil
	}
	_, err := p.bury(ctx, node, true)
	return err
}

// keepAlive says that this node is alive, takes over what dead ones have left and keeps what is held in memory in step with the database, until
// the store is closed.
func (p *Postgres) keepAlive() {
	tidied := time.Now()
	p.repeat(func(ctx context.Context) error {
		err := p.beat(ctx)
		if err == nil && time.Since(tidied) > tidyInterval {
			tidied = time.Now()
			err = p.tidy(ctx)
		}
		return err
	})
}

// repeat does something with every beat until the store is closed. Each time it may take as long as a transaction.
func (p *Postgres) repeat(do func(context.Context) error) {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-p.closing:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), transactionTime)
		err := do(ctx)
		cancel()
		if err != nil && !failing {
			p.log.Error("the database does not answer; trying again", "err", err)
		}
		failing = err != nil
	}
}

// tidy cancels the work of webhooks that are gone, and forgets buckets that are as good as new ones.
func (p *Postgres) tidy(ctx context.Context) error {
	if err := p.cancelOrphans(ctx); err != nil {
		return err
	}
	if _, err := p.pool.Exec(ctx, pgFullRates, p.now().Add(-rateIdle).UnixMilli()); err != nil {
		return fmt.Errorf("forget full buckets: %w", err)
	}
	return nil
}

func (p *Postgres) beat(ctx context.Context) error {
	node := p.node.Load()
	tag, err := p.pool.Exec(ctx, `UPDATE node SET seen_at = clock_timestamp() WHERE id = $1`, node)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		if err := p.join(ctx, node); err != nil {
			return err
		}
	}
	if err := p.clock.set(ctx, p.pool); err != nil {
		return err
	}
	if err := p.buryDead(ctx); err != nil {
		return err
	}
	if err := p.elect(ctx); err != nil {
		return err
	}
	if err := p.days.load(ctx, p.pool); err != nil {
		return err
	}
	next, err := p.next(ctx, p.pool)
	if err != nil {
		return err
	}
	if err := p.prepareDays(ctx, dayOf(next)); err != nil {
		return err
	}
	return p.countOthers(ctx)
}

// elect finds out whether this is the oldest node, and how many there are.
func (p *Postgres) elect(ctx context.Context) error {
	var oldest bool
	var nodes int32
	err := p.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE id < $1) = 0, count(*) FROM node`, p.node.Load()).Scan(&oldest, &nodes)
	if err != nil {
		return err
	}
	p.leads.Store(oldest)
	p.alive.Store(nodes)
	return nil
}

// buryDead takes over the work of nodes that have not been heard of.
func (p *Postgres) buryDead(ctx context.Context) error {
	rows, err := p.pool.Query(ctx, `SELECT id FROM node WHERE seen_at < clock_timestamp() - make_interval(secs => $1) AND id <> $2`,
		nodeSilence.Seconds(), p.node.Load())
	if err != nil {
		return err
	}
	dead, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, node := range dead {
		freed, err := p.bury(ctx, node, false)
		if err != nil {
			return err
		}
		if freed >= 0 {
			p.log.Warn("a node is dead; its deliveries are taken over", "node", node, "count", freed)
		}
	}
	if len(dead) == 0 {
		return nil
	}
	return p.cancelOrphans(ctx)
}

// bury takes a node's row away and frees its leases. One that is in the middle of a transaction is not dead yet, unless it is sure to be: then
// freed is -1.
func (p *Postgres) bury(ctx context.Context, node int64, sure bool) (freed int, err error) {
	var marks []mark
	err = p.plain(ctx, func(tx pgStatements) error {
		marks = nil
		alone := sure
		if !sure {
			if err := tx.tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1, $2)`, nodeKind, lockOfNode(node)).Scan(&alone); err != nil {
				return err
			}
		}
		if !alone {
			return errPassedOver
		}
		tag, err := tx.tx.Exec(ctx, `DELETE FROM node WHERE id = $1 AND ($2 OR seen_at < clock_timestamp() - make_interval(secs => $3))`,
			node, sure, nodeSilence.Seconds())
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errPassedOver // somebody else has, or it is alive after all
		}
		now := p.now().UnixMilli()
		rows, err := tx.tx.Query(ctx, `UPDATE work SET due_ms = $2, node = NULL WHERE node = $1 RETURNING webhook`, node, now)
		if err != nil {
			return err
		}
		webhooks, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		for _, webhook := range webhooks {
			marks = append(marks, mark{uint32(webhook), now}) //nolint:gosec // a key
		}
		return tx.foldOpened(node)
	})
	if errors.Is(err, errPassedOver) {
		return -1, nil
	}
	p.turns.markAll(marks)
	return len(marks), err
}

// pgWaitAnew is waitAnew.
const pgWaitAnew = `UPDATE work SET due_ms = due_ms - greatest(started_ms, built_ms) + $1::bigint
  WHERE due_ms >= greatest(started_ms, built_ms) AND greatest(started_ms, built_ms) > $1 + $2::bigint`

// waitAnew puts waits right when the database's clock was set back while no node was there to move their dates along.
func (p *Postgres) waitAnew(ctx context.Context) error {
	var others bool
	err := p.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM node WHERE id <> $1 AND seen_at > clock_timestamp() - make_interval(secs => $2))`,
		p.node.Load(), nodeSilence.Seconds()).Scan(&others)
	if err != nil || others {
		return err
	}
	if _, err := p.pool.Exec(ctx, pgWaitAnew, p.now().UnixMilli(), setBack); err != nil {
		return fmt.Errorf("put waits right: %w", err)
	}
	return nil
}
