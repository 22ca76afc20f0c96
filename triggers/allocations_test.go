//go:build !race

// Under the race detector pools drop what they are given at random, so there is nothing to count.

package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

func TestParseEventAllocations(t *testing.T) {
	const event, text, properties = 1, 1, 1
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		_, _ = triggers.Default().ParseEvent(sharedItem)
	}), float64(event+text+properties))
}
