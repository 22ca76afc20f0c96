package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A loop does a round at once, one for any number of nudges during a round, and one when the wait is over that the last asked for, whatever
// earlier rounds asked for; then it rests, until it is nudged or stopped.
func TestNudgedLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const shutdown = 10 * time.Hour
		began := time.Now()
		n, stop := newNudge(), make(chan struct{})
		time.AfterFunc(time.Hour, n.give)
		time.AfterFunc(2*time.Hour, n.give)
		time.AfterFunc(shutdown, func() { close(stop) })
		var rounds []time.Duration // when each was
		n.loop(stop, func() time.Duration {
			rounds = append(rounds, time.Since(began))
			switch len(rounds) {
			case 1:
				n.give()
				n.give()
			case 3:
				return time.Minute
			case 4:
				return 0
			case 5:
				return 2 * time.Hour // which the second hour's nudge comes before
			}
			return untilNudged
		})
		require.Equal(t, []time.Duration{0, 0, time.Hour, time.Hour + time.Minute, time.Hour + time.Minute, 2 * time.Hour}, rounds)
		require.Equal(t, shutdown, time.Since(began))
		n.give() // nobody is left to hear it
	})
}
