package payload_test

import (
	"bytes"
	"net/url"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
	"portalhook/triggers"
)

// What a reader of forms finds in the field payload is the JSON that would have been sent without the form, whatever stands in it, and the
// families' own signatures cover that, while Standard Webhooks signs what is sent.
func TestAFormHoldsTheJSON(t *testing.T) {
	secret := triggers.NewSecret("0123456789abcdef0123456789abcdef")
	rapid.Check(t, func(t *rapid.T) {
		rev := revision("form")
		rev.WebhookName = rapid.String().Draw(t, "name")
		rev.Pretty = rapid.Bool().Draw(t, "pretty")
		told := []payload.Event{toldEvent(t, []byte(`{"uri":"/items/a/update","when":1543192196521}`))}
		at := time.UnixMilli(1543192196530)
		plain, err := payload.Build(nil, rev, at, told)
		require.NoError(t, err)
		form := *rev
		form.Form = true
		body, err := payload.Build([]byte("before"), &form, at, told)
		require.NoError(t, err)
		body = bytes.TrimPrefix(body, []byte("before"))
		fields, err := url.ParseQuery(string(body))
		require.NoError(t, err)
		require.Equal(t, url.Values{"payload": {string(plain)}}, fields)

		sign := func(body []byte, contentType string) map[string]string {
			headers := map[string]string{"Content-Type": contentType}
			for _, pair := range payload.Sign(payload.Signing{
				Secrets: []triggers.Secret{secret}, ID: "dlv_1", At: at, Body: body, ContentType: contentType,
			}) {
				headers[pair[0]] = pair[1]
			}
			return headers
		}
		ofForm, ofJSON := sign(body, form.ContentType()), sign(plain, rev.ContentType())
		require.Equal(t, ofJSON[payload.HeaderEsri], ofForm[payload.HeaderEsri])
		require.NotEqual(t, ofJSON[payload.HeaderSignature], ofForm[payload.HeaderSignature])
		received := payload.Received{
			Secrets: []triggers.Secret{secret}, Header: func(name string) string { return ofForm[name] }, Body: body, Now: at,
		}
		verified, err := payload.Verify(received)
		require.NoError(t, err)
		require.Equal(t, []string{payload.HeaderSignature, payload.HeaderEsri}, verified)
		delete(ofForm, payload.HeaderSignature)
		received.Body = append(bytes.TrimSuffix(body, []byte("}")), ' ', '}')
		_, err = payload.Verify(received)
		require.ErrorIs(t, err, payload.ErrSignature)
		received.Body = []byte("other=1")
		_, err = payload.Verify(received)
		require.ErrorIs(t, err, payload.ErrSignature)
	})
}

func TestIndentedIsTheSameJSON(t *testing.T) {
	rev := revision("form")
	told := []payload.Event{toldEvent(t, []byte(`{"uri":"/items/a/update","when":1,"properties":{"big":12345678901234567890.10,"empty":{},"none":[],"text":"a \/ & é"}}`))}
	plain, err := payload.Build(nil, rev, time.UnixMilli(1), told)
	require.NoError(t, err)
	rev.Pretty = true
	pretty, err := payload.Build(nil, rev, time.UnixMilli(1), told)
	require.NoError(t, err)
	require.Contains(t, string(pretty), "\n  \"info\": {\n")
	require.Contains(t, string(pretty), `"big": 12345678901234567890.10`)
	value := jsontext.Value(pretty)
	require.NoError(t, value.Compact())
	require.Equal(t, string(plain), string(value))
}
