package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// A list says of each webhook whether it is on, and what there is to worry about.
func TestStateOfAListedWebhook(t *testing.T) {
	for text, want := range map[string]string{
		`{"enabled":true}`:                          "on",
		`{"enabled":true,"health":{"percent":49}}`:  "on",
		`{"enabled":true,"health":{"percent":60}}`:  "on, failing: 60 % of the way to being switched off",
		`{"enabled":false}`:                         "off",
		`{"enabled":false,"health":{"percent":90}}`: "off",
		`{"enabled":false,"disabledReason":"no answer","health":{"percent":100,"probe":{"tries":1}}}`:     "off: no answer",
		`{"enabled":false,"disabledReason":"no answer","health":{"probe":{"nextAt":"2026-11-22T03:00"}}}`: "off: no answer; next probe 2026-11-22T03:00",
	} {
		var row webhookRow
		require.NoError(t, json.Unmarshal([]byte(text), &row))
		texts := row.texts()
		require.Equal(t, want, texts[len(texts)-1], text)
	}
}
