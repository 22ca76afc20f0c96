package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"portalhook/payload"
	"portalhook/triggers"
)

// verifiers are the libraries that judge from JavaScript; verify.mjs says what each is for.
var verifiers = newNpmProject("verifiers", "standardwebhooks@1.1.1", "@octokit/webhooks-methods@6.0.0", "@line/bot-sdk@9.9.0")

// signedDelivery is a delivery as a receiver has it in hand, with the secrets that must verify it and those that must not.
type signedDelivery struct {
	Name   string            `json:"name"`
	Header map[string]string `json:"header"` // by lower-case names
	Body   string            `json:"body"`
	// Present is the webhook's secret, Old are those that were rotated out and sign too, Strange those that do not.
	Present string   `json:"present"`
	Old     []string `json:"old"`
	Strange []string `json:"strange"`
	// WrongTime says that nothing that heeds the time must verify it.
	WrongTime bool `json:"wrongTime"`
}

const (
	whsecSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq2hXzL1dGhY="
	textSecret  = "0123456789abcdef-ünïcode-abcdef0"
	plainSecret = "fedcba9876543210fedcba9876543210"
	otherSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

// Libraries that are not ours verify what the real server sends, of every family, before, during and after a rotation: by the new secret and the
// old one in the window, by the old one no more after it, and never at another time.
func TestCase34Verifiers(t *testing.T) {
	t.Parallel()
	eachStore(t, testCase34Verifiers)
}

func testCase34Verifiers(t *testing.T, startServer starter) {
	t.Helper()
	deliveries := rotatedDeliveries(t, startServer)
	for _, d := range slices.Clone(deliveries) {
		deliveries = append(deliveries, signedAt(d, time.Now().Add(-time.Hour)), signedAt(d, time.Now().Add(time.Hour)))
	}
	t.Run("Go", func(t *testing.T) { judgeInGo(t, deliveries) })
	t.Run("OpenSSL", func(t *testing.T) { judgeByOpenSSL(t, deliveries) })
	t.Run("JavaScript", func(t *testing.T) { judgeInJavaScript(t, deliveries) })
}

// rotatedDeliveries has a server send to a webhook through the life of its secrets.
func rotatedDeliveries(t *testing.T, startServer starter) []signedDelivery {
	t.Helper()
	arrived := make(chan signedDelivery, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d := signedDelivery{Body: string(body), Header: map[string]string{}}
		for name := range r.Header {
			d.Header[strings.ToLower(name)] = r.Header.Get(name)
		}
		arrived <- d
	}))
	defer receiver.Close()
	server := startServer(t)
	var all []signedDelivery
	for _, first := range []string{whsecSecret, plainSecret} {
		var webhook struct {
			ID string `json:"id"`
		}
		server.call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
			"name": "naïve <&>", "url": receiver.URL, "enabled": true, "secret": first,
			"eventTypes": []string{"/items/share", "/services/roads/FeatureServer", "com.qlik.v1.app.created"},
		}, &webhook, http.StatusCreated)
		present, old, strange := first, []string{}, []string{otherSecret}
		send := func(stage string) {
			for _, event := range []map[string]any{
				{"uri": "/items/4adc30bb03054812a846fa592de105de/share", "username": "ann ☃", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}},
				{"uri": "/services/roads/FeatureServer/FeaturesCreated", "serverGens": []int{1, 2}},
				{"uri": "com.qlik.v1.app.created", "data": map[string]any{"name": "naïve <&>\u2028", "number": 1.50}},
			} {
				server.call(t, http.MethodPost, "/api/v1/events", event, nil, http.StatusAccepted)
				server.call(t, http.MethodPost, "/api/v1/webhooks/"+webhook.ID+"/actions/test", map[string]any{"event": event}, nil, http.StatusOK)
				for range 2 { // the delivery and the test, in either order
					d := <-arrived
					d.Name = fmt.Sprintf("%s, %s of %s", stage, d.Header["webhook-id"], event["uri"])
					d.Present, d.Old, d.Strange = present, slices.Clone(old), slices.Clone(strange)
					all = append(all, d)
				}
			}
		}
		rotate := func(options map[string]any) string {
			var told struct {
				Secret string `json:"secret"`
			}
			server.call(t, http.MethodPost, "/api/v1/webhooks/"+webhook.ID+"/actions/rotate-secret", options, &told, http.StatusOK)
			return told.Secret
		}
		send("before")
		drawn := rotate(map[string]any{})
		present, old = drawn, []string{first}
		send("during")
		rotate(map[string]any{"secret": textSecret, "validForHours": 1})
		present, old = textSecret, []string{drawn, first}
		send("during the second")
		last := rotate(map[string]any{"validForHours": 0})
		present, old, strange = last, []string{}, append(strange, first, drawn, textSecret)
		send("after")
		awaitNoneOpen(t, server)
		server.call(t, http.MethodDelete, "/api/v1/webhooks/"+webhook.ID, nil, nil, http.StatusNoContent) // it would hear the next one's events
	}
	return all
}

// signedAt is a delivery as it would have been sent at another time.
func signedAt(d signedDelivery, at time.Time) signedDelivery {
	signing := payload.Signing{ID: d.Header["webhook-id"], At: at, Body: []byte(d.Body), ContentType: d.Header["content-type"]}
	_, signing.Cloud = d.Header["qlik-signature"]
	for _, secret := range append([]string{d.Present}, d.Old...) {
		signing.Secrets = append(signing.Secrets, triggers.NewSecret(secret))
	}
	d.Name, d.WrongTime, d.Header = d.Name+" at "+at.Format(time.TimeOnly), true, maps.Clone(d.Header)
	for _, header := range payload.Sign(signing) {
		d.Header[strings.ToLower(header[0])] = header[1]
	}
	return d
}

// judgeInGo asks the official Go library of Standard Webhooks.
func judgeInGo(t *testing.T, deliveries []signedDelivery) {
	t.Helper()
	verifies := func(d *signedDelivery, secret, body string) bool {
		judge, err := standardwebhooks.NewWebhookRaw([]byte(secret))
		if strings.HasPrefix(secret, "whsec_") {
			judge, err = standardwebhooks.NewWebhook(secret)
		}
		require.NoError(t, err)
		header := http.Header{}
		for name, value := range d.Header {
			header.Set(name, value)
		}
		return judge.Verify([]byte(body), header) == nil
	}
	for i := range deliveries {
		d := &deliveries[i]
		for _, secret := range append([]string{d.Present}, d.Old...) {
			require.Equal(t, !d.WrongTime, verifies(d, secret, d.Body), d.Name)
			require.False(t, verifies(d, secret, d.Body+" "), d.Name)
		}
		for _, secret := range d.Strange {
			require.False(t, verifies(d, secret, d.Body), d.Name)
		}
	}
}

// judgeByOpenSSL holds the families' own signatures to the openssl program.
func judgeByOpenSSL(t *testing.T, deliveries []signedDelivery) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		leaveOut(t, "signatures judged by OpenSSL: openssl is not installed")
		return
	}
	for i := range deliveries {
		d := &deliveries[i]
		var got []byte
		var err error
		if text, cloud := d.Header["qlik-signature"]; cloud {
			got, err = hex.DecodeString(text)
			require.Equal(t, strings.ToLower(text), text)
		} else {
			encoded, ok := strings.CutPrefix(d.Header["x-esrihook-signature"], "sha256=")
			require.True(t, ok, d.Name)
			got, err = base64.StdEncoding.Strict().DecodeString(encoded)
		}
		require.NoError(t, err, d.Name)
		digest := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString([]byte(d.Present)), "-binary")
		digest.Stdin = strings.NewReader(d.Body)
		want, err := digest.Output()
		require.NoError(t, err)
		require.Equal(t, want, got, d.Name)
	}
}

// judgeInJavaScript asks libraries from the npm registry. Where npm is not there, or cannot install, it is left out, and says so.
func judgeInJavaScript(t *testing.T, deliveries []signedDelivery) {
	t.Helper()
	dir, ok := verifiers.folder(t)
	if !ok {
		return
	}
	var told bytes.Buffer
	require.NoError(t, json.NewEncoder(&told).Encode(deliveries))
	file := filepath.Join(t.TempDir(), "deliveries.json")
	require.NoError(t, os.WriteFile(file, told.Bytes(), 0o600))
	out := node(t, dir, "verify.mjs", file)
	// Of each delivery: by the present secret and of another body, and by each other secret, in both families.
	judged := 0
	for i := range deliveries {
		judged += 2 * (2 + len(deliveries[i].Old) + len(deliveries[i].Strange))
	}
	require.Equal(t, fmt.Sprintf("%d judgements\n", judged), out)
}
