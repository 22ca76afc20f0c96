package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/payload"
)

// catalogueFeature is the part that shows what can be subscribed, with a sample of each, and sends samples to built-in receivers.
func (c *Console) catalogueFeature() feature {
	return feature{name: "catalogue", path: "/catalogue", seenBy: readers, routes: []route{
		{pattern: "GET /catalogue", allowed: readers, answer: showCatalogue},
		{pattern: "GET /catalogue/trigger", allowed: readers, answer: showTrigger},
		{pattern: "GET /catalogue/sample", allowed: editors, answer: askSample},
		{pattern: "POST /catalogue/sample", allowed: editors, answer: sendSample},
	}}
}

// families are the parts of the catalogue that it can be narrowed to.
var families = []string{"portal", "services", "cloud", "webhooks"}

// family is the part of the catalogue that a branch belongs to.
func (b *branch) family() string {
	if slices.Contains(families, b.Resource) {
		return b.Resource
	}
	return "portal"
}

// catalogueList is what of the catalogue is shown.
type catalogueList struct {
	Branches []branch
	Count    int
	Query    string
	Families field
	Action   string
}

func showCatalogue(v *visit) error {
	entries, err := v.catalogue()
	if err != nil {
		return err
	}
	o := v.orderingOf("/catalogue", "", "q", "family")
	list := catalogueList{
		Query: o.get("q"), Action: v.Link("/catalogue"),
		Families: field{Name: "family", Type: "select", Label: v.T("catalogue.family"), Value: o.get("family"), Options: v.options("family", append([]string{""}, families...)...)},
	}
	words := strings.Fields(strings.ToLower(list.Query))
	for _, b := range branchesOf(entries) {
		if chosen := o.get("family"); chosen != "" && chosen != b.family() {
			continue
		}
		b.Leaves = slices.DeleteFunc(b.Leaves, func(l leaf) bool { return !l.has(words) })
		if len(b.Leaves) > 0 {
			list.Branches = append(list.Branches, b)
			list.Count += len(b.Leaves)
		}
	}
	if v.target() == "catalogue" {
		return v.list(o, "catalogue/list", list)
	}
	return v.show(http.StatusOK, page{Title: "nav.catalogue", Template: "catalogue", Section: "catalogue", Data: list})
}

// has reports whether every word stands somewhere in what is said of the leaf.
func (l leaf) has(words []string) bool {
	var said strings.Builder
	for _, e := range l.Entries {
		for _, text := range append([]string{e.Trigger, e.Name, e.Title, e.Category, e.Operation}, e.Properties...) {
			said.WriteString(strings.ToLower(text) + "\n")
		}
	}
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(said.String(), word) })
}

// Name is the trigger that the leaf is called by: for all things of its branch, or where there is no such, for one.
func (l leaf) Name() string {
	if l.Any != "" {
		return l.Any
	}
	return l.One
}

// Levels are those that the leaf can be had at.
func (l leaf) Levels() []string { return l.Entries[0].Levels }

// triggerPage is one leaf of the catalogue with its forms and a sample.
type triggerPage struct {
	Leaf       leaf
	Properties []string
	Sample     entryOfCatalogue // whose sample is shown
}

// Event is the sample event to read, RawEvent as it can be emitted.
func (p triggerPage) Event() string { return pretty(p.Sample.SampleEvent) }

// RawEvent is the sample event as it can be emitted.
func (p triggerPage) RawEvent() string { return string(p.Sample.SampleEvent) }

// Payload is the payload that the sample event makes, to read.
func (p triggerPage) Payload() string { return pretty(p.Sample.SamplePayload) }

// RawPayload is the payload as it is sent.
func (p triggerPage) RawPayload() string { return string(p.Sample.SamplePayload) }

// EventSize is the length of the sample event, in bytes.
func (p triggerPage) EventSize() int { return len(p.Sample.SampleEvent) }

// PayloadSize is the length of the payload, in bytes.
func (p triggerPage) PayloadSize() int { return len(p.Sample.SamplePayload) }

func showTrigger(v *visit) error {
	entries, err := v.catalogue()
	if err != nil {
		return err
	}
	name := v.r.URL.Query().Get("trigger")
	for _, b := range branchesOf(entries) {
		for _, l := range b.Leaves {
			at := slices.IndexFunc(l.Entries, func(e entryOfCatalogue) bool { return e.Name == name || e.Trigger == name })
			if at < 0 {
				continue
			}
			shown := triggerPage{Leaf: l, Sample: l.Entries[at], Properties: l.Entries[at].Properties}
			if strings.HasPrefix(v.target(), "entry-") {
				return v.part(http.StatusOK, "catalogue/detail", shown)
			}
			return v.show(http.StatusOK, page{Title: "catalogue.one", Template: "catalogue/trigger", Section: "catalogue", Data: shown})
		}
	}
	return v.missing()
}

// samplePage is the question where a sample shall be sent.
type samplePage struct {
	Trigger  string
	Receiver field
	Error    string
}

// newReceiverChoice stands for a receiver that is made for the sample.
const newReceiverChoice = "new"

func askSample(v *visit) error {
	return v.showSample(http.StatusOK, v.r.URL.Query().Get("trigger"), nil)
}

func (v *visit) showSample(status int, trigger string, refused *apiError) error {
	list, err := v.receivers()
	if err != nil {
		return err
	}
	shown := samplePage{Trigger: trigger, Receiver: field{
		Name: "receiver", Type: "select", Label: v.T("catalogue.receiver"), Hint: v.T("catalogue.receiver.hint"), Value: v.r.PostForm.Get("receiver"),
	}}
	for _, r := range slices.Backward(list) {
		shown.Receiver.Options = append(shown.Receiver.Options, option{r.Token, r.Title()})
	}
	shown.Receiver.Options = append(shown.Receiver.Options, option{newReceiverChoice, v.T("catalogue.receiver.new")})
	if refused != nil {
		shown.Error = v.Explain(refused)
	}
	return v.show(status, page{Title: "catalogue.send", Template: "catalogue/sample", Section: "catalogue", Pane: true, Data: shown})
}

// sendSample sends a sample to the chosen receiver, or to one that is made for it, and leads there.
func sendSample(v *visit) error {
	trigger, token := v.r.PostForm.Get("trigger"), v.r.PostForm.Get("receiver")
	refuse := func(err error) error {
		if refused, ok := asRefusal(err, http.StatusBadRequest, http.StatusNotFound, http.StatusTooManyRequests); ok {
			return v.showSample(http.StatusUnprocessableEntity, trigger, refused)
		}
		return err
	}
	if token == newReceiverChoice {
		var made receiver
		body := map[string]any{"name": v.T("receivers.samples"), "secret": payload.NewSecret().Reveal()}
		if err := v.post("/receivers", body, &made); err != nil {
			return refuse(err)
		}
		token = made.Token
	}
	var got attempt
	if err := v.post(receiverPath(token, "actions", "sample"), map[string]any{"trigger": trigger}, &got); err != nil {
		return refuse(err)
	}
	if got.Good() {
		v.say("good", v.T("catalogue.sent", "trigger", trigger))
	} else {
		v.say("bad", v.T("catalogue.sent.failed", "trigger", trigger, "why", v.words.Or("outcome."+got.Outcome, got.Outcome)))
	}
	return v.redirect("/receivers/" + url.PathEscape(token))
}

// readable is a value of JSON, or any other text, to read.
func readable(text string) string { return pretty(jsontext.Value(text)) }
