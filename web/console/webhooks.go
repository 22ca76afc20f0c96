package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// webhooks is the part that lists webhooks, makes and changes them.
func (c *Console) webhooks() feature {
	return feature{name: "webhooks", path: "/webhooks", seenBy: readers, routes: []route{
		{pattern: "GET /webhooks", allowed: readers, answer: listWebhooks},
		{pattern: "POST /webhooks", allowed: editors, answer: createWebhook},
		{pattern: "GET /webhooks/new", allowed: editors, answer: newWebhook},
		{pattern: "POST /webhooks/actions", allowed: editors, answer: actOnWebhooks},
		{pattern: "POST /webhooks/triggers", allowed: editors, answer: judgeTriggers},
		{pattern: "GET /webhooks/{webhook}", allowed: readers, answer: showWebhook},
		{pattern: "POST /webhooks/{webhook}", allowed: editors, answer: updateWebhook},
		{pattern: "GET /webhooks/{webhook}/edit", allowed: editors, answer: editWebhook},
		{pattern: "GET /webhooks/{webhook}/secret", allowed: editors, answer: askRotation},
		{pattern: "POST /webhooks/{webhook}/secret", allowed: editors, answer: rotateSecret},
		{pattern: "GET /webhooks/{webhook}/test", allowed: editors, answer: askTest},
		{pattern: "POST /webhooks/{webhook}/test", allowed: editors, answer: testWebhook},
		{pattern: "GET /webhooks/{webhook}/recover", allowed: editors, answer: askRecovery},
		{pattern: "POST /webhooks/{webhook}/recover", allowed: editors, answer: recoverWebhook},
		{pattern: "GET /webhooks/{webhook}/recoveries/{recovery}", allowed: readers, answer: watchRecovery},
		{pattern: "POST /webhooks/{webhook}/recoveries/{recovery}/{do}", allowed: editors, answer: controlRecovery},
		{pattern: "GET /webhooks/{webhook}/deliveries/{delivery}", allowed: readers, answer: showDelivery},
		{pattern: "POST /webhooks/{webhook}/deliveries/{delivery}/resend", allowed: editors, answer: resendDelivery},
	}}
}

// webhook is a webhook as the API shows it.
type webhook struct {
	ID                 string            `json:"id"`
	Name               string            `json:"name"`
	Description        string            `json:"description"`
	URL                string            `json:"url"`
	EventTypes         []string          `json:"eventTypes"`
	Level              string            `json:"level"`
	OwnerID            string            `json:"ownerId"`
	Enabled            bool              `json:"enabled"`
	Filter             string            `json:"filter"`
	Headers            map[string]string `json:"headers"`
	EncryptedHeaders   []string          `json:"encryptedHeaders"`
	SecretKeyAdded     bool              `json:"secretKeyAdded"`
	Origin             string            `json:"origin"`
	Format             string            `json:"format"`
	CloudEvents        bool              `json:"enableCloudEventDelivery"`
	Retry              jsontext.Value    `json:"retry"`
	DeactivationPolicy *deactivation     `json:"deactivationPolicy"`
	Ordered            bool              `json:"ordered"`
	TimeoutSeconds     int               `json:"timeoutSeconds"`
	RateLimit          int               `json:"rateLimit"`
	DisabledReason     string            `json:"disabledReason"`
	DisabledReasonCode string            `json:"disabledReasonCode"`
	DisabledAt         moment            `json:"disabledAt"`
	Probe              bool              `json:"probe"`
	EnabledReason      string            `json:"enabledReason"` // of the server; empty when somebody did it
	EnabledAt          moment            `json:"enabledAt"`
	Health             *health           `json:"health"` // nil: there is nothing to tell
	OldSecretsUntil    moment            `json:"oldSecretsValidUntil"`
	CreatedAt          moment            `json:"createdAt"`
	UpdatedAt          moment            `json:"updatedAt"`
	CreatedBy          string            `json:"createdByUserId"`
	UpdatedBy          string            `json:"updatedByUserId"`
	Summary            *summary          `json:"summary"`
}

type deactivation struct {
	NumberOfFailures int `json:"numberOfFailures"`
	DaysInPast       int `json:"daysInPast"`
}

// summary is how a webhook has fared: its attempts of the last day, and the delivery of the newest one.
type summary struct {
	Attempts     int64   `json:"attempts"`
	Failed       int64   `json:"failed"`
	Share        float64 `json:"successShare"`
	LastDelivery *struct {
		ID    string `json:"id"`
		State string `json:"state"`
		At    moment `json:"at"`
	} `json:"lastDelivery"`
}

// Bar is the share of attempts that did not fail as a bar.
func (s *summary) Bar() shareBar { return shareBar{Good: s.Attempts - s.Failed, Bad: s.Failed} }

// Shown are the triggers that fit into a cell, More how many do not.
func (w *webhook) Shown() []string { return w.EventTypes[:min(2, len(w.EventTypes))] }

// More is how many triggers Shown leaves out.
func (w *webhook) More() int { return len(w.EventTypes) - len(w.Shown()) }

// State is the webhook's state as a badge: on, off by hand, or switched off by the server.
func (w *webhook) State() string {
	switch {
	case w.Enabled:
		return "on"
	case w.DisabledReasonCode != "" || w.DisabledReason != "":
		return "stopped"
	}
	return "off"
}

// webhookFilters are the parameters of the list that filter it, one a column.
var webhookFilters = []string{"name", "url", "trigger", "level", "owner", "state", "last", "share", "age"}

// wholeFilters are the API's names of those filters that find a part, for finding the whole.
var wholeFilters = map[string]string{"name": "nameIs", "url": "urlIs", "trigger": "eventTypes", "owner": "ownerId"}

// choiceFilters are the choices of the other filters, and what each asks of the API.
var choiceFilters = map[string][]struct{ choice, name, value string }{
	"level": {{"tenant", "level", "tenant"}, {"user", "level", "user"}},
	"state": {{"on", "enabled", "true"}, {"off", "enabled", "false"}, {"off", "switchedOff", "false"}, {"stopped", "switchedOff", "true"}},
	"last": {
		{"succeeded", "lastDelivery", "succeeded"},
		{"waiting", "lastDelivery", "waiting"},
		{"exhausted", "lastDelivery", "exhausted"},
		{"never", "lastDelivery", "never"},
	},
	"share": {{"all", "minSuccessShare", "1"}, {"some", "maxSuccessShare", "0.999999"}, {"half", "maxSuccessShare", "0.5"}, {"none", "maxSuccessShare", "0"}},
	"age":   {{"day", "createdFrom", "24h"}, {"week", "createdFrom", "168h"}, {"month", "createdFrom", "720h"}, {"older", "createdTo", "720h"}},
}

// webhookQuery is what the API's list is asked for: a text within quotes is the whole, any other a part.
func (v *visit) webhookQuery(o *ordering) url.Values {
	query := o.query()
	for _, filter := range webhookFilters {
		value := query.Get(filter)
		query.Del(filter)
		if whole := wholeFilters[filter]; whole != "" {
			value = strings.TrimSpace(value)
			if inner, ok := quotedWhole(value); ok {
				query.Set(whole, inner)
			} else if value != "" {
				query.Set(filter, value)
			}
			continue
		}
		for _, c := range choiceFilters[filter] {
			if c.choice != value {
				continue
			}
			asked := c.value
			if back, err := time.ParseDuration(asked); filter == "age" && err == nil {
				asked = strconv.FormatInt(v.now().Add(-back).UnixMilli(), 10)
			}
			query.Set(c.name, asked)
		}
	}
	return query
}

// quotedWhole is the text within quotes; false when there are none around it, or nothing between them.
func quotedWhole(text string) (string, bool) {
	inner, ok := strings.CutPrefix(text, `"`)
	if !ok {
		return "", false
	}
	inner, ok = strings.CutSuffix(inner, `"`)
	return inner, ok && inner != ""
}

// webhookList is what the list shows.
type webhookList struct {
	Webhooks []*webhook
	Table    table
	Pager    pager
	Filtered bool
	Error    string // what the API refuses in a filter
	Action   string // address of the list
}

func listWebhooks(v *visit) error {
	o := v.orderingOf("/webhooks", "name", webhookFilters...)
	list, err := v.readWebhooks(o)
	if err != nil {
		return err
	}
	if v.target() == "webhooks" {
		return v.list(o, "webhooks/table", list)
	}
	return v.show(http.StatusOK, page{Title: "nav.webhooks", Template: "webhooks", Section: "webhooks", Data: list})
}

const (
	webhooksTarget = "#webhooks"
	webhooksShown  = "25" // on one page
)

// readWebhooks reads the page of the list that is asked for.
func (v *visit) readWebhooks(o *ordering) (*webhookList, error) {
	query := v.webhookQuery(o)
	query.Set("include", "summary")
	query.Set("limit", webhooksShown)
	var got struct {
		Data  []*webhook `json:"data"`
		Links links      `json:"links"`
	}
	list := &webhookList{Filtered: o.isFiltered(), Action: v.Link("/webhooks")}
	if err := v.get("/webhooks", query, &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return nil, err
		}
		list.Error = v.Explain(refused)
	}
	list.Webhooks = got.Data
	list.Pager = o.pager(webhooksTarget, got.Links)
	list.Table = table{Target: webhooksTarget, Selects: v.May("edit"), Menus: true}
	if list.Filtered {
		list.Table.Clear = v.Link("/webhooks")
	}
	for _, c := range []struct{ name, sort, filter string }{
		{"name", "name", "name"},
		{"url", "url", "url"},
		{"triggers", "trigger", "trigger"},
		{"level", "level", "level"},
		{"owner", "ownerId", "owner"},
		{"state", "enabled", "state"},
		{"last", "lastDelivery", "last"},
		{"share", "successShare", "share"},
		{"age", "createdAt", "age"},
	} {
		column := o.column(c.name, "webhooks.column."+c.name, c.sort)
		column.Filter = &filter{Name: c.filter, Label: v.T("webhooks.filter." + c.name), Value: o.get(c.filter), Type: "search"}
		if choices := choiceFilters[c.filter]; choices != nil {
			values := []string{""}
			for _, choice := range choices {
				if !slices.Contains(values, choice.choice) {
					values = append(values, choice.choice)
				}
			}
			column.Filter.Options = v.options(c.filter, values...)
		}
		list.Table.Columns = append(list.Table.Columns, column)
	}
	return list, nil
}

// options are the choices of a select, each labelled by the message <key>.<value>; the empty value's is <key>.any.
func (v *visit) options(key string, values ...string) []option {
	list := make([]option, len(values))
	for i, value := range values {
		name := value
		if name == "" {
			name = "any"
		}
		list[i] = option{Value: value, Label: v.T(key + "." + strings.ReplaceAll(name, "-", ""))}
	}
	return list
}

// OriginWord is the origin without dashes, as its message is named.
func (w *webhook) OriginWord() string { return strings.ReplaceAll(w.Origin, "-", "") }
