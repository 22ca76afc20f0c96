package deliverytest

import (
	"context"
	"slices"
	"time"

	"portalhook/delivery"
)

// noteHealth takes in what the end of an attempt tells of its webhook.
func (q *Queue) noteHealth(webhook uint32, s *delivery.Settlement) {
	if q.webhooks[webhook] == nil {
		return
	}
	health := q.health[webhook]
	health.Note(s)
	q.health[webhook] = health
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
	for key, health := range q.health {
		shifted := health.Clone()
		shifted.Shift(by)
		q.health[key] = shifted
	}
	return nil
}
