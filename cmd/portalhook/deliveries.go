package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json/jsontext"
)

type deliveriesCommand struct {
	List   deliveriesList   `cmd:"" help:"List the newest deliveries of a webhook."`
	Show   deliveriesShow   `cmd:"" help:"Show one delivery whole: what was sent, and what came back."`
	Resend deliveriesResend `cmd:"" help:"Send the bytes of a delivery again, to where its webhook points now."`
}

// Help is shown below the summary.
func (deliveriesCommand) Help() string {
	return `A webhook is named by its id, or by its name where no other has the same. To send again all that a webhook did not get, see recover.

	portalhook deliveries list Shares --status fail
	portalhook deliveries resend Shares dlv_6dar567000003`
}

// deliveryRow is a delivery as lists print it.
type deliveryRow struct {
	ID            string `json:"id"`
	TriggeredAt   string `json:"triggeredAt"`
	URI           string `json:"uri"`
	State         string `json:"state"`
	Status        string `json:"status"`
	StatusMessage string `json:"statusMessage"`
}

func (d deliveryRow) texts() []string {
	return []string{d.ID, d.TriggeredAt, d.State, printable(d.URI), printable(d.StatusMessage)}
}

var deliveryHeader = []string{"ID", "TRIGGERED AT", "STATE", "EVENT", "MESSAGE"}

type deliveriesList struct {
	Webhook   string `arg:"" help:"The webhook's id or name."`
	Status    string `help:"Only those that have arrived (success), or not (fail)." enum:"success,fail,any" default:"any"`
	EventType string `name:"event-type" help:"Only this kind of event, such as /items/share." placeholder:"TRIGGER"`
	Limit     int    `help:"How many at most; 0 is all that are kept." default:"20" placeholder:"N"`
	JSON      bool   `help:"Print a JSON array."`
	serverFlags
}

// Validate is called by kong once the flags are read.
func (d *deliveriesList) Validate() error {
	if d.Limit < 0 {
		return fmt.Errorf("--limit is 0 or more, not %d", d.Limit)
	}
	return d.serverFlags.Validate()
}

// Run prints the deliveries, the newest first.
func (d *deliveriesList) Run(ctx context.Context, std streams) error {
	c := d.client()
	path, err := c.webhookPath(ctx, d.Webhook)
	if err != nil {
		return err
	}
	query := url.Values{}
	if d.Status != "any" {
		query.Set("status", d.Status)
	}
	if d.EventType != "" {
		query.Set("eventType", d.EventType)
	}
	rows, err := c.first(ctx, path+"/deliveries", query, d.Limit)
	if err != nil {
		return err
	}
	return printRows(std, d.JSON, rows, deliveryHeader, deliveryRow.texts)
}

type deliveriesShow struct {
	Webhook  string `arg:"" help:"The webhook's id or name."`
	Delivery string `arg:"" help:"The delivery's id."`
	serverFlags
}

// Run prints the delivery as the server shows it: as JSON.
func (d *deliveriesShow) Run(ctx context.Context, std streams) error {
	c := d.client()
	path, err := c.webhookPath(ctx, d.Webhook)
	if err != nil {
		return err
	}
	var raw jsontext.Value
	if err := c.call(ctx, http.MethodGet, path+"/deliveries/"+url.PathEscape(d.Delivery), nil, &raw); err != nil {
		return err
	}
	return printValue(std, raw)
}

type deliveriesResend struct {
	Webhook  string `arg:"" help:"The webhook's id or name."`
	Delivery string `arg:"" help:"The delivery's id."`
	JSON     bool   `help:"Print the server's answer as it is."`
	serverFlags
}

// Run sends the delivery again and prints the new one. When it did not arrive, the exit status is 1; it is tried again like any other.
func (d *deliveriesResend) Run(ctx context.Context, std streams) error {
	c := d.client()
	path, err := c.webhookPath(ctx, d.Webhook)
	if err != nil {
		return err
	}
	var raw jsontext.Value
	if err := c.call(ctx, http.MethodPost, path+"/deliveries/"+url.PathEscape(d.Delivery)+"/actions/resend", nil, &raw); err != nil {
		return err
	}
	var row deliveryRow
	if err := decode(raw, &row); err != nil {
		return err
	}
	if d.JSON {
		_, err = fmt.Fprintf(std.out, "%s\n", raw)
	} else {
		err = printRows(std, false, []jsontext.Value{raw}, deliveryHeader, deliveryRow.texts)
	}
	if err == nil && row.Status != "success" {
		err = errShown
	}
	return err
}
