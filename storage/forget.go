package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"portalhook/delivery"
	"portalhook/triggers"
)

// SecretsForgotten is the DisabledReasonCode of a webhook whose secrets could not be opened any more.
const SecretsForgotten = "SECRETS_FORGOTTEN"

const reasonForgotten = "its secrets could not be opened with the key file and were forgotten; set them again, then switch it on"

// webhookUpdate is UpdateWebhook.
type webhookUpdate func(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error

// checkSecrets opens every secret of the store. Those that do not open are an ErrSecrets, or are forgotten when the config says so.
func (s *base) checkSecrets(ctx context.Context, config Config, update webhookUpdate) error {
	const query = `SELECT ` + webhookColumns + ` FROM webhook WHERE secrets IS NOT NULL ORDER BY key`
	var lost []*webhookRow
	err := each(ctx, s.direct(), query, nil, func(rows *sql.Rows) error {
		row := new(webhookRow)
		if err := rows.Scan(row.scan()...); err != nil {
			return err
		}
		w := &triggers.Webhook{Tenant: row.tenant}
		copy(w.ID[:], row.id)
		err := s.openAll(row.secrets, w)
		if errors.Is(err, ErrSecrets) {
			lost = append(lost, row)
			err = nil
		}
		return err
	})
	if err != nil || len(lost) == 0 {
		return err
	}
	if !config.ForgetSecrets {
		return fmt.Errorf("%w: those of %d webhooks, the first is %q", ErrSecrets, len(lost), lost[0].name)
	}
	for _, row := range lost {
		if err := s.forgetSecrets(ctx, row, config.Own, update); err != nil {
			return err
		}
	}
	s.log.Warn("secrets forgotten, webhooks switched off", "count", len(lost))
	return nil
}

// forgetSecrets takes a webhook's secrets away and switches it off, so that nothing is ever sent unsigned in its name.
func (s *base) forgetSecrets(ctx context.Context, row *webhookRow, own delivery.Teller, update webhookUpdate) error {
	row.secrets = nil
	w, err := s.webhookOf(row)
	if err != nil {
		return err
	}
	before := *w
	w.Enabled, w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = false, reasonForgotten, SecretsForgotten, s.now()
	return update(own.Own(ctx, &before, w), w, delivery.WebhookLimits{})
}
