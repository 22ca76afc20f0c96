package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	firstInterval   = `SELECT min(until_ms) FROM member`
	intervalMembers = `SELECT until_ms, webhook, line, event, size, tenant, revision, trigger FROM member WHERE until_ms <= ?
  ORDER BY until_ms, webhook, line, event LIMIT ?`
	deleteMember = `DELETE FROM member WHERE event = ? AND webhook = ?`
	// deleteMembers looks a webhook up in each interval that is open, whosever it is: the key begins with the interval.
	deleteMembers = `WITH RECURSIVE open (until) AS (SELECT min(until_ms) FROM member
    UNION ALL SELECT (SELECT min(until_ms) FROM member WHERE until_ms > until) FROM open WHERE until IS NOT NULL)
  DELETE FROM member WHERE webhook = ? AND until_ms IN (SELECT until FROM open)`
	insertEventOf = `INSERT INTO delivery_event (delivery, event) VALUES `
)

// closedAtOnce is how many members are put into deliveries in one transaction, so that others need not wait for all of them. It is more than
// one delivery may have.
const closedAtOnce = 4 * delivery.MaxMembers

// group is members of a closed interval that go into one delivery.
type group struct {
	until    int64
	webhook  uint32
	line     string
	tenant   uint32
	revision int64 // of the last member, like trigger
	trigger  uint8
	events   []triggers.ID
	size     int
	delivery triggers.ID
}

// takes reports whether one more member still goes into the group.
func (g *group) takes(until int64, webhook uint32, line string, size int) bool {
	return g.until == until && g.webhook == webhook && g.line == line && len(g.events) < delivery.MaxMembers && g.size+size <= delivery.MaxMemberBytes
}

// CloseIntervals implements delivery.Queue: some groups in each transaction, but every group in one, so that an event is a member of its
// interval or in the interval's delivery, and never both or neither.
func (s *Store) CloseIntervals(ctx context.Context, now time.Time) (int, error) {
	made := 0
	for more := true; more; {
		err := s.write(ctx, func(w *writer) error {
			var n int
			var err error
			n, more, err = w.closeIntervals(now.UnixMilli())
			made += n
			return commitError(err)
		})
		if err != nil {
			return made, fmt.Errorf("close intervals: %w", err)
		}
	}
	return made, nil
}

// closeIntervals makes some deliveries, and says whether there may be more to make.
func (w *writer) closeIntervals(now int64) (made int, more bool, err error) {
	first, err := w.db.integer(firstInterval)
	if err != nil || first == 0 || first > now {
		return 0, false, err
	}
	if err := w.prepareDays(); err != nil {
		return 0, false, err
	}
	var groups []group
	var told []heard
	err = w.db.transaction(func() error {
		told = told[:0]
		if groups, more, err = closedGroups(w.db, now); err != nil {
			return err
		}
		for i := range groups {
			h, err := w.closeGroup(&groups[i])
			if err != nil {
				return err
			}
			told = append(told, h)
		}
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	for i := range groups {
		g := &groups[i]
		w.opened(g.tenant, 1)
		if o := w.ordered[g.webhook]; o != nil {
			o.add(g.line, g.delivery, g.until)
			w.markFirst(g.webhook)
			continue
		}
		w.turns.mark(g.webhook, g.until)
	}
	for _, h := range told {
		w.indexDelivery(h)
	}
	return len(groups), more, nil
}

// closedGroups reads members of closed intervals. More is true when there are others; the last group, which may not be whole, is then left
// to them.
func closedGroups(db statements, now int64) (groups []group, more bool, err error) {
	rows := 0
	err = db.each(intervalMembers, "", 8, func(row []driver.Value) error {
		rows++
		until, webhook := integer(row[0]), uint32(integer(row[1])) //nolint:gosec // this and the following were written from such types
		line, size := textOf(row[2]), int(integer(row[4]))
		if len(groups) == 0 || !groups[len(groups)-1].takes(until, webhook, line, size) {
			groups = append(groups, group{until: until, webhook: webhook, line: line})
		}
		g := &groups[len(groups)-1]
		g.events, g.size = append(g.events, triggers.ID(integer(row[3]))), g.size+size
		g.tenant, g.revision, g.trigger = uint32(integer(row[5])), integer(row[6]), uint8(integer(row[7])) //nolint:gosec // as above
		return nil
	}, now, int64(closedAtOnce))
	if more = rows == closedAtOnce; more {
		groups = groups[:len(groups)-1]
	}
	return groups, more, err
}

// closeGroup makes the delivery of a group.
func (w *writer) closeGroup(g *group) (heard, error) {
	g.delivery = w.ids.draw(1)
	inserts, err := w.db.insert(insertEventOf, "", 2)
	if err != nil {
		return heard{}, err
	}
	for _, event := range g.events {
		if err := inserts.add(int64(g.delivery), int64(event)); err != nil {
			return heard{}, err
		}
		if err := w.db.run(deleteMember, int64(event), int64(g.webhook)); err != nil {
			return heard{}, err
		}
	}
	l := lease{
		tenant: g.tenant, webhook: g.webhook, event: g.events[0], members: len(g.events), revision: g.revision, trigger: g.trigger, built: g.until,
	}
	if err := w.addWork(g.delivery, l, g.until); err != nil {
		return heard{}, err
	}
	return w.heardOf(g.delivery, &l)
}
