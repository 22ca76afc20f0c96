// Package payload turns accepted events into the bytes a receiver reads, and signs them.
package payload

import "portalhook/triggers"

// Version is the builder's version. Bytes of a delivery must come out the same for ever, so a change of any builder's output
// takes a new number and leaves the old path in place.
const Version = 1

// Revision is what a webhook contributes to its payloads and to its history, fixed when its deliveries are made. It is stored
// once per change of a webhook, as JSON.
type Revision struct {
	Number      int64              `json:"-"` // the store's
	Builder     int                `json:"builder"`
	WebhookID   triggers.WebhookID `json:"webhookId"`
	WebhookName string             `json:"webhookName"`
	PortalURL   string             `json:"portalUrl"`
	Format      triggers.Format    `json:"format"`
	Triggers    []string           `json:"triggers"`
	URL         string             `json:"url"`
	// Headers are shown in the history: name and value, the value of an encrypted one as **OMITTED**.
	Headers [][2]string `json:"headers,omitempty"`
}

// Event is a stored event as payloads need it.
type Event struct {
	ID      triggers.ID
	EventID string
	Source  string
	URI     triggers.URI
	// Body is what Render gave at acceptance.
	Body []byte
}
