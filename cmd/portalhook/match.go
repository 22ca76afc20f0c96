package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

type matchCommand struct {
	URI string `arg:"" help:"What would have happened, as in /items/4adc30bb03054812a846fa592de105de/share."`

	Triggers []string `name:"trigger" help:"Judge a webhook that does not exist yet, by its triggers; repeat it for more." sep:"none" placeholder:"TRIGGER"`
	Matches  bool     `help:"Only the webhooks that would get it."`
	JSON     bool     `help:"Print the server's answer as it is."`

	serverFlags
}

// Help is shown below the summary.
func (matchCommand) Help() string {
	return `Nothing is stored and nothing is sent: it is a dry run.

	portalhook match /items/4adc30bb03054812a846fa592de105de/share
	portalhook match /users/ann/signin --trigger '/users/{ann,bob}/signIn'

The exit status is 0 when a webhook (or, with --trigger, the triggers given) would get the event, and 1 when none would.`
}

// matchAnswer is the server's answer to a dry run.
type matchAnswer struct {
	URI       string     `json:"uri"`
	Matched   int        `json:"matched"`
	Draft     *verdicts  `json:"draft"`
	Matches   []heard    `json:"matches"`
	Others    []notHeard `json:"others"`
	Truncated bool       `json:"truncated"`
}

// heard is a webhook that would get the event, and by which trigger.
type heard struct {
	WebhookID string       `json:"webhookId"`
	Name      string       `json:"name"`
	Trigger   string       `json:"trigger"`
	Segments  []comparison `json:"segments"`
}

// notHeard is a webhook that would not get it.
type notHeard struct {
	WebhookID string `json:"webhookId"`
	Name      string `json:"name"`
	Enabled   bool   `json:"enabled"`
	Why       string `json:"why"`
	verdicts
}

type verdicts struct {
	Matched  bool      `json:"matched"`
	Triggers []verdict `json:"triggers"`
}

type verdict struct {
	Trigger  string       `json:"trigger"`
	Matched  bool         `json:"matched"`
	Segments []comparison `json:"segments"`
	Reason   string       `json:"reason"`
}

type comparison struct {
	Pattern string `json:"pattern"`
	Event   string `json:"event"`
	Matched bool   `json:"matched"`
}

const matchPath = "/api/v1/match"

// question is the body of a dry run.
type question struct {
	URI   string `json:"uri"`
	Draft *draft `json:"draft,omitzero"`
}

type draft struct {
	EventTypes []string `json:"eventTypes"`
}

// Run asks, and prints a row for each webhook, or for each trigger that does not match.
func (m *matchCommand) Run(ctx context.Context, std streams) error {
	asked := question{URI: m.URI}
	if len(m.Triggers) > 0 {
		asked.Draft = &draft{EventTypes: m.Triggers}
	}
	path := matchPath
	if m.Matches {
		path += "?explain=matches"
	}
	if m.JSON {
		var raw jsontext.Value
		if err := m.client().call(ctx, http.MethodPost, path, asked, &raw); err != nil {
			return err
		}
		_, err := fmt.Fprintf(std.out, "%s\n", raw)
		return err
	}
	var answer matchAnswer
	if err := m.client().call(ctx, http.MethodPost, path, asked, &answer); err != nil {
		return err
	}
	if err := m.print(std, &answer); err != nil {
		return err
	}
	if answer.Matched == 0 && (answer.Draft == nil || !answer.Draft.Matched) {
		return errShown
	}
	return nil
}

func (m *matchCommand) print(std streams, answer *matchAnswer) error {
	paint := paintFor(std.out)
	table := table{header: []string{"WEBHOOK", "GETS IT", "TRIGGER", "BECAUSE"}}
	row := func(name string, gets bool, trigger, because string) {
		word := cell{text: "no", paint: paint.red}
		if gets {
			word = cell{text: "yes", paint: paint.green}
		}
		table.rows = append(table.rows, []cell{{text: name}, word, {text: trigger}, {text: because}})
	}
	if answer.Draft != nil {
		for _, v := range answer.Draft.Triggers {
			row("(draft)", v.Matched, v.Trigger, v.because())
		}
	}
	for _, w := range answer.Matches {
		row(w.Name, true, w.Trigger, segmentsThatFit(w.Segments))
	}
	for _, w := range answer.Others {
		if !w.Enabled || len(w.Triggers) == 0 {
			row(w.Name, false, "", w.Why)
			continue
		}
		for _, v := range w.Triggers {
			because := v.because()
			if v.Matched { // and level or filter hold the event back
				because = w.Why
			}
			row(w.Name, false, v.Trigger, because)
		}
	}
	summary := fmt.Sprintf("%s would go to %d of %d webhooks", answer.URI, answer.Matched, answer.Matched+len(answer.Others))
	if m.Matches {
		summary = fmt.Sprintf("%s would go to %d webhooks", answer.URI, answer.Matched)
	}
	if answer.Truncated {
		summary += "; there are more webhooks than are listed"
	}
	if len(table.rows) > 0 {
		if err := table.print(std.out, paint); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(std.out, summary)
	return err
}

func (v verdict) because() string {
	if v.Matched {
		return segmentsThatFit(v.Segments)
	}
	return v.Reason
}

// shownLength is the longest that a part of an event is shown, in characters; ids are longer.
const shownLength = 24

// segmentsThatFit tells how a trigger's segments fit the event's, in the trigger's order.
func segmentsThatFit(segments []comparison) string {
	parts := make([]string, len(segments))
	for i, s := range segments {
		switch {
		case strings.EqualFold(s.Pattern, s.Event):
			parts[i] = shortened(s.Event)
		case s.Pattern == "/":
			parts[i] = "/ hears " + s.Event
		case s.Event == "":
			parts[i] = s.Pattern + " fits no id"
		default:
			parts[i] = s.Pattern + " fits " + shortened(s.Event)
		}
	}
	return strings.Join(parts, ", ")
}

func shortened(text string) string {
	if utf8.RuneCountInString(text) <= shownLength {
		return text
	}
	return string([]rune(text)[:shownLength-1]) + "…"
}
