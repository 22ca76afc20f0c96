package triggers

import (
	"slices"
	"time"
)

// MaxOldSecrets is how many rotated secrets of one webhook may still sign.
const MaxOldSecrets = 10

// Rotate makes secret the webhook's. The one that it had, if any, goes on signing until the date given; a date that is not after now
// ends it at once, and every older one with it, as after a leak. Of more than MaxOldSecrets the oldest is dropped.
func (w *Webhook) Rotate(secret Secret, until, now time.Time) {
	old := make([]OldSecret, 0, 1+len(w.OldSecrets))
	if until.After(now) {
		if !w.Secret.IsZero() {
			old = append(old, OldSecret{Secret: w.Secret, Until: until})
		}
		old = append(old, w.OldSecrets...)
	}
	// One that comes back is no old one any more.
	old = slices.DeleteFunc(old, func(o OldSecret) bool { return o.Secret == secret || !now.Before(o.Until) })
	w.Secret, w.OldSecrets = secret, old[:min(len(old), MaxOldSecrets)] // the newest stand first
}

// ForgetOldSecrets drops the rotated secrets whose time is over.
func (w *Webhook) ForgetOldSecrets(now time.Time) {
	w.OldSecrets = slices.DeleteFunc(slices.Clone(w.OldSecrets), func(o OldSecret) bool { return !now.Before(o.Until) })
}

// OldSecretsUntil is when the last of the rotated secrets ends, or ended; zero when there is none.
func (w *Webhook) OldSecretsUntil() time.Time {
	var last time.Time
	for _, old := range w.OldSecrets {
		if old.Until.After(last) {
			last = old.Until
		}
	}
	return last
}
