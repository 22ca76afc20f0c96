package payload_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
	"portalhook/triggers"
)

// Older receivers read `item` where portals of today say `items`: of what is sent nothing else may differ, whatever people have in their
// names.
func TestSingularSource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"jdoe", `","source":"items`, `source":"items"`, `\","source":"items","id":"`, "ü\t\x01", ""}).Draw(t, "name")
		uri := rapid.SampledFrom([]string{
			"/items/a/update", "/groups/a/update", "/users/a/signin", "/roles/a/update", "/users/bulkEnable", "/webhooks/72fed926aeb74c9ca8a22aacddc6725a/disable",
		}).Draw(t, "uri")
		quoted, err := json.Marshal(name)
		require.NoError(t, err)
		body, err := payload.Render(event(t, fmt.Sprintf(`{"uri":%q,"username":%s,"properties":{"source":"items"}}`, uri, quoted)), builtAt)
		require.NoError(t, err)
		resource := strings.Split(uri, "/")[1]
		format := rapid.SampledFrom([]triggers.Format{triggers.FormatAuto, triggers.FormatCloudEvents}).Draw(t, "format")

		parsed, err := triggers.Default().ParseURI(uri)
		require.NoError(t, err)
		told := []payload.Event{{ID: 1, URI: parsed, Body: body}}
		rev := revision("w")
		rev.Format = format
		plural, err := payload.Build(nil, rev, builtAt, told)
		require.NoError(t, err)
		rev.SingularSource = true
		singular, err := payload.Build(nil, rev, builtAt, told)
		require.NoError(t, err)
		at := fmt.Sprintf(`,"source":"%s","id":`, resource)
		require.Equal(t, 1, strings.Count(string(plural), at))
		require.Equal(t, strings.Replace(string(plural), at, fmt.Sprintf(`,"source":"%s","id":`, strings.TrimSuffix(resource, "s")), 1), string(singular))
	})
}
