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
func (s *base) CountRecovery(ctx context.Context, step delivery.RecoveryStep) (*delivery.Recovery, error) {
	var counted *delivery.Recovery
	err := s.edit(ctx, func(e *editor) error {
		var err error
		counted, err = e.stepRecovery(step, func(r *delivery.Recovery) error {
			if r.State != delivery.RecoveryCounting || r.CountedTo != step.From {
				return errTooLate
			}
			r.Counts.Add(step.Found.Found)
			r.CountedTo = step.Found.To
			if step.Found.Done {
				r.Counts.Complete, r.State = true, delivery.RecoveryRunning
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recovery %s: %w", step.ID.Recovery(), known(err))
	}
	return counted, nil
}

// AdvanceRecovery implements delivery.RecoveryStore.
func (s *Store) AdvanceRecovery(ctx context.Context, step delivery.RecoveryStep) (*delivery.Recovery, error) {
	var moved *delivery.Recovery
	err := s.write(ctx, func(w *writer) error {
		if err := w.prepareDays(); err != nil {
			return commitError(err)
		}
		var made []remade
		err := w.db.transaction(func() error {
			var err error
			made = nil
			moved, err = w.advanceRecovery(step, func(r *delivery.Recovery, found *delivery.Recoverable, due int64) (int64, error) {
				one, err := w.remake(r, found, step.Revision, due)
				if err == nil && one.id != 0 {
					made = append(made, one)
				}
				return one.revision, err
			})
			return err
		})
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

// advanceRecovery makes the deliveries of a step, each by remake, which gives the revision that it was made with, 0 when none was made.
func (e *editor) advanceRecovery(
	step delivery.RecoveryStep, remake func(r *delivery.Recovery, found *delivery.Recoverable, due int64) (revision int64, err error),
) (*delivery.Recovery, error) {
	return e.stepRecovery(step, func(r *delivery.Recovery) error {
		if r.State != delivery.RecoveryRunning || r.Position != step.From {
			return errTooLate
		}
		if err := e.noteLost(r); err != nil {
			return err
		}
		due := step.Now.UnixMilli()
		revisions := make(map[int64]struct{})
		for i := range step.Found.Found {
			revision, err := remake(r, &step.Found.Found[i], due)
			if err != nil {
				return err
			}
			if revision == 0 {
				r.Passed++
				continue
			}
			r.Made++
			revisions[revision] = struct{}{}
		}
		for revision := range revisions {
			if err := e.db.run(touchRevision, due, revision); err != nil {
				return err
			}
		}
		r.Position, r.NextAt = step.Found.To, timeOf(unixMilli(step.NextAt))
		if step.Found.Done {
			r.State, r.EndedAt = delivery.RecoveryDone, timeOf(due)
		}
		return nil
	})
}

// errTooLate says that a step is not the next one of its recovery.
var errTooLate = errors.New("not the next step")

// stepRecovery moves a recovery on, and gives it as it is then; as it was when do finds that it is too late, before it has done anything.
func (e *editor) stepRecovery(step delivery.RecoveryStep, do func(*delivery.Recovery) error) (*delivery.Recovery, error) {
	r, err := e.recovery(oneRecovery, int64(step.ID))
	if err == nil && r == nil {
		err = triggers.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	err = do(r)
	if errors.Is(err, errTooLate) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	r.UpdatedAt = timeOf(step.Now.UnixMilli())
	return r, e.writeRecovery(r, false)
}

// noteLost says which time's history was forgotten since the recovery began and before its turn came.
func (e *editor) noteLost(r *delivery.Recovery) error {
	oldest, err := e.oldestID()
	if err != nil {
		return err
	}
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
	return nil
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
	l, err := w.recoverable(r, found, present)
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

// recoverable is what a delivery is made of anew; triggers.ErrNotFound when the event has got another since it was found, or its history is past.
func (e *editor) recoverable(r *delivery.Recovery, found *delivery.Recoverable, present int64) (lease, error) {
	newest, err := e.db.integer(newestLater, int64(r.Webhook), int64(found.Event))
	switch {
	case err != nil:
		return lease{}, err
	case triggers.ID(newest) > found.Delivery:
		return lease{}, triggers.ErrNotFound
	case found.Delivery != 0:
		return e.sent(r.Tenant, found.Delivery)
	}
	return e.unsent(r, found, present)
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
func (e *editor) unsent(r *delivery.Recovery, found *delivery.Recoverable, revision int64) (lease, error) {
	l := lease{tenant: r.Tenant, webhook: r.Webhook, event: found.Event, revision: revision, trigger: found.Trigger}
	stored := false
	err := e.db.each(acceptedOf, e.tables.suffix(found.Event), 1, func(row []driver.Value) error {
		l.built, stored = integer(row[0]), true
		return nil
	}, int64(found.Event), int64(r.Tenant))
	if err == nil && !stored {
		err = triggers.ErrNotFound
	}
	return l, err
}
