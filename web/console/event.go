package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// eventPage is one event: what it says, who got it, and why others did not.
type eventPage struct {
	Event   *wholeEvent
	Matches matchList
	Others  othersList
}

// matchList is a page of the webhooks that an event matched.
type matchList struct {
	Matches  []eventMatch
	Event    *wholeEvent
	Action   string
	Table    table
	Pager    pager
	Filters  bool // it can be filtered: few are seen at a glance
	Filtered bool
}

// stateCount is how many deliveries of an event are in a state.
type stateCount struct {
	State string
	Count int64
}

// Kind is the state's badge.
func (c stateCount) Kind() string { return (&deliveryView{State: c.State}).Kind() }

// wholeEvent is an event with its content.
type wholeEvent struct {
	eventView
	Content    jsontext.Value   `json:"event"`
	Deliveries map[string]int64 `json:"deliveries"`
}

// Counts are how many deliveries are in each state, those first that need attention.
func (e *wholeEvent) Counts() []stateCount {
	var list []stateCount
	for _, state := range []string{"exhausted", "waiting", "sending", "skipped", "cancelled", "succeeded"} {
		if n := e.Deliveries[state]; n > 0 {
			list = append(list, stateCount{state, n})
		}
	}
	return list
}

// HasContent reports whether the content is kept.
func (e *wholeEvent) HasContent() bool { return len(e.Content) > 0 && e.Content.Kind() == '{' }

// Pretty is the content to read.
func (e *wholeEvent) Pretty() string { return pretty(e.Content) }

// Raw is the content as it is kept.
func (e *wholeEvent) Raw() string { return string(e.Content) }

// Size is the length of the content, in bytes.
func (e *wholeEvent) Size() int { return len(e.Content) }

// asked is the event as a dry run takes it. What is kept is what receivers see: in that form the URI is missing where it stands elsewhere
// in a payload, and members stand there that an event cannot be given with.
func (e *wholeEvent) asked() (jsontext.Value, error) {
	members := map[string]jsontext.Value{}
	if e.HasContent() {
		if err := json.Unmarshal(e.Content, &members); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"operation", "id", "source", "serviceType", "eventType", "cloudOnly"} {
		delete(members, name)
	}
	uri, err := json.Marshal(e.URI)
	if err != nil {
		return nil, err
	}
	members["uri"] = uri
	return json.Marshal(members, json.Deterministic(true))
}

// othersList is why webhooks did not get an event, judged as they are now; the nearest first.
type othersList struct {
	Event     string // id
	Action    string
	Name      field // a part of the webhook's name
	Others    []*otherWebhook
	More      int64  // how many are left out
	Count     int64  // how many there are
	Truncated bool   // the API did not judge all
	Error     string // the API cannot judge such an event
}

// otherWebhook is a webhook that did not get an event.
type otherWebhook struct {
	ID       string   `json:"webhookId"`
	Name     string   `json:"name"`
	Enabled  bool     `json:"enabled"`
	Why      string   `json:"why"`
	HeldBy   string   `json:"heldBy"`
	Heard    bool     `json:"matched"` // a trigger hears the event
	Triggers []judged `json:"triggers"`
	Now      bool     `json:"-"` // it would get the event now
}

// judged is what is said of one trigger.
type judged struct {
	Trigger  string    `json:"trigger"`
	Matched  bool      `json:"matched"`
	Segments []segment `json:"segments"`
	Reason   string    `json:"reason"`
}

// segment is a part of a trigger beside what stands there in the event.
type segment struct {
	Pattern string `json:"pattern"`
	Event   string `json:"event"`
	Matched bool   `json:"matched"`
}

// Standing names the message that says in short why: other.<standing>.
func (w *otherWebhook) Standing() string {
	switch {
	case w.Now:
		return "now"
	case w.HeldBy != "":
		return w.HeldBy
	case !w.Enabled:
		return "state"
	case len(w.Triggers) == 0:
		return "empty"
	}
	return "unheard"
}

// Kind is the badge of that.
func (w *otherWebhook) Kind() string {
	switch w.Standing() {
	case "now":
		return "good"
	case "level", "filter":
		return "warn"
	}
	return "idle"
}

func (t judged) fits() int {
	n := 0
	for _, s := range t.Segments {
		if s.Matched {
			n++
		}
	}
	return n
}

func showEvent(v *visit) error {
	e := new(wholeEvent)
	path := "/events/" + url.PathEscape(v.r.PathValue("event"))
	if err := v.get(path, url.Values{"matches": {"listed"}}, e); err != nil {
		return err
	}
	o := v.orderingOf(path, "place", "webhookName", "state")
	if v.target() == "matches" {
		list, err := v.readMatches(o, e)
		if err != nil {
			return err
		}
		return v.list(o, "event/matches", list)
	}
	others, err := v.readOthers(e)
	if err != nil {
		return err
	}
	if v.target() == "others" {
		return v.part(http.StatusOK, "event/others", others)
	}
	matches, err := v.readMatches(o, e)
	if err != nil {
		return err
	}
	shown := eventPage{Event: e, Matches: *matches, Others: *others}
	return v.show(http.StatusOK, page{Title: "events.one", Template: "event", Section: "events", Data: shown})
}

// few webhooks need no filters.
const few = 5

// readMatches asks for a page of the webhooks that an event matched.
func (v *visit) readMatches(o *ordering, e *wholeEvent) (*matchList, error) {
	list := &matchList{Event: e, Action: v.Link("/events/" + e.ID), Filters: e.Matched > few, Filtered: o.isFiltered()}
	query := o.query()
	const rows = 25
	query.Set("limit", strconv.Itoa(rows))
	var got struct {
		Data  []eventMatch `json:"data"`
		Links links        `json:"links"`
	}
	if err := v.get("/events/"+e.ID+"/matches", query, &got); err != nil {
		return nil, err
	}
	list.Matches = got.Data
	list.Pager = o.pager("#matches", got.Links)
	list.Table = table{Target: "#matches", Menus: true}
	for _, name := range []string{"webhook", "trigger", "state", "tries", "answer", "time"} {
		list.Table.Columns = append(list.Table.Columns, column{Name: name, Label: "event.column." + name})
	}
	if list.Filters {
		list.Table.Columns[0].Filter = &filter{Name: "webhookName", Label: v.T("webhooks.filter.name"), Value: o.get("webhookName"), Type: "search"}
		list.Table.Columns[2].Filter = &filter{
			Name: "state", Label: v.T("webhooks.filter.state"), Value: o.get("state"),
			Options: v.options("delivery", "", "waiting", "sending", "succeeded", "exhausted", "skipped", "cancelled"),
		}
	}
	if list.Filtered {
		list.Table.Clear = o.link("webhookName", "", "state", "")
	}
	return list, nil
}

// maxOthers is how many webhooks are shown at once; the others are found by their name.
const maxOthers = 15

// readOthers asks why the webhooks that did not get an event did not.
func (v *visit) readOthers(e *wholeEvent) (*othersList, error) {
	name := strings.TrimSpace(v.r.URL.Query().Get("name"))
	list := &othersList{
		Event: e.ID, Action: v.Link("/events/" + e.ID),
		Name: field{Name: "name", Type: "search", Label: v.T("event.others.name"), Value: name, Placeholder: v.T("table.filter")},
	}
	asked, err := e.asked()
	if err != nil {
		return nil, err
	}
	var got dryRun
	query := url.Values{"order": {"nearest"}, "limit": {strconv.Itoa(maxOthers)}, "except": {e.ID}}
	if name != "" {
		query.Set("name", name)
	}
	if err := v.call(http.MethodPost, "/match", query, map[string]any{"event": asked}, &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return nil, err
		}
		list.Error = v.Explain(refused)
		return list, nil
	}
	list.Truncated = got.Truncated
	list.Others = got.all()
	list.Others = list.Others[:min(maxOthers, len(list.Others))]
	list.Count = got.Matched + got.Unmatched
	list.More = list.Count - int64(len(list.Others))
	return list, nil
}

// dryRun is the answer of one in the order nearest: which webhooks would get an event, and which nearly would.
type dryRun struct {
	URI       string          `json:"uri"`
	Matched   int64           `json:"matched"`
	Matches   []*otherWebhook `json:"matches"`
	Unmatched int64           `json:"unmatched"`
	Near      int64           `json:"near"` // of how many others anything fits
	Others    []*otherWebhook `json:"others"`
	Truncated bool            `json:"truncated"`
}

// all are those that would get it, and the others behind them, with what is nearest of each first.
func (a *dryRun) all() []*otherWebhook {
	for _, w := range a.Matches {
		w.Now = true
	}
	list := slices.Concat(a.Matches, a.Others)
	for _, w := range list {
		nearestFirst(w.Triggers)
	}
	return list
}

// nearestFirst puts the triggers that hear an event first, then those of which most fits.
func nearestFirst(list []judged) {
	slices.SortStableFunc(list, func(a, b judged) int {
		if a.Matched != b.Matched {
			if a.Matched {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.fits(), a.fits())
	})
}
