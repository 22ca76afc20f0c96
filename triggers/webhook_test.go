package triggers_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// goodWebhook is one that passes every check.
func goodWebhook(t *testing.T) triggers.Webhook {
	t.Helper()
	parsed, err := triggers.Default().ParseTriggers("eventTypes", []string{"/items/share", "com.qlik.v1.app.created"})
	require.NoError(t, err)
	return triggers.Webhook{
		Name: "Reloads", URL: "https://receiver.example.com/hook", Triggers: parsed, Enabled: true, Level: triggers.TenantLevel,
		Format: triggers.FormatAuto, Retry: triggers.Retry{Profile: triggers.RetryStandard},
	}
}

func header(name, value string) triggers.Header {
	return triggers.Header{Name: name, Value: triggers.NewSecret(value)}
}

func TestValidate(t *testing.T) {
	users, err := triggers.Default().ParseTriggers("eventTypes", []string{"/items", "/users"})
	require.NoError(t, err)
	for _, c := range []struct {
		name                string
		change              func(w *triggers.Webhook)
		code, field, detail string
	}{
		{"good", func(*triggers.Webhook) {}, "", "", ""},
		{"no triggers while disabled", func(w *triggers.Webhook) { w.Triggers, w.Enabled = nil, false }, "", "", ""},
		{"user level", func(w *triggers.Webhook) { w.Level, w.OwnerID = triggers.UserLevel, "u1" }, "", "", ""},
		{"everything set", func(w *triggers.Webhook) {
			w.Name, w.Description = strings.Repeat("é", 512), strings.Repeat("é", 1024)
			w.Headers = []triggers.Header{header("x-env", strings.Repeat("v", 2043))}
			w.EncryptedHeaders = []triggers.Header{header("Authorization", "Bearer t\tü")}
			w.Secret = triggers.NewSecret(strings.Repeat("s", 256))
			w.Format, w.Origin = triggers.FormatCloudEvents, "management-console"
			w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: make([]time.Duration, 20)}
			w.Retry.Waits[19] = 24 * time.Hour
			w.TimeoutSeconds, w.RateLimit = 60, 1
			w.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: 100, DaysInPast: 30}
		}, "", "", ""},

		{"no name", func(w *triggers.Webhook) { w.Name = "" }, "REQUIRED", "name", "the name is missing"},
		{"long name", func(w *triggers.Webhook) { w.Name = strings.Repeat("é", 513) }, "TOO_LONG", "name", "the name has at most 512 characters, not 513"},
		{"name not UTF-8", func(w *triggers.Webhook) { w.Name = "\xff" }, "OUT_OF_RANGE", "name", "the name is not UTF-8"},
		{
			"long description", func(w *triggers.Webhook) { w.Description = strings.Repeat("x", 1025) }, "TOO_LONG", "description",
			"the description has at most 1024 characters, not 1025",
		},
		{
			"bad url", func(w *triggers.Webhook) { w.URL = "http://a.example" }, "NOT_ALLOWED", "url",
			"the url must begin with https://; http is not allowed on this server",
		},
		{"no triggers", func(w *triggers.Webhook) { w.Triggers = nil }, "REQUIRED", "eventTypes", "an enabled webhook has at least one event type"},
		{
			"many triggers", func(w *triggers.Webhook) { w.Triggers = slices.Repeat(w.Triggers[:1], 101) }, "TOO_MANY", "eventTypes",
			"a webhook has at most 100 event types, not 101",
		},
		{
			"user level, tenant trigger", func(w *triggers.Webhook) { w.Level, w.OwnerID, w.Triggers = triggers.UserLevel, "u1", users }, "NOT_ALLOWED",
			"eventTypes[1]", "/users hears events that have no user level, so only webhooks of tenant level can have it",
		},
		{"user level, no owner", func(w *triggers.Webhook) { w.Level = triggers.UserLevel }, "REQUIRED", "ownerId", "a webhook of user level has an owner"},
		{"tenant level, an owner", func(w *triggers.Webhook) { w.OwnerID = "u1" }, "NOT_ALLOWED", "ownerId", "only a webhook of user level has an owner"},
		{"a filter", func(w *triggers.Webhook) { _ = w.SetFilter(`username eq "x" or spaceId eq "y"`) }, "", "", ""},
		{"a bad filter", func(w *triggers.Webhook) { w.Filter = "id" }, "FILTER", "filter", `at character 3: expected eq or ne, not ""; other operators are not part of the filter language`},
		{
			"a filter for other events", func(w *triggers.Webhook) { _ = w.SetFilter(`data.status eq "x"`) }, "FILTER", "filter",
			"data.status is for webhooks whose only event type is com.qlik.v1.app.reload.finished",
		},
		{"no level", func(w *triggers.Webhook) { w.Level = "" }, "OUT_OF_RANGE", "level", `the level is tenant or user, not ""`},
		{
			"another format", func(w *triggers.Webhook) { w.Format = "xml" }, "OUT_OF_RANGE", "format",
			`the format is auto, portal, legacy, hybrid or cloudevents, not "xml"`,
		},
		{
			"another origin", func(w *triggers.Webhook) { w.Origin = "moon" }, "OUT_OF_RANGE", "origin",
			`the origin is one of api, automations, management-console, not "moon"`,
		},
		{
			"long secret", func(w *triggers.Webhook) { w.Secret = triggers.NewSecret(strings.Repeat("s", 257)) }, "OUT_OF_RANGE", "secret",
			"a secret has from 1 to 256 characters, not 257",
		},
		{"header twice", func(w *triggers.Webhook) {
			w.Headers, w.EncryptedHeaders = []triggers.Header{header("X-Env", "a")}, []triggers.Header{header("x-env", "b")}
		}, "DUPLICATE_KEY", "encryptedHeaders.x-env", "the header is given twice; case does not count, and both kinds of headers do"},
		{
			"header without a name", func(w *triggers.Webhook) { w.Headers = []triggers.Header{header("", "v")} }, "REQUIRED", "headers.",
			"a header has no name",
		},
		{
			"header with a space", func(w *triggers.Webhook) { w.Headers = []triggers.Header{header("x env", "v")} }, "NOT_ALLOWED", "headers.x env",
			`"x env" cannot be the name of a header`,
		},
		{
			"header with a colon", func(w *triggers.Webhook) { w.Headers = []triggers.Header{header("x:", "v")} }, "NOT_ALLOWED", "headers.x:",
			`"x:" cannot be the name of a header`,
		},
		{
			"header with a line break", func(w *triggers.Webhook) { w.Headers = []triggers.Header{header("x", "hush\r\nHost: b")} }, "NOT_ALLOWED",
			"headers.x", "the value of a header must not hold line breaks or other control characters",
		},
		{"long headers", func(w *triggers.Webhook) {
			w.EncryptedHeaders = []triggers.Header{header("a", strings.Repeat("v", 1024)), header("b", strings.Repeat("v", 1023))}
		}, "TOO_LONG", "encryptedHeaders", "names and values have at most 2048 bytes in all, not 2049"},
		{
			"no retry", func(w *triggers.Webhook) { w.Retry.Profile = "" }, "OUT_OF_RANGE", "retry",
			`retry is standard, portal, once or a list of waits, not ""`,
		},
		{
			"empty list of waits", func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryList }, "OUT_OF_RANGE", "retry",
			"a list of waits has from 1 to 20 of them, not 0",
		},
		{"long list of waits", func(w *triggers.Webhook) {
			w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: make([]time.Duration, 21)}
		}, "OUT_OF_RANGE", "retry", "a list of waits has from 1 to 20 of them, not 21"},
		{"long wait", func(w *triggers.Webhook) {
			w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{0, 25 * time.Hour}}
		}, "OUT_OF_RANGE", "retry[1]", "a wait is from 0s to 24h0m0s, not 25h0m0s"},
		{"wait backwards", func(w *triggers.Webhook) {
			w.Retry = triggers.Retry{Profile: triggers.RetryList, Waits: []time.Duration{-time.Second}}
		}, "OUT_OF_RANGE", "retry[0]", "a wait is from 0s to 24h0m0s, not -1s"},
		{"long timeout", func(w *triggers.Webhook) { w.TimeoutSeconds = 61 }, "OUT_OF_RANGE", "timeoutSeconds", "timeoutSeconds is from 1 to 60, not 61"},
		{"timeout backwards", func(w *triggers.Webhook) { w.TimeoutSeconds = -1 }, "OUT_OF_RANGE", "timeoutSeconds", "timeoutSeconds is from 1 to 60, not -1"},
		{
			"rate limit backwards", func(w *triggers.Webhook) { w.RateLimit = -1 }, "OUT_OF_RANGE", "rateLimit",
			"rateLimit is a number of deliveries a minute, or 0 for no limit, not -1",
		},
		{
			"no failures", func(w *triggers.Webhook) {
				w.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: 0, DaysInPast: 5}
			},
			"OUT_OF_RANGE", "deactivationPolicy.numberOfFailures", "numberOfFailures is from 1 to 100, not 0",
		},
		{
			"many days", func(w *triggers.Webhook) {
				w.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: 5, DaysInPast: 31}
			},
			"OUT_OF_RANGE", "deactivationPolicy.daysInPast", "daysInPast is from 1 to 30, not 31",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := goodWebhook(t)
			c.change(&w)
			err := w.Validate(triggers.Targets{})
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.field, e.Field)
			require.NotContains(t, err.Error(), "hush")
		})
	}
}

// TestCase36ReservedNames refuses headers that the server or the connection sets.
func TestCase36ReservedNames(t *testing.T) {
	for _, name := range []string{
		"Connection", "keep-alive", "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Content-Type",
		"X-EsriHook-Signature", "Qlik-Signature", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Secret",
	} {
		t.Run(name, func(t *testing.T) {
			w := goodWebhook(t)
			w.Headers = []triggers.Header{header(name, "v")}
			var e *triggers.FieldError
			require.ErrorAs(t, w.Validate(triggers.Targets{}), &e)
			require.Equal(t, "the header "+name+" is set by the server", e.Detail)
			require.Equal(t, "NOT_ALLOWED", e.Code)
		})
	}
}

func TestCheckSecretLength(t *testing.T) {
	const least, most = 32, 64
	for n, good := range map[int]bool{31: false, 32: true, 64: true, 65: false} {
		err := triggers.CheckSecretLength(triggers.NewSecret(strings.Repeat("é", n)), least, most)
		if good {
			require.NoError(t, err)
			continue
		}
		var e *triggers.FieldError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "secret", e.Field)
		require.NotContains(t, err.Error(), "é")
	}
}

// A log in JSON names a webhook as everything else does, not by sixteen numbers.
func TestWebhookIDInLogs(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("switched off", "webhook", triggers.WebhookID{15: 0xab})
	require.Contains(t, out.String(), `"webhook":"000000000000000000000000000000ab"`)
}
