package web

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// What a portal has of a webhook whose client does not say.
const (
	defaultFailures    = 5
	defaultFailureDays = 5
)

func defaultPolicy() *triggers.DeactivationPolicy {
	return &triggers.DeactivationPolicy{NumberOfFailures: defaultFailures, DaysInPast: defaultFailureDays}
}

// form is a webhook that is being read from parameters.
type form struct {
	*parameters
	server *Server
	w      *triggers.Webhook
	// before is the stored webhook; nil while one is created.
	before *triggers.Webhook
}

// foreign are parameters of service webhooks, which a portal has no place for in its organisation's: taken and passed over they would make
// another webhook than was asked for.
var foreign = map[string]string{
	"hookUrl": "url", "signatureKey": "secret", "active": "isActive", "changeTypes": "events", "payloadUrl": "url", "payloadFormat": "", "contentType": "", "scheduleInfo": "",
}

// read fills the webhook, and judges the result as one. What is not given stays.
func (f *form) read() error {
	for name, instead := range foreign {
		if f.body.Has(name) || f.query.Has(name) {
			if instead == "" {
				return triggers.Invalid(triggers.CodeUnknownField, name, "only webhooks of services have %s", name)
			}
			return triggers.Invalid(triggers.CodeUnknownField, name, "an organisation webhook has no %s; it has %s", name, instead)
		}
	}
	for _, read := range []func() error{
		func() error { return f.text("name", &f.w.Name) }, func() error { return f.text("url", &f.w.URL) },
		func() error { return f.readSecret("secret") }, f.readConfig, f.readEvents, func() error { return f.flag("isActive", &f.w.Enabled) },
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return inForm(f.w.Validate(f.server.targetsFor(f.w)), formFields)
}

func (f *form) text(name string, to *string) error {
	text, given, err := f.get(name)
	if given {
		*to = text
	}
	return err
}

// readSecret keeps the secret that stands hidden in an answer, and takes away the one whose place is empty. A secret that was rotated out
// goes with the one that took its place.
func (f *form) readSecret(name string) error {
	text, given, err := f.get(name)
	switch {
	case err != nil || !given:
		return err
	case text == omitted && f.before != nil:
		return nil
	case text == omitted:
		return triggers.Invalid(triggers.CodeNotAllowed, name, "%s stands for a secret that is not shown; give the secret itself, or leave it out", omitted)
	}
	secret := triggers.NewSecret(text)
	if secret != f.w.Secret {
		f.w.Secret, f.w.OldSecrets = secret, nil
	}
	return nil
}

// readConfig reads {"deactivationPolicy":{…},"properties":{…}}. What is left out stays: clients that do not know of properties do not send
// them back.
func (f *form) readConfig() error {
	config, err := f.json("config")
	if err != nil || config == nil {
		return err
	}
	return eachMember(config, "config", func(name string, value jsontext.Value) error {
		field := "config." + name
		switch {
		case name != "deactivationPolicy" && name != "properties":
			return triggers.Invalid(triggers.CodeUnknownField, field, "config has deactivationPolicy and properties only")
		case value.Kind() == jsontext.KindNull:
			return nil
		case name == "properties":
			return f.readProperties(field, value)
		}
		return f.readPolicy(field, value)
	})
}

// readPolicy takes a number that is missing from what there was. Both at 0 are how the standard rule is printed, and mean it.
func (f *form) readPolicy(field string, value jsontext.Value) error {
	policy := *defaultPolicy()
	if f.w.Deactivation != nil {
		policy = *f.w.Deactivation
	}
	err := eachMember(value, field, func(name string, value jsontext.Value) (err error) {
		switch name {
		case "numberOfFailures":
			policy.NumberOfFailures, err = looseIntOf(field+"."+name, value)
		case "daysInPast":
			policy.DaysInPast, err = looseIntOf(field+"."+name, value)
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, field+"."+name, "a deactivation policy has numberOfFailures and daysInPast only")
		}
		return err
	})
	if err != nil {
		return err
	}
	f.w.Deactivation = &policy
	if policy == (triggers.DeactivationPolicy{}) {
		f.w.Deactivation = nil
	}
	return nil
}

// looseIntOf reads a whole number, also one that stands in a string, as a portal itself prints some.
func looseIntOf(field string, value jsontext.Value) (int, error) {
	if value.Kind() == jsontext.KindString {
		if text, err := textOf(field, value); err == nil {
			if n, err := strconv.ParseInt(text, 10, 32); err == nil {
				return int(n), nil
			}
		}
	}
	return intOf(field, value)
}

// readProperties reads what receivers of a kind of their own need.
func (f *form) readProperties(field string, value jsontext.Value) error {
	return eachMember(value, field, func(name string, value jsontext.Value) (err error) {
		switch name {
		case "plainSecretHeader":
			f.w.PlainSecretHeader, err = boolOf(field+"."+name, value)
			return err
		case "federatedServer":
			return triggers.Invalid(triggers.CodeNotSupported, field+"."+name, "there is no federated Notebook Server here to derive a receiver from; give its url")
		}
		return triggers.Invalid(triggers.CodeUnknownField, field+"."+name, "the properties have plainSecretHeader only")
	})
}

// readEvents reads what is subscribed: everything, or the URIs in events.
func (f *form) readEvents() error {
	changes, _, err := f.get("changes")
	if err != nil {
		return err
	}
	texts, err := f.list("events", "URIs")
	if err != nil {
		return err
	}
	switch {
	case strings.EqualFold(changes, "allChanges"):
		texts = []string{"/"}
	case changes != "" && !strings.EqualFold(changes, "manualChanges"):
		return triggers.Invalid(triggers.CodeOutOfRange, "changes", "changes is allChanges or manualChanges, not %q", changes)
	case len(texts) > 0:
	case f.before != nil && changes == "" && !f.given("events"):
		return nil
	default:
		return triggers.Invalid(triggers.CodeRequired, "events", "events is a comma list or a JSON array of trigger URIs, such as /items,/users; for everything send changes=allChanges")
	}
	f.w.Triggers, err = f.server.parsePortalTriggers(texts)
	return err
}

// given reports whether a parameter has any value but those for want of one.
func (f *form) given(name string) bool {
	_, given, err := f.get(name)
	return given || err != nil
}

// list are the texts in a parameter, as they were written: comma lists or JSON arrays, in one parameter or in several.
func (f *form) list(name, of string) ([]string, error) {
	var texts []string
	for _, value := range f.all(name) {
		value = strings.TrimSpace(value)
		if !strings.HasPrefix(value, "[") {
			for _, text := range splitList(value) {
				if text = strings.TrimSpace(text); text != nulls[0] && text != nulls[1] {
					texts = append(texts, text)
				}
			}
			continue
		}
		if err := checkJSON(jsontext.Value(value)); err != nil {
			return nil, triggers.Invalid(triggers.CodeNotJSON, name, "%s is neither a comma list of %s nor a JSON array: %s", name, of, problemOf(err).Detail)
		}
		list, err := textsOf(name, jsontext.Value(value))
		if err != nil {
			return nil, err
		}
		texts = append(texts, list...)
	}
	return texts, nil
}

// parsePortalTriggers parses triggers of the portal's own. The error names the nearest one.
func (s *Server) parsePortalTriggers(texts []string) ([]triggers.Trigger, error) {
	for i, text := range texts {
		field := "events[" + strconv.Itoa(i) + "]"
		t, err := s.config.Catalog.ParseTrigger(text)
		if err != nil && !strings.HasPrefix(text, "/") {
			slashed, again := s.config.Catalog.ParseTrigger("/" + text)
			if again == nil && isPortalTrigger(&slashed) {
				return nil, triggers.Invalid(triggers.CodeUnknownTrigger, field, "%q does not begin with a slash; did you mean %s?", text, slashed.Text)
			}
			err = again
		}
		if err != nil {
			return nil, inField(field, err)
		}
		if !isPortalTrigger(&t) {
			return nil, triggers.Invalid(triggers.CodeNotAllowed, field,
				"%s is no trigger of the portal's items, groups, users and roles, such as /items/*/share; webhooks of services have routes of their own, and the JSON API takes every trigger", t.Text)
		}
	}
	return s.config.Catalog.ParseTriggers("events", texts)
}

// otherName is a field's name in the JSON API, and in a form.
type otherName struct{ api, form string }

// formFields are the JSON API's names of what has another one in the form of an organisation webhook.
var formFields = []otherName{{"eventTypes", "events"}, {"deactivationPolicy", "config.deactivationPolicy"}}

// inForm gives an error about a webhook the name that its field has in a form.
func inForm(err error, names []otherName) error {
	if err == nil {
		return nil
	}
	p := problemOf(err)
	for _, name := range names {
		if rest, ok := strings.CutPrefix(p.Field, name.api); ok {
			named := *p
			named.Field = name.form + rest
			return &named
		}
	}
	return err
}
