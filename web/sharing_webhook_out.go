package web

import (
	"cmp"

	"portalhook/triggers"
)

// omitted stands in answers of the ArcGIS surfaces where a secret is; in an update it keeps the secret.
const omitted = "**OMITTED**"

// appendOrganisationWebhook writes a webhook as a portal's REST API prints its organisation's. What only the JSON API knows of is not
// among it.
func appendOrganisationWebhook(dst []byte, w *triggers.Webhook, tenant *triggers.Tenant) []byte {
	o := openObject(dst)
	o.text("id", w.ID.String())
	o.text("accountId", tenant.PortalID)
	o.text("payloadUrl", w.URL)
	secret := ""
	if !w.Secret.IsZero() {
		secret = omitted
	}
	o.text("secret", secret)
	o.flag("isActive", w.Enabled)
	o.text("name", w.Name)
	o.object("config", func(o *object) {
		// Clients read both numbers of every webhook. The standard rule, which has none, shows as 0.
		var policy triggers.DeactivationPolicy
		if w.Deactivation != nil {
			policy = *w.Deactivation
		}
		o.object("deactivationPolicy", func(o *object) {
			o.number("numberOfFailures", int64(policy.NumberOfFailures))
			o.number("daysInPast", int64(policy.DaysInPast))
		})
		if w.PlainSecretHeader {
			o.object("properties", func(o *object) { o.flag("plainSecretHeader", true) })
		}
	})
	o.text("ownerId", cmp.Or(w.OwnerID, w.CreatedBy))
	o.number("created", w.CreatedAt.UnixMilli())
	o.number("modified", w.UpdatedAt.UnixMilli())
	o.array("events", len(w.Triggers), func(dst []byte, i int) []byte { return appendText(dst, w.Triggers[i].Text) })
	return o.close()
}
