package console

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"portalhook/payload"
)

// webhookForm is the form in which a webhook is made or changed.
type webhookForm struct {
	ID        string // empty: a new one
	Name      string // as it is stored
	Error     string // what is wrong with the whole
	Fields    map[string]field
	Picker    picker
	Headers   []headerRow
	HeaderErr string
	// Secret is what to do about it: of a new one generate, own or none; of another keep or remove.
	Secret      string
	HasSecret   bool
	SeenAt      string // when the webhook was changed last, as the form was opened
	Open        bool   // the further settings are shown
	Enabled     bool
	OwnerChosen bool // of the role user there is no choice
}

// headerRow is one header of the form.
type headerRow struct {
	Name, Value string
	Encrypted   bool
	Kept        bool // encrypted and stored: without another value it stays
}

// Retry schedules and deactivation rules as the form names them.
const (
	ownList   = "list"
	ownPolicy = "own"
)

func newWebhook(v *visit) error {
	fresh := &webhook{Enabled: true, Level: "tenant", Format: "auto", CloudEvents: true, Retry: jsontext.Value(`"standard"`)}
	fresh.URL = v.r.URL.Query().Get("url")
	if trigger := v.r.URL.Query().Get("trigger"); trigger != "" {
		fresh.EventTypes = []string{trigger}
	}
	return v.showForm(http.StatusOK, v.formOf(fresh), "webhooks.new")
}

func editWebhook(v *visit) error {
	w, err := v.readWebhook()
	if err != nil {
		return err
	}
	return v.showForm(http.StatusOK, v.formOf(w), "webhooks.edit")
}

func (v *visit) readWebhook() (*webhook, error) {
	w := new(webhook)
	return w, v.get(webhookPath(v.r.PathValue("webhook")), nil, w)
}

// showForm answers with the form: beside the list, or as a page.
func (v *visit) showForm(status int, f *webhookForm, title string) error {
	var err error
	if f.Picker, err = v.picker(f.Picker.Text, f.Fields["level"].Value, f.Picker.Error); err != nil {
		return err
	}
	return v.show(status, page{Title: title, Template: "webhook/form", Section: "webhooks", Pane: true, Data: f})
}

// formOf fills the form from a webhook.
func (v *visit) formOf(w *webhook) *webhookForm {
	f := &webhookForm{
		ID: w.ID, Name: w.Name, Picker: picker{Text: strings.Join(w.EventTypes, "\n")}, Secret: "generate", HasSecret: w.SecretKeyAdded,
		Enabled: w.Enabled, OwnerChosen: v.May("administer"),
	}
	if w.ID != "" {
		// As the API writes it, whatever digits the milliseconds end in: a patch's test compares texts.
		f.Secret, f.SeenAt = "keep", w.UpdatedAt.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	for _, name := range sortedKeys(w.Headers) {
		f.Headers = append(f.Headers, headerRow{Name: name, Value: w.Headers[name]})
	}
	for _, name := range w.EncryptedHeaders {
		f.Headers = append(f.Headers, headerRow{Name: name, Encrypted: true, Kept: true})
	}
	retry, waits := retryOf(w.Retry)
	policy, failures, days := "standard", "", ""
	if w.DeactivationPolicy != nil {
		policy, failures, days = ownPolicy, strconv.Itoa(w.DeactivationPolicy.NumberOfFailures), strconv.Itoa(w.DeactivationPolicy.DaysInPast)
	}
	v.setFields(f, map[string]string{
		"name": w.Name, "description": w.Description, "url": w.URL, "enabled": strconv.FormatBool(w.Enabled), "level": w.Level, "ownerId": w.OwnerID,
		"filter": w.Filter, "format": w.Format, "cloudEvents": strconv.FormatBool(w.CloudEvents), "retry": retry, "waits": waits, "policy": policy,
		"numberOfFailures": failures, "daysInPast": days, "ordered": strconv.FormatBool(w.Ordered), "timeoutSeconds": numberOrNone(w.TimeoutSeconds),
		"rateLimit": numberOrNone(w.RateLimit), "probe": strconv.FormatBool(w.Probe),
	})
	return f
}

// setFields makes the form's fields of their values.
func (v *visit) setFields(f *webhookForm, values map[string]string) {
	f.Fields = make(map[string]field, len(values))
	for _, made := range []field{
		{Name: "name", Type: "text", Required: true},
		{Name: "description", Type: "text", Optional: true},
		{Name: "url", Type: "url", Required: true, Placeholder: "https://"},
		{Name: "enabled", Type: "check"},
		{Name: "level", Type: "select", Narrow: true, Options: v.options("level", "tenant", "user")},
		{Name: "ownerId", Type: "text", Narrow: true},
		{Name: "filter", Type: "text", Optional: true},
		{Name: "format", Type: "select", Narrow: true, Options: v.options("format.form", "auto", "portal", "cloudevents", "hybrid", "legacy")},
		{Name: "cloudEvents", Type: "check", Narrow: true},
		{Name: "retry", Type: "select", Narrow: true, Options: v.options("retry", "standard", "portal", "once", ownList)},
		{Name: "waits", Type: "text", Narrow: true, Placeholder: "0s, 5s, 5m"},
		{Name: "policy", Type: "select", Options: v.options("policy", "standard", ownPolicy)},
		{Name: "numberOfFailures", Type: "number", Narrow: true, Min: "1", Max: "100"},
		{Name: "daysInPast", Type: "number", Narrow: true, Min: "1", Max: "30"},
		{Name: "timeoutSeconds", Type: "number", Narrow: true, Min: "0", Max: "60", Placeholder: "0"},
		{Name: "rateLimit", Type: "number", Narrow: true, Min: "0", Placeholder: "0"},
		{Name: "probe", Type: "check"},
		{Name: "ordered", Type: "check"},
	} {
		made.Value = values[made.Name]
		made.Label = v.T("field." + made.Name)
		if v.words.has("hint." + made.Name) {
			made.Hint = v.T("hint." + made.Name)
		}
		f.Fields[made.Name] = made
	}
}

// retryOf reads a retry schedule: a profile's name, or a list of waits.
func retryOf(value jsontext.Value) (profile, waits string) {
	var list []string
	if json.Unmarshal(value, &list) == nil {
		return ownList, strings.Join(list, ", ")
	}
	if json.Unmarshal(value, &profile) != nil {
		return "standard", ""
	}
	return profile, ""
}

func numberOrNone(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// readForm reads a form that was sent, for a webhook as it is stored now.
func (v *visit) readForm(stored *webhook) *webhookForm {
	sent := v.r.PostForm
	f := &webhookForm{
		ID: stored.ID, Name: stored.Name, Picker: picker{Text: sent.Get("eventTypes")}, Secret: sent.Get("secretChoice"), HasSecret: stored.SecretKeyAdded,
		SeenAt: sent.Get("seenAt"), Enabled: stored.Enabled, OwnerChosen: v.May("administer"),
	}
	kept := stored.EncryptedHeaders
	names, texts, kinds := sent["headerName"], sent["headerValue"], sent["headerKind"]
	for i := range min(len(names), len(texts), len(kinds)) {
		if names[i] == "" && texts[i] == "" {
			continue
		}
		row := headerRow{Name: strings.TrimSpace(names[i]), Value: texts[i], Encrypted: kinds[i] == "encrypted"}
		row.Kept = row.Encrypted && slices.ContainsFunc(kept, func(name string) bool { return strings.EqualFold(name, row.Name) })
		f.Headers = append(f.Headers, row)
	}
	values := make(map[string]string)
	for name := range sent {
		values[name] = strings.TrimSpace(sent.Get(name))
	}
	v.setFields(f, values)
	return f
}

// settings are the members that the form sets, as the API takes them; encrypted headers and the secret are not among them.
func (f *webhookForm) settings() map[string]any {
	value := func(name string) string { return f.Fields[name].Value }
	headers := map[string]string{}
	for _, row := range f.Headers {
		if !row.Encrypted {
			headers[row.Name] = row.Value
		}
	}
	set := map[string]any{
		"name": value("name"), "description": value("description"), "url": value("url"), "eventTypes": f.Picker.lines(), "enabled": value("enabled") == "true",
		"filter": value("filter"), "format": value("format"), "enableCloudEventDelivery": value("cloudEvents") == "true", "ordered": value("ordered") == "true",
		"timeoutSeconds": numberOf(value("timeoutSeconds")), "rateLimit": numberOf(value("rateLimit")), "headers": headers, "retry": value("retry"),
		"probe": value("probe") == "true",
	}
	if value("retry") == ownList {
		set["retry"] = splitWaits(value("waits"))
	}
	if f.OwnerChosen {
		set["level"], set["ownerId"] = value("level"), ""
		if value("level") == "user" {
			set["ownerId"] = value("ownerId")
		}
	}
	if value("policy") == ownPolicy {
		set["deactivationPolicy"] = map[string]any{"numberOfFailures": numberOf(value("numberOfFailures")), "daysInPast": numberOf(value("daysInPast"))}
	}
	return set
}

// numberOf is the number that a text spells, 0 of an empty one. Any other text stays one, for the API to refuse by its name.
func numberOf(text string) any {
	if text == "" {
		return 0
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return text
}

func splitWaits(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == ';' || r == '\n' })
}

// createWebhook makes a webhook. A secret that was drawn is shown this once.
func createWebhook(v *visit) error {
	f := v.readForm(&webhook{})
	body := f.settings()
	body["origin"] = "management-console"
	encrypted := map[string]string{}
	for _, row := range f.Headers {
		if row.Encrypted {
			encrypted[row.Name] = row.Value
		}
	}
	body["encryptedHeaders"] = encrypted
	drawn := ""
	switch f.Secret {
	case "generate":
		drawn = payload.NewSecret().Reveal()
		body["secret"] = drawn
	case "own":
		body["secret"] = v.r.PostForm.Get("secret")
	}
	var made webhook
	if err := v.post("/webhooks", body, &made); err != nil {
		return v.refuseForm(f, err, "webhooks.new")
	}
	if drawn != "" {
		return v.show(http.StatusOK, page{
			Title: "webhooks.made.title", Template: "webhook/secret", Section: "webhooks", Pane: true,
			Data: shownSecret{ID: made.ID, Text: v.T("webhooks.made", "name", made.Name), Secret: drawn},
		})
	}
	v.say("good", v.T("webhooks.made", "name", made.Name))
	return v.redirect("/webhooks")
}

// updateWebhook changes what the form sets, unless somebody else has changed the webhook since the form was opened.
func updateWebhook(v *visit) error {
	stored, err := v.readWebhook()
	if err != nil {
		return err
	}
	f := v.readForm(stored)
	if err := v.call(http.MethodPatch, webhookPath(stored.ID), nil, f.patch(stored), nil); err != nil {
		return v.refuseForm(f, err, "webhooks.edit")
	}
	v.say("good", v.T("webhooks.saved", "name", f.Fields["name"].Value))
	return v.redirect("/webhooks/" + stored.ID)
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitzero"`
}

// patch is what the form changes.
func (f *webhookForm) patch(stored *webhook) []operation {
	patch := []operation{{"test", "/updatedAt", f.SeenAt}}
	set := f.settings()
	for _, name := range sortedKeys(set) {
		patch = append(patch, operation{"add", "/" + name, set[name]})
	}
	if _, own := set["deactivationPolicy"]; !own && stored.DeactivationPolicy != nil {
		patch = append(patch, operation{Op: "remove", Path: "/deactivationPolicy"})
	}
	if f.Secret == "remove" {
		patch = append(patch, operation{"add", "/secret", ""})
	}
	at := func(name string) string {
		return string(jsontext.Pointer("/encryptedHeaders").AppendToken(name))
	}
	for _, name := range stored.EncryptedHeaders {
		stays := func(row headerRow) bool { return row.Encrypted && strings.EqualFold(row.Name, name) }
		if !slices.ContainsFunc(f.Headers, stays) {
			patch = append(patch, operation{Op: "remove", Path: at(name)})
		}
	}
	for _, row := range f.Headers {
		if row.Encrypted && (row.Value != "" || !row.Kept) {
			patch = append(patch, operation{"add", at(row.Name), row.Value})
		}
	}
	return patch
}

// fieldsOf says which field of the form shows what the API says of a member.
var fieldsOf = map[string]string{
	"deactivationPolicy": "policy", "deactivationPolicy.numberOfFailures": "numberOfFailures", "deactivationPolicy.daysInPast": "daysInPast",
	"enableCloudEventDelivery": "cloudEvents", "retry": "waits",
}

// refuseForm shows the form again with what the API refuses, beside the field that it names.
func (v *visit) refuseForm(f *webhookForm, err error, title string) error {
	refused, ok := asRefusal(err, http.StatusBadRequest, http.StatusForbidden, http.StatusConflict)
	if !ok {
		return err
	}
	why := v.Explain(refused)
	member, _, _ := strings.Cut(refused.Field, "[")
	name := member
	if known, ok := fieldsOf[name]; ok {
		name = known
	}
	if name == "waits" && f.Fields["retry"].Value != ownList {
		name = "retry"
	}
	head, _, _ := strings.Cut(member, ".")
	switch made, known := f.Fields[name]; {
	case refused.Code == "BAD_PATCH":
		f.Error = v.T("webhooks.changed")
	case head == "eventTypes":
		f.Picker.Error = why
	case head == "headers", head == "encryptedHeaders":
		f.HeaderErr, f.Open = why, true
	case head == "secret":
		f.Fields["secret"] = field{Name: "secret", Error: why}
	case known:
		made.Error = why
		f.Fields[name] = made
		f.Open = slices.Contains(furtherFields, name)
	default:
		f.Error = why
	}
	return v.showForm(http.StatusUnprocessableEntity, f, title)
}

// furtherFields are those behind "further settings".
var furtherFields = []string{"filter", "format", "cloudEvents", "retry", "waits", "policy", "numberOfFailures", "daysInPast", "timeoutSeconds", "rateLimit", "probe", "ordered"}
