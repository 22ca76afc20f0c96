package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"portalhook/payload"
)

// deliveryID is the delivery's id, empty when the sender gave none.
func deliveryID(a arrival) string { return a.header.Get(payload.HeaderID) }

// textPrinter shows deliveries to a person.
type textPrinter struct {
	out     io.Writer
	paint   paint
	checked bool
	pretty  bool
}

func (p textPrinter) print(a arrival, attempt int) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s %s", a.at.Format("15:04:05.000"), printable(a.method), printable(a.path))
	if id := deliveryID(a); id != "" {
		fmt.Fprintf(&b, "  %s", printable(id))
	}
	if attempt > 1 {
		fmt.Fprintf(&b, "  attempt %d", attempt)
	}
	fmt.Fprintf(&b, "  %s  answered %d\n", p.judged(a), a.status)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		for _, value := range a.header[name] {
			fmt.Fprintf(&b, "    %s\n", p.paint.dim(printable(name+": "+value)))
		}
	}
	body := jsontext.Value(a.body)
	if p.pretty && body.IsValid() {
		body = body.Clone()
		if err := body.Indent(jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("indent: %w", err)
		}
	}
	fmt.Fprintf(&b, "%s\n\n", printable(string(body)))
	_, err := p.out.Write(b.Bytes())
	return err
}

func (p textPrinter) judged(a arrival) string {
	switch {
	case a.problem != nil:
		return p.paint.red("NOT VERIFIED: " + printable(a.problem.Error()))
	case !p.checked:
		return "not checked"
	default:
		return p.paint.green("verified") + " (" + strings.Join(a.signatures, ", ") + ")"
	}
}

// printable makes text safe for a terminal: what came from outside must not move the cursor or change colours.
func printable(text string) string {
	if !strings.ContainsFunc(text, unsafeRune) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unsafeRune(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unsafeRune(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
}

// jsonPrinter shows deliveries to a program: one object a line.
type jsonPrinter struct {
	out     io.Writer
	checked bool
}

// arrivalLine is a delivery as jsonPrinter prints it.
type arrivalLine struct {
	Time       time.Time           `json:"time"`
	Method     string              `json:"method"`
	Path       string              `json:"path"`
	DeliveryID string              `json:"deliveryId,omitzero"`
	Attempt    int                 `json:"attempt"`
	Verified   *bool               `json:"verified,omitzero"` // absent without a secret to check by
	Signatures []string            `json:"signatures,omitzero"`
	Problem    string              `json:"problem,omitzero"`
	Answered   int                 `json:"answered"`
	Headers    map[string][]string `json:"headers"`
	Body       jsontext.Value      `json:"body,omitzero"` // of a body that is JSON
	Text       string              `json:"text,omitzero"` // of any other
}

func (p jsonPrinter) print(a arrival, attempt int) error {
	line := arrivalLine{
		Time: a.at, Method: a.method, Path: a.path, DeliveryID: deliveryID(a), Attempt: attempt, Signatures: a.signatures,
		Answered: a.status, Headers: a.header,
	}
	if p.checked {
		verified := a.problem == nil
		line.Verified = &verified
	}
	if a.problem != nil {
		line.Problem = a.problem.Error()
	}
	if body := jsontext.Value(a.body); body.IsValid() {
		line.Body = body
	} else {
		line.Text = strings.ToValidUTF8(string(a.body), "\uFFFD")
	}
	text, err := json.Marshal(line, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	_, err = p.out.Write(append(text, '\n'))
	return err
}
