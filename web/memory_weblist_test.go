package web_test

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"portalhook/delivery"
	"portalhook/triggers"
)

func (m *memory) Webhooks(_ context.Context, q delivery.WebhookQuery) ([]*triggers.Webhook, error) {
	order := func(a, b delivery.WebhookPlace) int {
		c := cmp.Or(cmp.Compare(a.Text, b.Text), a.At.Compare(b.At), cmp.Compare(a.Key, b.Key))
		if q.Descending {
			return -c
		}
		return c
	}
	var found []*triggers.Webhook
	for _, w := range m.filtered(&q) {
		if q.After == nil || order(q.PlaceOf(w), *q.After) > 0 {
			found = append(found, w)
		}
	}
	slices.SortFunc(found, func(a, b *triggers.Webhook) int { return order(q.PlaceOf(a), q.PlaceOf(b)) })
	return found[:min(q.Limit, len(found))], nil
}

func (m *memory) WebhookKeys(_ context.Context, q delivery.WebhookQuery) (keys []uint32, err error) {
	for _, w := range m.filtered(&q) {
		keys = append(keys, w.Key)
	}
	return keys[:min(q.Limit, len(keys))], nil
}

func (m *memory) filtered(q *delivery.WebhookQuery) (found []*triggers.Webhook) {
	for _, w := range m.all(q.Tenant) {
		off := !w.Enabled && w.DisabledReasonCode != ""
		if has(w.Name, q.Name) && has(w.URL, q.URL) && has(w.OwnerID, q.OwnerPart) && (q.Level == "" || q.Level == w.Level) &&
			(q.WholeName == "" || strings.EqualFold(q.WholeName, w.Name)) && (q.WholeURL == "" || strings.EqualFold(q.WholeURL, w.URL)) &&
			(q.OwnerID == "" || q.OwnerID == w.OwnerID) && (q.CreatedBy == "" || q.CreatedBy == w.CreatedBy) &&
			(q.UpdatedBy == "" || q.UpdatedBy == w.UpdatedBy) && (q.Enabled == nil || *q.Enabled == w.Enabled) &&
			(q.SwitchedOff == nil || *q.SwitchedOff == off) && !w.CreatedAt.Before(q.Created.From) &&
			(q.Created.To.IsZero() || w.CreatedAt.Before(q.Created.To)) && (len(q.Origins) == 0 || slices.Contains(q.Origins, w.Origin)) &&
			!slices.ContainsFunc(q.Triggers, func(t string) bool {
				return !slices.ContainsFunc(w.Triggers, func(own triggers.Trigger) bool { return own.Text == t })
			}) && (q.TriggerPart == "" || slices.ContainsFunc(w.Triggers, func(own triggers.Trigger) bool { return has(own.Text, q.TriggerPart) })) {
			found = append(found, w)
		}
	}
	return found
}
