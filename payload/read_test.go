package payload_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/payload"
	"portalhook/triggers"
)

func TestDataIDOf(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"id":"a 1","name":"n"}`: `"a 1"`, `{"name":"n","id":"é"}`: `"é"`, `{"id":""}`: "", `{"id":7}`: "", `{}`: "", `[{"id":"x"}]`: "", `"id"`: "",
		`{"inner":{"id":"x"}}`: "",
	} {
		event, err := triggers.Default().ParseEvent([]byte(`{"uri":"com.qlik.v1.app.created","data":` + data + `}`))
		if err != nil {
			require.NotEqual(t, byte('{'), data[0], "an object is data: %v", err)
			continue
		}
		body, err := payload.Render(event, time.Now())
		require.NoError(t, err)
		require.Equal(t, want, string(payload.DataIDOf(body)), data)
	}
	event, err := triggers.Default().ParseEvent([]byte(`{"uri":"com.qlik.v1.app.created"}`))
	require.NoError(t, err)
	body, err := payload.Render(event, time.Now())
	require.NoError(t, err)
	require.Nil(t, payload.DataIDOf(body))
}
