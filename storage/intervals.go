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
	// deleteMembers looks a webhook up in each interval that is open, whosever it is: the key begins with the interval.
	deleteMembers = `WITH RECURSIVE open (until) AS (SELECT min(until_ms) FROM member
    UNION ALL SELECT (SELECT min(until_ms) FROM member WHERE until_ms > until) FROM open WHERE until IS NOT NULL)
  DELETE FROM member WHERE webhook = ? AND until_ms IN (SELECT until FROM open)`
	insertEventOf = `INSERT INTO delivery_event (delivery, event) VALUES `
)

// interval is the time until which a scheduled webhook collects events for one delivery.
type interval struct {
	until    int64
	webhook  uint32
	tenant   uint32      // known when it is closed
	delivery triggers.ID // that was made at its end
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
	var made []heard
	err := w.db.transaction(func() error {
		closed, made = closed[:0], made[:0]
		err := w.db.each(closedIntervals, "", 2, func(row []driver.Value) error {
			closed = append(closed, interval{until: integer(row[0]), webhook: uint32(integer(row[1]))}) //nolint:gosec // written from one
			return nil
		}, now)
		if err != nil {
			return err
		}
		for i := range closed {
			h, err := w.closeInterval(&closed[i])
			if err != nil {
				return err
			}
			made = append(made, h)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, i := range closed {
		w.opened(i.tenant, 1)
		if o := w.ordered[i.webhook]; o != nil {
			o.add("", i.delivery, i.until)
			w.markFirst(i.webhook)
			continue
		}
		w.turns.mark(i.webhook, i.until)
	}
	for _, h := range made {
		w.indexDelivery(h)
	}
	return len(closed), nil
}

func (w *writer) closeInterval(i *interval) (heard, error) {
	id := w.ids.draw(1)
	i.delivery = id
	events, err := w.db.insert(insertEventOf, "", 2)
	if err != nil {
		return heard{}, err
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
		return heard{}, err
	}
	i.tenant = l.tenant
	if err := w.db.run(deleteInterval, i.until, int64(i.webhook)); err != nil {
		return heard{}, err
	}
	if err := w.addWork(id, l, i.until); err != nil {
		return heard{}, err
	}
	return w.heardOf(id, &l)
}
