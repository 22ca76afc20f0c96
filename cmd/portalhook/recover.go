package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

type recoverCommand struct {
	Webhook string `arg:"" help:"The webhook's id or name."`

	From    string   `help:"Events accepted from then on: 2026-11-22T03:00:00Z, or milliseconds since 1970." placeholder:"DATE"`
	To      string   `help:"Events accepted before." placeholder:"DATE"`
	State   []string `help:"What became of their newest delivery: exhausted, skipped, cancelled or, with --missed, none. Without it exhausted and skipped." enum:"exhausted,skipped,cancelled,none" placeholder:"STATE"`
	Trigger string   `help:"Only this kind of event, such as /items/share, or those that this trigger of the webhook matched." placeholder:"TRIGGER"`
	Missed  bool     `help:"Also events without a delivery to the webhook that it would get now. Without --from and --to, those from while it was off by hand."`
	Rate    int      `help:"Deliveries a minute; without it the server's default." placeholder:"N"`
	DryRun  bool     `help:"Only count."`
	NoWait  bool     `help:"Do not wait for the end: the server goes on by itself."`

	Watch  bool `help:"Wait for the webhook's newest recovery." xor:"do"`
	Pause  bool `help:"Pause it." xor:"do"`
	Resume bool `help:"Go on with it, and wait." xor:"do"`
	Cancel bool `help:"End it; what it has made stays." xor:"do"`

	JSON bool `help:"Print the server's last answer as it is."`
	serverFlags

	poll time.Duration // between two looks; 0: recoverPoll
}

// recoverPoll is the time between two looks at a recovery that is waited for.
const recoverPoll = 500 * time.Millisecond

// Help is shown below the summary.
func (recoverCommand) Help() string {
	return `How many deliveries it would make, and then make them:

	portalhook recover Shares --dry-run
	portalhook recover Shares --from 2026-11-22T03:00:00Z --rate 1200

What happened while the webhook was switched off, or before it existed:

	portalhook recover Shares --missed
	portalhook recover Shares --missed --state none --from 2026-11-20T00:00:00Z

Interrupted, it leaves the server at work; --watch waits again, --pause, --resume and --cancel do what they say to the webhook's
newest recovery. The exit status is 0 when all was made, and 1 when the recovery was cancelled or failed.`
}

// Validate is called by kong once the flags are read.
func (r *recoverCommand) Validate() error {
	if r.Rate < 0 {
		return fmt.Errorf("--rate is 1 or more, not %d", r.Rate)
	}
	asks := r.From != "" || r.To != "" || len(r.State) > 0 || r.Trigger != "" || r.Missed || r.Rate != 0 || r.DryRun
	if asks && (r.Watch || r.Pause || r.Resume || r.Cancel) {
		return fmt.Errorf("--watch, --pause, --resume and --cancel are about a recovery that there is: no other flags beside them")
	}
	return r.serverFlags.Validate()
}

// recoveryBody is what is asked for; what is empty is left out.
type recoveryBody struct {
	From          string   `json:"from,omitzero"`
	To            string   `json:"to,omitzero"`
	States        []string `json:"states,omitempty"`
	Trigger       string   `json:"trigger,omitzero"`
	Missed        bool     `json:"missed,omitzero"`
	RatePerMinute int      `json:"ratePerMinute,omitzero"`
	DryRun        bool     `json:"dryRun,omitzero"`
}

// recovery is one as the server shows it.
type recovery struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	PausedBy string `json:"pausedBy"`
	Reason   string `json:"reason"`
	Counted  struct {
		Total     int  `json:"total"`
		Exhausted int  `json:"exhausted"`
		Skipped   int  `json:"skipped"`
		Cancelled int  `json:"cancelled"`
		Missed    int  `json:"missed"`
		Complete  bool `json:"complete"`
	} `json:"counted"`
	Made    int `json:"made"`
	Skipped int `json:"skipped"`
}

func (r *recovery) ended() bool {
	return r.State == "done" || r.State == "cancelled" || r.State == "failed"
}

// counts says in words what was counted.
func (r *recovery) counts() string {
	var parts []string
	for _, part := range []struct {
		n    int
		name string
	}{
		{r.Counted.Exhausted, "exhausted"}, {r.Counted.Skipped, "skipped"}, {r.Counted.Cancelled, "cancelled"}, {r.Counted.Missed, "missed"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.name))
		}
	}
	text := fmt.Sprintf("%d deliveries to make", r.Counted.Total)
	if !r.Counted.Complete {
		text = "at least " + text
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}

// Run counts and starts a recovery, or does something to the newest one, and waits for its end.
func (r *recoverCommand) Run(ctx context.Context, std streams) error {
	c := r.client()
	path, err := c.webhookPath(ctx, r.Webhook)
	if err != nil {
		return err
	}
	raw, err := r.ask(ctx, c, path)
	if err != nil {
		return err
	}
	var of recovery
	if err := decode(raw, &of); err != nil {
		return err
	}
	if !r.DryRun {
		if _, err := fmt.Fprintf(std.err, "%s %s, %s\n", of.ID, of.State, of.counts()); err != nil {
			return err
		}
	}
	if waits := !r.DryRun && !r.NoWait && !r.Pause && !r.Cancel; waits && !of.ended() {
		if raw, err = r.await(ctx, std, c, path+"/recoveries/"+of.ID, raw); err != nil {
			return err
		}
		if err := decode(raw, &of); err != nil {
			return err
		}
	}
	return r.report(std, &of, raw)
}

// ask sends what the flags say.
func (r *recoverCommand) ask(ctx context.Context, c *client, path string) (raw jsontext.Value, err error) {
	if !r.Watch && !r.Pause && !r.Resume && !r.Cancel {
		body := recoveryBody{From: r.From, To: r.To, Trigger: r.Trigger, Missed: r.Missed, RatePerMinute: r.Rate, DryRun: r.DryRun}
		return raw, c.call(ctx, http.MethodPost, path+"/actions/recover", r.withStates(&body), &raw)
	}
	rows, err := c.first(ctx, path+"/recoveries", map[string][]string{}, 1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("the webhook has no recovery")
	}
	var newest recovery
	if err := decode(rows[0], &newest); err != nil || r.Watch {
		return rows[0], err
	}
	verb := "pause"
	switch {
	case r.Resume:
		verb = "resume"
	case r.Cancel:
		verb = "cancel"
	}
	return raw, c.call(ctx, http.MethodPost, path+"/recoveries/"+newest.ID+"/actions/"+verb, nil, &raw)
}

// withStates is the body with the states asked for: --state none alone is an empty list.
func (r *recoverCommand) withStates(body *recoveryBody) any {
	for _, state := range r.State {
		if state != "none" {
			body.States = append(body.States, state)
		}
	}
	if len(r.State) == 0 || len(body.States) > 0 {
		return body
	}
	return struct {
		*recoveryBody `json:",inline"`
		None          []string `json:"states"`
	}{body, []string{}}
}

// await shows how far the recovery has come until it has ended.
func (r *recoverCommand) await(ctx context.Context, std streams, c *client, path string, raw jsontext.Value) (jsontext.Value, error) {
	poll := r.poll
	if poll == 0 {
		poll = recoverPoll
	}
	var of recovery
	if err := decode(raw, &of); err != nil {
		return nil, err
	}
	bar := newCounted(std, of.Counted.Total, "recovering")
	defer bar.finish()
	told := of.State
	for !of.ended() {
		if !wait(ctx, poll) {
			bar.finish()
			fmt.Fprintln(std.err, "portalhook: the server goes on; --watch waits again")
			return nil, context.Cause(ctx)
		}
		if err := c.call(ctx, http.MethodGet, path, nil, &raw); err != nil {
			return nil, err
		}
		of = recovery{}
		if err := decode(raw, &of); err != nil {
			return nil, err
		}
		bar.reached(of.Made, of.Counted.Total)
		if of.State != told && of.State == "paused" {
			fmt.Fprintf(std.err, "paused by the %s: %s\n", of.PausedBy, of.Reason)
		}
		told = of.State
		if of.State == "paused" && of.PausedBy == "request" {
			break // it does not go on by itself
		}
	}
	return raw, nil
}

// report prints what became of it.
func (r *recoverCommand) report(std streams, of *recovery, raw jsontext.Value) error {
	var err error
	switch {
	case r.JSON:
		_, err = fmt.Fprintf(std.out, "%s\n", raw)
	case r.DryRun:
		_, err = fmt.Fprintln(std.out, of.counts())
	default:
		text := fmt.Sprintf("%s %s, %d made", of.ID, of.State, of.Made)
		if of.Skipped > 0 {
			text += fmt.Sprintf(", %d skipped", of.Skipped)
		}
		if of.Reason != "" {
			text += ": " + of.Reason
		}
		_, err = fmt.Fprintln(std.out, printable(text))
	}
	if err == nil && !r.Cancel && (of.State == "cancelled" || of.State == "failed") {
		err = errShown
	}
	return err
}
