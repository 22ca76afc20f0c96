package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// hoursKept is for how long counters by the hour are kept, longer than history: they are small.
const hoursKept = 90 * 24 * time.Hour

// maxHours bounds the counters held in memory; beyond it they are read again.
const maxHours = 10_000

// hourKey names the counters of a webhook in one hour, in hours since 1970.
type hourKey struct {
	webhook uint32
	hour    int64
}

// hourRow is the counters as they stand with what the present transaction adds.
type hourRow struct {
	counts delivery.HourCounts
	last   delivery.LastAttempt
	dirty  bool
}

const (
	selectHour = `SELECT attempts, succeeded, failed, exhausted, took_us, latency,
    last_ms, last_id, last_state, last_status FROM hour WHERE hour = ? AND webhook = ?`
	// hoursOfWebhook counts the hours from the first to before the last, and looks each up.
	hoursOfWebhook = `WITH RECURSIVE asked (n) AS (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT n + 1 FROM asked WHERE n + 1 < ?2)
  SELECT hour, attempts, succeeded, failed, exhausted, took_us, latency FROM asked CROSS JOIN hour ON hour = n AND webhook = ?3
  WHERE EXISTS (SELECT 1 FROM webhook WHERE key = ?3 AND tenant = ?4) ORDER BY n`
	replaceHour = `INSERT OR REPLACE INTO hour (hour, webhook, attempts, succeeded, failed, exhausted, took_us, latency,
  last_ms, last_id, last_state, last_status) VALUES `
)

// countAttempt adds a finished attempt to its hour, of its webhook and of its tenant. What is counted is written once for the whole
// group, by flushHours.
func (w *writer) countAttempt(s *delivery.Settlement, l *lease) error {
	at := s.Attempt.StartedAt.Add(s.Attempt.Total)
	ended := at.Unix()
	tenant, err := w.tenantHour(l.tenant, ended)
	if err != nil {
		return err
	}
	countIn(&tenant.HourCounts, s)
	key := hourKey{l.webhook, ended / 3600}
	row, err := w.hour(key)
	if err != nil {
		return err
	}
	if !row.dirty {
		row.dirty = true
		w.dirtyHours = append(w.dirtyHours, key)
	}
	countIn(&row.counts, s)
	if !at.Before(row.last.At) {
		row.last = delivery.LastAttempt{Delivery: s.Delivery, At: at, State: s.State, StatusCode: s.Attempt.StatusCode}
	}
	return nil
}

func countIn(c *delivery.HourCounts, s *delivery.Settlement) {
	c.Attempts++
	switch s.State {
	case delivery.Succeeded:
		c.Succeeded++
	case delivery.Exhausted:
		c.Exhausted++
		c.Failed++
	case delivery.Waiting, delivery.Sending, delivery.Skipped, delivery.Cancelled:
		c.Failed++
	}
	class, _ := slices.BinarySearch(delivery.LatencyBounds[:], s.Attempt.Total)
	c.Latency[class]++
	c.Took += s.Attempt.Total.Truncate(time.Microsecond)
}

func (w *writer) hour(key hourKey) (*hourRow, error) {
	if row := w.hours[key]; row != nil {
		return row, nil
	}
	row := new(hourRow)
	err := w.db.each(selectHour, "", 10, func(values []driver.Value) error {
		c := &row.counts
		c.Attempts, c.Succeeded, c.Failed, c.Exhausted = integer(values[0]), integer(values[1]), integer(values[2]), integer(values[3])
		c.Took, c.Latency = microseconds(integer(values[4])), parseLatency(bytesOf(values[5]))
		row.last = delivery.LastAttempt{
			At: timeOf(integer(values[6])), Delivery: triggers.ID(integer(values[7])), State: stateOf(integer(values[8])),
			StatusCode: int(integer(values[9])),
		}
		return nil
	}, key.hour, int64(key.webhook))
	if err != nil {
		return nil, err
	}
	w.hours[key] = row
	return row, nil
}

// flushHours writes the counters that have changed.
func (w *writer) flushHours() error {
	rows, err := w.db.insert(replaceHour, "", 12)
	if err != nil {
		return err
	}
	for _, key := range w.dirtyHours {
		row := w.hours[key]
		row.dirty = false
		c := &row.counts
		err := rows.add(key.hour, int64(key.webhook), c.Attempts, c.Succeeded, c.Failed, c.Exhausted, c.Took.Microseconds(), latencyBlob(c),
			unixMilli(row.last.At), int64(row.last.Delivery), int64(codeOf(row.last.State)), int64(row.last.StatusCode))
		if err != nil {
			return err
		}
	}
	w.dirtyHours = w.dirtyHours[:0]
	if len(w.hours) > maxHours {
		clear(w.hours) // all of them have been written
	}
	return w.flushTenantHours()
}

// forgetHours drops what a transaction that failed has counted; the rows are read again.
func (w *writer) forgetHours() {
	clear(w.hours)
	w.dirtyHours = w.dirtyHours[:0]
	w.forgetTenantHours()
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// latencyBlob is the classes of latency as they are stored.
func latencyBlob(c *delivery.HourCounts) (dst []byte) {
	for _, n := range c.Latency {
		dst = binary.AppendVarint(dst, n)
	}
	return dst
}

func parseLatency(blob []byte) (latency [len(delivery.LatencyBounds) + 1]int64) {
	d := decoder{rest: blob}
	for i := range latency {
		latency[i] = d.varint()
	}
	return latency
}

// hoursOf are the hours from the one of from until to, the last excluded.
func hoursOf(from, to time.Time) (first, after int64) {
	return from.Unix() / 3600, (to.Unix() + 3599) / 3600
}

// Hourly lists the hours from the one of from until to in which a webhook of the tenant had attempts, the oldest first.
func (s *Store) Hourly(ctx context.Context, tenant, webhook uint32, from, to time.Time) ([]delivery.HourCounts, error) {
	var list []delivery.HourCounts
	err := s.view(ctx, func(tx querier) error {
		first, after := hoursOf(from, to)
		args := []any{first, after, webhook, tenant}
		return each(ctx, tx, hoursOfWebhook, args, func(rows *sql.Rows) error {
			var c delivery.HourCounts
			var hour, took int64
			var latency []byte
			if err := rows.Scan(&hour, &c.Attempts, &c.Succeeded, &c.Failed, &c.Exhausted, &took, &latency); err != nil {
				return err
			}
			c.Hour, c.Took, c.Latency = time.Unix(hour*3600, 0).UTC(), microseconds(took), parseLatency(latency)
			list = append(list, c)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("counters of webhook %d: %w", webhook, err)
	}
	return list, nil
}
