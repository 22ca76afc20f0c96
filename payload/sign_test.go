package payload_test

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
	"portalhook/triggers"
)

const (
	whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	text  = "0123456789abcdef0123456789abcdef"
)

var signedAt = time.Unix(1614265330, 0)

func secrets(texts ...string) []triggers.Secret {
	var out []triggers.Secret
	for _, t := range texts {
		out = append(out, triggers.NewSecret(t))
	}
	return out
}

// received is what a Go server makes of the headers.
func received(headers [][2]string) http.Header {
	h := http.Header{}
	for _, pair := range headers {
		h.Add(pair[0], pair[1])
	}
	return h
}

func TestSignReproducesPublishedVectors(t *testing.T) {
	for name, c := range map[string]struct {
		signing payload.Signing
		want    [][2]string
	}{
		"standard webhooks, from its library's tests": {
			payload.Signing{Secrets: secrets(whsec), ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", At: signedAt, Body: []byte(`{"test": 2432232314}`)},
			[][2]string{
				{"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
				{"webhook-timestamp", "1614265330"},
				{"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
			},
		},
		"Qlik, qlik.md section 3": {
			payload.Signing{Secrets: secrets(text), ID: "dlv_1", At: signedAt, Cloud: true, Body: []byte(
				`{"specversion":"1.0","id":"1","source":"com.qlik/engine","type":"com.qlik.v1.app.created","data":{"name":"naïve"}}`)},
			[][2]string{{"Qlik-Signature", "0058bd86514c3294159a4a37f8161e2c46b44452c17b7aff1b360c550977dc6c"}},
		},
		"Esri, by openssl dgst -sha256 -hmac": {
			payload.Signing{Secrets: secrets(text), ID: "dlv_1", At: signedAt, Body: []byte(`{"specversion":"1.0"}`)},
			[][2]string{{"x-esriHook-Signature", "sha256=5gboSi3OiAVuPjU4OaeBIlgaAlwSEqr/yTAvXGFhVqA="}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := payload.Sign(c.signing)
			for _, want := range c.want {
				require.Contains(t, got, want)
			}
		})
	}
}

func TestSignNamesItsHeadersExactly(t *testing.T) {
	for name, c := range map[string]struct {
		signing payload.Signing
		want    []string
	}{
		"portal":                         {payload.Signing{Secrets: secrets(text)}, []string{"webhook-id", "webhook-timestamp", "webhook-signature", "x-esriHook-Signature"}},
		"portal, plain secret":           {payload.Signing{Secrets: secrets(text), Plain: true}, []string{"webhook-id", "webhook-timestamp", "webhook-signature", "x-esriHook-Signature", "secret"}},
		"cloud":                          {payload.Signing{Secrets: secrets(text), Cloud: true}, []string{"webhook-id", "webhook-timestamp", "webhook-signature", "Qlik-Signature"}},
		"cloud never shows the secret":   {payload.Signing{Secrets: secrets(text), Cloud: true, Plain: true}, []string{"webhook-id", "webhook-timestamp", "webhook-signature", "Qlik-Signature"}},
		"unsigned":                       {payload.Signing{}, []string{"webhook-id", "webhook-timestamp"}},
		"unsigned, with a plain secret":  {payload.Signing{Plain: true}, []string{"webhook-id", "webhook-timestamp"}},
		"an empty secret is no secret":   {payload.Signing{Secrets: secrets("")}, []string{"webhook-id", "webhook-timestamp"}},
		"nothing signs for the one gone": {payload.Signing{Secrets: secrets("", text)}, []string{"webhook-id", "webhook-timestamp"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, header := range payload.Sign(c.signing) {
				got = append(got, header[0])
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestPlainSecretIsThePresentOne(t *testing.T) {
	got := payload.Sign(payload.Signing{Secrets: secrets("the present one", "the old one"), Plain: true})
	require.Equal(t, [2]string{"secret", "the present one"}, got[len(got)-1])
}

// The library that receivers use verifies by the present secret and by those that were rotated out, of both kinds, and refuses any other
// secret, another body and another time.
func TestCase34Library(t *testing.T) {
	body := []byte(`{"info":{"webhookName":"naïve <&>"}}`)
	now := time.Now() // the library reads the clock itself
	for name, c := range map[string]struct {
		secrets []triggers.Secret
		keys    []string // in the order of the secrets, as a receiver gives them to the library
		strange string   // a key that must not verify
	}{
		"whsec":          {secrets(whsec), []string{whsec}, "whsec_AAAA"},
		"text":           {secrets(text), []string{text}, "another text"},
		"short text":     {secrets("x"), []string{"x"}, "y"},
		"256 characters": {secrets(strings.Repeat("é", 256)), []string{strings.Repeat("é", 256)}, text},
		"rotated":        {secrets(whsec, text), []string{whsec, text}, "whsec_AAAA"},
		"rotated twice":  {secrets(text, whsec, "another"), []string{text, whsec, "another"}, "gone"},
		"broken whsec":   {secrets("whsec_not base64"), []string{"raw:whsec_not base64"}, whsec},
		"bare whsec":     {secrets("whsec_"), []string{"raw:whsec_"}, whsec},
	} {
		t.Run(name, func(t *testing.T) {
			headers := received(payload.Sign(payload.Signing{Secrets: c.secrets, ID: "dlv_0123456789abc", At: now, Body: body}))
			for _, key := range c.keys {
				require.NoError(t, library(t, key).Verify(body, headers), key)
				require.ErrorIs(t, library(t, key).Verify(append([]byte(" "), body...), headers), standardwebhooks.ErrNoMatchingSignature)
			}
			require.ErrorIs(t, library(t, c.strange).Verify(body, headers), standardwebhooks.ErrNoMatchingSignature)
			for wrong, want := range map[time.Time]error{
				now.Add(-6 * time.Minute): standardwebhooks.ErrMessageTooOld, now.Add(6 * time.Minute): standardwebhooks.ErrMessageTooNew,
			} {
				headers := received(payload.Sign(payload.Signing{Secrets: c.secrets, ID: "dlv_0123456789abc", At: wrong, Body: body}))
				for _, key := range c.keys {
					require.ErrorIs(t, library(t, key).Verify(body, headers), want, key)
				}
			}
			// A time that is put right is not what was signed.
			headers.Set("webhook-timestamp", strconv.FormatInt(now.Unix()-1, 10))
			require.ErrorIs(t, library(t, c.keys[0]).Verify(body, headers), standardwebhooks.ErrNoMatchingSignature)
		})
	}
}

// library is a receiver's verifier: whsec_ secrets in the usual form, others raw.
func library(t require.TestingT, key string) *standardwebhooks.Webhook {
	raw, isRaw := strings.CutPrefix(key, "raw:")
	if !isRaw && strings.HasPrefix(key, "whsec_") {
		w, err := standardwebhooks.NewWebhook(key)
		require.NoError(t, err)
		return w
	}
	w, err := standardwebhooks.NewWebhookRaw([]byte(raw))
	require.NoError(t, err)
	return w
}

func TestSignaturesHoldForAnySecretAndBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "key")
		secret := string(key)
		if rapid.Bool().Draw(t, "whsec") {
			secret = "whsec_" + base64.StdEncoding.EncodeToString(key)
		}
		s := payload.Signing{
			Secrets: secrets(secret, "an older one"),
			Plain:   rapid.Bool().Draw(t, "plain"),
			Cloud:   rapid.Bool().Draw(t, "cloud"),
			ID:      rapid.StringMatching(`dlv_[0-9a-v]{13}`).Draw(t, "id"),
			At:      time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "at")),
			Body:    rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "body"),
		}
		headers := received(payload.Sign(s))
		wh, err := standardwebhooks.NewWebhookRaw(key)
		require.NoError(t, err)
		require.NoError(t, wh.VerifyIgnoringTimestamp(s.Body, headers))

		_, err = payload.Verify(payload.Received{Secrets: s.Secrets[:1], Header: headers.Get, Body: s.Body, Now: s.At})
		require.NoError(t, err)
		_, err = payload.Verify(payload.Received{Secrets: s.Secrets[:1], Header: headers.Get, Body: append(s.Body, ' '), Now: s.At})
		require.ErrorIs(t, err, payload.ErrSignature)
	})
}

func TestVerify(t *testing.T) {
	body := []byte(`{"info":{}}`)
	portal := payload.Signing{Secrets: secrets(whsec), Plain: true, ID: "dlv_1", At: signedAt, Body: body}
	cloud := payload.Signing{Secrets: secrets(text), Cloud: true, ID: "dlv_1", At: signedAt, Body: body}
	esri := payload.HeaderEsri
	for name, c := range map[string]struct {
		signing payload.Signing
		change  func(http.Header, *payload.Received)
		want    []string
		err     error
	}{
		"portal":                          {signing: portal, want: []string{"webhook-signature", "x-esriHook-Signature", "secret"}},
		"cloud":                           {signing: cloud, want: []string{"webhook-signature", "Qlik-Signature"}},
		"unsigned":                        {signing: payload.Signing{ID: "dlv_1", At: signedAt}, err: payload.ErrUnsigned},
		"one of several secrets":          {signing: cloud, change: func(_ http.Header, r *payload.Received) { r.Secrets = secrets("wrong", "", text) }, want: []string{"webhook-signature", "Qlik-Signature"}},
		"no secret to check with":         {signing: portal, change: func(_ http.Header, r *payload.Received) { r.Secrets = nil }, err: payload.ErrSignature},
		"an empty secret is not one":      {signing: portal, change: func(_ http.Header, r *payload.Received) { r.Secrets = secrets("") }, err: payload.ErrSignature},
		"wrong secret":                    {signing: portal, change: func(_ http.Header, r *payload.Received) { r.Secrets = secrets(text) }, err: payload.ErrSignature},
		"five minutes old":                {signing: cloud, change: func(_ http.Header, r *payload.Received) { r.Now = signedAt.Add(payload.Tolerance) }, want: []string{"webhook-signature", "Qlik-Signature"}},
		"older":                           {signing: cloud, change: func(_ http.Header, r *payload.Received) { r.Now = signedAt.Add(payload.Tolerance + 1) }, err: payload.ErrTimestamp},
		"from the future":                 {signing: cloud, change: func(_ http.Header, r *payload.Received) { r.Now = signedAt.Add(-payload.Tolerance - 1) }, err: payload.ErrTimestamp},
		"timestamp gone":                  {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Del("webhook-timestamp") }, err: payload.ErrTimestamp},
		"timestamp changed":               {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set("webhook-timestamp", "1614265331") }, err: payload.ErrSignature},
		"timestamp is no number":          {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set("webhook-timestamp", "today") }, err: payload.ErrTimestamp},
		"id changed":                      {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set("webhook-id", "dlv_2") }, err: payload.ErrSignature},
		"an old service sends Esri alone": {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Del("webhook-signature"); h.Del("secret") }, want: []string{esri}},
		"percent-encoded, as Online does": {signing: portal, change: func(h http.Header, _ *payload.Received) {
			h.Set(esri, strings.NewReplacer("=", "%3d", "+", "%2b", "/", "%2f").Replace(h.Get(esri)))
		}, want: []string{"webhook-signature", "x-esriHook-Signature", "secret"}},
		"Esri without its prefix":       {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set(esri, h.Get(esri)[7:]) }, err: payload.ErrSignature},
		"Esri in hex":                   {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set(esri, "sha256=00ff") }, err: payload.ErrSignature},
		"Esri with a stray percent":     {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set(esri, "%zz") }, err: payload.ErrSignature},
		"Qlik is no hex":                {signing: cloud, change: func(h http.Header, _ *payload.Received) { h.Set("Qlik-Signature", "no") }, err: payload.ErrSignature},
		"Qlik of another body":          {signing: cloud, change: func(h http.Header, _ *payload.Received) { h.Set("Qlik-Signature", strings.Repeat("00", 32)) }, err: payload.ErrSignature},
		"plain secret of another":       {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set("secret", "guess") }, err: payload.ErrSignature},
		"unknown version of a standard": {signing: portal, change: func(h http.Header, _ *payload.Received) { h.Set("webhook-signature", "v2,AAAA") }, err: payload.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			headers := received(payload.Sign(c.signing))
			r := payload.Received{Secrets: c.signing.Secrets, Header: headers.Get, Body: body, Now: signedAt}
			if c.change != nil {
				c.change(headers, &r)
			}
			got, err := payload.Verify(r)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestNewSecret(t *testing.T) {
	first, second := payload.NewSecret(), payload.NewSecret()
	require.NotEqual(t, first.Reveal(), second.Reveal())
	require.Regexp(t, `^whsec_[A-Za-z0-9+/]{43}=$`, first.Reveal())
	require.Len(t, payload.Key(first), 32)
	require.NoError(t, payload.CheckSecret(first))
	_, err := standardwebhooks.NewWebhook(first.Reveal())
	require.NoError(t, err)
}

func TestCheckSecretRefusesWhatNobodyCouldVerify(t *testing.T) {
	for _, good := range []string{"", text, "whsec", "WHSEC_!", whsec} {
		require.NoError(t, payload.CheckSecret(triggers.NewSecret(good)), good)
	}
	for _, bad := range []string{"whsec_", "whsec_not base64, but a good secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"} {
		err := payload.CheckSecret(triggers.NewSecret(bad))
		var field *triggers.FieldError
		require.ErrorAs(t, err, &field, bad)
		require.Equal(t, "NOT_ALLOWED", field.Code)
		require.Equal(t, "secret", field.Field)
	}
}

func BenchmarkSign(b *testing.B) {
	for name, s := range map[string]payload.Signing{
		"portal":  {Secrets: secrets(whsec)},
		"rotated": {Secrets: secrets(whsec, text)},
		"cloud":   {Secrets: secrets(text), Cloud: true},
	} {
		s.ID, s.At, s.Body = "dlv_0123456789abc", signedAt, []byte(strings.Repeat("x", 600))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(s.Body)))
			for b.Loop() {
				payload.Sign(s)
			}
		})
	}
}

// FuzzVerify holds that a receiver trusts nothing that was not signed, whatever the headers say.
func FuzzVerify(f *testing.F) {
	f.Add("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "1614265330", "sha256=AAAA", "00ff", "guess")
	f.Add("v1, v2,x  v1", "-1", "sha256%3d%zz", "0", "")
	f.Add("", "", "", "", "")
	f.Fuzz(func(t *testing.T, standard, timestamp, esri, qlik, plain string) {
		headers := http.Header{}
		headers.Set(payload.HeaderID, "dlv_1")
		headers.Set(payload.HeaderSignature, standard)
		headers.Set(payload.HeaderTimestamp, timestamp)
		headers.Set(payload.HeaderEsri, esri)
		headers.Set(payload.HeaderQlik, qlik)
		headers.Set(payload.HeaderSecret, plain)
		verified, err := payload.Verify(payload.Received{
			Secrets: []triggers.Secret{payload.NewSecret()}, Header: headers.Get, Body: []byte(`{}`), Now: signedAt,
		})
		require.Error(t, err)
		require.Empty(t, verified)
	})
}
