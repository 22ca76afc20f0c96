package router_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/router"
	"portalhook/testdata"
	"portalhook/triggers"
)

func TestStoriesMatchAsTold(t *testing.T) {
	t.Parallel()
	stories, err := testdata.Stories()
	require.NoError(t, err)
	for _, s := range stories {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			event, err := triggers.Default().ParseEvent(s.Event)
			require.NoError(t, err)
			table := router.NewTable()
			webhooks := make([][]triggers.Trigger, len(s.Webhooks))
			for i := range s.Webhooks {
				w, err := s.Webhooks[i].Subscription()
				require.NoError(t, err)
				webhooks[i] = w.Triggers
				table.Put(1, uint32(i), webhooks[i])
			}
			var heard []testdata.Match
			for _, h := range table.Match(1, &event.URI, nil) {
				heard = append(heard, testdata.Match{Webhook: s.Webhooks[h.Webhook].Name, Trigger: webhooks[h.Webhook][h.Trigger].Text})
			}
			require.Equal(t, s.Heard(), heard, s.Sentence)
		})
	}
}
