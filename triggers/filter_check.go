package triggers

import "slices"

// filterFamily is the kinds of events that have the same attributes.
type filterFamily uint8

// pathFamily is the portal's, the services' and our own events, cloudFamily those of cloud types.
const (
	pathFamily filterFamily = 1 << iota
	cloudFamily
)

// statusType is the one cloud type whose events have data.status, which only webhooks that hear nothing else may ask for.
const statusType = "com.qlik.v1.app.reload.finished"

// families says which events have an attribute.
func (a FilterAttribute) families() filterFamily {
	switch a {
	case FilterID:
		return pathFamily | cloudFamily
	case FilterSpaceID, FilterTopLevelResourceID, FilterDataStatus:
		return cloudFamily
	case FilterUsername, FilterSource, FilterOperation:
	}
	return pathFamily
}

// CheckFilter checks that the events of at least one of the triggers have each attribute that the filter asks for; without triggers there
// is nothing to check yet. The error is a *FieldError on the field filter.
func CheckFilter(f Filter, ts []Trigger) error {
	if len(ts) == 0 {
		return nil
	}
	var heard filterFamily
	for i := range ts {
		if ts[i].Resource == CloudTypes {
			heard |= cloudFamily
		} else {
			heard |= pathFamily
		}
	}
	for _, a := range f.Attributes() {
		switch {
		case a == FilterDataStatus && slices.ContainsFunc(ts, func(t Trigger) bool { return t.Text != statusType }):
			return Invalid(CodeFilter, "filter", "%s is for webhooks whose only event type is %s", a, statusType)
		case a.families()&heard != 0:
		case heard == cloudFamily:
			return Invalid(CodeFilter, "filter", "events of cloud types have no %s: they have %s, %s and %s", a, FilterID, FilterSpaceID,
				FilterTopLevelResourceID)
		default:
			return Invalid(CodeFilter, "filter", "only events of cloud types have %s, and the webhook hears none of them", a)
		}
	}
	return nil
}
