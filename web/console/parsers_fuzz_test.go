package console

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzUnseal: no cookie opens but those that were sealed, bit by bit, and what opens is what was sealed.
func FuzzUnseal(f *testing.F) {
	sealer, err := newSealer([][]byte{[]byte(strings.Repeat("a", 32)), []byte(strings.Repeat("b", 32))})
	require.NoError(f, err)
	f.Add("", "key-id", 0, byte(0))
	f.Add("AAAA", "", 5, byte(1))
	f.Add(strings.Repeat("A", maxSealed), "\x00", -1, byte(0x20))
	f.Fuzz(func(t *testing.T, forged, keyID string, where int, flip byte) {
		_, ok := sealer.unseal(forged, start)
		require.False(t, ok)
		s := sealer.begin(keyID, start)
		value := []byte(sealer.seal(s))
		value[uint(where)%uint(len(value))] ^= flip
		read, ok := sealer.unseal(string(value), start)
		switch {
		case flip == 0 && len(value) <= maxSealed:
			require.True(t, ok)
		case !ok:
			return
		}
		if ok { // nothing was changed, or bits that are not read
			require.Equal(t, s.id, read.id)
			require.Equal(t, keyID, read.keyID)
			require.True(t, read.begun.Equal(start) && read.seen.Equal(start))
		}
		require.False(t, sealer.holds(s, forged))
	})
}

// FuzzLanguage: whatever a browser says, the language is one that there is, and a cookie that names one is heeded.
func FuzzLanguage(f *testing.F) {
	for _, seed := range [][2]string{
		{"", "it-IT,it;q=0.9,en;q=0.8"}, {"ja", "it"}, {"xx", ";;;"}, {"", "zh-Hant-TW, *;q=0.1"}, {"", "en;q=0,it"}, {"", strings.Repeat("a-", 100)}, {"", "x-y-z"}, {"it ", "pt"},
	} {
		f.Add(seed[0], seed[1])
	}
	c, err := New(Config{})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, cookie, accepted string) {
		got := c.speech.choose(cookie, accepted).Tag
		require.Contains(t, tags, got)
		if slices.Contains(tags, cookie) {
			require.Equal(t, cookie, got)
			return
		}
		require.Equal(t, got, c.speech.choose("", accepted).Tag, "an unknown cookie changes nothing")
		if slices.Contains(tags, accepted) {
			require.Equal(t, accepted, got)
		}
	})
}

// FuzzFields: what is typed into fields reaches the API as what it says, or as it was typed, for the API to refuse.
func FuzzFields(f *testing.F) {
	for _, text := range []string{"", "0s, 5s;5m\n2h", "007", "-0", "9223372036854775808", "2026-11-25T12:00", "2026-11-25T12:00Z", "2026-02-30T12:00", "+1", "1_000", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // no such form comes so far
		}
		waits := splitWaits(text)
		require.Equal(t, strings.Map(func(r rune) rune {
			if strings.ContainsRune(", ;\n", r) {
				return -1
			}
			return r
		}, text), strings.Join(waits, ""))
		for _, wait := range waits {
			require.NotEmpty(t, wait)
			require.Equal(t, []string{wait}, splitWaits(wait))
		}
		switch n := numberOf(text).(type) {
		case int:
			again, err := strconv.Atoi(strconv.Itoa(n))
			require.NoError(t, err)
			require.Equal(t, n, again)
			require.True(t, text == "" && n == 0 || strings.Trim(text, "+-0123456789") == "")
		case string:
			require.Equal(t, text, n)
		default:
			require.Fail(t, "neither")
		}
		whole := wholeMoment(text)
		if _, err := time.Parse(momentForm, text); err != nil {
			require.Equal(t, text, whole)
			return
		}
		_, err := time.Parse(time.RFC3339, whole)
		require.NoError(t, err)
	})
}
