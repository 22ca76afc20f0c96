package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Resend implements delivery.Queue. A delivery whose webhook was deleted cannot be sent again: triggers.ErrNotFound.
func (p *Postgres) Resend(ctx context.Context, tenant uint32, id triggers.ID, now time.Time) (delivery.Claimed, error) {
	var taken leased
	err := p.editing(ctx, func(t *pgTx, e *editor) error {
		if err := t.lock(lockHistory, true); err != nil {
			return err
		}
		l, err := e.sent(tenant, id)
		if err != nil {
			return err
		}
		taken, err = t.again(e, l, id, nil)
		taken.due = now.UnixMilli()
		if err != nil {
			return err
		}
		return e.db.run(touchRevision, now.UnixMilli(), l.revision)
	})
	if err != nil {
		if errors.Is(err, triggers.ErrNotFound) {
			return delivery.Claimed{}, fmt.Errorf("delivery %s: %w", id.Delivery(), err)
		}
		return delivery.Claimed{}, fmt.Errorf("delivery %s: %w", id.Delivery(), pgKnown(err))
	}
	claimed, err := p.load(ctx, []leased{taken})
	if err != nil {
		return delivery.Claimed{}, fmt.Errorf("delivery %s: %w", id.Delivery(), err)
	}
	return claimed[0], nil
}

// again makes a delivery of what another was made of, or of an event that had none, when old is 0. It is leased when due is nil.
func (t *pgTx) again(e *editor, l lease, old triggers.ID, due *int64) (leased, error) {
	id, err := t.draw(1)
	if err != nil {
		return leased{}, err
	}
	ordered, err := t.integer(`SELECT ordered FROM webhook WHERE key = ?`, int64(l.webhook))
	if err != nil {
		return leased{}, err
	}
	var line *int64
	if ordered != 0 {
		name, err := e.lineOf(l.event, l.members)
		if err != nil {
			return leased{}, err
		}
		line = lineNumber(name)
	}
	var node *int64
	l.fence = 0
	if due == nil {
		node, l.fence = &t.node, 1
		t.leases = append(t.leases, doubtfulLease{id, l.fence})
	} else {
		t.marks = append(t.marks, mark{l.webhook, *due})
	}
	var work workColumnsOf
	work.add(id, &l, due, node, line)
	q := newQueue()
	work.insert(q)
	if l.members > 0 {
		q.add(numbered(copyEvents), int64(id), int64(old))
	}
	q.add(`INSERT INTO redelivery (webhook, event, delivery) VALUES ($1, $2, $3)`, int64(l.webhook), int64(l.event), int64(id))
	t.counts.open(l.tenant, 1)
	return leased{id: id, lease: l}, q.send(t.ctx, t.tx)
}

// AdvanceRecovery implements delivery.RecoveryStore.
func (p *Postgres) AdvanceRecovery(ctx context.Context, step delivery.RecoveryStep) (*delivery.Recovery, error) {
	var moved *delivery.Recovery
	err := p.editing(ctx, func(t *pgTx, e *editor) error {
		if err := t.lock(lockHistory, true); err != nil {
			return err
		}
		var err error
		moved, err = e.advanceRecovery(step, func(r *delivery.Recovery, found *delivery.Recoverable, due int64) (int64, error) {
			l, err := e.recoverable(r, found, step.Revision)
			if errors.Is(err, triggers.ErrNotFound) {
				return 0, nil
			}
			if err != nil {
				return 0, err
			}
			_, err = t.again(e, l, found.Delivery, &due)
			return l.revision, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recovery %s: %w", step.ID.Recovery(), pgKnown(err))
	}
	return moved, nil
}

// CloseIntervals implements delivery.Queue. One node closes them at a time: while another does, there is nothing to do here.
func (p *Postgres) CloseIntervals(ctx context.Context, now time.Time) (int, error) {
	made := 0
	for more := true; more; {
		var closed int
		err := p.transact(ctx, func(t *pgTx) (err error) {
			closed, more, err = t.closeIntervals(now.UnixMilli())
			return err
		})
		if err != nil {
			return made, fmt.Errorf("close intervals: %w", pgKnown(err))
		}
		made += closed
	}
	return made, nil
}

func (t *pgTx) closeIntervals(now int64) (made int, more bool, err error) {
	first, err := t.integer(firstInterval)
	if err != nil || first == 0 || first > now {
		return 0, false, errors.Join(err, passedOver(err))
	}
	if alone, err := t.tryLock(lockClosing); err != nil || !alone {
		return 0, false, errors.Join(err, passedOver(err))
	}
	if err := t.lock(lockHistory, true); err != nil {
		return 0, false, err
	}
	groups, more, err := closedGroups(t, now)
	if err != nil {
		return 0, false, err
	}
	if len(groups) == 0 {
		return 0, false, errPassedOver // another node has been quicker
	}
	next, err := t.draw(len(groups))
	if err != nil {
		return 0, false, err
	}
	var work workColumnsOf
	var deliveries, events, webhooks []int64
	hooks := make([]uint32, len(groups))
	for i := range groups {
		hooks[i] = groups[i].webhook
	}
	ordered, err := t.orderedOf(hooks)
	if err != nil {
		return 0, false, err
	}
	for i := range groups {
		g, id := &groups[i], next+triggers.ID(i)
		for _, event := range g.events {
			deliveries, events, webhooks = append(deliveries, int64(id)), append(events, int64(event)), append(webhooks, int64(g.webhook))
		}
		l := lease{
			tenant: g.tenant, webhook: g.webhook, event: g.events[0], members: len(g.events), revision: g.revision, trigger: g.trigger, built: g.until,
		}
		var line *int64
		if ordered[g.webhook] {
			line = lineNumber(g.line)
		}
		work.add(id, &l, &g.until, nil, line)
		t.counts.open(g.tenant, 1)
		t.marks = append(t.marks, mark{g.webhook, g.until})
	}
	q := newQueue()
	q.add(`INSERT INTO delivery_event (delivery, event) SELECT * FROM unnest($1::bigint[], $2::bigint[])`, deliveries, events)
	q.add(`DELETE FROM member USING unnest($1::bigint[], $2::bigint[]) AS told (event, webhook) WHERE member.event = told.event AND member.webhook = told.webhook`,
		events, webhooks)
	work.insert(q)
	return len(groups), more, q.send(t.ctx, t.tx)
}

func passedOver(err error) error {
	if err == nil {
		return errPassedOver
	}
	return nil
}

// ShiftDue implements delivery.Shifter. It is the database's clock that was set, so every node finds it so: the first that says so moves the dates
// for all.
func (p *Postgres) ShiftDue(ctx context.Context, by time.Duration) error {
	err := p.editing(ctx, func(t *pgTx, _ *editor) error {
		now := t.store.now().UnixMilli()
		done, err := t.shifted(now, by.Milliseconds())
		if err != nil || done {
			return errors.Join(err, passedOver(err))
		}
		if err := t.shiftHealth(by); err != nil {
			return err
		}
		q := newQueue()
		q.add(`UPDATE member SET until_ms = greatest(1, until_ms + $1)`, by.Milliseconds())
		q.add(`UPDATE work SET due_ms = greatest(1, due_ms + $1) WHERE due_ms IS NOT NULL`, by.Milliseconds())
		return q.send(t.ctx, t.tx)
	})
	if err != nil {
		return fmt.Errorf("shift due dates: %w", pgKnown(err))
	}
	p.turns.forget()
	return nil
}

// shiftTolerance is how far two nodes may be apart that have found the same: in what the clock shows after it was set, and in how far it was set.
const shiftTolerance = 15 * time.Second

// shifted reports whether another node has found that the clock was set, and writes down that this one has.
func (t *pgTx) shifted(now, by int64) (done bool, err error) {
	var text string
	err = t.tx.QueryRow(t.ctx, `SELECT coalesce((SELECT value FROM meta WHERE name = 'shift'), '')`).Scan(&text)
	if err != nil {
		return false, err
	}
	var node, then, step int64
	if _, err := fmt.Sscan(text, &node, &then, &step); err == nil {
		tolerance := shiftTolerance.Milliseconds()
		if node != t.node && abs(now-then) < tolerance && abs(by-step) < tolerance {
			alive, err := t.integer(`SELECT 1 FROM node WHERE id = ?`, node)
			if err != nil || alive != 0 {
				return true, err
			}
		}
	}
	return false, t.run(`INSERT INTO meta (name, value) VALUES ('shift', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1`, fmt.Sprint(t.node, now, by))
}

func abs(n int64) int64 { return max(n, -n) }
