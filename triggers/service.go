package triggers

import (
	"net/url"
	"slices"
	"strings"
)

// Service is one service of a portal's server, as the path of its webhooks names it.
type Service struct {
	Kind   Resource // FeatureServices or Geoprocessing
	Folder string   // empty outside any folder
	Name   string
}

// Every is the change type that stands for all of them.
const Every = "*"

// ParseServiceType reads FeatureServer or GPServer, in any ASCII case; false for anything else.
func ParseServiceType(text string) (Resource, bool) {
	switch {
	case equalFoldASCII(text, featureServer):
		return FeatureServices, true
	case equalFoldASCII(text, gpServer):
		return Geoprocessing, true
	}
	return NoResource, false
}

// Type is FeatureServer or GPServer.
func (s Service) Type() string {
	if s.Kind == Geoprocessing {
		return gpServer
	}
	return featureServer
}

// Validate checks that events of such a service can be told of. The error is a *FieldError.
func (s Service) Validate() error {
	_, err := NewURI(s.Kind, 0, s.Folder, s.Name)
	return within("serviceName", err)
}

// Is reports whether both name the same service: whatever their case, as triggers do.
func (s Service) Is(other Service) bool {
	return s.Kind == other.Kind && Fold(s.Folder) == Fold(other.Folder) && Fold(s.Name) == Fold(other.Name)
}

// Trigger is the trigger that hears a change type of the service; Every and the empty text stand for all, which is the one that a
// geoprocessing service has.
func (s Service) Trigger(changeType string) string {
	b := []byte("/" + servicesWord)
	if s.Folder != "" {
		b = appendEscaped(append(b, '/'), s.Folder)
	}
	b = appendEscaped(append(b, '/'), s.Name)
	b = append(append(b, '/'), s.Type()...)
	if changeType != Every && changeType != "" {
		b = append(append(b, '/'), changeType...)
	}
	return string(b)
}

// ParseChangeType gives the catalogue's spelling of a change type that is written in any ASCII case; Every stays as it is. The error is a
// *FieldError that names the nearest.
func ParseChangeType(text string) (string, error) {
	if text == Every {
		return text, nil
	}
	if op, ok := operationNamed(FeatureServices, text); ok {
		return OperationName(FeatureServices, op), nil
	}
	near := nearestOf(text, operationNames[FeatureServices])
	err := Invalid(CodeUnknownTrigger, "", "there is no change type %q; the nearest is %s, and %s stands for all", clip(text), near, Every)
	err.Suggestion = near
	return "", err
}

// Service is the one service that a trigger is about, as it was spelt; false when it is about several, none, or one whose name or folder
// holds a slash, which no path of webhooks can name.
func (t *Trigger) Service() (Service, bool) {
	if t.Resource != FeatureServices && t.Resource != Geoprocessing || t.Also != NoResource || t.Any || t.Rest {
		return Service{}, false
	}
	written := strings.Split(t.Text, "/")[2:] // after the slash and the word services
	var names []string
	for i, segment := range t.Path {
		if _, literal := segment.Literal(); !literal {
			return Service{}, false
		}
		name, err := url.PathUnescape(written[i])
		if err != nil || strings.Contains(name, "/") {
			return Service{}, false
		}
		names = append(names, name)
	}
	switch len(names) {
	case 1:
		return Service{Kind: t.Resource, Name: names[0]}, true
	case 2:
		return Service{Kind: t.Resource, Folder: names[0], Name: names[1]}, true
	}
	return Service{}, false
}

// Service is the one service that all triggers of the webhook are about, as the first of them spells it; false when there is none.
func (w *Webhook) Service() (Service, bool) {
	if len(w.Triggers) == 0 {
		return Service{}, false
	}
	first, ok := w.Triggers[0].Service()
	if !ok {
		return Service{}, false
	}
	for i := range w.Triggers[1:] {
		if other, ok := w.Triggers[i+1].Service(); !ok || !other.Is(first) {
			return Service{}, false
		}
	}
	return first, true
}

// ChangeTypes are the change types that a webhook of a service subscribes, as a server prints them: Every alone where one of its triggers
// hears all, a geoprocessing service's included; globs worked out.
func (w *Webhook) ChangeTypes() []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range w.Triggers {
		t := &w.Triggers[i]
		if t.Operations == AllOperations(t.Resource) {
			return []string{Every}
		}
		if name, err := ParseChangeType(t.Text[strings.LastIndexByte(t.Text, '/')+1:]); err == nil {
			add(name)
			continue
		}
		for op, name := range operationNames[t.Resource] {
			if t.Operations.Has(Operation(op)) {
				add(name)
			}
		}
	}
	return names
}
