package payload_test

import (
	"bytes"
	"encoding/json" // an independent reader
	"net/http"
	"net/url"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"portalhook/payload"
	"portalhook/triggers"
)

// FuzzForm: the signature of a family holds for a form when, and only when, a reader of forms finds the signed JSON in it.
func FuzzForm(f *testing.F) {
	for _, seed := range [][3]string{
		{"application/x-www-form-urlencoded", "payload={%22a%22:1}", `{"a":1}`},
		{"APPLICATION/x-www-form-urlencoded ; charset=utf-8", "a=b&payload=%7B%22a%22%3a1}", `{"a":1}`},
		{"application/json", `{"a":1}`, `{"a":1}`},
		{"application/x-www-form-urlencoded", "payload=+&payload={}", "{}"},
		{"application/x-www-form-urlencoded", "payloads={}", "{}"},
		{"application/x-www-form-urlencoded", "payload=%zz", ""},
		{"application/x-www-form-urlencoded", "payload", ""},
		{"", "payload={}", "{}"},
	} {
		f.Add(seed[0], []byte(seed[1]), []byte(seed[2]))
	}
	secret := payload.NewSecret()
	f.Fuzz(func(t *testing.T, contentType string, body, signed []byte) {
		header := http.Header{"Content-Type": {contentType}}
		for _, pair := range payload.Sign(payload.Signing{Secrets: []triggers.Secret{secret}, ID: "x", At: signedAt, Body: signed}) {
			if pair[0] == payload.HeaderEsri {
				header.Set(pair[0], pair[1])
			}
		}
		_, err := payload.Verify(payload.Received{Secrets: []triggers.Secret{secret}, Header: header.Get, Body: body, Now: signedAt})
		want := bytes.Equal(body, signed)
		if media, _, _ := bytes.Cut([]byte(contentType), []byte(";")); bytes.EqualFold(bytes.TrimSpace(media), []byte("application/x-www-form-urlencoded")) {
			values, errForm := url.ParseQuery(string(body))
			if errForm != nil {
				return // readers differ about what is no form
			}
			all := values["payload"]
			want = len(all) > 0 && all[0] == string(signed) && bytes.Contains(body, []byte("payload="))
			if bytes.Contains(body, []byte("%61")) || len(all) > 0 && !bytes.HasPrefix(body, []byte("payload=")) && !bytes.Contains(body, []byte("&payload=")) {
				return // an escaped name
			}
		}
		require.Equal(t, want, err == nil, "%v", err)
	})
}

// FuzzKey: what may be a secret makes a key, and signs such that the public library verifies with it: by its own text where that is of its
// kind, else by the raw form of it.
func FuzzKey(f *testing.F) {
	for _, text := range []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_!", "whsec_AA==", "whsec_AB==", "whsec_AA", "whsec_A\nA==", "WHSEC_AA==", "text", "ä", "\xff"} {
		f.Add(text, []byte(`{}`))
	}
	f.Fuzz(func(t *testing.T, text string, body []byte) {
		secret := triggers.NewSecret(text)
		if text == "" || payload.CheckSecret(secret) != nil {
			return
		}
		key := payload.Key(secret)
		require.NotEmpty(t, key)
		now := time.Now()
		header := http.Header{}
		for _, pair := range payload.Sign(payload.Signing{Secrets: []triggers.Secret{secret}, ID: "msg_1", At: now, Body: body}) {
			header.Set(pair[0], pair[1])
		}
		library, err := standardwebhooks.NewWebhookRaw(key)
		require.NoError(t, err)
		require.NoError(t, library.Verify(body, header))
		if len(text) > 6 && text[:6] == "whsec_" {
			library, err = standardwebhooks.NewWebhook(text)
			require.NoError(t, err)
			require.NoError(t, library.Verify(body, header))
		}
	})
}

// FuzzParts holds the parts that are cut out of a rendered event to an independent reader of JSON.
func FuzzParts(f *testing.F) {
	for _, data := range []string{`{"id":"a"}`, `{"id":""}`, `{"id":7,"inner":{"id":"x"}}`, `{}`, `{"i\u0064":"a"}`, `{"id":"\u003c\ud83d\ude00"}`, `{"a":[[]],"id":"b"}`} {
		f.Add([]byte(data), []byte(`{"ownerId":"o"}`))
	}
	f.Fuzz(func(t *testing.T, data, extensions []byte) {
		text := append([]byte(`{"uri":"com.qlik.v1.app.created","data":`), data...)
		text = append(append(append(text, `,"extensions":`...), extensions...), '}')
		event, err := triggers.Default().ParseEvent(text)
		if err != nil {
			return
		}
		body, err := payload.Render(event, time.Unix(1, 0))
		if err != nil {
			return
		}
		var whole struct {
			Data       json.RawMessage `json:"data"`
			Extensions json.RawMessage `json:"extensions"`
		}
		require.NoError(t, json.Unmarshal(body, &whole))
		gotExtensions, gotData := payload.CloudPartsOf(body)
		require.Equal(t, string(whole.Data), string(gotData))
		require.Equal(t, string(whole.Extensions), string(gotExtensions))
		require.Nil(t, payload.PropertiesOf(body))
		var members map[string]json.RawMessage
		if len(whole.Data) == 0 || whole.Data[0] != '{' || json.Unmarshal(whole.Data, &members) != nil {
			require.Empty(t, payload.DataIDOf(body))
			return
		}
		want := string(members["id"])
		if want == `""` || want == "" || want[0] != '"' {
			want = ""
		}
		require.Equal(t, want, string(payload.DataIDOf(body)))
	})
}
