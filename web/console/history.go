package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// delivery is a delivery as the API's list shows it, and with its exchange as it shows one.
type deliveryView struct {
	ID            string `json:"id"`
	WebhookID     string `json:"webhookId"`
	EventID       string `json:"eventId"`
	EventType     string `json:"eventType"`
	URI           string `json:"uri"`
	Trigger       string `json:"trigger"`
	State         string `json:"state"`
	StatusMessage string `json:"statusMessage"`
	Reason        string `json:"reason"`
	Tries         int    `json:"attempts"`
	StatusCode    int    `json:"statusCode"`
	TriggeredAt   moment `json:"triggeredAt"`
	LastAttemptAt moment `json:"lastAttemptAt"`
	NextAttemptAt moment `json:"nextAttemptAt"`
	EndedAt       moment `json:"endedAt"`
	exchange
}

// Kind is the state's badge.
func (d *deliveryView) Kind() string {
	switch d.State {
	case "succeeded":
		return "good"
	case "exhausted":
		return "bad"
	case "waiting":
		return "warn"
	case "sending":
		return "busy"
	}
	return "idle"
}

// Took is from the event's acceptance to the end of the delivery; 0 while it is open.
func (d *deliveryView) Took() time.Duration {
	if d.EndedAt.IsZero() || d.TriggeredAt.IsZero() {
		return 0
	}
	return max(d.EndedAt.Sub(d.TriggeredAt.Time), 0)
}

// Standing is how the delivery stands, as a sentence.
func (d *deliveryView) Standing() string { return sentence(d.StatusMessage) }

// Status is the last answer's status code as a text.
func (d *deliveryView) Status() string { return statusText(d.StatusCode) }

// attempt is one attempt; its times are milliseconds since its start.
type attempt struct {
	Number     int     `json:"number"`
	StartedAt  moment  `json:"startedAt"`
	Outcome    string  `json:"outcome"`
	StatusCode int     `json:"statusCode"`
	Error      string  `json:"error"`
	Waited     float64 `json:"waitedMs"`
	DNS        float64 `json:"dnsMs"`
	Connect    float64 `json:"connectMs"`
	TLS        float64 `json:"tlsMs"`
	FirstByte  float64 `json:"firstByteMs"`
	Total      float64 `json:"totalMs"`
}

// Good reports whether it arrived.
func (a attempt) Good() bool { return a.Outcome == "delivered" }

// Status is the answer's status code as a text.
func (a attempt) Status() string { return statusText(a.StatusCode) }

// Duration is how long the attempt took.
func (a attempt) Duration() time.Duration { return milliseconds(a.Total) }

// WaitedFor is how long the delivery was due before it began.
func (a attempt) WaitedFor() time.Duration { return milliseconds(a.Waited) }

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// phase is one part of an attempt.
type phase struct {
	Name       string // names its message, phase.<name>, and its class
	From, Took time.Duration
}

// Phases are the parts that the attempt came through, each from where the one before ended.
func (a attempt) Phases() []phase {
	var list []phase
	from := 0.0
	for _, p := range []struct {
		name string
		to   float64
	}{{"dns", a.DNS}, {"connect", a.Connect}, {"tls", a.TLS}, {"first", a.FirstByte}, {"body", a.Total}} {
		if p.to > from {
			list = append(list, phase{p.name, milliseconds(from), milliseconds(p.to - from)})
			from = p.to
		}
	}
	return list
}

// historyFilters are the parameters of the history that filter it; since is ours, the others the API's.
var historyFilters = []string{"state", "eventType", "since", "from", "to"}

// webhookPage is a webhook with its history.
type webhookPage struct {
	Webhook  *webhook
	Day      day
	Recovery *recoveryPanel // the newest; nil when there was none
	Kept     string         // for how long history is kept
	Between  []field        // moments that the history is narrowed to
	History  historyList
}

// day is how the last 24 hours went.
type day struct {
	Total hourCounts   `json:"total"`
	Hours []hourCounts `json:"data"`
	To    moment       `json:"to"`
}

type hourCounts struct {
	Hour      moment `json:"hour"`
	Attempts  int64  `json:"attempts"`
	Succeeded int64  `json:"succeeded"`
	Failed    int64  `json:"failed"`
	Exhausted int64  `json:"exhausted"`
	Latency   *struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
		P99 float64 `json:"p99"`
	} `json:"latencyMs"`
}

// Share is the share of attempts that succeeded.
func (h hourCounts) Share() float64 {
	if h.Attempts == 0 {
		return 0
	}
	return float64(h.Succeeded) / float64(h.Attempts)
}

// Median is the median of how long attempts took; Slow the 95th percentile.
func (h hourCounts) Median() time.Duration { return milliseconds(h.Latency.P50) }

// Slow is the 95th percentile of how long attempts took.
func (h hourCounts) Slow() time.Duration { return milliseconds(h.Latency.P95) }

type historyList struct {
	Webhook    *webhook
	Deliveries []*deliveryView
	Table      table
	Pager      pager
	Filtered   bool
	Error      string
	Action     string
}

func showWebhook(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	o := v.orderingOf("/webhooks/"+w.ID, "-triggeredAt", historyFilters...)
	list, err := v.readHistory(w, o)
	if err != nil {
		return err
	}
	if v.target() == "history" {
		return v.list(o, "history/table", list)
	}
	shown := webhookPage{Webhook: w, History: *list}
	if err := v.get(webhookPath(w.ID, "stats"), nil, &shown.Day); err != nil {
		return err
	}
	if shown.Recovery, err = v.lastRecovery(w.ID); err != nil {
		return err
	}
	if shown.Kept, err = v.retention(); err != nil {
		return err
	}
	shown.Between = []field{v.momentField("from", "search.from", o.get("from")), v.momentField("to", "search.to", o.get("to"))}
	return v.show(http.StatusOK, page{Title: "webhooks.one", Template: "webhook", Section: "webhooks", Data: shown})
}

// retention says for how long the server keeps history: in days, or where these are not whole, in hours.
func (v *visit) retention() (string, error) {
	var got struct {
		Seconds int64 `json:"retentionSeconds"`
	}
	if err := v.get("/settings", nil, &got); err != nil {
		return "", err
	}
	kept := time.Duration(got.Seconds) * time.Second
	const oneDay = 24 * time.Hour
	if kept%oneDay == 0 {
		return v.T("history.kept.days", "count", int64(kept/oneDay)), nil
	}
	return v.T("history.kept.hours", "count", int64(kept/time.Hour)), nil
}

const historyTarget = "#history"

func (v *visit) readHistory(w *webhook, o *ordering) (*historyList, error) {
	var got struct {
		Data  []*deliveryView `json:"data"`
		Links links           `json:"links"`
	}
	list := &historyList{Webhook: w, Filtered: o.isFiltered(), Action: v.Link("/webhooks/" + w.ID)}
	query := o.searched()
	query.Del("since")
	if span, ok := spans[o.get("since")]; ok {
		// As with all filters, both must hold.
		since := v.now().Add(-span)
		if from, err := time.Parse(time.RFC3339, query.Get("from")); err != nil || from.Before(since) {
			query.Set("from", strconv.FormatInt(since.UnixMilli(), 10))
		}
	}
	if err := v.get(webhookPath(w.ID, "deliveries"), query, &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return nil, err
		}
		list.Error = v.Explain(refused)
	}
	list.Deliveries = got.Data
	list.Pager = o.pager(historyTarget, got.Links)
	list.Table = table{Target: historyTarget, Menus: true}
	if list.Filtered {
		list.Table.Clear = v.Link("/webhooks/" + w.ID)
	}
	state := o.column("state", "history.column.state", "")
	state.Filter = &filter{
		Name: "state", Label: v.T("history.filter.state"), Value: o.get("state"),
		Options: v.options("delivery", "", "succeeded", "exhausted", "waiting", "sending", "skipped", "cancelled"),
	}
	at := o.column("time", "history.column.time", "triggeredAt")
	at.Filter = &filter{Name: "since", Label: v.T("history.filter.since"), Value: o.get("since"), Options: v.options("since", "", "1h", "6h", "24h", "72h")}
	trigger := o.column("event", "history.column.event", "")
	trigger.Filter = &filter{Name: "eventType", Label: v.T("history.filter.event"), Value: o.get("eventType"), Options: []option{{"", v.T("since.any")}}}
	for _, name := range w.EventTypes {
		trigger.Filter.Options = append(trigger.Filter.Options, option{name, name})
	}
	list.Table.Columns = []column{
		state, at, trigger,
		o.column("tries", "history.column.tries", ""), o.column("status", "history.column.status", ""), o.column("took", "history.column.took", ""),
	}
	return list, nil
}

// spans are the times back that the history can be narrowed to.
var spans = map[string]time.Duration{"1h": time.Hour, "6h": 6 * time.Hour, "24h": 24 * time.Hour, "72h": 72 * time.Hour}

// deliveryPage is one delivery of a webhook.
type deliveryPage struct {
	Webhook  *webhook
	Delivery *deliveryView
	Resent   bool // it has just been sent again, as this delivery
}

func showDelivery(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	d := new(deliveryView)
	if err := v.get(webhookPath(w.ID, "deliveries", url.PathEscape(v.r.PathValue("delivery"))), nil, d); err != nil {
		return err
	}
	shown := deliveryPage{Webhook: w, Delivery: d}
	if strings.HasPrefix(v.target(), "detail-") {
		return v.part(http.StatusOK, "delivery/detail", shown)
	}
	return v.show(http.StatusOK, page{Title: "history.one", Template: "delivery", Section: "webhooks", Data: shown})
}

// resendDelivery sends a delivery again, and shows the new one.
func resendDelivery(v *visit) error {
	id := v.r.PathValue("webhook")
	d := new(deliveryView)
	if err := v.post(webhookPath(id, "deliveries", url.PathEscape(v.r.PathValue("delivery")), "actions", "resend"), nil, d); err != nil {
		return err
	}
	if d.State == "succeeded" {
		v.say("good", v.T("history.resent"))
	} else {
		v.say("bad", v.T("history.resent.failed", "why", d.Reason))
	}
	return v.redirect("/webhooks/" + id)
}
