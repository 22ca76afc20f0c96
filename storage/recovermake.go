package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	insertRedelivery = `INSERT INTO redelivery (webhook, event, delivery) VALUES `
	newestLater      = `SELECT max(delivery) FROM redelivery WHERE webhook = ? AND event = ?`
	acceptedOf       = `SELECT accepted_ms FROM event_$day WHERE id = ? AND tenant = ?`
)

// CountRecovery implements delivery.RecoveryStore.
func (s *Store) CountRecovery(ctx context.Context, step delivery.RecoveryStep) (*delivery.Recovery, error) {
	return s.stepRecovery(ctx, step, func(_ *writer, r *delivery.Recovery) ([]remade, error) {
		if r.State != delivery.RecoveryCounting || r.CountedTo != step.From {
			return nil, errTooLate
		}
		r.Counts.Add(step.Found.Found)
		r.CountedTo = step.Found.To
		if step.Found.Done {
			r.Counts.Complete, r.State = true, delivery.RecoveryRunning
		}
		return nil, nil
	})
}

// AdvanceRecovery implements delivery.RecoveryStore.
func (s *Store) AdvanceRecovery(ctx context.Context, step delivery.RecoveryStep) (*delivery.Recovery, error) {
	return s.stepRecovery(ctx, step, func(w *writer, r *delivery.Recovery) ([]remade, error) {
		if r.State != delivery.RecoveryRunning || r.Position != step.From {
			return nil, errTooLate
		}
		w.noteLost(r)
		due := step.Now.UnixMilli()
		var made []remade
		revisions := make(map[int64]struct{})
		for i := range step.Found.Found {
			one, err := w.remake(r, &step.Found.Found[i], step.Revision, due)
			if err != nil {
				return nil, err
			}
			if one.id == 0 {
				r.Passed++
				continue
			}
			r.Made++
			made = append(made, one)
			revisions[one.revision] = struct{}{}
		}
		for revision := range revisions {
			if err := w.db.run(touchRevision, due, revision); err != nil {
				return nil, err
			}
		}
		r.Position, r.NextAt = step.Found.To, timeOf(unixMilli(step.NextAt))
		if step.Found.Done {
			r.State, r.EndedAt = delivery.RecoveryDone, timeOf(due)
		}
		return made, nil
	})
}

// errTooLate says that a step is not the next one of its recovery.
var errTooLate = errors.New("not the next step")

// stepRecovery runs one transaction that moves a recovery on, and gives the recovery as it is then.
func (s *Store) stepRecovery(
	ctx context.Context, step delivery.RecoveryStep, do func(*writer, *delivery.Recovery) ([]remade, error),
) (*delivery.Recovery, error) {
	var moved *delivery.Recovery
	err := s.write(ctx, func(w *writer) error {
		if err := w.prepareDays(); err != nil {
			return commitError(err)
		}
		var made []remade
		err := w.db.transaction(func() error {
			r, err := w.recovery(oneRecovery, int64(step.ID))
			if err == nil && r == nil {
				err = triggers.ErrNotFound
			}
			if err != nil {
				return err
			}
			before := *r
			moved = &before
			if made, err = do(w, r); err != nil {
				return err
			}
			r.UpdatedAt = timeOf(step.Now.UnixMilli())
			moved = r
			return w.writeRecovery(r, false)
		})
		if errors.Is(err, errTooLate) {
			return nil
		}
		if err != nil {
			return known(err)
		}
		w.remadeAll(moved, made, step.Now.UnixMilli())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("recovery %s: %w", step.ID.Recovery(), err)
	}
	return moved, nil
}

// noteLost says which time's history was forgotten since the recovery began and before its turn came.
func (w *writer) noteLost(r *delivery.Recovery) {
	oldest := w.oldest()
	for _, span := range rangesOf(r) {
		first, last := max(span.first, r.Position+1, r.Oldest), min(span.last, oldest-1)
		if first > last {
			continue
		}
		if r.Lost.From.IsZero() {
			r.Lost.From = first.Time().UTC()
		}
		r.Lost.To = (last + 1).Time().UTC()
	}
}

// remade is a delivery that a recovery has made: what memory learns of it after the commit.
type remade struct {
	heard
	revision int64
	line     string // of an ordered webhook
}

// remadeAll takes the deliveries of a step into memory.
func (w *writer) remadeAll(r *delivery.Recovery, made []remade, due int64) {
	if len(made) == 0 {
		return
	}
	w.opened(r.Tenant, int64(len(made)))
	o := w.ordered[r.Webhook]
	for i := range made {
		w.indexDelivery(made[i].heard)
		if o != nil {
			o.add(made[i].line, made[i].id, due)
		}
	}
	if o != nil {
		w.markFirst(r.Webhook)
		return
	}
	w.turns.mark(r.Webhook, due)
}

// remake makes one delivery of a recovery; none, without an id, when the event has got another since it was found, or its history is past.
func (w *writer) remake(r *delivery.Recovery, found *delivery.Recoverable, present, due int64) (made remade, err error) {
	newest, err := w.db.integer(newestLater, int64(r.Webhook), int64(found.Event))
	if err != nil || triggers.ID(newest) > found.Delivery {
		return remade{}, err
	}
	var l lease
	if found.Delivery != 0 {
		l, err = w.sent(r.Tenant, found.Delivery)
	} else {
		l, err = w.unsent(r, found, present)
	}
	if errors.Is(err, triggers.ErrNotFound) {
		return remade{}, nil
	}
	if err != nil {
		return remade{}, err
	}
	l.fence = 0
	id := w.ids.draw(1)
	made.revision = l.revision
	if made.heard, err = w.heardOf(id, &l); err != nil {
		return remade{}, err
	}
	if w.ordered[l.webhook] != nil {
		if made.line, err = w.lineOf(l.event, l.members); err != nil {
			return remade{}, err
		}
	}
	if err := w.addWork(id, l, due); err != nil {
		return remade{}, err
	}
	if l.members > 0 {
		if err := w.db.run(copyEvents, int64(id), int64(found.Delivery)); err != nil {
			return remade{}, err
		}
	}
	return made, w.noteRedelivery(l, id)
}

// noteRedelivery notes a delivery that was made later than at acceptance.
func (w *writer) noteRedelivery(l lease, id triggers.ID) error {
	rows, err := w.db.insert(insertRedelivery, "", 3)
	if err != nil {
		return err
	}
	return rows.add(int64(l.webhook), int64(l.event), int64(id))
}

// unsent is a delivery of an event that had none: built as of the event's acceptance.
func (w *writer) unsent(r *delivery.Recovery, found *delivery.Recoverable, revision int64) (lease, error) {
	l := lease{tenant: r.Tenant, webhook: r.Webhook, event: found.Event, revision: revision, trigger: found.Trigger}
	stored := false
	err := w.db.each(acceptedOf, w.store.calendar.suffix(found.Event), 1, func(row []driver.Value) error {
		l.built, stored = integer(row[0]), true
		return nil
	}, int64(found.Event), int64(r.Tenant))
	if err == nil && !stored {
		err = triggers.ErrNotFound
	}
	return l, err
}
