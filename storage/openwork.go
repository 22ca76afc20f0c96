package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"portalhook/delivery"
	"portalhook/triggers"
)

// opened counts deliveries of a tenant that are open from now on, or with n below 0, that have ended.
func (w *writer) opened(tenant uint32, n int64) {
	w.store.openWork.Add(n)
	if w.open[tenant] += n; w.open[tenant] == 0 {
		delete(w.open, tenant)
	}
}

// loadOpen counts all open work once, when the store is opened or its dates have moved.
func (w *writer) loadOpen() error {
	clear(w.open)
	w.store.openWork.Store(0)
	return w.db.each(`SELECT tenant, count(*) FROM work GROUP BY tenant`, "", 2, func(row []driver.Value) error {
		w.opened(uint32(integer(row[0])), integer(row[1])) //nolint:gosec // written from one
		return nil
	})
}

// oldestWork looks for a tenant's oldest delivery from where it was found last: ids only rise, so that what lies before it has been
// passed over once and for all.
const oldestWork = `SELECT id FROM work WHERE tenant = ? AND id >= ? ORDER BY id LIMIT 1`

// OpenWork tells of a tenant's deliveries that have not ended, without counting them.
func (s *Store) OpenWork(ctx context.Context, tenant uint32) (delivery.OpenWork, error) {
	var open delivery.OpenWork
	err := s.write(ctx, func(w *writer) error {
		for _, l := range w.leases {
			if l.tenant == tenant {
				open.Sending++
			}
		}
		open.Waiting = w.open[tenant] - open.Sending
		return nil
	})
	if err == nil && open.Waiting+open.Sending > 0 {
		err = s.view(ctx, func(tx querier) error {
			id, err := s.oldest(ctx, tx, tenant)
			if id != 0 {
				open.Oldest = id.Time()
			}
			return err
		})
	}
	if err != nil {
		return delivery.OpenWork{}, fmt.Errorf("open work of tenant %d: %w", tenant, err)
	}
	return open, nil
}

// oldest is the tenant's oldest open delivery, 0 when there is none any more.
func (s *base) oldest(ctx context.Context, tx querier, tenant uint32) (triggers.ID, error) {
	after, _ := s.oldestOpen.Load(tenant)
	from, _ := after.(int64)
	var id int64
	err := tx.QueryRowContext(ctx, oldestWork, tenant, from).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err == nil {
		s.oldestOpen.Store(tenant, id)
	}
	return triggers.ID(id), err
}
