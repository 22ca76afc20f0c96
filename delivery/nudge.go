package delivery

import "time"

// untilNudged is the wait of a loop that has nothing to come back for by itself.
const untilNudged time.Duration = -1

// nudge wakes a loop that has something to do now. Whoever gives one never waits, and several are as one.
type nudge chan struct{}

func newNudge() nudge { return make(nudge, 1) }

func (n nudge) give() {
	select {
	case n <- struct{}{}:
	default:
	}
}

// loop does a round at once, for what an earlier run left, and then whenever it is nudged or the wait is over that the last round asked for.
// It returns, between two rounds, when stop is closed.
func (n nudge) loop(stop <-chan struct{}, round func() (wait time.Duration)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-n:
		case <-timer.C:
		}
		if wait := round(); wait == untilNudged {
			timer.Stop()
		} else {
			timer.Reset(wait)
		}
	}
}
