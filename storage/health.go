package storage

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
)

const (
	selectHealth  = `SELECT webhook, failing_ms, gave_up, exhausted, warned, told, probe FROM health`
	replaceHealth = `INSERT OR REPLACE INTO health (webhook, failing_ms, gave_up, exhausted, warned, told, probe) VALUES (?, ?, ?, ?, ?, ?, ?)`
	webhookIsOff  = `SELECT count(*) FROM webhook WHERE key = ? AND enabled = 0`
	deleteHealth  = `DELETE FROM health WHERE webhook = ?`
)

// healthBook is the health of the webhooks that have failed, as it is in the table. The writer alone changes it, after the commit and
// holding the lock; what it holds is never changed, only replaced.
type healthBook struct {
	sync.Mutex
	byWebhook map[uint32]delivery.Health
}

// replace takes in what a transaction has written; the zero value stands for a row that is gone.
func (b *healthBook) replace(changed map[uint32]delivery.Health) {
	if len(changed) == 0 {
		return
	}
	b.Lock()
	defer b.Unlock()
	for webhook, health := range changed {
		if health.IsZero() {
			delete(b.byWebhook, webhook)
		} else {
			b.byWebhook[webhook] = health
		}
	}
}

// Health implements delivery.Queue.
func (s *Store) Health(_ context.Context, webhooks ...uint32) (map[uint32]delivery.Health, error) {
	s.health.Lock()
	defer s.health.Unlock()
	if len(webhooks) == 0 {
		return maps.Clone(s.health.byWebhook), nil
	}
	found := make(map[uint32]delivery.Health, len(webhooks))
	for _, webhook := range webhooks {
		if health, ok := s.health.byWebhook[webhook]; ok {
			found[webhook] = health
		}
	}
	return found, nil
}

// noteHealth takes in what the end of an attempt tells of its webhook, and gives what is to be told of it. It is written once for the whole
// group, by flushHealth; a webhook that is well costs two looks into maps that are nearly empty.
func (w *writer) noteHealth(webhook uint32, s *delivery.Settlement) *delivery.Notice {
	health, changed := w.ailing[webhook]
	if !changed {
		health = w.store.health.byWebhook[webhook]
		if health.IsZero() && s.State == delivery.Succeeded {
			return nil
		}
		health = health.Clone()
	}
	changed, told := health.Note(s)
	if changed {
		w.ailing[webhook] = health
	}
	return told
}

// NoteProbe implements delivery.Queue.
func (s *Store) NoteProbe(ctx context.Context, webhook uint32, p delivery.Probing) error {
	return s.write(ctx, func(w *writer) error {
		err := w.db.transaction(func() error {
			off, err := w.db.integer(webhookIsOff, int64(webhook))
			if err != nil || off == 0 {
				return err
			}
			health := w.store.health.byWebhook[webhook]
			health = health.Clone()
			health.Probe = p
			health.Probe.At, health.Probe.NextAt = timeOf(unixMilli(p.At)), timeOf(unixMilli(p.NextAt))
			w.ailing[webhook] = health
			return w.flushHealth()
		})
		w.healthWritten(err == nil)
		if err != nil {
			return fmt.Errorf("note a probe: %w", commitError(err))
		}
		return nil
	})
}

// flushHealth writes the healths that have changed.
func (w *writer) flushHealth() error {
	for _, webhook := range slices.Sorted(maps.Keys(w.ailing)) {
		if err := w.writeHealth(webhook, w.ailing[webhook]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) writeHealth(webhook uint32, health delivery.Health) error {
	if health.IsZero() {
		return w.db.run(deleteHealth, int64(webhook))
	}
	gaveUp := int64(0)
	if health.GaveUp {
		gaveUp = 1
	}
	probe, err := probeValue(&health.Probe)
	if err != nil {
		return err
	}
	return w.db.run(replaceHealth, int64(webhook), unixMilli(health.FailingSince), gaveUp, blobOf(appendTimes(nil, health.Exhausted)),
		int64(health.Warned), int64(health.Told), probe)
}

// healthWritten ends a transaction that wrote healths: they are taken into memory when it was committed, and forgotten when not.
func (w *writer) healthWritten(committed bool) {
	if committed {
		w.store.health.replace(w.ailing)
	}
	clear(w.ailing)
}

// forgetHealth has a webhook's health begin anew, in a transaction of the caller's.
func (w *writer) forgetHealth(webhook uint32) error {
	if _, ailing := w.store.health.byWebhook[webhook]; !ailing {
		return nil
	}
	w.ailing[webhook] = delivery.Health{}
	return w.writeHealth(webhook, delivery.Health{})
}

func (w *writer) loadHealth() error {
	found := make(map[uint32]delivery.Health)
	err := w.db.each(selectHealth, "", 7, func(row []driver.Value) error {
		probe, err := probeOf(textOf(row[6]))
		found[uint32(integer(row[0]))] = delivery.Health{ //nolint:gosec // a key
			FailingSince: timeOf(integer(row[1])), GaveUp: integer(row[2]) != 0, Exhausted: parseTimes(bytesOf(row[3])),
			Warned: int(integer(row[4])), Told: int(integer(row[5])), Probe: probe,
		}
		return err
	})
	w.store.health.replace(found)
	return err
}

// shiftHealth moves the dates of all healths, in a transaction of the caller's.
func (w *writer) shiftHealth(by time.Duration) error {
	for webhook, health := range w.store.health.byWebhook {
		shifted := health.Clone()
		shifted.Shift(by)
		w.ailing[webhook] = shifted
	}
	return w.flushHealth()
}

// probeRow is delivery.Probing as it is stored.
type probeRow struct {
	Tries      int    `json:"tries,omitzero"`
	At         int64  `json:"at,omitzero"` // milliseconds since 1970, like next
	Outcome    string `json:"outcome,omitzero"`
	StatusCode int    `json:"statusCode,omitzero"`
	Reason     string `json:"reason,omitzero"`
	Next       int64  `json:"next,omitzero"`
}

// probeValue is the column probe.
func probeValue(p *delivery.Probing) (driver.Value, error) {
	if p.IsZero() {
		return nil, nil
	}
	text, err := json.Marshal(probeRow{p.Tries, unixMilli(p.At), string(p.Outcome), p.StatusCode, p.Reason, unixMilli(p.NextAt)})
	return string(text), err
}

func probeOf(column string) (p delivery.Probing, err error) {
	if column == "" {
		return p, nil
	}
	var row probeRow
	if err := json.Unmarshal([]byte(column), &row); err != nil {
		return p, fmt.Errorf("probe: %w", err)
	}
	return delivery.Probing{
		Tries: row.Tries, At: timeOf(row.At), Outcome: delivery.Outcome(row.Outcome), StatusCode: row.StatusCode, Reason: row.Reason,
		NextAt: timeOf(row.Next),
	}, nil
}

// appendTimes writes dates in milliseconds, each as much later than the one before.
func appendTimes(dst []byte, times []time.Time) []byte {
	last := int64(0)
	for _, t := range times {
		dst = binary.AppendVarint(dst, t.UnixMilli()-last)
		last = t.UnixMilli()
	}
	return dst
}

func parseTimes(blob []byte) (times []time.Time) {
	d := decoder{rest: blob}
	for last := int64(0); len(d.rest) > 0 && !d.bad; {
		last += d.varint()
		times = append(times, timeOf(last))
	}
	return times
}
