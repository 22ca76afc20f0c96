// Package router answers, from memory, which webhooks want an event.
package router

// Hit is one webhook that wants the event, and the first of its triggers that matched.
type Hit struct {
	Webhook uint32 // Webhook.Key
	Trigger uint8  // index in Webhook.Triggers
}
