// Package testdata tells the stories that the router's, the payload's and the end-to-end tests and the demo read alike.
//
// A story is a file flows/<name>.txtar: one sentence, then
//
//	webhooks.json         [{"name":…,"eventTypes":[…],"secret":…}], the secret where there is one, and further settings where they matter
//	event.json            the event as a backend posts it
//	matches               a line for each webhook that is told, in the webhooks' order: its name, a tab, the trigger as it is listed
//	held                  a line for each webhook that a trigger hears for and its level or filter holds back, in the same way, a tab and
//	                      which; the part is left out where there is none
//	requests/<name>.json  the body that this webhook receives, byte for byte, also where it is a form; the newline at the end is txtar's and
//	                      not part of it
//
// The bodies were written from the documentation of the portal's, the services' and the cloud's webhooks, not by the code that they
// test. They say of the run what Told says, in whose place Request puts what a run has.
package testdata

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/tools/txtar"

	"portalhook/triggers"
)

// What the bodies of the stories say of the run.
const (
	WebhookID = "72fed926aeb74c9ca8a22aacddc6725a"
	PortalURL = "https://orgURL/portal/"
	PortalID  = "0123456789ABCDEF"
	ServerURL = "https://server.example.com/server"
	EventID   = "evt_5jkqr1lm80002" // drawn at When
	When      = 1543192196530       // milliseconds since 1970: acceptance
)

// Run is what differs from run to run.
type Run struct {
	WebhookID string // 32 hex digits
	EventID   string // the server's, printed of events that have none of their own
	When      int64  // acceptance, milliseconds since 1970
	PortalURL string
	PortalID  string
	ServerURL string // without a slash at the end
}

// Told is the run that the bodies tell of.
var Told = Run{WebhookID: WebhookID, EventID: EventID, When: When, PortalURL: PortalURL, PortalID: PortalID, ServerURL: ServerURL}

// Story is one event, the webhooks there were, and what they were told.
type Story struct {
	Name     string // the file's, without .txtar
	Sentence string
	Webhooks []Webhook
	Event    []byte // as posted
	Matches  []Match
	Held     []Held
	Requests map[string][]byte // by the webhook's name, one for each match
}

// Webhook is a subscription of a story. What is empty is left to the server.
type Webhook struct {
	Name                     string   `json:"name"`
	EventTypes               []string `json:"eventTypes"`
	Secret                   string   `json:"secret"` // empty: unsigned
	Format                   string   `json:"format"`
	EnableCloudEventDelivery *bool    `json:"enableCloudEventDelivery"`
	Level                    string   `json:"level"`
	OwnerID                  string   `json:"ownerId"`
	Filter                   string   `json:"filter"`
	ContentType              string   `json:"contentType"`
	PayloadFormat            string   `json:"payloadFormat"`
}

// Subscription is the webhook as it is matched and judged; what that does not need is left out.
func (w *Webhook) Subscription() (*triggers.Webhook, error) {
	s := &triggers.Webhook{Name: w.Name, Level: triggers.TenantLevel, OwnerID: w.OwnerID, Enabled: true}
	if w.Level != "" {
		s.Level = triggers.Level(w.Level)
	}
	var err error
	if s.Triggers, err = triggers.Default().ParseTriggers("eventTypes", w.EventTypes); err != nil {
		return nil, err
	}
	return s, s.SetFilter(w.Filter)
}

// Match is a webhook that is told, and the trigger by which, as it is listed.
type Match struct {
	Webhook string
	Trigger string
}

// Held is a webhook that would be told if its level or its filter did not hold the event back.
type Held struct {
	Match

	By string // level or filter, as triggers.Admission spells them
}

//go:embed flows/*.txtar
var flows embed.FS

// Stories gives every story, by name. An error says that a file is malformed.
func Stories() ([]Story, error) {
	files, err := fs.Glob(flows, "flows/*.txtar")
	if err != nil {
		return nil, fmt.Errorf("list stories: %w", err)
	}
	stories := make([]Story, 0, len(files))
	for _, file := range files {
		text, err := flows.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read story: %w", err)
		}
		story, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("story %s: %w", file, err)
		}
		story.Name = strings.TrimSuffix(path.Base(file), ".txtar")
		stories = append(stories, story)
	}
	return stories, nil
}

// OfServer reports whether the story's event is about a webhook: only the server itself tells of those, so that none can post it.
func (s *Story) OfServer() bool {
	ev, err := triggers.Default().ParseEvent(s.Event)
	return err == nil && ev.URI.Resource == triggers.Webhooks
}

// Heard are the webhooks that a trigger of theirs hears for, told or held back, in the webhooks' order.
func (s *Story) Heard() []Match {
	var heard []Match
	for _, w := range s.Webhooks {
		for _, m := range s.Matches {
			if m.Webhook == w.Name {
				heard = append(heard, m)
			}
		}
		for _, h := range s.Held {
			if h.Webhook == w.Name {
				heard = append(heard, h.Match)
			}
		}
	}
	return heard
}

// Request is the body that a webhook of the story receives in a run. It is nil when the story tells the webhook nothing.
func (s *Story) Request(name string, run Run) []byte {
	golden, ok := s.Requests[name]
	if !ok {
		return nil
	}
	var pairs []string
	mine := run.marks()
	for i, told := range Told.marks() {
		pairs = append(pairs, told, mine[i])
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(golden)))
}

// marks are the parts of bodies that differ from run to run, each with the name that it stands under, so that the same text in an
// event's own members is left alone.
func (r Run) marks() []string {
	id, _ := triggers.ParseWebhookID(r.WebhookID)
	services := strings.TrimSuffix(quoted(r.ServerURL), `"`) + "/rest/services/"
	date := quoted(time.UnixMilli(r.When).UTC().Format("2006-01-02T15:04:05.000Z"))
	return []string{
		r.info(),
		`,"id":` + quoted(id.Dashed()) + `,`,
		`"changesUrl":` + services, `"statusURL":` + services,
		`"id": ` + quoted(id.Dashed()) + `,`, `"changesUrl": ` + services, // indented
		`"id":` + quoted(r.EventID), `"eventId":` + quoted(r.EventID),
		`"source":` + quoted(r.PortalURL),
		`"when":` + strconv.FormatInt(r.When-r.When%1000, 10) + `}]`,
		`"time":` + date, `"eventTime":` + date,
		`"tenantid":` + quoted(r.PortalID), `"tenantId":` + quoted(r.PortalID),
	}
}

// info is the part of a portal's envelope that differs from run to run.
func (r Run) info() string {
	return `,"webhookId":` + quoted(r.WebhookID) + `,"portalURL":` + quoted(r.PortalURL) + `,"when":` + strconv.FormatInt(r.When, 10) + `},"events":[`
}

func quoted(text string) string {
	out, _ := jsontext.AppendQuote(nil, text) // of text that is not UTF-8 each stray byte becomes U+FFFD
	return string(out)
}

func parse(text []byte) (Story, error) {
	archive := txtar.Parse(text)
	story := Story{Sentence: strings.TrimSpace(string(archive.Comment)), Requests: map[string][]byte{}}
	if story.Sentence == "" {
		return story, errors.New("a story begins with a sentence")
	}
	for _, file := range archive.Files {
		if err := story.read(file); err != nil {
			return story, fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	return story, story.check()
}

func (s *Story) read(file txtar.File) error {
	switch file.Name {
	case "webhooks.json":
		return json.Unmarshal(file.Data, &s.Webhooks, json.RejectUnknownMembers(true))
	case "event.json":
		s.Event = file.Data
		return nil
	case "matches":
		return eachLine(file.Data, 2, func(cells []string) {
			s.Matches = append(s.Matches, Match{Webhook: cells[0], Trigger: cells[1]})
		})
	case "held":
		return eachLine(file.Data, 3, func(cells []string) {
			s.Held = append(s.Held, Held{Match{Webhook: cells[0], Trigger: cells[1]}, cells[2]})
		})
	}
	name, ok := strings.CutPrefix(file.Name, "requests/")
	name, isJSON := strings.CutSuffix(name, ".json")
	if !ok || !isJSON {
		return errors.New("not a part of a story")
	}
	body := bytes.TrimSuffix(file.Data, []byte("\n"))
	if mark := markOf(body); !bytes.Contains(body, []byte(mark)) {
		return fmt.Errorf("does not say %s, as all stories do", mark)
	}
	s.Requests[name] = body
	return nil
}

// eachLine calls visit with the cells of every line; there are tabs between them.
func eachLine(text []byte, count int, visit func(cells []string)) error {
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) != count {
			return fmt.Errorf("line %q has %d cells, not %d", line, len(cells), count)
		}
		visit(cells)
	}
	return nil
}

// markOf is what a body of its form must say of the run.
func markOf(body []byte) string {
	body = bytes.TrimPrefix(body, []byte("payload="))
	switch {
	case bytes.HasPrefix(body, []byte("{\n")):
		id, _ := triggers.ParseWebhookID(WebhookID)
		return `"id": ` + quoted(id.Dashed())
	case bytes.HasPrefix(body, []byte(`{"serviceType":"GPServer"`)):
		return "" // it names no webhook, and the server only where the event does not
	case bytes.HasPrefix(body, []byte(`{"serviceType"`)):
		id, _ := triggers.ParseWebhookID(WebhookID)
		return `"id":` + quoted(id.Dashed())
	case bytes.HasPrefix(body, []byte(`{"specversion"`)):
		return `"tenantid":` + quoted(PortalID)
	case bytes.HasPrefix(body, []byte(`{"cloudEventsVersion"`)):
		return `"tenantId":` + quoted(PortalID)
	}
	return Told.info()
}

// check holds the parts of a story to each other.
func (s *Story) check() error {
	if len(s.Event) == 0 {
		return errors.New("no event.json")
	}
	if len(s.Requests) != len(s.Matches) {
		return fmt.Errorf("%d matches and %d requests", len(s.Matches), len(s.Requests))
	}
	if got, want := len(s.Heard()), len(s.Matches)+len(s.Held); got != want {
		return fmt.Errorf("%d lines of matches and held, and %d webhooks that they name", want, got)
	}
	for i, m := range s.Matches {
		if s.Requests[m.Webhook] == nil {
			return fmt.Errorf("no requests/%s.json", m.Webhook)
		}
		if i > 0 && s.indexOf(m.Webhook) <= s.indexOf(s.Matches[i-1].Webhook) {
			return fmt.Errorf("%q matches and is not the next of the webhooks", m.Webhook)
		}
	}
	for i, h := range s.Held {
		if s.Requests[h.Webhook] != nil || h.By != triggers.HeldByLevel.String() && h.By != triggers.HeldByFilter.String() {
			return fmt.Errorf("%q is held back by level or filter, and told nothing", h.Webhook)
		}
		if i > 0 && s.indexOf(h.Webhook) <= s.indexOf(s.Held[i-1].Webhook) {
			return fmt.Errorf("%q is held back and not the next of the webhooks", h.Webhook)
		}
	}
	return nil
}

// Webhook is the story's of the name.
func (s *Story) Webhook(name string) *Webhook { return &s.Webhooks[s.indexOf(name)] }

func (s *Story) indexOf(webhook string) int {
	return slices.IndexFunc(s.Webhooks, func(w Webhook) bool { return w.Name == webhook })
}
