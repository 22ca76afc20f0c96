package web

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var guessing = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// Each guess beyond the free ones doubles the wait, which ends; an address is an IPv4 address or a /64.
func TestGuesses(t *testing.T) {
	g, now, n := newGuesses(), guessing, 0
	from := prefixOf("203.0.113.7")
	guess := func(from netip.Prefix, now time.Time) time.Duration {
		n++
		return g.failed(from, fmt.Sprint("guess ", n), now)
	}
	for range freeGuesses {
		require.Zero(t, g.wait(from, now))
		require.Zero(t, guess(from, now))
	}
	require.Zero(t, g.wait(from, now))
	for want := firstWait; want < longestWait; want *= 2 {
		require.Equal(t, want, guess(from, now))
		require.Equal(t, want, g.wait(from, now))
		require.Equal(t, want, g.wait(prefixOf("::ffff:203.0.113.7"), now))
		now = now.Add(want)
		require.Zero(t, g.wait(from, now))
	}
	for range 100 {
		guess(from, now)
	}
	require.Equal(t, longestWait, g.wait(from, now))
	require.Zero(t, g.wait(prefixOf("203.0.113.8"), now))
	later := now.Add(guessMemory + time.Second)
	require.Zero(t, guess(from, later), "forgotten, and one more is free")

	for i := range freeGuesses + 1 {
		guess(prefixOf(fmt.Sprintf("2001:db8::%x", i)), now)
	}
	require.Equal(t, firstWait, g.wait(prefixOf("2001:db8::ffff:1%eth0"), now))
	require.Zero(t, g.wait(prefixOf("2001:db8:0:1::1"), now))
}

// Whoever sends the same wrong key over and over, or some of them in turn, guesses nothing and waits for nothing.
func TestGuessesOfTheSame(t *testing.T) {
	g, from := newGuesses(), prefixOf("203.0.113.7")
	for i := range 1000 {
		require.Zero(t, g.failed(from, fmt.Sprint("mistyped ", i%rememberedGuesses), guessing))
	}
	require.Equal(t, rememberedGuesses, g.failing[from].times)
}

// However many addresses guess, memory is bounded, and the worst of them are remembered.
func TestGuessesAreBounded(t *testing.T) {
	g, worst := newGuesses(), prefixOf("203.0.113.7")
	for i := range freeGuesses + 10 {
		g.failed(worst, fmt.Sprint(i), guessing)
	}
	address := func(i int) netip.Prefix { return prefixOf(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)) }
	for i := range 3 * maxAddresses {
		g.failed(address(i), "x", guessing)
		require.LessOrEqual(t, len(g.failing), maxAddresses)
	}
	require.Positive(t, g.wait(worst, guessing))
	// Nor when all of them must wait.
	for i := range maxAddresses + 100 {
		for n := range freeGuesses + 1 {
			g.failed(address(i), fmt.Sprint(n), guessing)
		}
		require.LessOrEqual(t, len(g.failing), maxAddresses)
	}
}

// Of the places that a key was used from, the last are kept.
func TestPlaces(t *testing.T) {
	var p places
	address := func(i int) netip.Prefix { return prefixOf(fmt.Sprintf("10.0.0.%d", i)) }
	for i := range keptPlaces + 1 {
		require.False(t, p.has(address(i)))
		p.add(address(i))
		p.add(address(i))
		require.True(t, p.has(address(i)))
	}
	require.False(t, p.has(address(0)))
	require.True(t, p.has(address(1)))
	require.Len(t, p.kept, keptPlaces)
}
