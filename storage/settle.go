package storage

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	insertDelivery = `INSERT INTO delivery_$day
  (id, tenant, webhook, event, members, revision, trigger, state, built_ms, ended_ms, tries, status_code, started_ms, reason, first) VALUES `
	insertAttempt = `INSERT OR REPLACE INTO attempt_$day (delivery, number, body) VALUES `
	updateWork    = `UPDATE work SET tries = ?, due_ms = ?, status_code = ?, started_ms = ?, reason = ?, first = ? WHERE id = ?`
	deleteOneWork = `DELETE FROM work WHERE id = ?`
)

// deleteWork deletes sixteen rows of work at once.
var deleteWork = `DELETE FROM work WHERE id IN (?` + strings.Repeat(", ?", rowsAtOnce-1) + `)`

// lease is a delivery that is being sent, or about to be: what its row of work says, kept in memory so that settling reads nothing.
type lease struct {
	tenant, webhook uint32
	event           triggers.ID // the first
	members         int
	revision        int64
	trigger         uint8
	built           int64
	tries           int
	fence           uint32
	status          int   // of the last attempt
	started         int64 // of the last attempt
	reason          string
	first           []byte
}

func newLease(tenant uint32, p *delivery.Planned, event triggers.ID, built int64) lease {
	return lease{tenant: tenant, webhook: p.Webhook, event: event, revision: p.Revision, trigger: p.Trigger, built: built, fence: 1}
}

// ending is how a delivery ends.
type ending struct {
	state  delivery.State
	reason string
	ended  int64
}

// settleRequest is one call of Settle.
type settleRequest struct {
	batch  []delivery.Settlement
	stale  int
	answer chan error
}

func (r *settleRequest) rows() int { return 2 * len(r.batch) }

// Settle implements delivery.Queue. Calls that come at the same time share a transaction, which holds settlements only.
func (s *Store) Settle(ctx context.Context, batch []delivery.Settlement) (stale int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	r := &settleRequest{batch: batch, answer: make(chan error, 1)}
	if err := s.send(ctx, r); err != nil {
		return 0, err
	}
	err = <-r.answer
	return r.stale, err
}

// settled is a settlement that was written: what memory learns of it after the commit.
type settled struct {
	id    triggers.ID
	lease lease // as it was
	due   int64 // of a delivery that waits again; else it has ended
	waits bool
}

// settleGroup writes the settlements of a group together, or each request's alone when that fails, and answers their callers.
func (w *writer) settleGroup(group []*settleRequest) {
	if len(group) == 0 {
		return
	}
	var done []settled
	err := w.db.transaction(func() error {
		var err error
		done, err = w.settle(group)
		return err
	})
	w.healthWritten(err == nil)
	if err == nil {
		w.settledAll(done)
		for _, r := range group {
			r.answer <- nil
		}
		return
	}
	// The leases were taken out so that a second settlement in the same group finds none.
	for i := range done {
		w.leases[done[i].id] = done[i].lease
	}
	w.forgetHours()
	if len(group) == 1 {
		group[0].stale = 0
		group[0].answer <- fmt.Errorf("settle: %w", commitError(err))
		return
	}
	for i := range group {
		w.settleGroup(group[i : i+1])
	}
}

func (w *writer) settle(group []*settleRequest) (done []settled, err error) {
	var ended []triggers.ID
	now := w.store.now().UnixMilli()
	for _, r := range group {
		r.stale = 0
		for i := range r.batch {
			s := &r.batch[i]
			l, ok := w.leases[s.Delivery]
			if !ok || l.fence != s.Fence {
				r.stale++
				continue
			}
			delete(w.leases, s.Delivery)
			done = append(done, settled{id: s.Delivery, lease: l})
			if err := w.settleOne(s, l, now, &done[len(done)-1]); err != nil {
				return done, err
			}
			if !done[len(done)-1].waits {
				ended = append(ended, s.Delivery)
			}
		}
	}
	if err := w.deleteWork(ended); err != nil {
		return done, err
	}
	if err := w.flushHealth(); err != nil {
		return done, err
	}
	return done, w.flushHours()
}

// settleOne writes what one settlement says, but for deleting the row of work.
func (w *writer) settleOne(s *delivery.Settlement, l lease, now int64, result *settled) error {
	l.reason = s.Reason
	if s.Attempt != nil {
		if err := w.addAttempt(s, &l); err != nil {
			return err
		}
	}
	_, exists := w.webhooks[l.webhook]
	told := s.Notice
	if exists {
		told = w.noteHealth(l.webhook, s)
	}
	if err := w.keepNotice(told); err != nil {
		return err
	}
	switch {
	case s.State == delivery.Waiting && exists:
		result.waits, result.due = true, unixMilli(s.DueAt)
		return w.db.run(updateWork, int64(l.tries), result.due, int64(l.status), l.started, l.reason, blobOf(l.first), int64(s.Delivery))
	case s.State == delivery.Waiting:
		return w.end(s.Delivery, l, ending{state: delivery.Cancelled, reason: reasonDeleted, ended: now})
	}
	return w.end(s.Delivery, l, ending{state: s.State, reason: s.Reason, ended: now})
}

// addAttempt counts an attempt; the first stays with its delivery, later ones have rows of their own.
func (w *writer) addAttempt(s *delivery.Settlement, l *lease) error {
	attempt := *s.Attempt
	l.tries++
	attempt.Number = l.tries
	l.status, l.started = attempt.StatusCode, unixMilli(attempt.StartedAt)
	if err := w.countAttempt(s, l); err != nil {
		return err
	}
	body := appendAttempt(make([]byte, 0, 512), &attempt)
	if l.tries == 1 {
		l.first = body
		return nil
	}
	attempts, err := w.db.insert(insertAttempt, w.store.calendar.suffix(s.Delivery), 3)
	if err != nil {
		return err
	}
	return attempts.add(int64(s.Delivery), int64(l.tries), body)
}

// end writes the history of a delivery that has ended.
func (w *writer) end(id triggers.ID, l lease, e ending) error {
	if err := w.countEnd(l.tenant, e); err != nil {
		return err
	}
	deliveries, err := w.db.insert(insertDelivery, w.store.calendar.suffix(id), 15)
	if err != nil {
		return err
	}
	return deliveries.add(int64(id), int64(l.tenant), int64(l.webhook), int64(l.event), int64(l.members), l.revision, int64(l.trigger),
		int64(codeOf(e.state)), l.built, e.ended, int64(l.tries), int64(l.status), l.started, e.reason, blobOf(l.first))
}

func (w *writer) deleteWork(ids []triggers.ID) error {
	var args [rowsAtOnce]driver.Value
	for len(ids) >= rowsAtOnce {
		for i, id := range ids[:rowsAtOnce] {
			args[i] = int64(id)
		}
		if err := w.db.run(deleteWork, args[:]...); err != nil {
			return err
		}
		ids = ids[rowsAtOnce:]
	}
	for _, id := range ids {
		if err := w.db.run(deleteOneWork, int64(id)); err != nil {
			return err
		}
	}
	return nil
}

// settledAll takes settlements into memory.
func (w *writer) settledAll(done []settled) {
	for i := range done {
		webhook := done[i].lease.webhook
		if o := w.ordered[webhook]; o != nil {
			o.settle(done[i].id, done[i].waits, done[i].due)
			w.markFirst(webhook)
		} else if done[i].waits {
			w.turns.mark(webhook, done[i].due)
		}
		if !done[i].waits {
			w.opened(done[i].lease.tenant, -1)
		}
	}
}

// blobOf is nil for no bytes, so that they are stored as null.
func blobOf(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}

// stateCodes number the states as they are stored: they are never changed.
var stateCodes = [...]delivery.State{
	delivery.Waiting, delivery.Sending, delivery.Succeeded, delivery.Exhausted, delivery.Skipped, delivery.Cancelled,
}

func codeOf(s delivery.State) int {
	for code, state := range stateCodes {
		if state == s {
			return code
		}
	}
	return -1
}

func stateOf(code int64) delivery.State {
	if code < 0 || code >= int64(len(stateCodes)) {
		return ""
	}
	return stateCodes[code]
}

// integer, textOf and bytesOf read a value of the driver; null is 0, the empty text, nil.
func integer(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}

func textOf(v driver.Value) string {
	text, _ := v.(string)
	return text
}

func bytesOf(v driver.Value) []byte {
	b, _ := v.([]byte)
	return b
}
