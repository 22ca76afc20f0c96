package router

import (
	"fmt"
	"slices"
	"strings"

	"portalhook/triggers"
)

// Explanation says why the triggers of one webhook hear an event, or why they do not.
type Explanation struct {
	// Matched says whether the event is heard, and Trigger by which trigger first: its index, -1 for none.
	Matched  bool      `json:"matched"`
	Trigger  int       `json:"trigger"`
	Triggers []Verdict `json:"triggers"` // one for each trigger, in their order
}

// Verdict says why one trigger hears an event, or why it does not.
type Verdict struct {
	Trigger string `json:"trigger"`
	Matched bool   `json:"matched"`
	// Segments compares trigger and event segment by segment. When the trigger does not match, the last one is where it failed.
	Segments []Comparison `json:"segments"`
	// Reason says in words why that one failed; empty when the trigger matched.
	Reason string `json:"reason,omitempty"`
}

// Comparison is one segment of a trigger beside what stands there in the event.
type Comparison struct {
	Pattern string `json:"pattern"`
	Event   string `json:"event"` // decoded; empty for the id of a bulk event
	Matched bool   `json:"matched"`
}

// Explain tells of every trigger whether it hears the event, with the same verdict as Match.
func Explain(ts []triggers.Trigger, uri *triggers.URI) Explanation {
	e := Explanation{Trigger: -1, Triggers: make([]Verdict, len(ts))}
	for i := range ts {
		v := verdictOf(&ts[i], uri)
		e.Triggers[i] = v
		if v.Matched && !e.Matched {
			e.Matched, e.Trigger = true, i
		}
	}
	return e
}

func verdictOf(t *triggers.Trigger, uri *triggers.URI) Verdict {
	v := Verdict{Trigger: t.Text, Matched: true}
	switch {
	case t.Root:
		v.compare(t.Text, uri.Resource.String(), uri.Resource.IsPortal(), "/ hears items, groups, users and roles only")
	case t.Resource == triggers.CloudTypes || uri.Resource == triggers.CloudTypes:
		v.cloud(t, uri)
	case !v.compare(t.Resource.String(), uri.Resource.String(), t.Resource.String() == uri.Resource.String(), "the event is about %s", uri.Resource):
	case isService(t.Resource):
		v.service(t, uri)
	default:
		v.portal(t, uri)
	}
	return v
}

// compare notes one segment; reason is for when it does not match, and nothing is compared thereafter.
func (v *Verdict) compare(pattern, event string, matched bool, reason string, args ...any) bool {
	v.Segments = append(v.Segments, Comparison{Pattern: pattern, Event: event, Matched: matched})
	if !matched {
		v.Matched, v.Reason = false, fmt.Sprintf(reason, args...)
	}
	return matched
}

// path compares one segment of the trigger's path. The event's segment comes as it is compared and as it was sent.
func (v *Verdict) path(t *triggers.Trigger, i int, pattern, key, sent string) bool {
	m := newMatcher(t.Path[i], folds(t.Resource))
	if m.kind == literal {
		return v.compare(pattern, sent, m.matches(key), "%q is not %q", sent, pattern)
	}
	return v.compare(pattern, sent, m.matches(key), "%q does not fit %s", sent, pattern)
}

func (v *Verdict) operation(t *triggers.Trigger, uri *triggers.URI, pattern string) {
	name := triggers.OperationName(uri.Resource, uri.Operation)
	v.compare(pattern, name, t.OperationsOf(uri.Resource).Has(uri.Operation), "the operation is %s", name)
}

// everything notes a `**`, which hears whatever the event has left.
func (v *Verdict) everything(segments ...string) {
	v.compare("**", strings.Join(slices.DeleteFunc(segments, func(s string) bool { return s == "" }), "/"), true, "")
}

// portal compares what follows the resource: `**`, an operation, an id, or an id and an operation. It is also for our own events.
func (v *Verdict) portal(t *triggers.Trigger, uri *triggers.URI) {
	words := strings.Split(t.Text, "/")[2:] // before the resource is the leading slash
	switch {
	case len(words) == 0:
		return
	case words[0] == "**":
		v.everything(uri.ID, triggers.OperationName(uri.Resource, uri.Operation))
		return
	case len(words) == 1 && t.Any && words[0] != "*":
		v.operation(t, uri, words[0])
		return
	}
	switch {
	case uri.ID == "" && (!t.Any || len(words) == 1):
		v.compare(words[0], "", false, "%s is done to many at once: the event has no id", triggers.OperationName(uri.Resource, uri.Operation))
		return
	case t.Any:
		v.compare(words[0], uri.ID, true, "")
	case !v.path(t, 0, words[0], uri.Key(), uri.ID):
		return
	}
	if len(words) > 1 {
		v.operation(t, uri, words[1])
	}
}

// service compares folder, name, kind and change type.
func (v *Verdict) service(t *triggers.Trigger, uri *triggers.URI) {
	words := strings.Split(t.Text, "/")[2:]
	kind, change := "FeatureServer", triggers.OperationName(uri.Resource, uri.Operation)
	if uri.Resource == triggers.Geoprocessing {
		kind, change = "GPServer", ""
	}
	keys, sent := []string{uri.FolderKey(), uri.Key()}, []string{uri.Folder, uri.ID}
	if uri.Folder == "" {
		keys, sent = keys[1:], sent[1:]
	}
	if t.Any {
		if words[0] == "*" {
			v.compare(words[0], sent[0], true, "")
			sent = sent[1:]
		}
		v.everything(append(sent, kind, change)...)
		return
	}
	switch at := min(len(t.Path), len(sent)); {
	case len(t.Path) > len(sent):
		v.compare(words[at], kind, false, "the service %q is in no folder", uri.ID)
		return
	case len(t.Path) < len(sent) && !t.Rest:
		v.compare(words[0], sent[0], false, "the service is in the folder %q", uri.Folder)
		return
	}
	for i := range t.Path {
		if !v.path(t, i, words[i], keys[i], sent[i]) {
			return
		}
	}
	n := len(t.Path)
	if t.Rest {
		v.everything(append(sent[n:], kind, change)...)
		return
	}
	if v.compare(words[n], kind, t.Resource == uri.Resource, "the service is a %s", kind) && len(words) > n+1 {
		v.operation(t, uri, words[n+1])
	}
}

// cloud compares the words of a cloud event type.
func (v *Verdict) cloud(t *triggers.Trigger, uri *triggers.URI) {
	if t.Resource != uri.Resource {
		v.compare(t.Text, uri.String(), false, "the event is of another kind")
		return
	}
	words, sent := strings.Split(t.Text, "."), strings.Split(uri.Key(), ".")
	for i := range t.Path {
		if i == len(sent) {
			v.compare(words[i], "", false, "the event type has only %d words", len(sent))
			return
		}
		if !v.path(t, i, words[i], sent[i], sent[i]) {
			return
		}
	}
	n := len(t.Path)
	switch tail := strings.Join(sent[n:], "."); {
	case t.Any || t.Rest:
		v.compare("**", tail, tail != "", "nothing follows %s", uri.Key())
	case tail != "":
		v.compare("", tail, false, "the event type goes on with %s", tail)
	}
}
