package web

import (
	"portalhook/delivery"
	"portalhook/triggers"
)

// ownUser is who the audit names where the server itself changed something. What no key did has no key's id.
const ownUser = "portalhook"

// OwnWebhookChange is the delivery.Teller of the audit that this package shows.
func OwnWebhookChange(change *delivery.Change, before, after *triggers.Webhook) {
	done := webhookUpdate
	switch {
	case after.Enabled && !before.Enabled:
		done = webhookEnable
	case before.Enabled && !after.Enabled:
		done = webhookDisable
	}
	*change = ownChange(done, after.ID.String())
	change.Before, change.After = auditedWebhook(before, nil), auditedWebhook(after, before)
}

// OwnTenantChange tells the audit that the server made a tenant, or changed one by its configuration; before is nil of one it made.
func OwnTenantChange(before, after *triggers.Tenant) *delivery.Change {
	done := tenantCreate
	if before != nil {
		done = tenantUpdate
	}
	change := ownChange(done, after.PortalID)
	change.After = appendTenant(nil, after)
	if before != nil {
		change.Before = appendTenant(nil, before)
	}
	return &change
}

// OwnKeyChange tells the audit that the server added the key of its configuration, or drew the first one.
func OwnKeyChange(key triggers.APIKey, tenant *triggers.Tenant) *delivery.Change {
	change := ownChange(keyCreate, key.ID)
	change.After = keyObject(nil, &heldKey{APIKey: key, use: new(keyUse)}, tenant.Name, "")
	return &change
}

func ownChange(done action, id string) delivery.Change {
	return delivery.Change{UserID: ownUser, Action: string(done), Object: done.kind(), ObjectID: id}
}
