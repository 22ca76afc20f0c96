package deliverytest

import (
	"context"
	"slices"

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
