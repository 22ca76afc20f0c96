package triggers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// rotated lists the old secrets with the hours they have left.
func rotated(w *triggers.Webhook, now time.Time) []string {
	var list []string
	for _, old := range w.OldSecrets {
		list = append(list, fmt.Sprintf("%s %g", old.Secret.Reveal(), old.Until.Sub(now).Hours()))
	}
	return list
}

func TestRotate(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	w := &triggers.Webhook{}
	rotate := func(secret string, hours int) {
		w.Rotate(triggers.NewSecret(secret), now.Add(time.Duration(hours)*time.Hour), now)
		require.Equal(t, secret, w.Secret.Reveal())
	}
	rotate("a", 24)
	require.Empty(t, w.OldSecrets, "where there was none, none is old")
	require.Zero(t, w.OldSecretsUntil())
	rotate("b", 24)
	rotate("c", 2)
	require.Equal(t, []string{"b 2", "a 24"}, rotated(w, now), "an earlier promise stands")
	require.Equal(t, now.Add(24*time.Hour), w.OldSecretsUntil())
	rotate("a", 3)
	require.Equal(t, []string{"c 3", "b 2"}, rotated(w, now), "one that comes back is no old one")

	before := w.OldSecrets
	now = now.Add(2 * time.Hour)
	require.Equal(t, []string{"c 1", "b 0"}, rotated(w, now))
	w.ForgetOldSecrets(now)
	require.Equal(t, []string{"c 1"}, rotated(w, now), "at its end a secret does not sign any more")
	require.Len(t, before, 2, "what others hold is not written into")
	require.Equal(t, "b", before[1].Secret.Reveal())
	rotate("d", 0)
	require.Empty(t, w.OldSecrets, "with no time at all the older ones end, too")

	for i := range 15 {
		rotate(fmt.Sprintf("s%d", i), 100-i%3)
	}
	require.Len(t, w.OldSecrets, triggers.MaxOldSecrets)
	require.Equal(t, "s13", w.OldSecrets[0].Secret.Reveal(), "the newest stands first")
	require.Equal(t, "s4", w.OldSecrets[9].Secret.Reveal(), "the oldest were dropped")
}
