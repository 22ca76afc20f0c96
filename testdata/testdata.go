// Package testdata tells the stories that the router's, the payload's and the end-to-end tests and the demo read alike.
//
// A story is a file flows/<name>.txtar: one sentence, then
//
//	webhooks.json         [{"name":…,"eventTypes":[…],"secret":…}], the secret where there is one
//	event.json            the event as a backend posts it
//	matches               a line for each webhook that is told, in the webhooks' order: its name, a tab, the trigger as it is listed
//	requests/<name>.json  the body that this webhook receives, byte for byte; the newline at the end is txtar's and not part of it
//
// The bodies were written from the documentation of the portal's webhooks, not by the code that they test. They name WebhookID,
// PortalURL and When, in whose place Request puts what a run has.
package testdata

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/tools/txtar"
)

// What the bodies of the stories say of the webhook and of the portal.
const (
	WebhookID = "72fed926aeb74c9ca8a22aacddc6725a"
	PortalURL = "https://orgURL/portal/"
	When      = 1543192196530 // milliseconds since 1970: acceptance
)

// Story is one event, the webhooks there were, and what they were told.
type Story struct {
	Name     string // the file's, without .txtar
	Sentence string
	Webhooks []Webhook
	Event    []byte // as posted
	Matches  []Match
	Requests map[string][]byte // by the webhook's name, one for each match
}

// Webhook is a subscription of a story.
type Webhook struct {
	Name       string   `json:"name"`
	EventTypes []string `json:"eventTypes"`
	Secret     string   `json:"secret"` // empty: unsigned
}

// Match is a webhook that is told, and the trigger by which, as it is listed.
type Match struct {
	Webhook string
	Trigger string
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

// Request is the body that a webhook of the story receives in a run that gave it the id, accepted the event at when (milliseconds
// since 1970) and has the portal URL. It is nil when the story tells the webhook nothing.
func (s *Story) Request(name, webhookID string, when int64, portalURL string) []byte {
	golden, ok := s.Requests[name]
	if !ok {
		return nil
	}
	return bytes.Replace(golden, info(WebhookID, When, PortalURL), info(webhookID, when, portalURL), 1)
}

// info is the part of a body that differs from run to run.
func info(webhookID string, when int64, portalURL string) []byte {
	out := append([]byte(`,"webhookId":"`), webhookID...)
	out = append(out, `","portalURL":`...)
	out, _ = jsontext.AppendQuote(out, portalURL)
	out = append(out, `,"when":`...)
	out = strconv.AppendInt(out, when, 10)
	return append(out, `},"events":[`...)
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
		for line := range strings.Lines(string(file.Data)) {
			name, trigger, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if !ok {
				return fmt.Errorf("line %q has no tab", line)
			}
			s.Matches = append(s.Matches, Match{Webhook: name, Trigger: trigger})
		}
		return nil
	}
	name, ok := strings.CutPrefix(file.Name, "requests/")
	name, isJSON := strings.CutSuffix(name, ".json")
	if !ok || !isJSON {
		return errors.New("not a part of a story")
	}
	body := bytes.TrimSuffix(file.Data, []byte("\n"))
	if !bytes.Contains(body, info(WebhookID, When, PortalURL)) {
		return errors.New("does not name the stories' webhook id, portal URL and date")
	}
	s.Requests[name] = body
	return nil
}

// check holds the parts of a story to each other.
func (s *Story) check() error {
	if len(s.Event) == 0 {
		return errors.New("no event.json")
	}
	if len(s.Requests) != len(s.Matches) {
		return fmt.Errorf("%d matches and %d requests", len(s.Matches), len(s.Requests))
	}
	next := 0 // of s.Matches
	for _, w := range s.Webhooks {
		if next == len(s.Matches) || s.Matches[next].Webhook != w.Name {
			continue // it is told nothing
		}
		if s.Requests[w.Name] == nil {
			return fmt.Errorf("no requests/%s.json", w.Name)
		}
		next++
	}
	if next < len(s.Matches) {
		return fmt.Errorf("%q matches and is not the next of the webhooks", s.Matches[next].Webhook)
	}
	return nil
}
