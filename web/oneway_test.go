package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCloudEventsOneWay sees that delivery as CloudEvents is not switched off again, and what saying nothing of it means.
func TestCloudEventsOneWay(t *testing.T) {
	const (
		v1, core = "/api/v1/webhooks", "/api/core/webhooks"
		plain    = `{"name":"a","url":"https://a.example.com/"`
		on, off  = plain + `,"enableCloudEventDelivery":true}`, plain + `,"enableCloudEventDelivery":false}`
		silent   = plain + "}"
		patch    = `[{"op":"replace","path":"/enableCloudEventDelivery","value":`
		remove   = `[{"op":"remove","path":"/enableCloudEventDelivery"}]`
	)
	for _, c := range []struct {
		name, create   string
		method, prefix string
		body           string
		status         int
		after          bool
	}{
		{"on, put on", on, "PUT", core, on, 200, true},
		{"on, put off", on, "PUT", core, off, 403, true},
		{"on, put off under the older prefix", on, "PUT", v1, off, 403, true},
		{"on, put without a word", on, "PUT", core, silent, 403, true},
		{"on, put without a word under the older prefix", on, "PUT", v1, silent, 200, true},
		{"on, patched off", on, "PATCH", core, patch + "false}]", 403, true},
		{"on, patched off under the older prefix", on, "PATCH", v1, patch + "false}]", 403, true},
		{"on, patched away", on, "PATCH", core, remove, 403, true},
		{"on, patched away under the older prefix", on, "PATCH", v1, remove, 403, true},
		{"on, patched on", on, "PATCH", core, patch + "true}]", 204, true},
		{"on, away and back in one patch", on, "PATCH", core, remove[:len(remove)-1] + "," + strings.Replace(patch[1:], "replace", "add", 1) + "true}]", 204, true},
		{"on, patched elsewhere", on, "PATCH", core, `[{"op":"replace","path":"/name","value":"b"}]`, 204, true},
		{"on by default", silent, "PUT", core, off, 403, true},
		{"on by default of the core prefix too", silent, "PATCH", v1, remove, 403, true},
		{"off, put off", off, "PUT", core, off, 200, false},
		{"off, put without a word", off, "PUT", core, silent, 200, false},
		{"off, put without a word under the older prefix", off, "PUT", v1, silent, 200, false},
		{"off, patched away", off, "PATCH", v1, remove, 204, false},
		{"off, patched elsewhere", off, "PATCH", core, `[{"op":"replace","path":"/name","value":"b"}]`, 204, false},
		{"off, put on", off, "PUT", v1, on, 200, true},
		{"off, patched on", off, "PATCH", core, patch + "true}]", 204, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newBareEdge(t)
			prefix := map[string]string{v1: core, core: v1}[c.prefix] // made under the other one, which is all the same
			a := e.call(t, "POST", prefix, c.create)
			require.Equal(t, http.StatusCreated, a.status, a.body)
			require.Equal(t, c.create != off, a.json(t)["enableCloudEventDelivery"])
			before := *e.only(t)
			a = e.call(t, c.method, c.prefix+"/"+before.ID.String(), c.body)
			require.Equal(t, c.status, a.status, a.body)
			require.Equal(t, c.after, e.only(t).EnableCloudEventDelivery)
			if c.status == http.StatusForbidden {
				require.Equal(t, "CLOUD_EVENTS_ONE_WAY", a.problem(t)["code"])
				require.Equal(t, "enableCloudEventDelivery", a.problem(t)["field"])
				require.Equal(t, before, *e.only(t), "nothing has changed")
			}
		})
	}
}
