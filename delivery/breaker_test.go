package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBreaker(t *testing.T) {
	const all, none, probe = -1, 0, 1
	type step struct {
		after   time.Duration // since the step before
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
		{"nine failures in a row are not enough", []step{{0, repeat(9, "-"), all}}},
		{"ten in a row open it", []step{{0, repeat(10, "-"), none}}},
		{"a success starts the row anew", []step{{0, repeat(6, "+") + repeat(9, "-"), all}}},
		{"seven of ten open it", []step{{0, "+--+--+---", none}}},
		{"six of ten do not", []step{{0, "+--+--+--+", all}}},
		{"what is older than five minutes is forgotten", []step{{0, "---", all}, {6 * time.Minute, "+---+--", all}}},
		{"what is younger counts", []step{{0, "---", all}, {4 * time.Minute, "+---+--", none}}},
		{"after thirty seconds one probe may go", []step{
			{0, repeat(10, "-"), none},
			{29 * time.Second, "", none},
			{time.Second, "", probe},
		}},
		{"a probe that fails doubles the rest, to fifteen minutes", []step{
			{0, repeat(10, "-"), none},
			{30 * time.Second, "-", none},
			{59 * time.Second, "", none},
			{time.Second, "-", none},
			{2 * time.Minute, "-", none},
			{4 * time.Minute, "-", none},
			{8 * time.Minute, "-", none},
			{15 * time.Minute, "-", none},
			{15*time.Minute - 1, "", none},
			{1, "", probe},
		}},
		{"three probes that succeed close it", []step{
			{0, repeat(10, "-"), none},
			{30 * time.Second, "+", probe},
			{0, "+", probe},
			{0, "+", all},
			{0, repeat(9, "-"), all},
		}},
		{"two are not enough, and the next failure rests it again for longer", []step{
			{0, repeat(10, "-"), none},
			{30 * time.Second, "++-", none},
			{59 * time.Second, "", none},
			{time.Second, "", probe},
		}},
		{"what began before it opened tells nothing", []step{{0, repeat(10, "-"), none}, {time.Second, "---+++", none}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var b breaker
			now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
			for i, s := range c.steps {
				now = now.Add(s.after)
				for _, result := range s.results {
					b.record(result == '+', now)
				}
				require.Equal(t, s.admits, b.admits(now), "step %d", i)
			}
		})
	}
}
