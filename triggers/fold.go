package triggers

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	highBits = 0x8080808080808080
	lowBytes = 0x0101010101010101
)

// Fold gives the one spelling that all texts equal under Unicode simple case folding share: of each character's folding orbit the
// ASCII lower-case letter if it has one, else the smallest member. No locale, no normalisation; bytes that are not UTF-8 stay.
// It does not allocate when s is folded already.
func Fold(s string) string {
	i := foldedPrefix(s)
	if i == len(s) {
		return s
	}
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		if foldRune(r) != r {
			return foldFrom(s, i)
		}
		i += n
	}
	return s
}

// foldedPrefix is the length of a prefix, found eight bytes at a time, that is ASCII without upper-case letters.
func foldedPrefix(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		// In each byte below 0x80: adding 0x80-'A' sets the high bit from 'A' up, adding 0x80-'Z'-1 sets it beyond 'Z'.
		w := load64(s[i : i+8])
		fromA := w + (0x80-'A')*lowBytes
		beyondZ := w + (0x80-'Z'-1)*lowBytes
		if (w|(fromA&^beyondZ))&highBits != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		if b := s[i]; b >= utf8.RuneSelf || 'A' <= b && b <= 'Z' {
			break
		}
	}
	return i
}

// load64 reads eight bytes; written out, the compiler makes one load of it.
func load64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func foldFrom(s string, i int) string {
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for i < len(s) {
		if s[i] < utf8.RuneSelf {
			b.WriteByte(lowerASCII(s[i]))
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b.WriteByte(s[i])
		} else {
			b.WriteRune(foldRune(r))
		}
		i += n
	}
	return b.String()
}

// foldRune is the member of r's folding orbit that stands for all.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	// The orbit is walked once around: next larger member each time, then back to the smallest.
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		return least + 'a' - 'A'
	}
	return least
}
