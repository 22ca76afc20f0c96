package web

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// appendWebhook writes a webhook as every answer shows it: secrets never, encrypted headers by name.
func appendWebhook(dst []byte, w *triggers.Webhook) []byte {
	return webhookObject(dst, w, func(o *object) { writeGuarded(o, w) })
}

// writeGuarded tells of what must not be shown that it is there.
func writeGuarded(o *object, w *triggers.Webhook) {
	o.array("encryptedHeaders", len(w.EncryptedHeaders), func(dst []byte, i int) []byte {
		return appendText(dst, w.EncryptedHeaders[i].Name)
	})
	o.flag("secretKeyAdded", !w.Secret.IsZero())
}

// webhookObject writes a webhook; guarded writes the members that stand for what must not be shown.
func webhookObject(dst []byte, w *triggers.Webhook, guarded func(o *object)) []byte {
	o := openObject(dst)
	o.text("id", w.ID.String())
	o.text("name", w.Name)
	o.text("description", w.Description)
	o.text("url", w.URL)
	o.array("eventTypes", len(w.Triggers), func(dst []byte, i int) []byte { return appendText(dst, w.Triggers[i].Text) })
	o.text("level", string(w.Level))
	o.text("ownerId", w.OwnerID)
	o.flag("enabled", w.Enabled)
	o.text("filter", w.Filter)
	o.object("headers", func(o *object) {
		for _, h := range w.Headers {
			o.text(h.Name, h.Value.Reveal())
		}
	})
	guarded(o)
	o.text("origin", w.Origin)
	o.flag("checkCertificateRevocation", w.CheckCertificateRevocation)
	o.flag("enableCloudEventDelivery", w.EnableCloudEventDelivery)
	o.text("format", string(w.Format))
	o.flag("plainSecretHeader", w.PlainSecretHeader)
	o.raw("retry", retryValue(w.Retry))
	if w.Deactivation != nil {
		o.object("deactivationPolicy", func(o *object) {
			o.number("numberOfFailures", int64(w.Deactivation.NumberOfFailures))
			o.number("daysInPast", int64(w.Deactivation.DaysInPast))
		})
	}
	o.flag("probe", w.Probe)
	writeSending(o, w)
	o.flag("ordered", w.Ordered)
	o.number("timeoutSeconds", int64(w.TimeoutSeconds))
	o.number("rateLimit", int64(w.RateLimit))
	for _, m := range readOnlyMembers {
		if m.show(w) {
			o.raw(m.name, m.value(w))
		}
	}
	return o.close()
}

// readOnlyMember is a member that only the server sets. A body may repeat its value.
type readOnlyMember struct {
	name  string
	value func(w *triggers.Webhook) jsontext.Value
	show  func(w *triggers.Webhook) bool
	moves bool // with updates, or when the server switches the webhook off
}

// readOnlyMembers stand at the end of the object; id stands at its head and is not among them.
var readOnlyMembers = []readOnlyMember{
	{"disabledReason", func(w *triggers.Webhook) jsontext.Value { return textValue(w.DisabledReason) }, always, true},
	{"disabledReasonCode", func(w *triggers.Webhook) jsontext.Value { return textValue(w.DisabledReasonCode) }, always, true},
	{"disabledAt", func(w *triggers.Webhook) jsontext.Value { return textValue(stamp(w.DisabledAt)) }, wasDisabled, true},
	{"enabledReason", func(w *triggers.Webhook) jsontext.Value { return textValue(w.EnabledReason) }, wasRevived, true},
	{"enabledAt", func(w *triggers.Webhook) jsontext.Value { return textValue(stamp(w.EnabledAt)) }, wasRevived, true},
	{"oldSecretsValidUntil", func(w *triggers.Webhook) jsontext.Value { return textValue(stamp(w.OldSecretsUntil())) }, isRotating, true},
	{"createdAt", func(w *triggers.Webhook) jsontext.Value { return textValue(stamp(w.CreatedAt)) }, always, false},
	{"updatedAt", func(w *triggers.Webhook) jsontext.Value { return textValue(stamp(w.UpdatedAt)) }, always, true},
	{"createdByUserId", func(w *triggers.Webhook) jsontext.Value { return textValue(w.CreatedBy) }, always, false},
	{"updatedByUserId", func(w *triggers.Webhook) jsontext.Value { return textValue(w.UpdatedBy) }, always, true},
}

func always(*triggers.Webhook) bool { return true }

func wasDisabled(w *triggers.Webhook) bool { return !w.DisabledAt.IsZero() }

// wasRevived reports whether the server itself switched the webhook on again.
func wasRevived(w *triggers.Webhook) bool { return !w.EnabledAt.IsZero() }

// isRotating reports whether a rotated secret still signs. One whose time is over is kept until the next save, so that a GET's answer
// can be put back after that, too.
func isRotating(w *triggers.Webhook) bool { return time.Now().Before(w.OldSecretsUntil()) }

func textValue(text string) jsontext.Value { return appendText(nil, text) }

// retryValue writes a retry schedule: a profile's name, or the list of waits.
func retryValue(r triggers.Retry) jsontext.Value {
	if r.Profile != triggers.RetryList {
		return textValue(string(r.Profile))
	}
	value := jsontext.Value{'['}
	for i, wait := range r.Waits {
		if i > 0 {
			value = append(value, ',')
		}
		value = appendText(value, waitText(wait))
	}
	return append(value, ']')
}

// waitText spells a wait shortly: 5m, not 5m0s.
func waitText(wait time.Duration) string {
	text := wait.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}
