package web_test

import (
	"context"
	"slices"
	"time"

	"portalhook/delivery"
)

func (m *memory) TenantHours(_ context.Context, _ uint32, from, to time.Time) (found []delivery.TenantHour, err error) {
	for _, h := range m.tenantHours {
		if h.Hour.Add(time.Hour).After(from) && h.Hour.Before(to) {
			found = append(found, h)
		}
	}
	return found, nil
}

func (m *memory) WebhookTotals(context.Context, uint32, time.Time, time.Time) ([]delivery.WebhookTotal, error) {
	return slices.Clone(m.totals), nil
}

func (m *memory) OpenWork(context.Context, uint32) (delivery.OpenWork, error) { return m.open, nil }

func (m *memory) Breakers(uint32) []delivery.Breaker { return m.breakers }

// Listen tells nothing, and says at once that nothing more comes.
func (m *memory) Listen(q delivery.TailQuery) (*delivery.Listener, error) {
	var tail delivery.Tail
	defer tail.Close()
	return tail.Listen(q)
}

func (m *memory) Summaries(_ context.Context, webhooks []uint32, _, _ time.Time) ([]delivery.WebhookSummary, error) {
	list := make([]delivery.WebhookSummary, len(webhooks))
	for i, key := range webhooks {
		list[i] = delivery.WebhookSummary{Webhook: key, Last: m.last[key]}
		for _, total := range m.totals {
			if total.Webhook == key {
				list[i].Counts = total.HourCounts
			}
		}
	}
	return list, nil
}
