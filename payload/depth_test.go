package payload_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"portalhook/payload"
	"portalhook/triggers"
)

// An event that is taken can be sent in every form, and read by receivers whose readers go 64 deep; what is deeper is refused.
func TestDeepEventsCanBeSent(t *testing.T) {
	for name, text := range map[string]string{
		"properties": `{"uri":"/items/x/update","properties":{"a":%s}}`,
		"data":       `{"uri":"com.qlik.v1.app.created","data":{"a":%s}}`,
		"extensions": `{"uri":"com.qlik.v1.app.created","data":{},"extensions":{"a":%s}}`,
		"cloudevent": `{"specversion":"1.0","id":"1","source":"com.qlik/x","type":"com.qlik.v1.app.created","data":{"a":%s}}`,
	} {
		t.Run(name, func(t *testing.T) {
			taken := 0
			for _, depth := range []int{1, 57, 58, 59, 60, 61, 1000, 9_998, 9_999, 100_000} {
				ev, err := triggers.Default().ParseEvent([]byte(fmt.Sprintf(text, strings.Repeat("[", depth)+strings.Repeat("]", depth))))
				if err != nil {
					var field *triggers.FieldError
					require.ErrorAs(t, err, &field)
					continue
				}
				taken = depth
				body, err := payload.Render(ev, time.Unix(1, 0))
				require.NoError(t, err)
				for _, format := range []triggers.Format{triggers.FormatAuto, triggers.FormatCloudEvents, triggers.FormatHybrid, triggers.FormatLegacy} {
					for _, pretty := range []bool{false, true} {
						rev := payload.Revision{Builder: payload.Version, WebhookID: triggers.WebhookID{1}, PortalURL: "https://portal.example.com/", Format: format, Pretty: pretty}
						sent, err := payload.Build(nil, &rev, time.Unix(1, 0), []payload.Event{{ID: 1, URI: ev.URI, Body: body}})
						require.NoError(t, err, "depth %d, %s", depth, format)
						require.True(t, jsontext.Value(sent).IsValid(), "depth %d, %s", depth, format)
						require.LessOrEqual(t, strings.Count(string(sent), "[")+strings.Count(string(sent), "{"), 70)
					}
				}
			}
			require.Equal(t, 59, taken) // and the object around it
		})
	}
}
