package web

import (
	"context"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// includeSummary is the value of the list's parameter include that adds a summary to each webhook.
const includeSummary = "summary"

// webhookSummary is how a webhook has fared of late, from counters and one row: nothing is counted for it.
type webhookSummary struct {
	day  delivery.HourCounts // the last 24 hours, the first of them whole
	last *delivery.Record    // the newest delivery with a finished attempt; nil when history has none
}

func (s *Server) summary(ctx context.Context, w *triggers.Webhook) (*webhookSummary, error) {
	now := time.Now()
	hours, err := s.config.History.Hourly(ctx, w.Tenant, w.Key, now.Add(-defaultStatsSpan), now)
	if err != nil {
		return nil, err
	}
	sum := new(webhookSummary)
	for i := range hours {
		sum.day.Add(&hours[i])
	}
	last, err := s.config.History.Deliveries(ctx, delivery.HistoryQuery{Tenant: w.Tenant, Webhook: w.Key, FinishedOnly: true, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(last) > 0 {
		sum.last = &last[0]
	}
	return sum, nil
}

// appendSummarised writes a webhook with its summary; without one, nil, as it is.
func appendSummarised(dst []byte, w *triggers.Webhook, sum *webhookSummary) []byte {
	return webhookObject(dst, w, func(o *object) {
		writeGuarded(o, w)
		if sum == nil {
			return
		}
		o.object("summary", func(o *object) {
			o.object("lastDay", func(o *object) { writeCounts(o, &sum.day) })
			if last := sum.last; last != nil {
				o.object("lastDelivery", func(o *object) {
					o.text("id", last.ID.Delivery())
					o.time("triggeredAt", last.CreatedAt)
					writeState(o, last)
				})
			}
		})
	})
}
