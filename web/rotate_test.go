package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/payload"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

// rotate rotates a secret and gives the answer.
func (e *edge) rotate(t *testing.T, id, body string) map[string]any {
	t.Helper()
	a := e.call(t, "POST", "/api/v1/webhooks/"+id+"/actions/rotate-secret", body)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	return a.json(t)
}

func TestRotateSecret(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, fullWebhook)
	path := "/api/v1/webhooks/" + id
	before := time.Now().Truncate(time.Millisecond)
	told := e.rotate(t, id, "")
	drawn := told["secret"].(string)
	require.Equal(t, id, told["webhookId"])
	require.Regexp(t, `^whsec_[A-Za-z0-9+/]{43}=$`, drawn)
	until, err := time.Parse(time.RFC3339, told["oldSecretsValidUntil"].(string))
	require.NoError(t, err)
	require.WithinRange(t, until, before.Add(24*time.Hour), time.Now().Add(24*time.Hour))
	w := e.only(t)
	require.Equal(t, drawn, w.Secret.Reveal())
	require.Equal(t, secret, w.OldSecrets[0].Secret.Reveal())

	// A GET tells how long, and can be put back.
	shown := e.call(t, "GET", path, "")
	require.Equal(t, told["oldSecretsValidUntil"], shown.json(t)["oldSecretsValidUntil"])
	require.NotContains(t, shown.body, drawn)
	require.Equal(t, []any{shown.json(t)}, e.call(t, "GET", "/api/v1/webhooks", "").json(t)["data"], "so does the list")
	put := e.call(t, "PUT", path, shown.body)
	require.Equal(t, http.StatusOK, put.status, put.body)
	require.Equal(t, w.OldSecrets, e.only(t).OldSecrets)
	require.Equal(t, http.StatusNoContent, e.call(t, "PATCH", path, `[{"op":"replace","path":"/name","value":"other"}]`).status)
	require.Equal(t, w.OldSecrets, e.only(t).OldSecrets)
	a := e.call(t, "PATCH", path, `[{"op":"remove","path":"/oldSecretsValidUntil"}]`)
	require.Equal(t, http.StatusConflict, a.status, a.body)

	// The audit says that it was done, and nothing of the secrets.
	rows := e.call(t, "GET", "/api/v1/audit?action=webhook.rotate-secret", "")
	require.Contains(t, rows.body, `"changedSecrets":["secret"]`)
	for _, text := range []string{drawn, secret} {
		require.NotContains(t, rows.body, text)
		require.NotContains(t, e.log.String(), text)
	}

	// One of the caller's, for a time of his; the first one's is not shortened.
	own := strings.Repeat("ä", 64)
	told = e.rotate(t, id, `{"secret":"`+own+`","validForHours":1}`)
	require.Equal(t, own, told["secret"])
	require.Len(t, e.only(t).OldSecrets, 2)
	require.Equal(t, shown.json(t)["oldSecretsValidUntil"], told["oldSecretsValidUntil"])

	// At once.
	told = e.rotate(t, id, `{"validForHours":0}`)
	require.NotContains(t, told, "oldSecretsValidUntil")
	require.Empty(t, e.only(t).OldSecrets)
	require.NotContains(t, e.call(t, "GET", path, "").json(t), "oldSecretsValidUntil")

	// Setting a secret by hand replaces, as it always did.
	e.rotate(t, id, `{}`)
	require.Equal(t, http.StatusNoContent, e.call(t, "PATCH", path, `[{"op":"replace","path":"/secret","value":"`+secret+`"}]`).status)
	require.Empty(t, e.only(t).OldSecrets)
}

// TestRotateFirstSecret gives a webhook without a secret one.
func TestRotateFirstSecret(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, hook)
	told := e.rotate(t, id, `{}`)
	require.NotContains(t, told, "oldSecretsValidUntil")
	require.Equal(t, told["secret"], e.only(t).Secret.Reveal())
	require.Equal(t, true, e.call(t, "GET", "/api/v1/webhooks/"+id, "").json(t)["secretKeyAdded"])
}

// TestOverSecretsAreDropped sees that a secret whose time is over is no longer told of, can still be put back, and goes with the next save.
func TestOverSecretsAreDropped(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, fullWebhook)
	path := "/api/v1/webhooks/" + id
	e.rotate(t, id, `{}`)
	shown := e.call(t, "GET", path, "")
	over := time.Now().Add(-time.Second).Truncate(time.Millisecond)
	_, err := e.Update(t.Context(), 1, e.only(t).ID, func(w *triggers.Webhook) error {
		w.OldSecrets = []triggers.OldSecret{{Secret: triggers.NewSecret(secret), Until: over}}
		return nil
	})
	require.NoError(t, err)
	require.NotContains(t, e.call(t, "GET", path, "").json(t), "oldSecretsValidUntil")
	body := strings.Replace(shown.body, shown.json(t)["oldSecretsValidUntil"].(string), over.UTC().Format("2006-01-02T15:04:05.000Z"), 1)
	a := e.call(t, "PUT", path, body)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Empty(t, e.only(t).OldSecrets)
}

func TestRotateRefused(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, fullWebhook)
	path := "/api/v1/webhooks/" + id + "/actions/rotate-secret"
	for name, c := range map[string]struct {
		body, key   string
		status      int
		code, field string
	}{
		"too short":           {`{"secret":"` + strings.Repeat("x", 31) + `"}`, adminKey, 400, "OUT_OF_RANGE", "secret"},
		"too long":            {`{"secret":"` + strings.Repeat("x", 65) + `"}`, adminKey, 400, "OUT_OF_RANGE", "secret"},
		"empty":               {`{"secret":""}`, adminKey, 400, "OUT_OF_RANGE", "secret"},
		"a broken whsec":      {`{"secret":"whsec_` + strings.Repeat("!", 40) + `"}`, adminKey, 400, "NOT_ALLOWED", "secret"},
		"the same":            {`{"secret":"` + secret + `"}`, adminKey, 400, "NOT_ALLOWED", "secret"},
		"null":                {`{"secret":null}`, adminKey, 400, "WRONG_TYPE", "secret"},
		"less than no time":   {`{"validForHours":-1}`, adminKey, 400, "OUT_OF_RANGE", "validForHours"},
		"more than a week":    {`{"validForHours":169}`, adminKey, 400, "OUT_OF_RANGE", "validForHours"},
		"half an hour":        {`{"validForHours":0.5}`, adminKey, 400, "WRONG_TYPE", "validForHours"},
		"another member":      {`{"hours":1}`, adminKey, 400, "UNKNOWN_FIELD", "hours"},
		"a viewer's key":      {`{}`, viewerKey, 403, "FORBIDDEN", ""},
		"another tenant's":    {`{}`, otherKey, 404, "NOT_FOUND", ""},
		"not the user's":      {`{}`, userKey, 404, "NOT_FOUND", ""},
		"the secret is twice": {`{"secret":"a","secret":"b"}`, adminKey, 400, "DUPLICATE_KEY", "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			a := e.do(t, request{method: "POST", path: path, key: c.key, body: c.body})
			require.Equal(t, c.status, a.status, a.body)
			p := a.problem(t)
			require.Equal(t, c.code, p["code"], a.body)
			if c.field != "" {
				require.Equal(t, c.field, p["field"])
			}
			require.Equal(t, secret, e.only(t).Secret.Reveal())
			require.Empty(t, e.only(t).OldSecrets)
		})
	}
}

// TestRotationIsKept rotates over a database and starts anew: both secrets go on signing.
func TestRotationIsKept(t *testing.T) { storagetest.OnEach(t, testRotationIsKept) }

func testRotationIsKept(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	to := newReceiver(t)
	at := place(t)
	drawn := ""
	t.Run("before", func(t *testing.T) {
		w := newWhole(t, at, to)
		id := w.subscribe(t, `"eventTypes":["/items/share"],"secret":"`+secret+`"`)
		drawn = w.rotate(t, id, `{}`)["secret"].(string)
	})
	w := newWhole(t, at, to)
	w.post(t, share)
	got := to.next(t)
	for _, text := range []string{drawn, secret} {
		_, err := payload.Verify(payload.Received{
			Secrets: []triggers.Secret{triggers.NewSecret(text)}, Body: got.body, Now: time.Now(),
			Header: func(name string) string {
				if name == payload.HeaderEsri {
					return ""
				}
				return got.header.Get(name)
			},
		})
		require.NoError(t, err)
	}
	require.Len(t, strings.Fields(got.header.Get(payload.HeaderSignature)), 2)
}
