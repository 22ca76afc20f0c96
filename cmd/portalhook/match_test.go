package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of a webhook whose trigger hears the event the interesting thing is what else holds it back.
func TestMatchSaysWhatHoldsBack(t *testing.T) {
	answer := matchAnswer{URI: "/items/a/share", Others: []notHeard{{
		Name: "filtered", Enabled: true, Why: "the filter of the webhook does not hold for the event",
		verdicts: verdicts{Matched: true, Triggers: []verdict{
			{Trigger: "/items/share", Matched: true, Segments: []comparison{{Pattern: "items", Event: "items", Matched: true}}},
			{Trigger: "/groups", Reason: "the event is about items"},
		}},
	}}}
	var out bytes.Buffer
	require.NoError(t, new(matchCommand).print(streams{out: &out, err: &out}, &answer))
	require.Regexp(t, `(?m)^filtered +no +/items/share +the filter of the webhook does not hold for the event$`, out.String())
	require.Regexp(t, `(?m)^filtered +no +/groups +the event is about items$`, out.String())
}
