package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/payload"
	"portalhook/triggers"
)

// Bounds of a webhook's secret on this surface, in characters.
const (
	minSecret = 32
	maxSecret = 64
)

// defaultOrigin is the origin of a webhook whose creator did not say.
const defaultOrigin = "api"

// draft is a webhook that is being read from a body.
type draft struct {
	server *Server
	w      *triggers.Webhook
	// before is the stored webhook; nil while one is created.
	before *triggers.Webhook
	// kept is the text that stands for a secret that stays as it is; empty where there is no such text. It is drawn for each patch.
	kept string
	// keepsHeader is true when an encrypted header keeps its stored value.
	keepsHeader bool
	keepsSecret bool                      // the body said secretKeyAdded
	repeated    map[string]jsontext.Value // what the body says of the members that only the server sets
	// cloudEvents is enableCloudEventDelivery of a replacement that does not say it.
	cloudEvents bool
}

// member reads one member of a webhook's body into the draft.
type member func(d *draft, field string, value jsontext.Value) error

// members are all that a body may set.
var members = map[string]member{
	"name":        text(func(w *triggers.Webhook) *string { return &w.Name }),
	"description": text(func(w *triggers.Webhook) *string { return &w.Description }),
	"url":         text(func(w *triggers.Webhook) *string { return &w.URL }),
	"ownerId":     text(func(w *triggers.Webhook) *string { return &w.OwnerID }),
	"filter":      (*draft).readFilter,
	"level":       (*draft).readLevel,
	"eventTypes":  (*draft).readTriggers,
	"enabled":     flag(func(w *triggers.Webhook) *bool { return &w.Enabled }),
	"ordered":     flag(func(w *triggers.Webhook) *bool { return &w.Ordered }),
	"checkCertificateRevocation": flag(func(w *triggers.Webhook) *bool {
		return &w.CheckCertificateRevocation
	}),
	"enableCloudEventDelivery": flag(func(w *triggers.Webhook) *bool { return &w.EnableCloudEventDelivery }),
	"plainSecretHeader":        flag(func(w *triggers.Webhook) *bool { return &w.PlainSecretHeader }),
	"timeoutSeconds":           number(func(w *triggers.Webhook) *int { return &w.TimeoutSeconds }),
	"rateLimit":                number(func(w *triggers.Webhook) *int { return &w.RateLimit }),
	"secret":                   (*draft).readSecret,
	"headers":                  (*draft).readHeaders,
	"encryptedHeaders":         (*draft).readEncryptedHeaders,
	"origin":                   (*draft).readOrigin,
	"format":                   (*draft).readFormat,
	"retry":                    (*draft).readRetry,
	"deactivationPolicy":       (*draft).readPolicy,
	"contentType":              text(func(w *triggers.Webhook) *string { return &w.ContentType }),
	"payloadFormat":            (*draft).readPayloadFormat,
	"schedule":                 (*draft).readSchedule,
	"probe":                    flag(func(w *triggers.Webhook) *bool { return &w.Probe }),
	"crcCheck":                 flag(func(w *triggers.Webhook) *bool { return &w.CRCCheck }),
}

// decodeNew reads the body of a create into w, which has its id, its dates and the level it gets when the body says none.
func (s *Server) decodeNew(w *triggers.Webhook, body jsontext.Value) error {
	w.Origin = defaultOrigin
	w.EnableCloudEventDelivery = true
	d := draft{server: s, w: w}
	return d.read(body)
}

// decodeWhole reads a body that replaces w: what it leaves out goes back to its default, but for what an older client cannot know of
// (plainSecretHeader), what a body cannot set (rotated secrets) and for enableCloudEventDelivery, which is false on the core prefix,
// while on the older one, whose clients may not know of it, it stays.
func (s *Server) decodeWhole(w *triggers.Webhook, body jsontext.Value, level triggers.Level, core bool) error {
	before := *w
	w.Level = level
	d := draft{server: s, w: w, before: &before, cloudEvents: before.EnableCloudEventDelivery && !core}
	return d.replace(body)
}

// replace empties the draft's webhook of all that a body sets, and reads the body.
func (d *draft) replace(body jsontext.Value) error {
	old := d.before
	*d.w = triggers.Webhook{
		Key: old.Key, ID: old.ID, Tenant: old.Tenant, Revision: old.Revision, Origin: old.Origin, Level: d.w.Level,
		DisabledReason: old.DisabledReason, DisabledReasonCode: old.DisabledReasonCode, DisabledAt: old.DisabledAt,
		EnabledReason: old.EnabledReason, EnabledAt: old.EnabledAt,
		EnableCloudEventDelivery: d.cloudEvents, PlainSecretHeader: old.PlainSecretHeader,
		CreatedAt: old.CreatedAt, UpdatedAt: old.UpdatedAt, CreatedBy: old.CreatedBy, UpdatedBy: old.UpdatedBy,
	}
	if err := d.read(body); err != nil {
		return err
	}
	if d.keepsHeader && d.w.URL != old.URL {
		return &problem{
			Code: codeReenter, Field: "encryptedHeaders", Index: -1,
			Detail: "with another url, give every encrypted header its value again, or remove it",
		}
	}
	if old.EnableCloudEventDelivery && !d.w.EnableCloudEventDelivery {
		return &problem{
			Code: codeOneWay, Field: "enableCloudEventDelivery", Index: -1,
			Detail: "a webhook that has it once keeps it: say true, or make another webhook; a format other than auto chooses its form all the same",
		}
	}
	if d.w.Secret == old.Secret {
		d.w.OldSecrets = old.OldSecrets
	}
	return nil
}

// read fills the draft from a body, and judges the result as one. The level stays where the body says none.
func (d *draft) read(body jsontext.Value) error {
	d.w.Format, d.w.ContentType = triggers.FormatAuto, triggers.ContentTypeJSON
	d.w.Retry = triggers.Retry{Profile: triggers.RetryStandard}
	seen := map[string]bool{}
	err := eachMember(body, "", func(name string, value jsontext.Value) error {
		seen[name] = true
		if read, ok := members[name]; ok {
			return read(d, name, value)
		}
		return d.readRepeated(name, value)
	})
	if err != nil {
		return err
	}
	if err := d.judgeRepeated(); err != nil {
		return err
	}
	for _, needed := range []string{"name", "url"} {
		if !seen[needed] {
			return triggers.Invalid(triggers.CodeRequired, needed, "a webhook needs a %s", needed)
		}
	}
	if d.keepsSecret && !seen["secret"] && d.before != nil {
		d.w.Secret = d.before.Secret
	}
	d.settleOwner()
	return d.w.Validate(d.server.targetsFor(d.w))
}

// unknownMember refuses a member that no body may have, and proposes the one that was probably meant.
func unknownMember(name string) error {
	for known := range members {
		if strings.EqualFold(known, name) {
			return triggers.Invalid(triggers.CodeUnknownField, name, "a webhook has no member %q; did you mean %q?", name, known)
		}
	}
	return triggers.Invalid(triggers.CodeUnknownField, name, "a webhook has no member %q", name)
}

func text(of func(w *triggers.Webhook) *string) member {
	return func(d *draft, field string, value jsontext.Value) (err error) {
		*of(d.w), err = textOf(field, value)
		return err
	}
}

func flag(of func(w *triggers.Webhook) *bool) member {
	return func(d *draft, field string, value jsontext.Value) (err error) {
		*of(d.w), err = boolOf(field, value)
		return err
	}
}

func number(of func(w *triggers.Webhook) *int) member {
	return func(d *draft, field string, value jsontext.Value) (err error) {
		*of(d.w), err = intOf(field, value)
		return err
	}
}

func (d *draft) readLevel(field string, value jsontext.Value) error {
	level, err := textOf(field, value)
	d.w.Level = triggers.Level(level)
	return err
}

func (d *draft) readFilter(field string, value jsontext.Value) error {
	filter, err := textOf(field, value)
	if err != nil {
		return err
	}
	return d.w.SetFilter(filter)
}

// settleOwner fills in the owner that a body left out: of user level the one it had, else who made it. One that goes over to tenant
// level loses the owner it had.
func (d *draft) settleOwner() {
	hadOwner := d.before != nil && d.before.OwnerID != ""
	switch {
	case d.w.Level == triggers.UserLevel && d.w.OwnerID == "" && hadOwner:
		d.w.OwnerID = d.before.OwnerID
	case d.w.Level == triggers.UserLevel && d.w.OwnerID == "":
		d.w.OwnerID = d.w.CreatedBy
	case d.w.Level == triggers.TenantLevel && hadOwner && d.w.OwnerID == d.before.OwnerID:
		d.w.OwnerID = ""
	}
}

func (d *draft) readFormat(field string, value jsontext.Value) error {
	format, err := textOf(field, value)
	if err != nil {
		return err
	}
	d.w.Format = triggers.Format(format)
	return nil
}

// readOrigin takes the origin at creation; later it is read-only.
func (d *draft) readOrigin(field string, value jsontext.Value) error {
	origin, err := textOf(field, value)
	switch {
	case err != nil:
		return err
	case d.before != nil && origin != d.before.Origin:
		return &problem{Code: codeReadOnly, Field: field, Index: -1, Detail: "the origin is fixed when a webhook is created"}
	case origin == "":
		return triggers.Invalid(triggers.CodeRequired, field, "the origin is empty; leave the member out for %s", defaultOrigin)
	}
	d.w.Origin = origin
	return nil
}

// readTriggers parses the triggers; they come back in the catalogue's spelling.
func (d *draft) readTriggers(field string, value jsontext.Value) error {
	texts, err := textsOf(field, value)
	if err != nil {
		return err
	}
	d.w.Triggers, err = d.server.config.Catalog.ParseTriggers(field, texts)
	return err
}

func (d *draft) readSecret(field string, value jsontext.Value) error {
	secret, err := textOf(field, value)
	if err != nil {
		return err
	}
	if d.kept != "" && secret == d.kept {
		d.w.Secret = d.before.Secret
		return nil
	}
	d.w.Secret = triggers.NewSecret(secret)
	if d.w.Secret.IsZero() {
		return nil
	}
	return checkSecret(d.w.Secret)
}

// checkSecret is the rule of this surface, wherever a webhook is given a secret.
func checkSecret(secret triggers.Secret) error {
	if err := triggers.CheckSecretLength(secret, minSecret, maxSecret); err != nil {
		return err
	}
	return payload.CheckSecret(secret)
}

func (d *draft) readHeaders(field string, value jsontext.Value) (err error) {
	d.w.Headers, err = headersOf(field, value)
	return err
}

// readEncryptedHeaders takes an object of names and values, which sets them, or an array of names as a GET shows it, which keeps
// their stored values.
func (d *draft) readEncryptedHeaders(field string, value jsontext.Value) error {
	if value.Kind() == jsontext.KindBeginArray {
		names, err := textsOf(field, value)
		if err != nil {
			return err
		}
		d.w.EncryptedHeaders = nil
		for i, name := range names {
			if err := d.keepHeader(field+"["+strconv.Itoa(i)+"]", name); err != nil {
				return err
			}
		}
		return nil
	}
	given, err := headersOf(field, value)
	if err != nil {
		return err
	}
	d.w.EncryptedHeaders = nil
	for _, h := range given {
		if d.kept != "" && h.Value.Reveal() == d.kept {
			if err := d.keepHeader(field+"."+h.Name, h.Name); err != nil {
				return err
			}
			continue
		}
		d.w.EncryptedHeaders = append(d.w.EncryptedHeaders, h)
	}
	return nil
}

// keepHeader takes an encrypted header over from the stored webhook.
func (d *draft) keepHeader(field, name string) error {
	if d.before != nil {
		for _, h := range d.before.EncryptedHeaders {
			if strings.EqualFold(h.Name, name) {
				d.w.EncryptedHeaders = append(d.w.EncryptedHeaders, h)
				d.keepsHeader = true
				return nil
			}
		}
	}
	return triggers.Invalid(triggers.CodeOutOfRange, field, "no value is stored for the encrypted header %q; give an object of names and values", name)
}

// readRetry takes a profile's name or a list of waits such as ["0s","5s","5m"].
func (d *draft) readRetry(field string, value jsontext.Value) error {
	if value.Kind() != jsontext.KindBeginArray {
		text, err := textOf(field, value)
		if err != nil {
			return triggers.Invalid(triggers.CodeWrongType, field, `retry must be standard, portal, once, or a list of waits such as ["0s","5s","5m"]`)
		}
		d.w.Retry = triggers.Retry{Profile: triggers.RetryProfile(text)}
		if d.w.Retry.Profile == triggers.RetryList {
			return triggers.Invalid(triggers.CodeOutOfRange, field, `give the list itself, such as ["0s","5s","5m"]`)
		}
		return nil
	}
	texts, err := textsOf(field, value)
	if err != nil {
		return err
	}
	d.w.Retry = triggers.Retry{Profile: triggers.RetryList}
	for i, text := range texts {
		wait, err := time.ParseDuration(text)
		if err != nil {
			return triggers.Invalid(triggers.CodeOutOfRange, fmt.Sprintf("%s[%d]", field, i), "%q is not a wait such as 0s, 5s, 5m or 2h", text)
		}
		d.w.Retry.Waits = append(d.w.Retry.Waits, wait)
	}
	return nil
}

// readPolicy takes {"numberOfFailures","daysInPast"}; null goes back to the standard rule.
func (d *draft) readPolicy(field string, value jsontext.Value) error {
	d.w.Deactivation = nil
	if value.Kind() == jsontext.KindNull {
		return nil
	}
	var policy triggers.DeactivationPolicy
	seen := 0
	err := eachMember(value, field, func(name string, value jsontext.Value) (err error) {
		seen++
		switch name {
		case "numberOfFailures":
			policy.NumberOfFailures, err = intOf(field+"."+name, value)
		case "daysInPast":
			policy.DaysInPast, err = intOf(field+"."+name, value)
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, field+"."+name, "a deactivation policy has numberOfFailures and daysInPast only")
		}
		return err
	})
	if err != nil {
		return err
	}
	if seen != 2 {
		return triggers.Invalid(triggers.CodeRequired, field, "a deactivation policy needs numberOfFailures and daysInPast")
	}
	d.w.Deactivation = &policy
	return nil
}
