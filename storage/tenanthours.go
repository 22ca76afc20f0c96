package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"portalhook/delivery"
)

// tenantHourRow is the counters of a tenant as they stand with what the present transaction adds.
type tenantHourRow struct {
	delivery.TenantHour
	dirty bool
}

const (
	tenantHourColumns  = `events, unmatched, planned, skipped, cancelled, attempts, succeeded, failed, exhausted, took_us, latency`
	selectTenantHour   = `SELECT ` + tenantHourColumns + ` FROM tenant_hour WHERE tenant = ? AND hour = ?`
	tenantHoursBetween = `SELECT hour, ` + tenantHourColumns + ` FROM tenant_hour WHERE tenant = ? AND hour >= ? AND hour < ? ORDER BY hour`
	replaceTenantHour  = `INSERT OR REPLACE INTO tenant_hour (tenant, hour, ` + tenantHourColumns + `) VALUES `
)

// tenantHour is the counters of a tenant in the hour of a time in seconds since 1970, about to be added to.
func (w *writer) tenantHour(tenant uint32, at int64) (*tenantHourRow, error) {
	key := hourKey{tenant, at / 3600}
	row := w.tenantHours[key]
	if row == nil {
		row = new(tenantHourRow)
		err := w.db.each(selectTenantHour, "", 11, func(v []driver.Value) error {
			row.Events, row.Unmatched, row.Planned, row.Skipped, row.Cancelled = integer(v[0]), integer(v[1]), integer(v[2]), integer(v[3]), integer(v[4])
			row.Attempts, row.Succeeded, row.Failed, row.Exhausted = integer(v[5]), integer(v[6]), integer(v[7]), integer(v[8])
			row.Took, row.Latency = microseconds(integer(v[9])), parseLatency(bytesOf(v[10]))
			return nil
		}, int64(tenant), key.hour)
		if err != nil {
			return nil, err
		}
		w.tenantHours[key] = row
	}
	if !row.dirty {
		row.dirty = true
		w.dirtyTenants = append(w.dirtyTenants, key)
	}
	return row, nil
}

// countEvent adds an event that is stored for the first time.
func (w *writer) countEvent(a *delivery.Acceptance) error {
	row, err := w.tenantHour(a.Tenant, a.AcceptedAt.Unix())
	if err != nil {
		return err
	}
	row.Events++
	row.Planned += int64(len(a.Planned))
	if len(a.Planned) == 0 {
		row.Unmatched++
	}
	return nil
}

// countEnd adds the end of a delivery that no attempt ended; the others are counted with their attempt.
func (w *writer) countEnd(tenant uint32, e ending) error {
	if e.state != delivery.Skipped && e.state != delivery.Cancelled {
		return nil
	}
	row, err := w.tenantHour(tenant, e.ended/1000)
	if err != nil {
		return err
	}
	if e.state == delivery.Skipped {
		row.Skipped++
	} else {
		row.Cancelled++
	}
	return nil
}

// flushTenantHours writes the counters that have changed, one row for each tenant of the group.
func (w *writer) flushTenantHours() error {
	if len(w.dirtyTenants) == 0 {
		return nil
	}
	rows, err := w.db.insert(replaceTenantHour, "", 13)
	if err != nil {
		return err
	}
	for _, key := range w.dirtyTenants {
		row := w.tenantHours[key]
		row.dirty = false
		err := rows.add(int64(key.webhook), key.hour, row.Events, row.Unmatched, row.Planned, row.Skipped, row.Cancelled,
			row.Attempts, row.Succeeded, row.Failed, row.Exhausted, row.Took.Microseconds(), latencyBlob(&row.HourCounts))
		if err != nil {
			return err
		}
	}
	w.dirtyTenants = w.dirtyTenants[:0]
	if len(w.tenantHours) > maxHours {
		clear(w.tenantHours) // all of them have been written
	}
	return nil
}

// forgetTenantHours drops what a transaction that failed has counted; the rows are read again.
func (w *writer) forgetTenantHours() {
	clear(w.tenantHours)
	w.dirtyTenants = w.dirtyTenants[:0]
}

// TenantHours lists the hours from the one of from until to in which anything of the tenant was counted, the oldest first.
func (s *Store) TenantHours(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.TenantHour, error) {
	var list []delivery.TenantHour
	first, after := hoursOf(from, to)
	err := s.view(ctx, func(tx querier) error {
		return each(ctx, tx, tenantHoursBetween, []any{tenant, first, after}, func(rows *sql.Rows) error {
			var h delivery.TenantHour
			var hour, took int64
			var latency []byte
			err := rows.Scan(&hour, &h.Events, &h.Unmatched, &h.Planned, &h.Skipped, &h.Cancelled,
				&h.Attempts, &h.Succeeded, &h.Failed, &h.Exhausted, &took, &latency)
			if err != nil {
				return err
			}
			h.Hour, h.Took, h.Latency = time.Unix(hour*3600, 0).UTC(), microseconds(took), parseLatency(latency)
			list = append(list, h)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("counters of tenant %d: %w", tenant, err)
	}
	return list, nil
}
