package delivery_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

func TestReach(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	var body atomic.Value
	status := http.StatusNotFound
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		asked.Store(r)
		body.Store(string(text))
		w.WriteHeader(status)
	})
	h := open(t, nil)
	w := &triggers.Webhook{Tenant: h.tenant, Name: `Fire & "Water"`, URL: target, Secret: triggers.NewSecret("top secret")}
	w.Headers = []triggers.Header{{Name: "X-Env", Value: triggers.NewSecret("prod")}}
	require.NoError(t, h.Reach(t.Context(), w), "any answer will do")
	require.Equal(t, http.MethodPost, asked.Load().Method)
	require.JSONEq(t, `{"WebhookRegistry":{"name":"Fire & \"Water\""}}`, body.Load().(string))
	require.Equal(t, "application/json", asked.Load().Header.Get("Content-Type"))
	require.Equal(t, "prod", asked.Load().Header.Get("X-Env"))
	require.Empty(t, asked.Load().Header.Get("X-Esrihook-Signature"))

	var failed *delivery.HandshakeError
	w.URL = "http://127.0.0.1:1/hook"
	require.ErrorAs(t, h.Reach(t.Context(), w), &failed)
	require.Equal(t, "the connection was refused", failed.Reason)
	w.URL = "http://10.0.0.1/hook"
	require.ErrorAs(t, h.Reach(t.Context(), w), &failed)
	require.Equal(t, "the address must not be reached", failed.Reason, "the guard judges these requests too")
}

func TestReachGivesUp(t *testing.T) {
	w := &wire{answer: func(*http.Request, int) (int, http.Header, time.Duration, error) { return 200, nil, hang, nil }}
	// The wire wants a delivery's id of every request.
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		r.Header["webhook-id"] = []string{"none"}
		return w.RoundTrip(r)
	})
	inBubble(t, w, func(c *delivery.Config) { c.Transport = transport }, func(h *house) {
		var failed *delivery.HandshakeError
		require.ErrorAs(h.t, h.Reach(context.Background(), &triggers.Webhook{Tenant: h.tenant, URL: "https://a.example.com/"}), &failed)
		require.Equal(h.t, "no complete answer before the deadline", failed.Reason)
	})
}

type roundTripper func(r *http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// prove answers challenges by a secret, as Esri's samples do.
func prove(secret string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(r.URL.Query().Get("crc_token")))
		_ = json.NewEncoder(w).Encode(map[string]string{"response_token": "sha256=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))})
	}
}

func TestChallenge(t *testing.T) {
	var answer atomic.Value
	query := make(chan string, 1)
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case query <- r.Method + " " + r.URL.RawQuery:
		default:
		}
		answer.Load().(http.HandlerFunc)(w, r)
	})
	h := open(t, nil)
	w := &triggers.Webhook{Tenant: h.tenant, Name: "w", URL: target + "?a=%20b", Secret: triggers.NewSecret("the secret")}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		old    bool
		want   string
	}{
		{"proof", prove("the secret"), false, ""},
		{"proof by the one before", prove("the one before"), true, ""},
		{"proof by one whose time is over", prove("the one before"), false, "the response_token of the challenge is not that of the webhook's secret"},
		{"another secret", prove("another"), true, "the response_token of the challenge is not that of the webhook's secret"},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, false, `the challenge was not answered by JSON such as {"response_token":"sha256=…"}`},
		{"no page", http.NotFound, false, "the challenge was answered 404 Not Found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer.Store(c.answer)
			w.OldSecrets = []triggers.OldSecret{{Secret: triggers.NewSecret("the one before"), Until: time.Now().Add(-time.Hour)}}
			if c.old {
				w.OldSecrets[0].Until = time.Now().Add(time.Hour)
			}
			err := h.Challenge(t.Context(), w)
			require.Regexp(t, `^GET a=%20b&crc_token=\w+$`, <-query)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			var failed *delivery.HandshakeError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, c.want, failed.Reason)
		})
	}
}

// The challenge is repeated every hour while a webhook is on; one that fails switches it off, trouble of our own does not.
func TestChallengesAreRepeated(t *testing.T) {
	var failing, ours atomic.Bool
	var asked atomic.Int32
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		asked.Add(1)
		if ours.Load() {
			return nil, context.Canceled
		}
		token := r.URL.Query().Get("crc_token")
		if failing.Load() {
			token = "another"
		}
		body := fmt.Sprintf(`{"response_token":%q}`, delivery.CRCAnswer(triggers.NewSecret("0123456789abcdef0123456789abcdef"), token))
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
	})
	inBubble(t, nil, func(c *delivery.Config) { c.Transport = transport }, func(h *house) {
		t := h.t
		w := h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) { w.CRCCheck = true })
		h.subscribe("https://b.example.com/hook", nil)
		pass(10*time.Hour + 2*time.Minute)
		require.InDelta(t, 10, asked.Load(), 1)
		ours.Store(true)
		pass(3 * time.Hour)
		require.True(t, h.present(w).Enabled)
		ours.Store(false)
		failing.Store(true)
		pass(time.Hour)
		present := h.present(w)
		require.False(t, present.Enabled)
		require.Equal(t, "CRC", present.DisabledReasonCode)
		require.Equal(t, "the receiver did not prove that it has the secret: the response_token of the challenge is not that of the webhook's secret",
			present.DisabledReason)
		before := asked.Load()
		pass(5 * time.Hour)
		require.Equal(t, before, asked.Load(), "one that is off is not asked")
	})
}

func TestNoHandshakesAfterAShutdown(t *testing.T) {
	h := open(t, nil)
	require.NoError(t, h.Shutdown(context.Background()))
	var overload *delivery.Overload
	require.ErrorAs(t, h.Reach(t.Context(), &triggers.Webhook{URL: "http://127.0.0.1:1/"}), &overload)
}
