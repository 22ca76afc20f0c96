package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCase26Breaker holds the state machine of a host's breaker to a table: it opens, probes and closes, also while the clock is set.
func TestCase26Breaker(t *testing.T) {
	const all, none, probe = -1, 0, 1
	type step struct {
		after   time.Duration // since the step before
		set     time.Duration // by how much the clock is set then
		results string        // + a success, - a failure; in this order
		admits  int           // then
	}
	repeat := func(n int, pattern string) string {
		out := ""
		for range n {
			out += pattern
		}
		return out
	}
	cases := []struct {
		name  string
		steps []step
	}{
		{"nine failures in a row are not enough", []step{{0, 0, repeat(9, "-"), all}}},
		{"ten in a row open it", []step{{0, 0, repeat(10, "-"), none}}},
		{"a success starts the row anew", []step{{0, 0, repeat(6, "+") + repeat(9, "-"), all}}},
		{"seven of ten open it", []step{{0, 0, "+--+--+---", none}}},
		{"six of ten do not", []step{{0, 0, "+--+--+--+", all}}},
		{"what is older than five minutes is forgotten", []step{{0, 0, "---", all}, {6 * time.Minute, 0, "+---+--", all}}},
		{"what is younger counts", []step{{0, 0, "---", all}, {4 * time.Minute, 0, "+---+--", none}}},
		{"after thirty seconds one probe may go", []step{
			{0, 0, repeat(10, "-"), none},
			{29 * time.Second, 0, "", none},
			{time.Second, 0, "", probe},
		}},
		{"a probe that fails doubles the rest, to fifteen minutes", []step{
			{0, 0, repeat(10, "-"), none},
			{30 * time.Second, 0, "-", none},
			{59 * time.Second, 0, "", none},
			{time.Second, 0, "-", none},
			{2 * time.Minute, 0, "-", none},
			{4 * time.Minute, 0, "-", none},
			{8 * time.Minute, 0, "-", none},
			{15 * time.Minute, 0, "-", none},
			{15*time.Minute - 1, 0, "", none},
			{1, 0, "", probe},
		}},
		{"three probes that succeed close it", []step{
			{0, 0, repeat(10, "-"), none},
			{30 * time.Second, 0, "+", probe},
			{0, 0, "+", probe},
			{0, 0, "+", all},
			{0, 0, repeat(9, "-"), all},
		}},
		{"two are not enough, and the next failure rests it again for longer", []step{
			{0, 0, repeat(10, "-"), none},
			{30 * time.Second, 0, "++-", none},
			{59 * time.Second, 0, "", none},
			{time.Second, 0, "", probe},
		}},
		{"a clock that is set neither lengthens nor shortens its rest", []step{
			{results: repeat(10, "-"), admits: none},
			{after: 10 * time.Second, set: -time.Hour, admits: none},
			{after: 10 * time.Second, set: 2 * time.Hour, admits: none},
			{after: 9 * time.Second, admits: none},
			{after: time.Second, admits: probe},
		}},
		{"nor does it change what is young", []step{
			{results: "---", admits: all},
			{set: -7 * time.Hour, after: 4 * time.Minute, results: "+---+-", admits: all},
			{set: 11 * time.Minute, results: "-", admits: none},
		}},
		{"what began before it opened tells nothing", []step{{0, 0, repeat(10, "-"), none}, {time.Second, 0, "---+++", none}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var b breaker
			wall, mono := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Duration(0)
			clock := newClock(func() time.Time { return wall }, func() time.Duration { return mono })
			for i, s := range c.steps {
				wall, mono = wall.Add(s.after+s.set), mono+s.after
				_, err := clock.Follow(func(time.Duration) error { return nil })
				require.NoError(t, err)
				now := clock.Steady()
				for _, result := range s.results {
					b.record(result == '+', now)
				}
				require.Equal(t, s.admits, b.admits(now), "step %d", i)
			}
		})
	}
}
