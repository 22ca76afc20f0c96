package storage

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"portalhook/triggers"
)

// doubtPause is between two tries to find out what became of a commit.
const doubtPause = time.Second

// doubts are what this node does not know since the answer to a commit was lost. A lease that was made by such a one belongs to nobody: whoever asked for it was
// told that it failed.
type doubts struct {
	mu     sync.Mutex
	any    bool
	leases []doubtfulLease
	wake   chan struct{} // one, when there is something to find out
}

type doubtfulLease struct {
	id    triggers.ID
	fence uint32
}

// add takes note of a commit without an answer, and of the leases that it made if it took place.
func (d *doubts) add(leases []doubtfulLease) {
	d.mu.Lock()
	d.any, d.leases = true, append(d.leases, leases...)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// doubtfulOf are the leases of a claim.
func doubtfulOf(taken []leased) []doubtfulLease {
	list := make([]doubtfulLease, len(taken))
	for i := range taken {
		list[i] = doubtfulLease{taken[i].id, taken[i].lease.fence}
	}
	return list
}

// dispelDoubts finds out, as often as there is something to, until the store is closed.
func (p *Postgres) dispelDoubts() {
	pause := time.NewTimer(doubtPause)
	defer pause.Stop()
	for {
		select {
		case <-p.closing:
			return
		case <-p.doubts.wake:
		}
		for {
			ctx, cancel := context.WithTimeout(context.Background(), transactionTime)
			err := p.dispel(ctx)
			cancel()
			if err == nil {
				break
			}
			pause.Reset(doubtPause)
			select {
			case <-p.closing:
				return
			case <-pause.C:
			}
		}
	}
}

// pgFreeDoubtful frees those leases of a node that were made after all. Whatever has another fence is a later one.
const pgFreeDoubtful = `UPDATE work SET due_ms = $2, node = NULL FROM unnest($3::bigint[], $4::bigint[]) AS s (id, fence)` + pgLookedUp + `
  AND work.fence = s.fence AND work.node = $1 RETURNING work.webhook`

// dispel counts what this node has added and frees the leases that nobody knows of. It does so while nobody here writes, and under a lock that every
// transaction of this node shares: one that is still under way, as far as the database knows, may yet be committed, and then the error is errPassedOver.
func (p *Postgres) dispel(ctx context.Context) error {
	for range writersAtOnce {
		defer p.slots.give(p.slots.take())
	}
	p.joins.Lock()
	defer p.joins.Unlock()
	p.doubts.mu.Lock()
	asked, leases := p.doubts.any, p.doubts.leases
	p.doubts.mu.Unlock()
	if !asked {
		return nil
	}
	ids, fences := make([]int64, len(leases)), make([]int64, len(leases))
	for i, l := range leases {
		ids[i], fences[i] = int64(l.id), int64(l.fence)
	}
	var ours int64
	var marks []mark
	err := p.plain(ctx, func(tx pgStatements) error {
		marks = nil
		var alone bool
		node := p.node.Load()
		if err := tx.tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1, $2)`, nodeKind, lockOfNode(node)).Scan(&alone); err != nil {
			return err
		}
		if !alone {
			return errPassedOver
		}
		now := p.now().UnixMilli()
		rows, err := tx.tx.Query(ctx, pgFreeDoubtful, node, now, ids, fences)
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
		ours, _, err = p.readOpened(ctx, tx.tx)
		return err
	})
	if err != nil {
		return err
	}
	p.doubts.mu.Lock()
	p.doubts.any, p.doubts.leases = false, nil // nobody has added any: nobody writes
	p.doubts.mu.Unlock()
	p.opened.is(ours)
	p.turns.markAll(marks)
	if len(marks) > 0 {
		p.log.Warn("commits whose answer was lost had taken place; what they had claimed is due again", "count", len(marks))
	}
	return nil
}
