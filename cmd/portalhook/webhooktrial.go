package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// trialTimeout bounds a test: a minute for the attempt, and as much for a place among the tests.
const trialTimeout = 150 * time.Second

type webhooksTest struct {
	Webhook string `arg:"" help:"The webhook's id or name."`
	Trigger string `help:"What the test tells of; without it, the webhook's first event type." placeholder:"TRIGGER"`
	JSON    bool   `help:"Print the server's answer as it is: request and response whole."`
	serverFlags
}

// Help is shown below the summary.
func (webhooksTest) Help() string {
	return `The server sends one sample to where the webhook points now. It is no delivery, and counts nowhere. Exit status 0 when it arrived.

	portalhook webhooks test Shares --trigger /items/share`
}

// trialRow is a test as it is printed.
type trialRow struct {
	ID      string `json:"id"`
	URI     string `json:"uri"`
	Request struct {
		URL string `json:"url"`
	} `json:"request"`
	Outcome    string  `json:"outcome"`
	StatusCode int     `json:"statusCode"`
	Error      string  `json:"error"`
	DNS        float64 `json:"dnsMs"` // milliseconds since its start, as all of them; 0 when it did not get so far
	Connect    float64 `json:"connectMs"`
	TLS        float64 `json:"tlsMs"`
	FirstByte  float64 `json:"firstByteMs"`
	Total      float64 `json:"totalMs"`
}

// lines are the request, what came of it and the times it took.
func (r *trialRow) lines() []string {
	status := r.Outcome
	switch {
	case r.StatusCode != 0:
		status = strings.TrimSpace(strconv.Itoa(r.StatusCode)+" "+http.StatusText(r.StatusCode)) + ", " + r.Outcome
	case r.Error != "":
		status += ": " + printable(r.Error)
	}
	var times []string
	for _, step := range []struct {
		name string
		at   float64
	}{{"name", r.DNS}, {"connection", r.Connect}, {"TLS", r.TLS}, {"first byte", r.FirstByte}, {"end", r.Total}} {
		if step.at > 0 {
			times = append(times, fmt.Sprintf("%s %.1f ms", step.name, step.at))
		}
	}
	return []string{"POST " + printable(r.Request.URL), printable(r.URI) + ", " + r.ID, status, strings.Join(times, ", ")}
}

// Run sends the test and prints what came of it. When it did not arrive, the exit status is 1.
func (w *webhooksTest) Run(ctx context.Context, std streams) error {
	c := w.client()
	c.http.Timeout = trialTimeout
	path, err := c.webhookPath(ctx, w.Webhook)
	if err != nil {
		return err
	}
	asked := map[string]string{}
	if w.Trigger != "" {
		asked["trigger"] = w.Trigger
	}
	var raw jsontext.Value
	if err := c.call(ctx, http.MethodPost, path+"/actions/test", asked, &raw); err != nil {
		return err
	}
	var row trialRow
	if err := decode(raw, &row); err != nil {
		return err
	}
	if w.JSON {
		err = printValue(std, raw)
	} else {
		_, err = fmt.Fprintln(std.out, strings.Join(row.lines(), "\n"))
	}
	if err == nil && row.Outcome != "delivered" {
		err = errShown
	}
	return err
}
