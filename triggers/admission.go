package triggers

import "slices"

// Admission says whether a webhook is told of an event that one of its triggers hears.
type Admission uint8

// The admissions. Level and filter come before the state: what they hold back is not even recorded as skipped.
const (
	Admitted     Admission = iota
	HeldByLevel            // the webhook is of user level, and its owner may not hear of the event
	HeldByFilter           // its filter does not hold
	HeldByState            // it is off
)

// String is admitted, level, filter or state.
func (a Admission) String() string {
	return [...]string{"admitted", "level", "filter", "state"}[a]
}

// Admit judges an event that one of the webhook's triggers hears: by its level, its filter and its state, in this order. properties is
// the JSON object that receivers will read, nil when there is none; only filters look at it.
//
// A webhook of user level hears what its owner may see: an event that names him as owner or in its audience, and never one that has no
// user level.
func (w *Webhook) Admit(ev *Event, properties []byte) Admission {
	switch {
	case w.Level == UserLevel && !w.ownerHears(ev):
		return HeldByLevel
	case !w.Conditions.IsZero() && !w.Conditions.Holds(ev.FilterValues(properties)):
		return HeldByFilter
	case !w.Enabled:
		return HeldByState
	}
	return Admitted
}

func (w *Webhook) ownerHears(ev *Event) bool {
	return ev.hasUserLevel() && w.OwnerID != "" && (ev.OwnerID == w.OwnerID || slices.Contains(ev.Audience, w.OwnerID))
}

// hasUserLevel reports whether webhooks of user level may hear of such events at all.
func (ev *Event) hasUserLevel() bool {
	return ev.URI.Resource == Items || ev.URI.Resource == Groups || ev.Kind.UserLevel
}

// WhyHeld says in a sentence what holds the event back; empty when it is admitted.
func (w *Webhook) WhyHeld(a Admission, ev *Event) string {
	switch a {
	case Admitted:
	case HeldByLevel:
		if !ev.hasUserLevel() {
			return "the webhook is of user level, which such events do not have"
		}
		return "the webhook is of user level, and the event names its owner neither as owner nor in its audience"
	case HeldByFilter:
		return "the filter of the webhook does not hold for the event"
	case HeldByState:
		if w.DisabledReason != "" {
			return "the webhook was disabled: " + w.DisabledReason
		}
		return "the webhook is disabled"
	}
	return ""
}
