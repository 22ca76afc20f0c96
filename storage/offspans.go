package storage

import (
	"context"
	"database/sql"
	"fmt"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	beginOffSpan = `INSERT INTO off_span (webhook, from_ms) SELECT ?1, ?2
  WHERE NOT EXISTS (SELECT 1 FROM off_span WHERE webhook = ?1 AND (to_ms IS NULL OR from_ms = ?2))`
	reopenOffSpan = `UPDATE off_span SET to_ms = NULL WHERE webhook = ? AND from_ms = ?`
	endOffSpan    = `UPDATE off_span SET to_ms = ? WHERE webhook = ? AND to_ms IS NULL`
	offSpansOf    = `SELECT from_ms, coalesce(to_ms, 0) FROM off_span
  WHERE webhook = ?1 AND EXISTS (SELECT 1 FROM webhook WHERE key = ?1 AND tenant = ?2) ORDER BY from_ms`
)

// noteListening records, in the present transaction, whether events are matched for the webhook from now on.
func (e *editor) noteListening(webhook *triggers.Webhook) error {
	now, key := e.now().UnixMilli(), int64(webhook.Key)
	if delivery.Listens(webhook) {
		return e.db.run(endOffSpan, now, key)
	}
	if err := e.db.run(beginOffSpan, key, now); err != nil {
		return err
	}
	// Within one millisecond it was switched on and off again.
	return e.db.run(reopenOffSpan, key, now)
}

// OffSpans implements delivery.RecoveryStore.
func (s *base) OffSpans(ctx context.Context, tenant, webhook uint32) ([]delivery.Span, error) {
	var spans []delivery.Span
	err := each(ctx, s.direct(), offSpansOf, []any{webhook, tenant}, func(rows *sql.Rows) error {
		var ms [2]int64
		err := rows.Scan(&ms[0], &ms[1])
		spans = append(spans, spanOf(ms))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("when webhook %d was off: %w", webhook, err)
	}
	return spans, nil
}
