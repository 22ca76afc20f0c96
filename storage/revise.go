package storage

import (
	"context"
	"database/sql/driver"
	"fmt"

	"portalhook/delivery"
	"portalhook/triggers"
)

// ReviseWebhooks gives every webhook whose revision is not what delivery.RevisionOf says now a new one: after an upgrade with another
// builder, or with another setting of the server. LegacyCloud goes for all revisions from now on. All are revised or none.
func (s *Store) ReviseWebhooks(ctx context.Context, legacyCloud bool) error {
	return s.write(ctx, func(w *writer) error {
		before := w.legacyCloud
		w.legacyCloud = legacyCloud
		if err := w.db.transaction(w.reviseOutdated); err != nil {
			w.legacyCloud = before
			return fmt.Errorf("revise webhooks: %w", known(err))
		}
		return nil
	})
}

func (e *editor) reviseOutdated() error {
	outdated, err := e.outdated()
	if err != nil {
		return err
	}
	for i := range outdated {
		webhook := outdated[i].webhook
		revision, err := e.revise(webhook, outdated[i].tenant)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", webhook.ID, err)
		}
		if err := e.db.run(presentRevision, revision, int64(webhook.Key)); err != nil {
			return err
		}
	}
	return nil
}

type outdatedWebhook struct {
	webhook *triggers.Webhook
	tenant  *triggers.Tenant
}

// outdated finds the webhooks whose revision is not what it would be now. Only these are held in memory.
func (e *editor) outdated() ([]outdatedWebhook, error) {
	var found []outdatedWebhook
	tenants := make(map[uint32]*triggers.Tenant)
	const query = `SELECT ` + webhookColumns + `, body FROM webhook JOIN (SELECT number, body FROM revision) AS present ON number = webhook.revision ORDER BY key`
	err := e.db.each(query, "", webhookColumnCount+1, func(values []driver.Value) error {
		webhook, err := e.webhookOf(rowOfValues(values))
		if err != nil {
			return err
		}
		tenant, ok := tenants[webhook.Tenant]
		if !ok {
			if tenant, err = e.tenant(webhook.Tenant); err != nil {
				return err
			}
			tenants[webhook.Tenant] = tenant
		}
		late, err := differs(textOf(values[webhookColumnCount]), delivery.RevisionOf(webhook, tenant, e.legacyCloud))
		if err != nil {
			return fmt.Errorf("webhook %s: %w", webhook.ID, err)
		}
		if late {
			found = append(found, outdatedWebhook{webhook, tenant})
		}
		return nil
	})
	return found, err
}
