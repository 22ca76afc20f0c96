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
	dirty  bool
}

const (
	selectHour = `SELECT attempts, succeeded, failed, exhausted, latency FROM hour WHERE hour = ? AND webhook = ?`
	// hoursOfWebhook counts the hours from the first to before the last, and looks each up.
	hoursOfWebhook = `WITH RECURSIVE asked (n) AS (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT n + 1 FROM asked WHERE n + 1 < ?2)
  SELECT hour, attempts, succeeded, failed, exhausted, latency FROM asked CROSS JOIN hour ON hour = n AND webhook = ?3
  WHERE EXISTS (SELECT 1 FROM webhook WHERE key = ?3 AND tenant = ?4) ORDER BY n`
	replaceHour = `INSERT OR REPLACE INTO hour (hour, webhook, attempts, succeeded, failed, exhausted, latency) VALUES `
)

// countAttempt adds a finished attempt to its hour. What is counted is written once for the whole group, by flushHours.
func (w *writer) countAttempt(s *delivery.Settlement, webhook uint32) error {
	ended := s.Attempt.StartedAt.Add(s.Attempt.Total)
	key := hourKey{webhook, ended.Unix() / 3600}
	row, err := w.hour(key)
	if err != nil {
		return err
	}
	if !row.dirty {
		row.dirty = true
		w.dirtyHours = append(w.dirtyHours, key)
	}
	c := &row.counts
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
	return nil
}

func (w *writer) hour(key hourKey) (*hourRow, error) {
	if row := w.hours[key]; row != nil {
		return row, nil
	}
	row := new(hourRow)
	err := w.db.each(selectHour, "", 5, func(values []driver.Value) error {
		c := &row.counts
		c.Attempts, c.Succeeded, c.Failed, c.Exhausted = integer(values[0]), integer(values[1]), integer(values[2]), integer(values[3])
		c.Latency = parseLatency(bytesOf(values[4]))
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
	rows, err := w.db.insert(replaceHour, "", 7)
	if err != nil {
		return err
	}
	for _, key := range w.dirtyHours {
		row := w.hours[key]
		row.dirty = false
		c := &row.counts
		err := rows.add(key.hour, int64(key.webhook), c.Attempts, c.Succeeded, c.Failed, c.Exhausted, appendLatency(nil, c))
		if err != nil {
			return err
		}
	}
	w.dirtyHours = w.dirtyHours[:0]
	if len(w.hours) > maxHours {
		clear(w.hours) // all of them have been written
	}
	return nil
}

// forgetHours drops what a transaction that failed has counted; the rows are read again.
func (w *writer) forgetHours() {
	clear(w.hours)
	w.dirtyHours = w.dirtyHours[:0]
}

func appendLatency(dst []byte, c *delivery.HourCounts) []byte {
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

// Hourly lists the hours from the one of from until to in which a webhook of the tenant had attempts, the oldest first.
func (s *Store) Hourly(ctx context.Context, tenant, webhook uint32, from, to time.Time) ([]delivery.HourCounts, error) {
	var list []delivery.HourCounts
	err := s.view(ctx, func(tx *sql.Tx) error {
		args := []any{from.Unix() / 3600, (to.Unix() + 3599) / 3600, webhook, tenant}
		return each(ctx, tx, hoursOfWebhook, args, func(rows *sql.Rows) error {
			var c delivery.HourCounts
			var hour int64
			var latency []byte
			if err := rows.Scan(&hour, &c.Attempts, &c.Succeeded, &c.Failed, &c.Exhausted, &latency); err != nil {
				return err
			}
			c.Hour, c.Latency = time.Unix(hour*3600, 0).UTC(), parseLatency(latency)
			list = append(list, c)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("counters of webhook %d: %w", webhook, err)
	}
	return list, nil
}
