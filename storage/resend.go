package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	resendColumns  = 6
	resendDelivery = `SELECT webhook, event, members, revision, trigger, built_ms FROM delivery_$day WHERE id = ? AND tenant = ?`
	resendWork     = `SELECT webhook, event, members, revision, trigger, built_ms FROM work WHERE id = ? AND tenant = ?`
	copyEvents     = `INSERT INTO delivery_event (delivery, event) SELECT ?, event FROM delivery_event WHERE delivery = ?`
	// A revision that was replaced is kept as long as what was made with it last.
	touchRevision = `UPDATE revision SET ended_ms = ? WHERE number = ? AND ended_ms IS NOT NULL`
)

// Resend implements delivery.Queue. A delivery whose webhook was deleted cannot be sent again: triggers.ErrNotFound.
func (s *Store) Resend(ctx context.Context, tenant uint32, id triggers.ID, now time.Time) (delivery.Claimed, error) {
	var taken leased
	err := s.write(ctx, func(w *writer) error {
		var err error
		taken, err = w.resend(tenant, id, now.UnixMilli())
		if errors.Is(err, triggers.ErrNotFound) {
			return err
		}
		return commitError(err)
	})
	if err != nil {
		return delivery.Claimed{}, fmt.Errorf("delivery %s: %w", id.Delivery(), err)
	}
	claimed, err := s.load(ctx, []leased{taken})
	if err != nil {
		return delivery.Claimed{}, fmt.Errorf("delivery %s: %w", id.Delivery(), err)
	}
	return claimed[0], nil
}

func (w *writer) resend(tenant uint32, old triggers.ID, now int64) (leased, error) {
	if err := w.prepareDays(); err != nil {
		return leased{}, err
	}
	var (
		taken leased
		h     heard
		line  string
	)
	err := w.db.transaction(func() error {
		l, err := w.sent(tenant, old)
		if err != nil {
			return err
		}
		if w.ordered[l.webhook] != nil {
			if line, err = w.lineOf(l.event, l.members); err != nil {
				return err
			}
		}
		taken = leased{id: w.ids.draw(1), lease: l, due: now}
		if h, err = w.heardOf(taken.id, &l); err != nil {
			return err
		}
		if err := w.addWork(taken.id, l, nil); err != nil {
			return err
		}
		if l.members > 0 {
			if err := w.db.run(copyEvents, int64(taken.id), int64(old)); err != nil {
				return err
			}
		}
		if err := w.noteRedelivery(l, taken.id); err != nil {
			return err
		}
		return w.db.run(touchRevision, now, l.revision)
	})
	if err != nil {
		return leased{}, err
	}
	w.leases[taken.id] = taken.lease
	w.opened(taken.lease.tenant, 1)
	w.indexDelivery(h)
	if o := w.ordered[taken.lease.webhook]; o != nil {
		o.add(line, taken.id, notDue)
	}
	return taken, nil
}

// sent finds what a delivery was made of, whether it is open or has ended.
func (e *editor) sent(tenant uint32, id triggers.ID) (lease, error) {
	l := lease{tenant: tenant, fence: 1}
	found := false
	read := func(row []driver.Value) error {
		l.webhook, l.event = uint32(integer(row[0])), triggers.ID(integer(row[1])) //nolint:gosec // written from such types
		l.members, l.revision = int(integer(row[2])), integer(row[3])
		l.trigger, l.built = uint8(integer(row[4])), integer(row[5]) //nolint:gosec // as above
		found = true
		return nil
	}
	if err := e.db.each(resendDelivery, e.tables.suffix(id), resendColumns, read, int64(id), int64(tenant)); err != nil {
		return lease{}, err
	}
	if !found {
		if err := e.db.each(resendWork, "", resendColumns, read, int64(id), int64(tenant)); err != nil {
			return lease{}, err
		}
	}
	exists, err := e.exists(l.webhook)
	if err == nil && (!found || !exists) {
		err = triggers.ErrNotFound
	}
	return l, err
}
