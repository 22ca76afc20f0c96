package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

func TestCatalogHoldsEveryFamily(t *testing.T) {
	entries := triggers.Default().Entries()
	count := make(map[string]int)
	for _, e := range entries {
		count[e.Resource]++
	}
	require.Equal(t, map[string]int{
		"portal": 1, "items": 23, "groups": 27, "users": 21, "roles": 4, "services": 12 + 1, "cloud": 20, "webhooks": 3,
	}, count)
}

func TestCatalogEntries(t *testing.T) {
	catalog := triggers.Default()
	for _, e := range catalog.Entries() {
		t.Run(e.Trigger, func(t *testing.T) {
			require.NotEmpty(t, e.Title)
			require.NotEmpty(t, e.Category)
			require.Contains(t, []string{"any", "specific"}, e.Scope)

			trigger, err := catalog.ParseTrigger(e.Name)
			require.NoError(t, err)
			require.Equal(t, e.Name, trigger.Text, "the catalogue's spelling is what is listed")
			tenantOnly := len(e.Levels) == 1
			require.Equal(t, tenantOnly, trigger.TenantOnly)

			ev, err := catalog.ParseEvent(e.SampleEvent)
			require.NoError(t, err)
			require.Empty(t, ev.EventID, "every sample can be emitted beside the others, and again")
			require.True(t, trigger.OperationsOf(ev.URI.Resource).Has(ev.URI.Operation), "it hears its own sample")
			require.Equal(t, !tenantOnly, e.Resource != "portal" && catalog.UserLevel(&ev.URI))

			if e.Operation != "*" && e.Resource != "cloud" && e.Resource != "services" {
				name := triggers.OperationName(ev.URI.Resource, ev.URI.Operation)
				require.Equal(t, e.Operation, name, "the constants and the tables agree")
			}
			if e.Trigger != e.Name {
				_, err := catalog.ParseTrigger(e.Trigger)
				var field *triggers.FieldError
				require.ErrorAs(t, err, &field)
				require.Equal(t, "PLACEHOLDER", field.Code)
				require.Equal(t, e.Name, field.Suggestion)
			}
		})
	}
}
