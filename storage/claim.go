package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	workColumns     = `id, tenant, event, members, revision, trigger, built_ms, tries, fence, due_ms, status_code, started_ms, reason, first`
	workColumnCount = 14
	dueWork         = `SELECT ` + workColumns + ` FROM work WHERE webhook = ? AND due_ms IS NOT NULL AND due_ms <= ? ORDER BY due_ms, id LIMIT ?`
	leaseWork       = `UPDATE work SET due_ms = NULL, fence = ? WHERE id = ?`
	earliestWork    = `SELECT due_ms FROM work WHERE webhook = ? AND due_ms IS NOT NULL ORDER BY due_ms LIMIT 1`
)

// leased is a row of work that a claim has taken.
type leased struct {
	id    triggers.ID
	lease lease
	due   int64
}

// Claim implements delivery.Queue. Free is called by the store's writer: it must not call the store.
func (s *Store) Claim(
	ctx context.Context, now time.Time, limit int, free func(webhook uint32) int,
) (claimed []delivery.Claimed, next time.Time, err error) {
	var taken []leased
	err = s.write(ctx, func(w *writer) error {
		var err error
		taken, err = w.claim(now.UnixMilli(), limit, free)
		if due, ok := w.turns.next(); ok {
			next = timeOf(due)
		}
		return commitError(err)
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claim: %w", err)
	}
	claimed, err = s.load(ctx, taken)
	if err != nil {
		// The work goes back into line as it was; that this fails too is the disk's trouble, and the next start frees it.
		err = fmt.Errorf("claim: %w", err)
		if _, back := s.Settle(context.WithoutCancel(ctx), givenBack(taken)); back != nil {
			err = fmt.Errorf("%w; %w", err, back)
		}
		return nil, time.Time{}, err
	}
	return claimed, next, nil
}

// givenBack settles leases without an attempt.
func givenBack(taken []leased) []delivery.Settlement {
	batch := make([]delivery.Settlement, len(taken))
	for i := range taken {
		l := &taken[i].lease
		batch[i] = delivery.Settlement{
			Delivery: taken[i].id, Tenant: l.tenant, Webhook: l.webhook, Fence: l.fence,
			State: delivery.Waiting, DueAt: timeOf(taken[i].due), Reason: l.reason,
		}
	}
	return batch
}

func (w *writer) claim(now int64, limit int, free func(webhook uint32) int) ([]leased, error) {
	w.turns.wake(now)
	if len(w.turns.ready) == 0 || limit <= 0 {
		return nil, nil
	}
	var taken []leased
	var had []turn
	err := w.db.transaction(func() error {
		taken, had = nil, nil
		for _, webhook := range w.turns.ready {
			room := limit - len(taken)
			if room == 0 {
				break
			}
			// With no room, nothing has changed.
			due, left := w.turns.due(webhook), true
			if room = min(room, free(webhook)); room > 0 {
				var err error
				if due, left, err = w.claimOf(webhook, now, room, &taken); err != nil {
					return err
				}
			}
			had = append(had, turn{webhook, left, due})
		}
		return nil
	})
	if err != nil {
		w.putBack(taken)
		return nil, err
	}
	w.turns.taken(had, now)
	for i := range taken {
		w.leases[taken[i].id] = taken[i].lease
	}
	return taken, nil
}

// claimOf takes up to room of a webhook's due work, and says when the earliest of what is left falls due.
func (w *writer) claimOf(webhook uint32, now int64, room int, taken *[]leased) (due int64, left bool, err error) {
	if o := w.ordered[webhook]; o != nil {
		err = w.leaseHeads(o, webhook, now, room, taken)
		first, left := o.next()
		return first.due, left, err
	}
	if err := w.leaseDue(webhook, now, room, taken); err != nil {
		return 0, false, err
	}
	return w.earliest(webhook)
}

// leaseDue takes up to room of a webhook's due work.
func (w *writer) leaseDue(webhook uint32, now int64, room int, taken *[]leased) error {
	first := len(*taken)
	if err := w.db.each(dueWork, "", workColumnCount, readWork(webhook, taken), int64(webhook), now, int64(room)); err != nil {
		return err
	}
	for _, t := range (*taken)[first:] {
		if err := w.db.run(leaseWork, int64(t.lease.fence), int64(t.id)); err != nil {
			return err
		}
	}
	return nil
}

// readWork appends rows of a webhook's work to taken, as they are when leased.
func readWork(webhook uint32, taken *[]leased) func(row []driver.Value) error {
	return func(row []driver.Value) error {
		*taken = append(*taken, leased{
			id: triggers.ID(integer(row[0])),
			lease: lease{
				tenant: uint32(integer(row[1])), webhook: webhook, //nolint:gosec // this and the following were written from such types
				event: triggers.ID(integer(row[2])), members: int(integer(row[3])), revision: integer(row[4]),
				trigger: uint8(integer(row[5])), built: integer(row[6]), tries: int(integer(row[7])), //nolint:gosec // as above
				fence: uint32(integer(row[8])) + 1, status: int(integer(row[10])), started: integer(row[11]), //nolint:gosec // as above
				reason: textOf(row[12]), first: bytesOf(row[13]),
			},
			due: integer(row[9]),
		})
		return nil
	}
}

// earliest is when a webhook's first waiting work falls due; false when it has none.
func (w *writer) earliest(webhook uint32) (due int64, found bool, err error) {
	err = w.db.each(earliestWork, "", 1, func(row []driver.Value) error {
		due, found = integer(row[0]), true
		return nil
	}, int64(webhook))
	return due, found, err
}
