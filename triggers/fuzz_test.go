package triggers_test

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// requireSentence checks what every refusal promises: a code, and a sentence that can be shown.
func requireSentence(t *testing.T, err error) {
	t.Helper()
	var e *triggers.FieldError
	require.ErrorAs(t, err, &e)
	require.Regexp(t, `^[A-Z_]+$`, e.Code)
	require.NotEmpty(t, e.Detail)
	require.Less(t, len(e.Detail), 1000, "a message does not grow with what was sent")
}

func FuzzParseTrigger(f *testing.F) {
	for _, e := range triggers.Default().Entries() {
		f.Add(e.Trigger)
		f.Add(e.Name)
	}
	for _, text := range []string{
		"/", "/items/[!a-z%41-]x", "/items/{a*,[b]}/?dd", "/items/%e2%84%aa/**", "com.qlik.**", "/services/a/b/**", "/items/a%2", "**",
		"/services/x/FeatureServer/Features*", "/roles/x", "//", "/{", "/[", "/items/[]-]", "/items/[a-%ff]", "/items/[%41%42-%43]",
	} {
		f.Add(text)
	}
	catalog := triggers.Default()
	f.Fuzz(func(t *testing.T, text string) {
		trigger, err := catalog.ParseTrigger(text)
		if err != nil {
			requireSentence(t, err)
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			if e.Suggestion != "" {
				_, err := catalog.ParseTrigger(e.Suggestion)
				require.NoError(t, err, "what is suggested for %q is a trigger", text)
			}
			return
		}
		again, err := catalog.ParseTrigger(trigger.Text)
		require.NoError(t, err)
		require.Equal(t, trigger, again)
		require.True(t, trigger.Root || trigger.Operations != 0, "it can fire")
		require.Equal(t, trigger.Any, !trigger.Root && len(trigger.Path) == 0)
		requireSound(t, trigger.Path)
	})
}

// requireSound checks what routers rely on: no empty token, nothing nested.
func requireSound(t *testing.T, path []triggers.Segment) {
	t.Helper()
	for _, segment := range path {
		require.NotEmpty(t, segment)
		literal := false
		for _, token := range segment {
			require.False(t, literal && token.Kind == triggers.Literal, "neighbouring literals are one")
			literal = token.Kind == triggers.Literal
			switch token.Kind {
			case triggers.Literal:
				require.NotEmpty(t, token.Text)
				require.True(t, utf8.ValidString(token.Text))
			case triggers.Class:
				require.NotEmpty(t, token.Ranges)
				for _, r := range token.Ranges {
					require.LessOrEqual(t, r.Low, r.High)
				}
			case triggers.Alternatives:
				require.NotEmpty(t, token.Choices)
				for _, choice := range token.Choices {
					for _, inner := range choice {
						require.NotEqual(t, triggers.Alternatives, inner.Kind)
					}
				}
				requireSound(t, token.Choices)
			case triggers.AnyRun, triggers.AnyOne:
			}
		}
	}
}

func FuzzParseURI(f *testing.F) {
	for _, text := range []string{
		"/items/x/share", "/users/bulkEnable", "/services/a/b/FeatureServer/FeaturesCreated", "/services/a/GPServer", "com.qlik.v1.app.created",
		"/users/%e2%84%aa/signIn", "/items/%/share", "/items//share", "/webhooks/4adc30bb-0305-4812-a846-fa592de105de/disable", "/", "",
	} {
		f.Add(text)
	}
	catalog := triggers.Default()
	f.Fuzz(func(t *testing.T, text string) {
		uri, err := catalog.ParseURI(text)
		if err != nil {
			requireSentence(t, err)
			return
		}
		again, err := catalog.ParseURI(uri.String())
		require.NoError(t, err)
		require.Equal(t, uri, again)
		_, err = catalog.ParseTrigger(uri.AnyForm())
		require.NoError(t, err)
		packed, ok := uri.HexKey()
		require.Equal(t, ok, len(uri.Key()) == 32 && strings.Trim(uri.Key(), "0123456789abcdef") == "")
		require.True(t, !ok || triggers.WebhookID(packed).String() == uri.Key())
	})
}

func FuzzParseEvents(f *testing.F) {
	for _, e := range triggers.Default().Entries() {
		f.Add(e.SampleEvent)
	}
	for _, body := range []string{
		`[]`, `[{"uri":"/items/x/share"},{"uri":"/items/y/share","properties":{"a" : [1, "\u003c"]}}]`, `{"uri":"/items/x/share","when":1e400}`,
		"{\"uri\":\"/items/x/share\"}\n\n{\"source\":\"user\",\"operation\":\"signin\",\"id\":\"ann\"}", `{"uri":"\ud83d\ude00"}`, `{"a":{"b":1,"b":2}}`,
		`{"uri":"/items/x/share","audience":["a"],"properties":{}}`, `[[[[`, `{"specversion":"1.0"}`,
		`{"specversion":"1.0","id":"1","source":"a","type":"/items/share","subject":"/items/x/share","time":"2018-11-26T00:29:56Z","data":{"username":"a"}}`,
		`[{"specversion":"1.0","id":"1","source":"a","type":"com.qlik.v1.app.created","audience":"a,b","extensions":{"ownerId":"o","x":[1]},"data_base64":"e30="}]`,
	} {
		f.Add([]byte(body))
	}
	catalog := triggers.Default()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, contentType := range []string{
			"application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json",
		} {
			events, _, err := catalog.ParseEvents(contentType, body)
			if err != nil {
				requireSentence(t, err)
				require.Empty(t, events)
				continue
			}
			require.NotEmpty(t, events)
			for _, ev := range events {
				_, err := catalog.ParseURI(ev.URI.String())
				require.NoError(t, err)
				for _, value := range [][]byte{ev.Properties, ev.Data, ev.Extensions} {
					if value == nil {
						continue
					}
					compact, err := jsontext.AppendFormat(nil, value)
					require.NoError(t, err)
					require.Equal(t, string(compact), string(value))
				}
			}
		}
	})
}

func FuzzCheckURL(f *testing.F) {
	for _, text := range []string{
		"https://receiver.example.com/hook", "http://127.0.0.1:9000", "https://[::ffff:127.0.0.1]/", "https://0x7f.1/", "https://a@b.example", "https://a.example:0/",
		"https://2130706433", "https://bücher.example/", "https://a.example/#", "https://127.0.0.1%2f@a.example/", "https:/\\a.example",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := triggers.Targets{}.CheckURL(text)
		if err != nil {
			requireSentence(t, err)
			return
		}
		require.Equal(t, "https", u.Scheme)
		require.Nil(t, u.User)
		require.Contains(t, u.Hostname(), ".")
		_, err = netip.ParseAddr(u.Hostname())
		require.Error(t, err, "no address gets through")
		require.NotContains(t, text, "#")
	})
}
