package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// eventPage is one event: what it says, who got it, and why others did not.
type eventPage struct {
	Event  *wholeEvent
	Table  table // heads of the matches
	Others othersList
}

// wholeEvent is an event with its content.
type wholeEvent struct {
	eventView
	Content jsontext.Value `json:"event"`
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
	ID       string    `json:"webhookId"`
	Name     string    `json:"name"`
	Enabled  bool      `json:"enabled"`
	Why      string    `json:"why"`
	HeldBy   string    `json:"heldBy"`
	Heard    bool      `json:"matched"` // a trigger hears the event
	Trigger  string    `json:"trigger"` // of one that would get it now
	Triggers []judged  `json:"triggers"`
	Segments []segment `json:"segments"` // of one that would get it now
	Now      bool      `json:"-"`        // it would get the event now
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

// nearness is how far the event came: the most segments that fitted, and more where a trigger heard it.
func (w *otherWebhook) nearness() int {
	const heard, now = 1000, 2000
	switch {
	case w.Now:
		return now
	case w.Heard:
		return heard
	}
	return fitted(w.Triggers)
}

// fitted is the most segments that fitted of any trigger.
func fitted(list []judged) int {
	most := 0
	for _, t := range list {
		most = max(most, t.fits())
	}
	return most
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
	if err := v.get("/events/"+url.PathEscape(v.r.PathValue("event")), nil, e); err != nil {
		return err
	}
	others, there, err := v.readOthers(e)
	if err != nil {
		return err
	}
	if v.target() == "others" {
		return v.part(http.StatusOK, "event/others", others)
	}
	for i := range e.Matches {
		// Of webhooks that the API left out nothing is known: their pages say so themselves.
		e.Matches[i].Gone = others.Error == "" && !others.Truncated && !there[e.Matches[i].WebhookID]
	}
	shown := eventPage{Event: e, Others: *others}
	for _, name := range []string{"webhook", "trigger", "state", "tries", "answer", "time"} {
		shown.Table.Columns = append(shown.Table.Columns, column{Name: name, Label: "event.column." + name})
	}
	shown.Table.Menus = true
	return v.show(http.StatusOK, page{Title: "events.one", Template: "event", Section: "events", Data: shown})
}

// maxOthers is how many webhooks are shown at once; the others are found by their name.
const maxOthers = 15

// readOthers asks why the webhooks that did not get an event did not, and which webhooks there are.
func (v *visit) readOthers(e *wholeEvent) (*othersList, map[string]bool, error) {
	name := strings.TrimSpace(v.r.URL.Query().Get("name"))
	list := &othersList{
		Event: e.ID, Action: v.Link("/events/" + e.ID),
		Name: field{Name: "name", Type: "search", Label: v.T("event.others.name"), Value: name, Placeholder: v.T("table.filter")},
	}
	asked, err := e.asked()
	if err != nil {
		return nil, nil, err
	}
	var got struct {
		Matches   []*otherWebhook `json:"matches"`
		Others    []*otherWebhook `json:"others"`
		Truncated bool            `json:"truncated"`
	}
	if err := v.post("/match", map[string]any{"event": asked}, &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return nil, nil, err
		}
		list.Error = v.Explain(refused)
		return list, nil, nil
	}
	list.Truncated = got.Truncated
	for _, w := range got.Matches {
		w.Now = true
		if len(w.Triggers) == 0 {
			w.Triggers = []judged{{Trigger: w.Trigger, Matched: true, Segments: w.Segments}}
		}
	}
	there := map[string]bool{}
	part := strings.ToLower(name)
	for _, w := range append(got.Matches, got.Others...) {
		there[w.ID] = true
		if !e.has(w.ID) && strings.Contains(strings.ToLower(w.Name), part) {
			list.Others = append(list.Others, w)
		}
	}
	slices.SortStableFunc(list.Others, func(a, b *otherWebhook) int { return cmp.Compare(b.nearness(), a.nearness()) })
	list.Count = int64(len(list.Others))
	list.Others = list.Others[:min(maxOthers, len(list.Others))]
	list.More = list.Count - int64(len(list.Others))
	for _, w := range list.Others {
		nearestFirst(w.Triggers)
	}
	return list, there, nil
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
