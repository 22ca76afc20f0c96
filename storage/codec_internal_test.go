package storage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/delivery"
	"portalhook/triggers"
)

func anyText(t *rapid.T, label string) string { return rapid.String().Draw(t, label) }

func anyPairs(t *rapid.T, label string) [][2]string {
	var pairs [][2]string
	for range rapid.IntRange(0, 4).Draw(t, label) {
		pairs = append(pairs, [2]string{anyText(t, "name"), anyText(t, "value")})
	}
	return pairs
}

func anyDuration(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "microseconds")) * time.Microsecond
}

func TestAttemptComesBackWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := delivery.Attempt{
			Number: rapid.Int().Draw(t, "number"), StartedAt: timeOf(rapid.Int64Range(0, 1<<42).Draw(t, "started")),
			Waited: anyDuration(t), DNS: anyDuration(t), Connect: anyDuration(t), TLS: anyDuration(t), FirstByte: anyDuration(t), Total: anyDuration(t),
			Revision: rapid.Int64().Draw(t, "revision"), Signed: anyPairs(t, "signed"), Outcome: delivery.Outcome(anyText(t, "outcome")),
			StatusCode: rapid.IntRange(0, 999).Draw(t, "status"), ResponseHeaders: anyPairs(t, "headers"),
			Truncated: rapid.Bool().Draw(t, "truncated"), Error: anyText(t, "error"),
		}
		if body := rapid.SliceOf(rapid.Byte()).Draw(t, "body"); len(body) > 0 {
			a.ResponseBody = body
		}
		got, err := parseAttempt(appendAttempt(nil, &a))
		require.NoError(t, err)
		require.Equal(t, a, got)
	})
}

func TestMatchesComeBackWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		planned := make([]delivery.Planned, rapid.IntRange(0, 40).Draw(t, "planned"))
		for i := range planned {
			planned[i] = delivery.Planned{
				Webhook: rapid.Uint32().Draw(t, "webhook"), Revision: rapid.Int64().Draw(t, "revision"), Trigger: rapid.Uint8().Draw(t, "trigger"),
				Interval: timeOf(rapid.Int64Range(0, 1<<42).Draw(t, "until")),
			}
		}
		blob := matchesOf(planned)
		require.Equal(t, len(planned), countMatches(blob))
		got, err := parseMatches(blob)
		require.NoError(t, err)
		require.Len(t, got, len(planned))
		for i, p := range planned {
			require.Equal(t, match{p.Webhook, p.Revision, p.Trigger, unixMilli(p.Interval)}, got[i])
		}
	})
}

// A damaged row is an error, never a panic and never much memory.
func FuzzParseAttempt(f *testing.F) {
	f.Add(appendAttempt(nil, &delivery.Attempt{}))
	f.Add(appendAttempt(nil, &delivery.Attempt{Signed: [][2]string{{"a", "b"}}, ResponseBody: []byte("x"), Error: "e"}))
	f.Add([]byte{attemptForm, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, blob []byte) {
		a, err := parseAttempt(blob)
		if err != nil {
			require.ErrorIs(t, err, errAttempt)
			return
		}
		again, err := parseAttempt(appendAttempt(nil, &a))
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}

func FuzzParseMatches(f *testing.F) {
	f.Add(matchesOf([]delivery.Planned{{Webhook: 1, Revision: 2, Trigger: 3}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		if _, err := parseMatches(blob); err != nil {
			require.ErrorIs(t, err, errMatches)
		}
	})
}

func TestSequenceRisesWithinDays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 11, 22, 23, 59, 59, 990_000_000, time.UTC)
		s := sequence{now: func() time.Time { return now }}
		for range 50 {
			before := s.last
			n := rapid.IntRange(1, 3<<triggers.IDSequenceBits).Draw(t, "n")
			first := s.draw(n)
			last := first + triggers.ID(n) - 1
			require.Greater(t, first, before)
			require.Equal(t, last, s.last)
			require.Equal(t, dayOf(first), dayOf(last))
			require.GreaterOrEqual(t, first, firstID(now.UnixMilli()))
			now = now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "ms")) * time.Millisecond)
		}
	})
}

func TestSuffixesNameDays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		day := rapid.Int64Range(1, 50_000).Draw(t, "day")
		back, err := dayOfSuffix(suffixOf(day))
		require.NoError(t, err)
		require.Equal(t, day, back)
		require.Equal(t, day, dayOf(firstOf(day)))
		require.Equal(t, day-1, dayOf(firstOf(day)-1))
	})
	_, err := dayOfSuffix("nonsense")
	require.Error(t, err)
}

// The turns are what a table of each webhook's earliest due date says.
func TestTurnsKnowWhoIsNext(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		turns := newTurns()
		earliest := make(map[uint32]int64)
		now := int64(100)
		t.Repeat(map[string]func(*rapid.T){
			"mark": func(t *rapid.T) {
				webhook, due := rapid.Uint32Range(1, 6).Draw(t, "webhook"), rapid.Int64Range(0, 300).Draw(t, "due")
				turns.mark(webhook, due)
				if before, ok := earliest[webhook]; !ok || due < before {
					earliest[webhook] = due
				}
			},
			"forget": func(t *rapid.T) {
				webhook := rapid.Uint32Range(1, 6).Draw(t, "webhook")
				turns.forget(webhook)
				delete(earliest, webhook)
			},
			"claim": func(t *rapid.T) {
				now += rapid.Int64Range(-50, 50).Draw(t, "step")
				turns.wake(now)
				var due []uint32
				for webhook, at := range earliest {
					if at <= now {
						due = append(due, webhook)
					}
				}
				require.ElementsMatch(t, due, turns.ready)
				var had []turn
				for _, webhook := range turns.ready[:rapid.IntRange(0, len(turns.ready)).Draw(t, "turns")] {
					left := turn{webhook: webhook, left: rapid.Bool().Draw(t, "left"), due: rapid.Int64Range(0, 300).Draw(t, "due")}
					had = append(had, left)
					if delete(earliest, webhook); left.left {
						earliest[webhook] = left.due
					}
				}
				turns.taken(had, now)
			},
			"": func(t *rapid.T) {
				require.Len(t, turns.places, len(earliest))
				for webhook, place := range turns.places {
					require.Equal(t, earliest[webhook], place.due)
				}
			},
		})
	})
}
