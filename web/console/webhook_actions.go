package console

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// webhookPath is a webhook's path in the API.
func webhookPath(id string, below ...string) string {
	return strings.Join(append([]string{"/webhooks", url.PathEscape(id)}, below...), "/")
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// maxChosen bounds how many webhooks one form acts on: those of a page.
const maxChosen = 100

// deletion asks whether webhooks shall be deleted.
type deletion struct {
	IDs   []string
	Names []string
	Back  string
}

// actOnWebhooks switches the chosen webhooks on or off or deletes them, one after the other; deletion is asked about first.
func actOnWebhooks(v *visit) error {
	ids, do, back := v.r.PostForm["id"], v.r.PostForm.Get("do"), v.r.PostForm.Get("back")
	if len(ids) == 0 || len(ids) > maxChosen {
		return v.refuse(http.StatusBadRequest, "webhooks.none.chosen")
	}
	var act func(id string) error
	switch do {
	case "enable", "disable":
		act = func(id string) error { return v.post(webhookPath(id, "actions", do), nil, nil) }
	case "delete":
		if v.r.PostForm.Get("confirmed") != "true" {
			return v.askDeletion(ids, back)
		}
		act = func(id string) error { return v.call(http.MethodDelete, webhookPath(id), nil, nil, nil) }
	default:
		return v.refuse(http.StatusBadRequest, "error.form")
	}
	done := 0
	var failed error
	for _, id := range ids {
		if err := act(id); err != nil {
			failed = err
			continue
		}
		done++
	}
	if refused, ok := errors.AsType[*apiError](failed); ok {
		v.say("bad", v.T("webhooks.some", "count", done, "failed", len(ids)-done, "why", v.Explain(refused)))
		return v.redirectTo(back)
	}
	if failed != nil {
		return failed
	}
	v.say("good", v.T("webhooks.done."+do, "count", done))
	return v.redirectTo(back)
}

func (v *visit) askDeletion(ids []string, back string) error {
	d := deletion{IDs: ids, Back: back}
	for _, id := range ids {
		var w webhook
		if err := v.get(webhookPath(id), nil, &w); err != nil {
			return err
		}
		d.Names = append(d.Names, w.Name)
	}
	return v.show(http.StatusOK, page{Title: "webhooks.delete", Template: "webhook/delete", Section: "webhooks", Pane: true, Data: d})
}

// shownSecret is a secret that is shown once.
type shownSecret struct {
	ID, Text, Secret string
	OldUntil         moment // until when older ones sign, too
}

// rotation is the form of another secret.
type rotation struct {
	Webhook *webhook
	Hours   field
	Own     field
}

func askRotation(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	return v.showRotation(http.StatusOK, w, nil)
}

func (v *visit) showRotation(status int, w *webhook, refused *apiError) error {
	r := rotation{
		Webhook: w,
		Hours:   field{Name: "validForHours", Type: "number", Label: v.T("field.validForHours"), Hint: v.T("hint.validForHours"), Value: "24", Min: "0", Max: "168"},
		Own:     field{Name: "secret", Type: "password", Label: v.T("field.ownSecret"), Hint: v.T("hint.ownSecret"), Optional: true},
	}
	if refused != nil {
		r.Hours.Value = v.r.PostForm.Get("validForHours")
		at := &r.Own
		if refused.Field == "validForHours" {
			at = &r.Hours
		}
		at.Error = v.Explain(refused)
	}
	return v.show(status, page{Title: "webhooks.rotate", Template: "webhook/rotate", Section: "webhooks", Pane: true, Data: r})
}

func rotateSecret(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	body := map[string]any{"validForHours": numberOf(strings.TrimSpace(v.r.PostForm.Get("validForHours")))}
	if own := v.r.PostForm.Get("secret"); own != "" {
		body["secret"] = own
	}
	var given struct {
		Secret   string `json:"secret"`
		OldUntil moment `json:"oldSecretsValidUntil"`
	}
	if err := v.post(webhookPath(w.ID, "actions", "rotate-secret"), body, &given); err != nil {
		if refused, ok := asRefusal(err, http.StatusBadRequest); ok {
			return v.showRotation(http.StatusUnprocessableEntity, w, refused)
		}
		return err
	}
	return v.show(http.StatusOK, page{
		Title: "webhooks.rotated.title", Template: "webhook/secret", Section: "webhooks", Pane: true,
		Data: shownSecret{ID: w.ID, Text: v.T("webhooks.rotated", "name", w.Name), Secret: given.Secret, OldUntil: given.OldUntil},
	})
}

// trial is the form of a test, and what came of the last one.
type trial struct {
	Webhook *webhook
	Trigger field
	Choices []string
	Result  *exchange
}

func askTest(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	return v.showTest(http.StatusOK, w, nil, nil)
}

func (v *visit) showTest(status int, w *webhook, result *exchange, refused *apiError) error {
	entries, err := v.catalogue()
	if err != nil {
		return err
	}
	t := trial{
		Webhook: w, Choices: slices.Clone(w.EventTypes), Result: result,
		Trigger: field{Name: "trigger", Type: "text", Label: v.T("field.trigger"), Hint: v.T("hint.trigger"), Value: v.r.PostForm.Get("trigger")},
	}
	for _, e := range entries {
		if !slices.Contains(t.Choices, e.Name) {
			t.Choices = append(t.Choices, e.Name)
		}
	}
	if t.Trigger.Value == "" && len(w.EventTypes) > 0 {
		t.Trigger.Value = w.EventTypes[0]
	}
	if refused != nil {
		t.Trigger.Error = v.Explain(refused)
	}
	return v.show(status, page{Title: "webhooks.test", Template: "webhook/test", Section: "webhooks", Pane: true, Data: t})
}

func testWebhook(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	body := map[string]any{}
	if trigger := strings.TrimSpace(v.r.PostForm.Get("trigger")); trigger != "" {
		body["trigger"] = trigger
	}
	var got struct {
		exchange
		attempt
	}
	if err := v.post(webhookPath(w.ID, "actions", "test"), body, &got); err != nil {
		if refused, ok := asRefusal(err, http.StatusBadRequest, http.StatusTooManyRequests); ok {
			return v.showTest(http.StatusUnprocessableEntity, w, nil, refused)
		}
		return err
	}
	got.Attempts = []attempt{got.attempt}
	return v.showTest(http.StatusOK, w, &got.exchange, nil)
}

// exchange is a request and what was answered.
type exchange struct {
	Request struct {
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		Body    jsontext.Value    `json:"body"`
	} `json:"request"`
	Response *struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Body       string            `json:"body"`
		Truncated  bool              `json:"truncated"`
	} `json:"response"`
	Attempts []attempt `json:"attemptLog"`
}

// pair is a row of a list of names and values.
type pair struct{ Name, Value string }

func pairsOf(m map[string]string) []pair {
	list := make([]pair, 0, len(m))
	for _, name := range sortedKeys(m) {
		list = append(list, pair{name, m[name]})
	}
	return list
}

// RequestHeaders are those of the request, by name.
func (e *exchange) RequestHeaders() []pair { return pairsOf(e.Request.Headers) }

// ResponseHeaders are those of the answer, by name.
func (e *exchange) ResponseHeaders() []pair { return pairsOf(e.Response.Headers) }

// Pretty is the request's body to read, Raw as it went out.
func (e *exchange) Pretty() string { return pretty(e.Request.Body) }

// Raw is the request's body as it went out.
func (e *exchange) Raw() string { return string(e.Request.Body) }

// ResponseText is the answer's body, indented when it is JSON.
func (e *exchange) ResponseText() string { return pretty(jsontext.Value(e.Response.Body)) }

// Size is the length of the request's body, in bytes.
func (e *exchange) Size() int { return len(e.Request.Body) }

// Curl is a command that sends the same request again.
func (e *exchange) Curl() string {
	var s strings.Builder
	s.WriteString("curl -X POST " + shellWord(e.Request.URL))
	for _, h := range e.RequestHeaders() {
		s.WriteString(" \\\n  -H " + shellWord(h.Name+": "+h.Value))
	}
	s.WriteString(" \\\n  --data-raw " + shellWord(e.Raw()))
	return s.String()
}

// shellWord quotes a text for a POSIX shell.
func shellWord(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// statusText is a status code as a text; empty for none.
func statusText(code int) string {
	if code == 0 {
		return ""
	}
	return strconv.Itoa(code)
}
