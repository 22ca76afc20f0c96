package console

import "net/http"

// events is the part that searches events and says what became of each, webhook by webhook.
func (c *Console) events() feature {
	return feature{name: "events", path: "/events", seenBy: watchers, routes: []route{
		{pattern: "GET /events", allowed: watchers, answer: listEvents},
		{pattern: "GET /events/{event}", allowed: watchers, answer: showEvent},
	}}
}

// eventView is an event as the API's list shows it.
type eventView struct {
	ID         string       `json:"id"`
	EventID    string       `json:"eventId"`
	Source     string       `json:"source"`
	URI        string       `json:"uri"`
	Username   string       `json:"username"`
	When       moment       `json:"when"`
	AcceptedAt moment       `json:"acceptedAt"`
	Outcome    string       `json:"outcome"`
	Matched    int64        `json:"matched"`
	Matches    []eventMatch `json:"matches"`
}

// Kind is the outcome's badge.
func (e *eventView) Kind() string {
	switch e.Outcome {
	case "delivered":
		return "good"
	case "failed":
		return "bad"
	case "pending":
		return "busy"
	case "skipped":
		return "warn"
	}
	return "idle"
}

// eventMatch is a webhook that an event matched, and its delivery there.
type eventMatch struct {
	WebhookID   string       `json:"webhookId"`
	WebhookName string       `json:"webhookName"`
	Trigger     string       `json:"trigger"`
	Delivery    deliveryView `json:"delivery"`
	Gone        bool         `json:"webhookDeleted"` // since
}

// maxNamed is how many webhooks a row of the list names.
const maxNamed = 3

// Named are the webhooks that a row names, those first that did not get the event.
func (e *eventView) Named() []eventMatch { return e.Matches[:min(maxNamed, len(e.Matches))] }

// eventFilters are the parameters of the list that filter it, as the API names them.
var eventFilters = []string{"uri", "username", "eventId", "outcome", "from", "to"}

type eventList struct {
	Events   []*eventView
	Search   search
	Table    table
	Pager    pager
	Filtered bool
	Error    string
}

const eventsTarget = "#events"

func listEvents(v *visit) error {
	o := v.orderingOf("/events", "-acceptedAt", eventFilters...)
	var got struct {
		Data  []*eventView `json:"data"`
		Links links        `json:"links"`
	}
	list := &eventList{Filtered: o.isFiltered()}
	if err := v.get("/events", o.searched(), &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return err
		}
		list.Error = v.Explain(refused)
	}
	list.Events = got.Data
	list.Pager = o.pager(eventsTarget, got.Links)
	list.Table = table{Target: eventsTarget, Columns: []column{
		o.column("time", "events.column.time", "acceptedAt"), o.column("uri", "events.column.uri", ""), o.column("user", "events.column.user", ""),
		o.column("outcome", "events.column.outcome", ""), o.column("matched", "events.column.matched", ""),
	}}
	if v.target() == "events" {
		return v.list(o, "events/table", list)
	}
	list.Search = search{Label: v.T("events.search"), Action: v.Link("/events"), Target: eventsTarget, Fields: []field{
		{Name: "uri", Type: "search", Label: v.T("events.column.uri"), Hint: v.T("events.hint.uri"), Value: o.get("uri"), Placeholder: "/items/4adc…/share"},
		{Name: "username", Type: "search", Label: v.T("events.column.user"), Value: o.get("username")},
		{Name: "eventId", Type: "search", Label: v.T("events.id.given"), Value: o.get("eventId")},
		{
			Name: "outcome", Type: "select", Label: v.T("events.column.outcome"), Value: o.get("outcome"),
			Options: v.options("events.outcome", "", "failed", "pending", "skipped", "cancelled", "delivered", "unmatched"),
		},
		v.momentField("from", "search.from", o.get("from")),
		v.momentField("to", "search.to", o.get("to")),
	}}
	return v.show(http.StatusOK, page{Title: "nav.events", Template: "events", Section: "events", Data: list})
}

// GoesOn reports whether a page without events may have some after it: the API looks through so many at once.
func (l *eventList) GoesOn() bool { return len(l.Events) == 0 && l.Pager.Next != "" }
