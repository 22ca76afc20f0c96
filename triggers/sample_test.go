package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

// A sample event can be moved to what a trigger names, and then the trigger hears it.
func TestMoveTo(t *testing.T) {
	for trigger, c := range map[string]struct{ sample, want string }{
		"/items/share": {`{"uri":"/items/a/share"}`, "/items/a/share"},
		"/items/4adc30bb03054812a846fa592de105de":        {`{"uri":"/items/a/share"}`, "/items/4adc30bb03054812a846fa592de105de/share"},
		"/groups/qa-*/{addUsers,removeUsers}":            {`{"uri":"/groups/a/addUsers"}`, "/groups/qa-x/addUsers"},
		"/users/{ann,bob}/signIn":                        {`{"uri":"/users/a/signin"}`, "/users/ann/signIn"},
		"/users/?[0-9][!a-c]z":                           {`{"uri":"/users/a/update"}`, "/users/x0dz/update"},
		"/users/a%2Fb/update":                            {`{"uri":"/users/a/update"}`, "/users/a%2Fb/update"},
		"/users/bulkEnable":                              {`{"uri":"/users/bulkEnable"}`, "/users/bulkEnable"},
		"/services/Roads/FeatureServer":                  {`{"uri":"/services/a/FeatureServer/FeaturesCreated"}`, "/services/roads/FeatureServer/FeaturesCreated"},
		"/services/maps-[a-f]/*/GPServer":                {`{"uri":"/services/a/GPServer","jobId":"1","status":"failed"}`, "/services/maps-a/x/GPServer"},
		"/services/roads/**":                             {`{"uri":"/services/a/GPServer","jobId":"1","status":"failed"}`, "/services/roads/GPServer"},
		"/webhooks/72fed926-aeb7-4c9c-a8a2-2aacddc6725a": {`{"uri":"/webhooks/a/disable"}`, "/webhooks/72fed926aeb74c9ca8a22aacddc6725a/disable"},
	} {
		parsed, err := triggers.Default().ParseTrigger(trigger)
		require.NoError(t, err, trigger)
		ev, err := triggers.Default().ParseEvent([]byte(c.sample))
		require.NoError(t, err, trigger)
		require.NoError(t, ev.MoveTo(&parsed))
		require.Equal(t, c.want, ev.URI.String(), trigger)
		require.True(t, hears(&parsed, &ev.URI), trigger)
	}
}

func TestMoveToTellsOfTheService(t *testing.T) {
	parsed, err := triggers.Default().ParseTrigger("/services/maps/roads/FeatureServer")
	require.NoError(t, err)
	ev, err := triggers.Default().ParseEvent([]byte(`{"uri":"/services/a/FeatureServer/FeaturesCreated","serviceName":"a","changesUrl":"https://a.example.com/"}`))
	require.NoError(t, err)
	require.NoError(t, ev.MoveTo(&parsed))
	require.Equal(t, &triggers.ServiceFacts{ServiceName: "roads", FolderName: "maps"}, ev.Service)
}

// Whatever a trigger names, a sample can be moved there.
func TestMoveToEverywhere(t *testing.T) {
	entries := triggers.Default().Entries()
	checkOften(t, func(t *rapid.T) {
		parsed, err := triggers.Default().ParseTrigger(portalTrigger().Draw(t, "trigger"))
		if err != nil {
			return
		}
		moved := 0
		for i := range entries {
			ev, err := triggers.Default().ParseEvent(entries[i].SampleEvent)
			require.NoError(t, err)
			if parsed.OperationsOf(ev.URI.Resource).Has(ev.URI.Operation) {
				require.NoError(t, ev.MoveTo(&parsed))
				if !triggers.IsBulk(ev.URI.Resource, ev.URI.Operation) {
					require.True(t, hears(&parsed, &ev.URI), "%s hears %s", parsed.Text, ev.URI)
					moved++
				}
			}
		}
		require.True(t, moved > 0 || parsed.Any, parsed.Text)
	})
}
