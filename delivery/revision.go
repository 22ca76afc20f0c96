package delivery

import (
	"portalhook/payload"
	"portalhook/triggers"
)

// RevisionOf is what a webhook of a tenant contributes to its payloads and its history, under the webhook's present revision number.
// LegacyCloud is DirectoryConfig's. The store writes it and the directory holds it, so that both make the same bytes.
func RevisionOf(w *triggers.Webhook, tenant *triggers.Tenant, legacyCloud bool) payload.Revision {
	names := make([]string, len(w.Triggers))
	for i := range w.Triggers {
		names[i] = w.Triggers[i].Text
	}
	headers := make([][2]string, 0, len(w.Headers)+len(w.EncryptedHeaders))
	for _, header := range w.Headers {
		headers = append(headers, [2]string{header.Name, header.Value.Reveal()})
	}
	for _, header := range w.EncryptedHeaders {
		headers = append(headers, [2]string{header.Name, omitted})
	}
	return payload.Revision{
		Number:      w.Revision,
		Builder:     payload.Version,
		WebhookID:   w.ID,
		WebhookName: w.Name,
		PortalURL:   tenant.PortalURL,
		ServerURL:   tenant.ServerURL,
		PortalID:    tenant.PortalID,

		SingularSource: tenant.SingularSource,

		LegacyCloud: legacyCloud,
		Format:      formatOf(w),
		Triggers:    names,
		URL:         w.URL,
		Headers:     headers,

		EnableCloudEventDelivery: w.EnableCloudEventDelivery,
	}
}

// TellsOtherwise reports whether a tenant has changed in what its webhooks' payloads say, so that each needs a new revision.
func TellsOtherwise(before, after *triggers.Tenant) bool {
	var w triggers.Webhook
	old, present := RevisionOf(&w, before, false), RevisionOf(&w, after, false)
	return !old.Equal(&present)
}

// formatOf takes a webhook without a format for one that leaves it to the event.
func formatOf(w *triggers.Webhook) triggers.Format {
	if w.Format == "" {
		return triggers.FormatAuto
	}
	return w.Format
}
