package triggers

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of a webhook's settings.
const (
	MaxNameLength        = 512  // characters of Name
	MaxDescriptionLength = 1024 // characters of Description
	MaxHeaderBytes       = 2048 // of names and values, of Headers and of EncryptedHeaders each
	MaxSecretLength      = 256  // characters; surfaces may ask for less
	MaxRetryWaits        = 20
	MaxRetryWait         = 24 * time.Hour
	MaxTimeoutSeconds    = 60
	MaxFailures          = 100 // of DeactivationPolicy.NumberOfFailures
	MaxFailureDays       = 30  // of DeactivationPolicy.DaysInPast
)

// The origins of a webhook; an empty one counts as api.
var origins = []string{"", "api", "automations", "management-console"}

// Validate checks the settings that people make, whole, as they will be stored. The error is a *FieldError with the name that the JSON
// API has for the field. What only a surface can know it checks itself: the bounds of a secret (CheckSecretLength).
func (w *Webhook) Validate(targets Targets) error {
	if err := w.validateTexts(); err != nil {
		return err
	}
	if _, err := targets.CheckURL(w.URL); err != nil {
		return err
	}
	for _, check := range []func() error{w.validateTriggers, w.validateFilter, w.validateHeaders, w.validateRetry, w.validateNumbers} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Webhook) validateTexts() error {
	for _, t := range []struct {
		field, text string
		least, most int
	}{
		{"name", w.Name, 1, MaxNameLength},
		{"description", w.Description, 0, MaxDescriptionLength},
	} {
		if err := checkText(t.field, t.text, t.least, t.most); err != nil {
			return err
		}
	}
	if err := w.validateLevel(); err != nil {
		return err
	}
	switch w.Format {
	case FormatAuto, FormatPortal, FormatLegacy, FormatHybrid, FormatCloudEvents:
	default:
		return Invalid(CodeOutOfRange, "format", "the format is %s, %s, %s, %s or %s, not %q", FormatAuto, FormatPortal, FormatLegacy,
			FormatHybrid, FormatCloudEvents, clip(string(w.Format)))
	}
	if !slices.Contains(origins, w.Origin) {
		return Invalid(CodeOutOfRange, "origin", "the origin is one of %s, not %q", strings.Join(origins[1:], ", "), clip(w.Origin))
	}
	if w.Secret.IsZero() {
		return nil
	}
	if w.PlainSecretHeader && !isHeaderValue(w.Secret.Reveal()) {
		return Invalid(CodeNotAllowed, "secret", "a secret that is also sent in a header must not hold line breaks or other control characters")
	}
	return CheckSecretLength(w.Secret, 1, MaxSecretLength)
}

// checkText checks that a text has from least to most characters.
func checkText(field, text string, least, most int) error {
	switch n := utf8.RuneCountInString(text); {
	case n < least:
		return Invalid(CodeRequired, field, "the %s is missing", field)
	case n > most:
		return Invalid(CodeTooLong, field, "the %s has at most %d characters, not %d", field, most, n)
	case !utf8.ValidString(text):
		return Invalid(CodeOutOfRange, field, "the %s is not UTF-8", field)
	}
	return nil
}

func (w *Webhook) validateLevel() error {
	if err := checkText("ownerId", w.OwnerID, 0, MaxNameCharacters); err != nil {
		return err
	}
	switch w.Level {
	case TenantLevel:
		if w.OwnerID != "" {
			return Invalid(CodeNotAllowed, "ownerId", "only a webhook of user level has an owner")
		}
	case UserLevel:
		if w.OwnerID == "" {
			return Invalid(CodeRequired, "ownerId", "a webhook of user level has an owner")
		}
	default:
		return Invalid(CodeOutOfRange, "level", "the level is %s or %s, not %q", TenantLevel, UserLevel, clip(string(w.Level)))
	}
	return nil
}

// ValidateHearing checks what decides which events a webhook gets: level and owner, triggers, filter. It is the part of Validate that a
// webhook must pass which is only held to events. The error is a *FieldError.
func (w *Webhook) ValidateHearing() error {
	for _, check := range []func() error{w.validateLevel, w.validateTriggers, w.validateFilter} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// CheckSecretLength checks that a secret has from least to most characters. The error is a *FieldError on the field secret and does not
// show it.
func CheckSecretLength(secret Secret, least, most int) error {
	n := utf8.RuneCountInString(secret.Reveal())
	switch {
	case n < least || n > most:
		return Invalid(CodeOutOfRange, "secret", "a secret has from %d to %d characters, not %d", least, most, n)
	case !utf8.ValidString(secret.Reveal()):
		return Invalid(CodeOutOfRange, "secret", "the secret is not UTF-8")
	}
	return nil
}

func (w *Webhook) validateTriggers() error {
	switch n := len(w.Triggers); {
	case n == 0 && w.Enabled:
		return Invalid(CodeRequired, "eventTypes", "an enabled webhook has at least one event type")
	case n > MaxTriggers:
		return Invalid(CodeTooMany, "eventTypes", "a webhook has at most %d event types, not %d", MaxTriggers, n)
	}
	if w.Level != UserLevel {
		return nil
	}
	for i, t := range w.Triggers {
		if t.TenantOnly {
			return Invalid(CodeNotAllowed, fmt.Sprintf("eventTypes[%d]", i), "%s hears events that have no user level, so only webhooks "+
				"of tenant level can have it", t.Text)
		}
	}
	return nil
}

func (w *Webhook) validateFilter() error {
	conditions, err := ParseFilter(w.Filter)
	if err != nil {
		return within("filter", err)
	}
	if conditions.String() != w.Conditions.String() {
		return fmt.Errorf("webhook %s: its conditions are not those of its filter", w.ID)
	}
	return CheckFilter(w.Conditions, w.Triggers)
}

// reservedHeaders are those that belong to the connection, to the body, or to our signatures.
var reservedHeaders = []string{
	"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
	"upgrade", "expect",
	"host", "content-length", "content-type", "content-encoding",
	"x-esrihook-signature", "qlik-signature", "webhook-id", "webhook-timestamp", "webhook-signature", "secret",
}

func (w *Webhook) validateHeaders() error {
	seen := make(map[string]bool)
	for _, kind := range []struct {
		field   string
		headers []Header
	}{{"headers", w.Headers}, {"encryptedHeaders", w.EncryptedHeaders}} {
		total := 0
		for _, h := range kind.headers {
			field := kind.field + "." + clip(h.Name)
			if err := checkHeader(field, h); err != nil {
				return err
			}
			folded := strings.ToLower(h.Name)
			if seen[folded] {
				return Invalid(CodeDuplicateKey, field, "the header is given twice; case does not count, and both kinds of headers do")
			}
			seen[folded] = true
			total += len(h.Name) + len(h.Value.Reveal())
		}
		if total > MaxHeaderBytes {
			return Invalid(CodeTooLong, kind.field, "names and values have at most %d bytes in all, not %d", MaxHeaderBytes, total)
		}
	}
	return nil
}

// checkHeader checks one header by itself (RFC 9110, sections 5.1 and 5.5). The error never shows the value.
func checkHeader(field string, h Header) error {
	const nameCharacters = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	switch {
	case h.Name == "":
		return Invalid(CodeRequired, field, "a header has no name")
	case strings.Trim(h.Name, nameCharacters) != "":
		return Invalid(CodeNotAllowed, field, "%q cannot be the name of a header", clip(h.Name))
	case slices.Contains(reservedHeaders, strings.ToLower(h.Name)):
		return Invalid(CodeNotAllowed, field, "the header %s is set by the server", h.Name)
	}
	if !isHeaderValue(h.Value.Reveal()) {
		return Invalid(CodeNotAllowed, field, "the value of a header must not hold line breaks or other control characters")
	}
	return nil
}

func isHeaderValue(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

func (w *Webhook) validateRetry() error {
	switch w.Retry.Profile {
	case RetryStandard, RetryPortal, RetryOnce:
		return nil
	case RetryList:
	default:
		return Invalid(CodeOutOfRange, "retry", "retry is %s, %s, %s or a list of waits, not %q", RetryStandard, RetryPortal, RetryOnce,
			clip(string(w.Retry.Profile)))
	}
	if n := len(w.Retry.Waits); n < 1 || n > MaxRetryWaits {
		return Invalid(CodeOutOfRange, "retry", "a list of waits has from 1 to %d of them, not %d", MaxRetryWaits, n)
	}
	for i, wait := range w.Retry.Waits {
		if wait < 0 || wait > MaxRetryWait {
			return Invalid(CodeOutOfRange, fmt.Sprintf("retry[%d]", i), "a wait is from 0s to %s, not %s", MaxRetryWait, wait)
		}
	}
	return nil
}

func (w *Webhook) validateNumbers() error {
	// Zero stands for the server's default.
	if w.TimeoutSeconds < 0 || w.TimeoutSeconds > MaxTimeoutSeconds {
		return Invalid(CodeOutOfRange, "timeoutSeconds", "timeoutSeconds is from 1 to %d, not %d", MaxTimeoutSeconds, w.TimeoutSeconds)
	}
	if w.RateLimit < 0 {
		return Invalid(CodeOutOfRange, "rateLimit", "rateLimit is a number of deliveries a minute, or 0 for no limit, not %d", w.RateLimit)
	}
	if d := w.Deactivation; d != nil {
		for _, n := range []struct {
			field       string
			value, most int
		}{{"numberOfFailures", d.NumberOfFailures, MaxFailures}, {"daysInPast", d.DaysInPast, MaxFailureDays}} {
			if n.value < 1 || n.value > n.most {
				return Invalid(CodeOutOfRange, "deactivationPolicy."+n.field, "%s is from 1 to %d, not %d", n.field, n.most, n.value)
			}
		}
	}
	return nil
}
