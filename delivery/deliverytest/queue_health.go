package deliverytest

import (
	"context"
	"slices"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// noteHealth takes in what the end of an attempt tells of its webhook, and gives what is to be told of it.
func (q *Queue) noteHealth(webhook uint32, s *delivery.Settlement) *delivery.Notice {
	if q.webhooks[webhook] == nil {
		return s.Notice
	}
	health := q.health[webhook]
	_, told := health.Note(s)
	q.health[webhook] = health
	return told
}

// NoteProbe implements delivery.Queue.
func (q *Queue) NoteProbe(_ context.Context, webhook uint32, p delivery.Probing) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("NoteProbe"); err != nil {
		return err
	}
	if w := q.webhooks[webhook]; w == nil || w.Enabled {
		return nil
	}
	health := q.health[webhook]
	p.At, p.NextAt = milliseconds(p.At), milliseconds(p.NextAt)
	health.Probe = p
	q.health[webhook] = health
	return nil
}

// keepNotice stores a notice, unless one of its name waits.
func (q *Queue) keepNotice(n *delivery.Notice) {
	if n == nil || slices.ContainsFunc(q.notices, func(other delivery.Notice) bool { return other.Tenant == n.Tenant && other.Name == n.Name }) {
		return
	}
	q.noticed++
	kept := *n
	kept.ID, kept.At, kept.Properties = q.noticed, milliseconds(n.At), slices.Clone(n.Properties)
	q.notices = append(q.notices, kept)
}

// noticeTold removes the notice that an event tells.
func (q *Queue) noticeTold(a *delivery.Acceptance) {
	if a.Event.URI.Resource == triggers.Webhooks {
		q.notices = slices.DeleteFunc(q.notices, func(n delivery.Notice) bool { return n.Tenant == a.Tenant && n.Name == a.Event.EventID })
	}
}

// Notices implements delivery.Queue.
func (q *Queue) Notices(_ context.Context, limit int) ([]delivery.Notice, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("Notices"); err != nil {
		return nil, err
	}
	return slices.Clone(q.notices[:min(limit, len(q.notices))]), nil
}

// ForgetNotices implements delivery.Queue.
func (q *Queue) ForgetNotices(_ context.Context, ids ...int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("ForgetNotices"); err != nil {
		return err
	}
	q.notices = slices.DeleteFunc(q.notices, func(n delivery.Notice) bool { return slices.Contains(ids, n.ID) })
	return nil
}

// Health implements delivery.Queue.
func (q *Queue) Health(_ context.Context, webhooks ...uint32) (map[uint32]delivery.Health, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("Health"); err != nil {
		return nil, err
	}
	found := make(map[uint32]delivery.Health)
	for key, health := range q.health {
		if !health.IsZero() && (len(webhooks) == 0 || slices.Contains(webhooks, key)) {
			found[key] = health.Clone()
		}
	}
	return found, nil
}

// ShiftDue implements delivery.Shifter.
func (q *Queue) ShiftDue(_ context.Context, by time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range q.deliveries {
		if d.State == delivery.Waiting {
			d.DueAt = d.DueAt.Add(by)
		}
	}
	for i := range q.members {
		q.members[i].interval = max(1, q.members[i].interval+by.Milliseconds())
	}
	for key, health := range q.health {
		shifted := health.Clone()
		shifted.Shift(by)
		q.health[key] = shifted
	}
	return nil
}
