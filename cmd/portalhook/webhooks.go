package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

type webhooksCommand struct {
	List    webhooksList    `cmd:"" help:"List the webhooks."`
	Show    webhooksShow    `cmd:"" help:"Show one webhook whole."`
	Enable  webhooksEnable  `cmd:"" help:"Switch a webhook on."`
	Disable webhooksDisable `cmd:"" help:"Switch a webhook off; what waits for it is held."`
	Test    webhooksTest    `cmd:"" help:"Send a sample to a webhook, and see what comes of it."`
	Delete  webhooksDelete  `cmd:"" help:"Delete a webhook; what waits for it is cancelled, its history stays."`
}

// Help is shown below the summary.
func (webhooksCommand) Help() string {
	return `A webhook is named by its id, or by its name where no other has the same.

	portalhook webhooks list --name share
	portalhook webhooks disable "Shares of the harbour"
	portalhook webhooks test Shares --trigger /items/share`
}

// webhookRow is a webhook as lists print it.
type webhookRow struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	URL            string   `json:"url"`
	Enabled        bool     `json:"enabled"`
	EventTypes     []string `json:"eventTypes"`
	DisabledReason string   `json:"disabledReason"`
	Health         struct {
		Percent int `json:"percent"`
		Probe   struct {
			NextAt string `json:"nextAt"`
		} `json:"probe"`
	} `json:"health"`
}

// endangered is how far on its way to being switched off a webhook is, in percent, when a list says so.
const endangered = 50

// shownTypes is how many of a webhook's event types a list names.
const shownTypes = 2

func (w webhookRow) texts() []string {
	state := "on"
	switch {
	case w.DisabledReason != "":
		state = "off: " + w.DisabledReason
		if next := w.Health.Probe.NextAt; next != "" {
			state += "; next probe " + next
		}
	case !w.Enabled:
		state = "off"
	case w.Health.Percent >= endangered:
		state = fmt.Sprintf("on, failing: %d %% of the way to being switched off", w.Health.Percent)
	}
	types := strings.Join(w.EventTypes[:min(shownTypes, len(w.EventTypes))], ", ")
	if more := len(w.EventTypes) - shownTypes; more > 0 {
		types += fmt.Sprintf(" and %d more", more)
	}
	return []string{w.ID, w.Name, w.URL, types, state}
}

var webhookHeader = []string{"ID", "NAME", "URL", "EVENT TYPES", "STATE"}

type webhooksList struct {
	Name    string `help:"Those with this in their names; case does not count." placeholder:"TEXT"`
	URL     string `name:"url" help:"Those with this in their URLs." placeholder:"TEXT"`
	Trigger string `help:"Those that have this trigger." placeholder:"TRIGGER"`
	State   string `help:"Only those that are on, or off." enum:"on,off,any" default:"any"`
	JSON    bool   `help:"Print a JSON array."`
	serverFlags
}

// Run prints the webhooks, the newest first.
func (w *webhooksList) Run(ctx context.Context, std streams) error {
	query := url.Values{}
	for name, value := range map[string]string{
		"name": w.Name, "url": w.URL, "eventTypes": w.Trigger, "enabled": map[string]string{"on": "true", "off": "false"}[w.State],
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	rows, err := w.client().all(ctx, webhooksPath, query)
	if err != nil {
		return err
	}
	return printRows(std, w.JSON, rows, webhookHeader, webhookRow.texts)
}

type webhooksShow struct {
	Webhook string `arg:"" help:"The webhook's id or name."`
	serverFlags
}

// Run prints the webhook as the server shows it: as JSON.
func (w *webhooksShow) Run(ctx context.Context, std streams) error {
	c := w.client()
	path, err := c.webhookPath(ctx, w.Webhook)
	if err != nil {
		return err
	}
	var raw jsontext.Value
	if err := c.call(ctx, http.MethodGet, path, nil, &raw); err != nil {
		return err
	}
	return printValue(std, raw)
}

type webhooksEnable struct {
	Webhook string `arg:"" help:"The webhook's id or name."`
	serverFlags
}

// Run switches the webhook on.
func (w *webhooksEnable) Run(ctx context.Context, std streams) error {
	return switchWebhook(ctx, std, w.client(), w.Webhook, "enable")
}

type webhooksDisable struct {
	Webhook string `arg:"" help:"The webhook's id or name."`
	serverFlags
}

// Run switches the webhook off.
func (w *webhooksDisable) Run(ctx context.Context, std streams) error {
	return switchWebhook(ctx, std, w.client(), w.Webhook, "disable")
}

func switchWebhook(ctx context.Context, std streams, c *client, webhook, verb string) error {
	path, err := c.webhookPath(ctx, webhook)
	if err != nil {
		return err
	}
	var raw jsontext.Value
	if err := c.call(ctx, http.MethodPost, path+"/actions/"+verb, nil, &raw); err != nil {
		return err
	}
	return printRows(std, false, []jsontext.Value{raw}, webhookHeader, webhookRow.texts)
}

type webhooksDelete struct {
	Webhook string `arg:"" help:"The webhook's id or name."`
	serverFlags
}

// Run deletes the webhook.
func (w *webhooksDelete) Run(ctx context.Context) error {
	c := w.client()
	path, err := c.webhookPath(ctx, w.Webhook)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

// webhookPath is the path of the webhook with the id, or with the name when exactly one has it.
func (c *client) webhookPath(ctx context.Context, text string) (string, error) {
	if id, ok := triggers.ParseWebhookID(text); ok {
		return webhooksPath + "/" + id.String(), nil
	}
	rows, err := c.all(ctx, webhooksPath, url.Values{"name": {text}})
	if err != nil {
		return "", err
	}
	var found []string
	for _, raw := range rows {
		var row webhookRow
		if err := decode(raw, &row); err != nil {
			return "", err
		}
		if row.Name == text {
			found = append(found, row.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("there is no webhook with the id or the name %q", text)
	case 1:
		return webhooksPath + "/" + found[0], nil
	}
	return "", fmt.Errorf("%d webhooks have the name %q: give the id of one of them, %s", len(found), text, strings.Join(found, " or "))
}

// printValue prints what the server answered, indented.
func printValue(std streams, raw jsontext.Value) error {
	if err := raw.Indent(jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("the server's answer was not understood: %w", err)
	}
	_, err := fmt.Fprintf(std.out, "%s\n", raw)
	return err
}
