package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// recovery is a recovery as the API shows it.
type recovery struct {
	ID            string   `json:"id"`
	State         string   `json:"state"`
	PausedBy      string   `json:"pausedBy"`
	Reason        string   `json:"reason"`
	States        []string `json:"states"`
	Trigger       string   `json:"trigger"`
	Missed        bool     `json:"missed"`
	RatePerMinute int64    `json:"ratePerMinute"`
	From          moment   `json:"from"`
	To            moment   `json:"to"`
	Counted       counted  `json:"counted"`
	Made          int64    `json:"made"`
	Passed        int64    `json:"skipped"`
	Position      moment   `json:"position"`
	CreatedAt     moment   `json:"createdAt"`
	EndedAt       moment   `json:"endedAt"`
	WebhookID     string   `json:"webhookId"`
}

// counted is how many deliveries a recovery finds.
type counted struct {
	Total     int64 `json:"total"`
	Exhausted int64 `json:"exhausted"`
	Skipped   int64 `json:"skipped"`
	Cancelled int64 `json:"cancelled"`
	Missed    int64 `json:"missed"`
	Complete  bool  `json:"complete"`
}

// tally is one line of what was counted.
type tally struct {
	Name  string
	Count int64
}

// Tallies are what was counted by kind, without what there is none of.
func (c counted) Tallies() []tally {
	list := []tally{{"exhausted", c.Exhausted}, {"skipped", c.Skipped}, {"cancelled", c.Cancelled}, {"missed", c.Missed}}
	return slices.DeleteFunc(list, func(t tally) bool { return t.Count == 0 })
}

// Done is how many of those counted have had their turn.
func (r *recovery) Done() int64 { return r.Made + r.Passed }

// Total is how many there are to be done, as far as is known.
func (r *recovery) Total() int64 { return max(r.Counted.Total, r.Done()) }

// Open reports whether it has not ended.
func (r *recovery) Open() bool {
	return r.State == "counting" || r.State == "running" || r.State == "paused"
}

// Moves reports whether it goes on by itself, so that it is worth looking again.
func (r *recovery) Moves() bool {
	return r.State == "counting" || r.State == "running" || r.State == "paused" && r.PausedBy == "server"
}

// Kind is the state's badge.
func (r *recovery) Kind() string {
	switch r.State {
	case "done":
		return "good"
	case "failed":
		return "bad"
	case "paused":
		return "warn"
	case "counting", "running":
		return "busy"
	}
	return "idle"
}

// recoveryPanel is a recovery on the page of its webhook.
type recoveryPanel struct {
	WebhookID string
	*recovery
}

// lastRecovery is a webhook's newest recovery; nil when it has had none.
func (v *visit) lastRecovery(webhookID string) (*recoveryPanel, error) {
	var got struct {
		Data []*recovery `json:"data"`
	}
	if err := v.get(webhookPath(webhookID, "recoveries"), url.Values{"limit": {"1"}}, &got); err != nil {
		return nil, err
	}
	if len(got.Data) == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	return &recoveryPanel{webhookID, got.Data[0]}, nil
}

// recoverForm is the question what shall be recovered, and once it was counted, whether.
type recoverForm struct {
	Webhook *webhook
	Fields  []field
	States  []string // those that are chosen
	Choices []string
	Missed  bool
	Error   string
	// Counted is what a dry run found; nil before it.
	Counted *recovery
	// Sent are the values that were counted by, for the form that begins.
	Sent []pair
}

// Chosen reports whether a state is chosen.
func (f *recoverForm) Chosen(state string) bool { return slices.Contains(f.States, state) }

var recoverStates = []string{"exhausted", "skipped", "cancelled"}

const recoverRate = "600" // deliveries a minute, as the API has it

func askRecovery(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	f := v.recoverForm(w, url.Values{"states": {"exhausted", "skipped"}, "ratePerMinute": {recoverRate}})
	return v.showRecover(http.StatusOK, f)
}

func (v *visit) showRecover(status int, f *recoverForm) error {
	return v.show(status, page{Title: "recover.title", Template: "recover", Section: "webhooks", Pane: true, Data: f})
}

func (v *visit) recoverForm(w *webhook, values url.Values) *recoverForm {
	f := &recoverForm{Webhook: w, States: values["states"], Choices: recoverStates, Missed: values.Get("missed") == "true"}
	trigger := field{
		Name: "trigger", Type: "select", Label: v.T("recover.trigger"), Value: values.Get("trigger"), Options: []option{{"", v.T("since.any")}},
	}
	for _, name := range w.EventTypes {
		trigger.Options = append(trigger.Options, option{name, name})
	}
	f.Fields = []field{
		v.momentField("from", "search.from", values.Get("from")), v.momentField("to", "search.to", values.Get("to")), trigger,
		{Name: "ratePerMinute", Type: "number", Label: v.T("recover.rate"), Value: values.Get("ratePerMinute"), Min: "1", Max: "60000"},
	}
	for i := range f.Fields {
		f.Fields[i].Narrow = true
	}
	return f
}

// recoverWebhook counts what the form asks for, or begins what was counted.
func recoverWebhook(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	sent := v.r.PostForm
	f := v.recoverForm(w, sent)
	if sent.Get("do") == "back" {
		return v.showRecover(http.StatusOK, f)
	}
	begin := sent.Get("do") == "begin"
	got := new(recovery)
	if err := v.post(webhookPath(w.ID, "actions", "recover"), recoverBody(sent, !begin), got); err != nil {
		return v.refuseRecovery(f, err)
	}
	if begin {
		v.say("good", v.T("recover.begun"))
		return v.redirect("/webhooks/" + w.ID)
	}
	f.Counted = got
	for _, name := range []string{"from", "to", "states", "trigger", "missed", "ratePerMinute"} {
		for _, value := range sent[name] {
			f.Sent = append(f.Sent, pair{name, value})
		}
	}
	return v.showRecover(http.StatusOK, f)
}

// recoverBody is what the API is asked for.
func recoverBody(sent url.Values, dryRun bool) map[string]any {
	states := sent["states"]
	if states == nil {
		states = []string{}
	}
	body := map[string]any{"dryRun": dryRun, "states": states, "missed": sent.Get("missed") == "true"}
	for _, name := range []string{"from", "to"} {
		if text := strings.TrimSpace(sent.Get(name)); text != "" {
			body[name] = wholeMoment(text)
		}
	}
	if trigger := sent.Get("trigger"); trigger != "" {
		body["trigger"] = trigger
	}
	if rate := strings.TrimSpace(sent.Get("ratePerMinute")); rate != "" {
		body["ratePerMinute"] = numberOf(rate)
	}
	return body
}

// refuseRecovery shows the form again with what the API refuses, beside the field that it names.
func (v *visit) refuseRecovery(f *recoverForm, err error) error {
	refused, ok := asRefusal(err, http.StatusBadRequest, http.StatusConflict)
	if !ok {
		return err
	}
	at := slices.IndexFunc(f.Fields, func(known field) bool { return known.Name == refused.Field })
	if at < 0 {
		f.Error = v.Explain(refused)
	} else {
		f.Fields[at].Error = v.Explain(refused)
	}
	return v.showRecover(http.StatusUnprocessableEntity, f)
}

// watchRecovery answers the page that watches with how far a recovery has come; with the whole panel once its state is another.
func watchRecovery(v *visit) error {
	id := v.r.PathValue("webhook")
	r := new(recovery)
	if err := v.get(webhookPath(id, "recoveries", url.PathEscape(v.r.PathValue("recovery"))), nil, r); err != nil {
		return err
	}
	if v.target() != "recovery-progress" {
		return v.redirect("/webhooks/" + url.PathEscape(id))
	}
	if v.r.URL.Query().Get("state") != r.State {
		v.w.Header().Set("Hx-Retarget", "#recovery")
		return v.part(http.StatusOK, "recovery/panel", recoveryPanel{id, r})
	}
	return v.part(http.StatusOK, "recovery/moved", recoveryPanel{id, r})
}

// controlRecovery pauses, resumes or cancels a recovery, and shows how it stands then.
func controlRecovery(v *visit) error {
	id, do := v.r.PathValue("webhook"), v.r.PathValue("do")
	r := new(recovery)
	if err := v.post(webhookPath(id, "recoveries", url.PathEscape(v.r.PathValue("recovery")), "actions", url.PathEscape(do)), nil, r); err != nil {
		return err
	}
	if v.target() != "recovery" {
		return v.redirect("/webhooks/" + url.PathEscape(id))
	}
	return v.part(http.StatusOK, "recovery/panel", recoveryPanel{id, r})
}
