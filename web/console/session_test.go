package console

import (
	"fmt"
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
		sealer.ended.add(sealer.begin("k", start), start)
	}
	last := sealer.begin("k", start)
	sealer.ended.add(last, start)
	require.LessOrEqual(t, len(sealer.ended.until), maxEndings)
	_, ok := sealer.unseal(sealer.seal(last), start)
	require.False(t, ok)
}

// Each guess beyond the free ones doubles the wait, which ends; an address is an IPv4 address or a /64.
func TestGuesses(t *testing.T) {
	g, now := newGuesses(), start
	for range freeGuesses {
		require.Zero(t, g.wait("203.0.113.7", now))
		g.failed("203.0.113.7", now)
	}
	require.Zero(t, g.wait("203.0.113.7", now))
	for want := firstWait; want < longestWait; want *= 2 {
		g.failed("203.0.113.7", now)
		require.Equal(t, want, g.wait("203.0.113.7", now))
		require.Equal(t, want, g.wait("::ffff:203.0.113.7", now))
		now = now.Add(want)
		require.Zero(t, g.wait("203.0.113.7", now))
	}
	for range 100 {
		g.failed("203.0.113.7", now)
	}
	require.Equal(t, longestWait, g.wait("203.0.113.7", now))
	require.Zero(t, g.wait("203.0.113.8", now))
	g.failed("203.0.113.7", now.Add(guessMemory+time.Second))
	require.Zero(t, g.wait("203.0.113.7", now.Add(guessMemory+time.Second)), "forgotten, and one more is free")

	for i := range freeGuesses + 1 {
		g.failed(fmt.Sprintf("2001:db8::%x", i), now)
	}
	require.Equal(t, firstWait, g.wait("2001:db8::ffff:1%eth0", now))
	require.Zero(t, g.wait("2001:db8:0:1::1", now))
	g.succeeded("2001:db8::1")
	require.Zero(t, g.wait("2001:db8::1", now))
}

// However many addresses guess, memory is bounded, and the worst of them are remembered.
func TestGuessesAreBounded(t *testing.T) {
	g := newGuesses()
	for range freeGuesses + 10 {
		g.failed("203.0.113.7", start)
	}
	for i := range maxAddresses + 1000 {
		g.failed(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), start)
	}
	require.LessOrEqual(t, len(g.failing), maxAddresses)
	require.Positive(t, g.wait("203.0.113.7", start))
}
