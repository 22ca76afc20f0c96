package delivery

import (
	"fmt"

	"portalhook/router"
	"portalhook/triggers"
)

// SampleOf is the sample event of a trigger of the catalogue as if it happened now: without the date that is the same in every sample.
func SampleOf(catalog *triggers.Catalog, e *triggers.Entry) (*triggers.Event, error) {
	ev, err := catalog.ParseEvent(e.SampleEvent)
	if err != nil {
		return nil, fmt.Errorf("sample event of %s: %w", e.Trigger, err)
	}
	ev.When, ev.HasWhen = 0, false
	return ev, nil
}

// SampleFor is the first sample of the catalogue that a trigger hears; where it hears none, the first that it hears when it happens to
// something that the trigger names. The error is a *triggers.FieldError when there is none.
func SampleFor(catalog *triggers.Catalog, t *triggers.Trigger) (*triggers.Event, error) {
	entries := catalog.Entries()
	for _, moved := range []bool{false, true} {
		for i := range entries {
			ev, err := SampleOf(catalog, &entries[i])
			if err != nil {
				return nil, err
			}
			if moved && (!t.OperationsOf(ev.URI.Resource).Has(ev.URI.Operation) || ev.MoveTo(t) != nil) {
				continue
			}
			if router.Explain([]triggers.Trigger{*t}, &ev.URI).Matched {
				return ev, nil
			}
		}
	}
	return nil, triggers.Invalid(triggers.CodeOutOfRange, "trigger", "there is no sample of %s; give an event in its place", t.Text)
}
