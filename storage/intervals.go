package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"portalhook/triggers"
)

const (
	closedIntervals = `SELECT DISTINCT until_ms, webhook FROM member WHERE until_ms <= ? ORDER BY until_ms, webhook`
	intervalMembers = `SELECT event, tenant, revision, trigger FROM member WHERE until_ms = ? AND webhook = ? ORDER BY event`
	deleteInterval  = `DELETE FROM member WHERE until_ms = ? AND webhook = ?`
	insertEventOf   = `INSERT INTO delivery_event (delivery, event) VALUES `
)

// interval is the time until which a scheduled webhook collects events for one delivery.
type interval struct {
	until   int64
	webhook uint32
	tenant  uint32 // known when it is closed
}

// CloseIntervals implements delivery.Queue: all in one transaction, so that an event is a member of its interval or in the
// interval's delivery, and never both or neither. A delivery has the revision and the trigger of its last member.
func (s *Store) CloseIntervals(ctx context.Context, now time.Time) (int, error) {
	made := 0
	err := s.write(ctx, func(w *writer) error {
		var err error
		made, err = w.closeIntervals(now.UnixMilli())
		return commitError(err)
	})
	if err != nil {
		return 0, fmt.Errorf("close intervals: %w", err)
	}
	return made, nil
}

func (w *writer) closeIntervals(now int64) (int, error) {
	if err := w.prepareDays(); err != nil {
		return 0, err
	}
	var closed []interval
	err := w.db.transaction(func() error {
		closed = closed[:0]
		err := w.db.each(closedIntervals, "", 2, func(row []driver.Value) error {
			closed = append(closed, interval{until: integer(row[0]), webhook: uint32(integer(row[1]))}) //nolint:gosec // written from one
			return nil
		}, now)
		if err != nil {
			return err
		}
		for i := range closed {
			if err := w.closeInterval(&closed[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, i := range closed {
		w.turns.mark(i.webhook, i.until)
		w.opened(i.tenant, 1)
	}
	return len(closed), nil
}

func (w *writer) closeInterval(i *interval) error {
	id := w.ids.draw(1)
	events, err := w.db.insert(insertEventOf, "", 2)
	if err != nil {
		return err
	}
	l := lease{webhook: i.webhook, built: i.until}
	err = w.db.each(intervalMembers, "", 4, func(row []driver.Value) error {
		event := integer(row[0])
		if l.members == 0 {
			l.event = triggers.ID(event)
		}
		l.members++
		l.tenant, l.revision = uint32(integer(row[1])), integer(row[2]) //nolint:gosec // written from such types
		l.trigger = uint8(integer(row[3]))                              //nolint:gosec // as above
		return events.add(int64(id), event)
	}, i.until, int64(i.webhook))
	if err != nil {
		return err
	}
	i.tenant = l.tenant
	if err := w.db.run(deleteInterval, i.until, int64(i.webhook)); err != nil {
		return err
	}
	return w.addWork(id, l, i.until)
}
