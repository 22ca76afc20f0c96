package web

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// summarySpan is the time up to now that summaries count.
const summarySpan = 24 * time.Hour

// summaries tells how the webhooks of a page have done, in their order; nil when the request does not ask for it.
func (s *Server) summaries(ctx context.Context, include string, page []*triggers.Webhook) ([]delivery.WebhookSummary, error) {
	switch include {
	case "":
		return nil, nil
	case "summary":
	default:
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "include", "include is %q; it must be summary", include)
	}
	keys := make([]uint32, len(page))
	for i, w := range page {
		keys[i] = w.Key
	}
	now := time.Now()
	found, err := s.config.Overview.Summaries(ctx, keys, now.Add(-summarySpan), now)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return found, nil
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
		if counts.Attempts > 0 {
			const digits = 4
			o.name("successShare")
			o.buf = strconv.AppendFloat(o.buf, float64(counts.Attempts-counts.Failed)/float64(counts.Attempts), 'f', digits, 64)
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
