package web

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"portalhook/delivery"
)

// summarySpan is the time up to now that summaries count.
const summarySpan = 24 * time.Hour

// sum tells of each webhook how it has fared.
func (s *Server) sum(ctx context.Context, webhooks []delivery.SummedWebhook) error {
	keys := make([]uint32, len(webhooks))
	for i := range webhooks {
		keys[i] = webhooks[i].Key
	}
	now := time.Now()
	found, err := s.config.Overview.Summaries(ctx, keys, now.Add(-summarySpan), now)
	if err != nil {
		return fmt.Errorf("list webhooks: %w", err)
	}
	for i := range webhooks {
		webhooks[i].Summary = found[i]
	}
	return nil
}

// appendSummary writes a webhook's summary behind its other members.
func appendSummary(row []byte, summary *delivery.WebhookSummary) []byte {
	o := &object{buf: row[:len(row)-1], after: true}
	o.object("summary", func(o *object) {
		counts := &summary.Counts
		o.number("attempts", counts.Attempts)
		o.number("succeeded", counts.Succeeded)
		o.number("failed", counts.Failed)
		o.number("exhausted", counts.Exhausted)
		if share, ok := summary.Share(); ok {
			const digits = 4
			o.name("successShare")
			o.buf = strconv.AppendFloat(o.buf, share, 'f', digits, 64)
		}
		if last := summary.Last; last != nil {
			o.object("lastDelivery", func(o *object) {
				o.text("id", last.Delivery.Delivery())
				o.text("state", string(last.State))
				if last.StatusCode != 0 {
					o.number("statusCode", int64(last.StatusCode))
				}
				o.time("at", last.At)
			})
		}
	})
	return o.close()
}
