package console

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// A session lasts from one request to the next, and not for ever; a key that was added later seals, and the older one still opens.
func TestSessions(t *testing.T) {
	old, fresh := []byte(strings.Repeat("a", 32)), []byte(strings.Repeat("b", 32))
	before, err := newSealer([][]byte{old})
	require.NoError(t, err)
	after, err := newSealer([][]byte{fresh, old})
	require.NoError(t, err)
	s := before.begin("key-id", start)
	value := before.seal(s)
	require.NotContains(t, value, "key-id")
	for name, sealer := range map[string]*sealer{"the same": before, "with another key": after} {
		read, ok := sealer.unseal(value, start.Add(sessionIdle-time.Second))
		require.True(t, ok, name)
		require.Equal(t, "key-id", read.keyID, name)
		require.True(t, sealer.holds(read, before.token(s)), name)
		_, ok = sealer.unseal(value, start.Add(sessionIdle))
		require.False(t, ok, name)
	}
	_, ok := before.unseal(after.seal(s), start)
	require.False(t, ok, "sealed under a key that this one has not")

	s.seen = start.Add(sessionLife - time.Hour)
	_, ok = before.unseal(before.seal(s), start.Add(sessionLife-time.Second))
	require.True(t, ok)
	_, ok = before.unseal(before.seal(s), start.Add(sessionLife))
	require.False(t, ok, "renewed to the last, and over all the same")

	require.False(t, before.holds(s, before.token(before.begin("key-id", start))), "another session's token")
	require.False(t, before.holds(s, ""))
	for _, odd := range []string{"", "x", "AAAA", strings.Repeat("A", maxSealed+1), value[:len(value)-1], value + "A"} {
		_, ok := before.unseal(odd, start)
		require.False(t, ok, odd)
	}
}

// What was ended stays ended, within bounds.
func TestEndings(t *testing.T) {
	sealer, err := newSealer([][]byte{[]byte(strings.Repeat("a", 32))})
	require.NoError(t, err)
	for range 2 * maxEndings {
		sealer.ended.add(sealer.begin("k", start).id, start.Add(sessionLife), start)
	}
	last := sealer.begin("k", start)
	sealer.ended.add(last.id, start.Add(sessionLife), start)
	require.LessOrEqual(t, len(sealer.ended.until), maxEndings)
	_, ok := sealer.unseal(sealer.seal(last), start)
	require.False(t, ok)
}
