package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       triggers.Identity
	}{
		{"no id", `{"uri":"/items/a/update"}`, triggers.Identity{}},
		{"an id", `{"uri":"/items/a/update","eventId":"e1"}`, triggers.Identity{ID: "e1"}},
		{"an id and a source", `{"uri":"com.qlik.v1.app.created","source":"s","eventId":"e1"}`, triggers.Identity{Source: "s", ID: "e1"}},
		{"a service that is no job's", `{"uri":"/services/Parcels/FeatureServer/FeaturesCreated","eventId":"e1"}`, triggers.Identity{ID: "e1"}},
		{
			"a job", `{"uri":"/services/Buffer/GPServer","eventId":"e1","jobId":"J1","status":"failed"}`,
			triggers.Identity{Service: "buffer", Job: "J1"},
		},
		{
			"a job in a folder", `{"uri":"/services/City/BUFFER/GPServer","jobId":"J1","status":"succeeded"}`,
			triggers.Identity{Folder: "city", Service: "buffer", Job: "J1"},
		},
		{"a job that is not named", `{"uri":"/services/Buffer/GPServer","eventId":"e1","status":"failed"}`, triggers.Identity{ID: "e1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := triggers.Default().ParseEvent([]byte(c.body))
			require.NoError(t, err)
			got := ev.Identity()
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == triggers.Identity{}, got.IsZero())
			require.Equal(t, c.want.Job != "", got.OfJob())
		})
	}
}
