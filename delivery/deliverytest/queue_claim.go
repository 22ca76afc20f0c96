package deliverytest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Claim implements delivery.Queue.
func (q *Queue) Claim(
	_ context.Context, now time.Time, limit int, free func(webhook uint32) int,
) (claimed []delivery.Claimed, next time.Time, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.fail("Claim"); err != nil {
		return nil, time.Time{}, err
	}
	lines := q.lines()
	turns := slices.Sorted(maps.Keys(lines))
	at, found := slices.BinarySearch(turns, q.cursor)
	if found {
		at++
	}
	for _, webhook := range slices.Concat(turns[at:], turns[:at]) {
		if len(claimed) == limit {
			break
		}
		if lines[webhook][0].DueAt.After(now) {
			continue
		}
		room := min(free(webhook), limit-len(claimed))
		for _, d := range lines[webhook] {
			if room <= 0 || d.DueAt.After(now) {
				break
			}
			due := d.DueAt
			q.lease(d)
			claimed = append(claimed, q.claimed(d, due))
			q.cursor = webhook
			room--
		}
	}
	for _, line := range q.lines() {
		if due := line[0].DueAt; due.After(now) && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return claimed, next, nil
}

// lines are the waiting deliveries of each webhook, the earliest due first; of an ordered one those that nothing stands before.
func (q *Queue) lines() map[uint32][]*entry {
	lines := make(map[uint32][]*entry)
	heads := q.heads()
	for _, d := range q.deliveries {
		if d.State == delivery.Waiting && (!q.ordered(d.Webhook) || heads[q.place(d)] == d.ID) {
			lines[d.Webhook] = append(lines[d.Webhook], d)
		}
	}
	for _, line := range lines {
		slices.SortFunc(line, func(a, b *entry) int { return cmp.Or(a.DueAt.Compare(b.DueAt), cmp.Compare(a.ID, b.ID)) })
	}
	return lines
}

// place is where a delivery to an ordered webhook stands.
type place struct {
	webhook uint32
	line    string
}

func (q *Queue) place(d *entry) place {
	if d.collected {
		return place{webhook: d.Webhook}
	}
	first := q.events[d.events[0]]
	return place{d.Webhook, delivery.LineOf(&first.Event.URI, first.Body)}
}

func (q *Queue) ordered(webhook uint32) bool {
	return q.webhooks[webhook] != nil && q.webhooks[webhook].Ordered
}

// heads are the first open deliveries of the lines of ordered webhooks.
func (q *Queue) heads() map[place]triggers.ID {
	heads := make(map[place]triggers.ID)
	for _, d := range q.deliveries {
		if !d.open() || !q.ordered(d.Webhook) {
			continue
		}
		at := q.place(d)
		if first, ok := heads[at]; !ok || d.ID < first {
			heads[at] = d.ID
		}
	}
	return heads
}
