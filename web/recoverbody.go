package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/delivery"
	"portalhook/triggers"
)

// recoverableStates are those that a recovery can be asked for, recoveredStates those it takes when none are named.
var (
	recoverableStates = []delivery.State{delivery.Exhausted, delivery.Skipped, delivery.Cancelled}
	recoveredStates   = []delivery.State{delivery.Exhausted, delivery.Skipped}
)

// readRecovery reads {"from","to","states","trigger","missed","ratePerMinute","dryRun"}, all of which may be left out, and so may the body.
func (s *Server) readRecovery(r *http.Request) (asked *delivery.RecoveryRequest, dryRun bool, err error) {
	asked = &delivery.RecoveryRequest{States: recoveredStates, RatePerMinute: delivery.DefaultRecoveryRate}
	if r.ContentLength == 0 {
		return asked, false, nil
	}
	body, err := readJSON(r)
	if err != nil {
		return nil, false, err
	}
	var span delivery.Span
	err = eachMember(body, "", func(name string, value jsontext.Value) (err error) {
		switch name {
		case "from":
			span.From, err = momentOf(name, value)
		case "to":
			span.To, err = momentOf(name, value)
		case "states":
			asked.States, err = recoverStates(name, value)
		case "trigger":
			asked.Trigger, err = s.kindOf(name, value)
		case "missed":
			asked.Missed, err = boolOf(name, value)
		case "dryRun":
			dryRun, err = boolOf(name, value)
		case "ratePerMinute":
			asked.RatePerMinute, err = intOf(name, value)
			if err == nil && (asked.RatePerMinute < 1 || asked.RatePerMinute > delivery.MaxRecoveryRate) {
				err = triggers.Invalid(triggers.CodeOutOfRange, name, "ratePerMinute is from 1 to %d, not %d", delivery.MaxRecoveryRate, asked.RatePerMinute)
			}
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, name, "a recovery has from, to, states, trigger, missed, ratePerMinute and dryRun")
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if err := forwards("", span); err != nil {
		return nil, false, err
	}
	if len(asked.States) == 0 && !asked.Missed {
		return nil, false, triggers.Invalid(triggers.CodeRequired, "states", "without missed a recovery needs a state")
	}
	if span != (delivery.Span{}) {
		asked.Spans = []delivery.Span{span}
	}
	return asked, dryRun, nil
}

// momentOf reads a time: RFC 3339 as text, or milliseconds since 1970 as text or number.
func momentOf(field string, value jsontext.Value) (time.Time, error) {
	if value.Kind() == jsontext.KindNumber {
		if _, err := strconv.ParseInt(string(value), 10, 64); err != nil {
			return time.Time{}, wrongType(field, "a date as text, or whole milliseconds", value)
		}
		return momentParam(field, string(value))
	}
	text, err := textOf(field, value)
	if err == nil && text == "" {
		err = triggers.Invalid(triggers.CodeRequired, field, "%s is empty", field)
	}
	if err != nil {
		return time.Time{}, err
	}
	return momentParam(field, text)
}

// forwards refuses a span that ends before it begins; prefix is what its members' names have before them.
func forwards(prefix string, span delivery.Span) error {
	if !span.From.IsZero() && !span.To.IsZero() && span.To.Before(span.From) {
		return triggers.Invalid(triggers.CodeOutOfRange, prefix+"to", "to is before from")
	}
	return nil
}

func recoverStates(field string, value jsontext.Value) ([]delivery.State, error) {
	texts, err := textsOf(field, value)
	if err != nil {
		return nil, err
	}
	states := make([]delivery.State, 0, len(texts))
	for i, text := range texts {
		state := delivery.State(text)
		if !slices.Contains(recoverableStates, state) {
			return nil, triggers.Invalid(triggers.CodeOutOfRange, field+"["+strconv.Itoa(i)+"]",
				"the state is %q; it must be exhausted, skipped or cancelled", text)
		}
		if !slices.Contains(states, state) {
			states = append(states, state)
		}
	}
	return states, nil
}

// kindOf reads a kind of event: a trigger, in the spelling that is stored.
func (s *Server) kindOf(field string, value jsontext.Value) (string, error) {
	text, err := textOf(field, value)
	if err != nil {
		return "", err
	}
	trigger, err := s.config.Catalog.ParseTrigger(text)
	if err != nil {
		return "", inField(field, err)
	}
	return trigger.Text, nil
}
