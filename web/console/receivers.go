package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"portalhook/payload"
)

// receiversFeature is the part where one watches what built-in receivers are sent.
func (c *Console) receiversFeature() feature {
	return feature{name: "receiver", path: "/receivers", seenBy: editors, routes: []route{
		{pattern: "GET /receivers", allowed: editors, answer: listReceivers},
		{pattern: "GET /receivers/new", allowed: editors, answer: askReceiver},
		{pattern: "POST /receivers", allowed: editors, answer: createReceiver},
		{pattern: "GET /receivers/{receiver}", allowed: editors, answer: showReceiver},
		{pattern: "POST /receivers/{receiver}", allowed: editors, answer: changeReceiver},
		{pattern: "GET /receivers/{receiver}/arrivals", allowed: editors, answer: watchReceiver},
		{pattern: "GET /receivers/{receiver}/delete", allowed: editors, answer: askReceiverDeletion},
		{pattern: "POST /receivers/{receiver}/delete", allowed: editors, answer: deleteReceiver},
	}}
}

// receiver is a built-in receiver as the API shows it.
type receiver struct {
	Token       string `json:"token"`
	Name        string `json:"name"`
	URL         string `json:"url"`
	SecretAdded bool   `json:"secretAdded"`
	answering
	Received  int64  `json:"received"`
	Kept      int64  `json:"kept"`
	CreatedAt moment `json:"createdAt"`
	ExpiresAt moment `json:"expiresAt"`
}

// answering is how a receiver answers.
type answering struct {
	Status  int     `json:"status"`
	DelayMs float64 `json:"delayMs"`
}

// Kind is the badge of the status.
func (a answering) Kind() string {
	if a.Status < http.StatusMultipleChoices {
		return "good"
	}
	return "bad"
}

// Words are the status with its meaning.
func (a answering) Words() string {
	return strings.TrimSpace(strconv.Itoa(a.Status) + " " + http.StatusText(a.Status))
}

// Delay is how long it waits before it answers, for messages.
func (a answering) Delay() float64 { return a.DelayMs }

// Title is the receiver's name, or where it has none the beginning of its token.
func (r *receiver) Title() string {
	const shown = 6
	if r.Name != "" {
		return r.Name
	}
	return r.Token[:min(shown, len(r.Token))] + "…"
}

// receiverPath is a receiver's path in the API.
func receiverPath(token string, below ...string) string {
	return strings.Join(append([]string{"/receivers", url.PathEscape(token)}, below...), "/")
}

// receivers are those that the visitor may look at, the oldest first.
func (v *visit) receivers() ([]*receiver, error) {
	var got struct {
		Data []*receiver `json:"data"`
	}
	return got.Data, v.get("/receivers", nil, &got)
}

func listReceivers(v *visit) error {
	list, err := v.receivers()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, page{Title: "nav.receiver", Template: "receivers", Section: "receiver", Data: list})
}

// receiverForm is the form of a receiver.
type receiverForm struct {
	Fields []field
	Secret string // of a new one: generate, own or none
	Own    field
}

func askReceiver(v *visit) error { return v.showReceiverForm(http.StatusOK, nil) }

func (v *visit) showReceiverForm(status int, refused *apiError) error {
	f := receiverForm{
		Secret: "generate", Fields: v.receiverFields(&receiver{answering: answering{Status: http.StatusOK}}, refused),
		Own: field{Name: "secret", Type: "password", Label: v.T("secret.own")},
	}
	if v.r.Method == http.MethodPost {
		f.Secret = v.r.PostForm.Get("secretChoice")
	}
	if refused != nil && refused.Field == "secret" {
		f.Own.Error = v.Explain(refused)
	}
	return v.show(status, page{Title: "receivers.new", Template: "receivers/new", Section: "receiver", Pane: true, Data: f})
}

// receiverFields are what a receiver can be told, as it is or as it was sent, with what the API refuses of it.
func (v *visit) receiverFields(r *receiver, refused *apiError) []field {
	list := []field{
		{Name: "name", Type: "text", Value: r.Name, Optional: true},
		{Name: "status", Type: "number", Narrow: true, Value: strconv.Itoa(r.Status), Min: "200", Max: "599"},
		{Name: "delayMs", Type: "number", Narrow: true, Value: strconv.Itoa(int(r.DelayMs)), Min: "0", Max: "10000"},
	}
	for i := range list {
		f := &list[i]
		f.Label = v.T("receivers.field." + f.Name)
		if v.words.has("receivers.hint." + f.Name) {
			f.Hint = v.T("receivers.hint." + f.Name)
		}
		if v.r.Method == http.MethodPost {
			f.Value = v.r.PostForm.Get(f.Name)
		}
		if refused != nil && (refused.Field == f.Name || i == 0 && refused.Field == "") {
			f.Error = v.Explain(refused)
		}
	}
	return list
}

// receiverBody is what the form tells a receiver.
func (v *visit) receiverBody() map[string]any {
	value := func(name string) string { return strings.TrimSpace(v.r.PostForm.Get(name)) }
	return map[string]any{"name": value("name"), "status": numberOf(value("status")), "delayMs": numberOf(value("delayMs"))}
}

// createReceiver makes a receiver. A secret that was drawn is shown this once.
func createReceiver(v *visit) error {
	body, drawn := v.receiverBody(), ""
	switch v.r.PostForm.Get("secretChoice") {
	case "generate":
		drawn = payload.NewSecret().Reveal()
		body["secret"] = drawn
	case "own":
		body["secret"] = v.r.PostForm.Get("secret")
	}
	var made receiver
	if err := v.post("/receivers", body, &made); err != nil {
		if refused, ok := asRefusal(err, http.StatusBadRequest); ok {
			return v.showReceiverForm(http.StatusUnprocessableEntity, refused)
		}
		return err
	}
	if drawn == "" {
		return v.redirect("/receivers/" + made.Token)
	}
	return v.show(http.StatusOK, page{
		Title: "receivers.made", Template: "receivers/made", Section: "receiver", Pane: true,
		Data: madeReceiver{Receiver: &made, Secret: drawn},
	})
}

type madeReceiver struct {
	Receiver *receiver
	Secret   string
}

// arrival is a request that a receiver was sent.
type arrival struct {
	Number     int64             `json:"number"`
	At         moment            `json:"at"`
	Via        string            `json:"via"`
	Method     string            `json:"method"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	Binary     bool              `json:"binary"`
	BodyBytes  int64             `json:"bodyBytes"`
	Truncated  bool              `json:"truncated"`
	Signatures []signature       `json:"signatures"`
	Verified   bool              `json:"verified"`
	Answered   answering         `json:"answered"`
}

// signature is one signature of a request, and whether it holds.
type signature struct {
	Header   string `json:"header"`
	Verified bool   `json:"verified"`
	Reason   string `json:"reason"`
}

// Why is why it does not hold, as a sentence.
func (s signature) Why() string { return sentence(s.Reason) }

// Verdict is what is to be said of the signatures together: good, bad or none.
func (a *arrival) Verdict() string {
	switch {
	case len(a.Signatures) == 0:
		return "none"
	case a.Verified:
		return "good"
	}
	return "bad"
}

// HeaderList are the headers by name.
func (a *arrival) HeaderList() []pair { return pairsOf(a.Headers) }

// Pretty is the body to read.
func (a *arrival) Pretty() string { return readable(a.Body) }

// Subject is what the request is about, as far as headers tell: the id of what was sent.
func (a *arrival) Subject() string { return a.Headers["Webhook-Id"] }

// watch is what has arrived since the last look.
type watch struct {
	Token    string
	Received int64
	After    int64 // the number of the newest that was shown
	Arrivals []*arrival
	Gone     bool
}

func (v *visit) arrivals(token string, after int64) (*watch, error) {
	var got struct {
		Received int64      `json:"received"`
		Data     []*arrival `json:"data"`
	}
	query := url.Values{"after": {strconv.FormatInt(after, 10)}}
	if err := v.get(receiverPath(token, "requests"), query, &got); err != nil {
		return nil, err
	}
	w := &watch{Token: token, Received: got.Received, After: after, Arrivals: got.Data}
	if len(got.Data) > 0 {
		w.After = got.Data[0].Number
	}
	return w, nil
}

// receiverPage is a receiver and what it was sent.
type receiverPage struct {
	Receiver *receiver
	Fields   []field
	Secret   field
	Watch    *watch
}

func showReceiver(v *visit) error { return v.showReceiver(http.StatusOK, nil) }

func (v *visit) showReceiver(status int, refused *apiError) error {
	r := new(receiver)
	if err := v.get(receiverPath(v.r.PathValue("receiver")), nil, r); err != nil {
		return err
	}
	w, err := v.arrivals(r.Token, 0)
	if err != nil {
		return err
	}
	shown := receiverPage{Receiver: r, Watch: w, Fields: v.receiverFields(r, refused), Secret: field{
		Name: "secret", Type: "password", Label: v.T("receivers.field.secret"), Hint: v.T("receivers.hint.secret"), Optional: true,
	}}
	if refused != nil && refused.Field == "secret" {
		shown.Secret.Error = v.Explain(refused)
	}
	// The form of a webhook opens beside it, and has a name and a secret, too.
	shown.Secret.Prefix = "receiver-"
	for i := range shown.Fields {
		shown.Fields[i].Prefix = "receiver-"
	}
	if v.target() == "receiver-settings" {
		return v.part(status, "receiver/settings", shown)
	}
	return v.show(status, page{Title: "receivers.one", Template: "receiver", Section: "receiver", Data: shown})
}

// changeReceiver has a receiver answer otherwise from now on, or check by another secret.
func changeReceiver(v *visit) error {
	body := v.receiverBody()
	switch secret := v.r.PostForm.Get("secret"); {
	case v.r.PostForm.Get("forget") == "true":
		body["secret"] = ""
	case secret != "":
		body["secret"] = secret
	}
	token := v.r.PathValue("receiver")
	if err := v.call(http.MethodPatch, receiverPath(token), nil, body, nil); err != nil {
		if refused, ok := asRefusal(err, http.StatusBadRequest); ok {
			return v.showReceiver(http.StatusUnprocessableEntity, refused)
		}
		return err
	}
	v.say("good", v.T("receivers.saved"))
	return v.redirect("/receivers/" + url.PathEscape(token))
}

// watchReceiver answers the page that watches with what has come since: nothing at all while nothing has.
func watchReceiver(v *visit) error {
	token := v.r.PathValue("receiver")
	after, _ := strconv.ParseInt(v.r.URL.Query().Get("after"), 10, 64) // anything else is from the beginning
	w, err := v.arrivals(token, after)
	if _, gone := asRefusal(err, http.StatusNotFound); gone {
		return v.part(http.StatusOK, "receiver/watch", watch{Gone: true})
	}
	if err != nil {
		return err
	}
	if len(w.Arrivals) == 0 {
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return v.part(http.StatusOK, "receiver/watch", w)
}

func askReceiverDeletion(v *visit) error {
	r := new(receiver)
	if err := v.get(receiverPath(v.r.PathValue("receiver")), nil, r); err != nil {
		return err
	}
	return v.show(http.StatusOK, page{Title: "receivers.delete", Template: "receiver/delete", Section: "receiver", Pane: true, Data: r})
}

func deleteReceiver(v *visit) error {
	if err := v.call(http.MethodDelete, receiverPath(v.r.PathValue("receiver")), nil, nil, nil); err != nil {
		return err
	}
	v.say("good", v.T("receivers.deleted"))
	return v.redirect("/receivers")
}
