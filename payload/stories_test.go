package payload_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/testdata"
)

func stories(t *testing.T) []testdata.Story {
	t.Helper()
	all, err := testdata.Stories()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func TestStoriesPutTheRunsOwnValuesInPlace(t *testing.T) {
	for _, story := range stories(t) {
		for name, golden := range story.Requests {
			require.Equal(t, string(golden), string(story.Request(name, testdata.WebhookID, testdata.When, testdata.PortalURL)))
			require.NotEqual(t, string(golden), string(story.Request(name, testdata.WebhookID, testdata.When+1, testdata.PortalURL)))
		}
		require.Nil(t, story.Request("nobody", testdata.WebhookID, testdata.When, testdata.PortalURL))
	}
}
