package router

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/gobwas/glob"

	"portalhook/triggers"
)

// matcher is one segment of a pattern, made to be matched: a literal or a compiled glob.
type matcher struct {
	// text is the segment in the glob library's spelling; equal texts match alike.
	text string
	// glob is nil for a literal, which text then is itself.
	glob *glob.Pattern
	// prefix is the literal text the glob begins with, often empty.
	prefix string
}

// newMatcher compiles a segment. With fold, a class holds what any case of it holds; literals have been folded by the parser.
func newMatcher(s triggers.Segment, fold bool) *matcher {
	if text, ok := s.Literal(); ok {
		return &matcher{text: text}
	}
	var b strings.Builder
	writeSegment(&b, s, fold)
	m := &matcher{text: b.String()}
	// Every character that is special to the library has been quoted, so this cannot fail; the fuzz test holds us to it.
	m.glob = glob.MustCompile(m.text)
	if len(s) > 0 && s[0].Kind == triggers.Literal {
		m.prefix = s[0].Text
	}
	return m
}

// matches compares with one segment of an event, folded where its resource folds.
func (m *matcher) matches(segment string) bool {
	if m.glob == nil {
		return m.text == segment
	}
	return m.glob.Match(segment)
}

// writeSegment spells a segment for the glob library. There `*` is zero characters or more, and a class is one range or a set.
func writeSegment(b *strings.Builder, s triggers.Segment, fold bool) {
	for _, token := range s {
		switch token.Kind {
		case triggers.Literal:
			writeLiteral(b, token.Text)
		case triggers.AnyRun:
			b.WriteString("?*")
		case triggers.AnyOne:
			b.WriteByte('?')
		case triggers.Class:
			writeClass(b, token, fold)
		case triggers.Alternatives:
			b.WriteByte('{')
			for i, choice := range token.Choices {
				if i > 0 {
					b.WriteByte(',')
				}
				writeSegment(b, choice, fold)
			}
			b.WriteByte('}')
		}
	}
}

// writeLiteral quotes what is special to the library, the comma too, which is so within braces.
func writeLiteral(b *strings.Builder, text string) {
	for _, r := range text {
		if strings.ContainsRune(`*?\[]{},`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}

// writeClass spells a class as one range where it is one, else as alternatives of ranges: the library's classes cannot hold several.
func writeClass(b *strings.Builder, class triggers.Token, fold bool) {
	ranges := class.Ranges
	if fold {
		ranges = foldRanges(ranges)
	}
	ranges = union(ranges)
	if len(ranges) == 1 && (class.Negated || ranges[0].Low != '!') {
		writeRange(b, ranges[0], class.Negated)
		return
	}
	if class.Negated {
		ranges = complement(ranges)
	}
	b.WriteByte('{')
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(',')
		}
		if r.Low == '!' { // the library would take `[!` for a negation
			b.WriteByte('!')
			if r.High == '!' {
				continue
			}
			b.WriteByte(',')
			r.Low++
		}
		writeRange(b, r, false)
	}
	b.WriteByte('}')
}

// writeRange spells one range. Nothing is quoted: the library takes the two characters of a range as they are.
func writeRange(b *strings.Builder, r triggers.Range, negated bool) {
	b.WriteByte('[')
	if negated {
		b.WriteByte('!')
	}
	b.WriteRune(r.Low)
	b.WriteByte('-')
	b.WriteRune(r.High)
	b.WriteByte(']')
}

// The characters between these two are halves of UTF-16 pairs: no text holds them, and no pattern can be written with them.
const (
	beforeSurrogates = 0xD7FF
	afterSurrogates  = 0xE000
)

func successor(r rune) rune {
	if r == beforeSurrogates {
		return afterSurrogates
	}
	return r + 1
}

func predecessor(r rune) rune {
	if r == afterSurrogates {
		return beforeSurrogates
	}
	return r - 1
}

// union gives the same characters in rising ranges that neither overlap nor touch.
func union(ranges []triggers.Range) []triggers.Range {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b triggers.Range) int { return int(a.Low) - int(b.Low) })
	merged := sorted[:0]
	for _, r := range sorted {
		if n := len(merged); n > 0 && r.Low <= successor(merged[n-1].High) {
			merged[n-1].High = max(merged[n-1].High, r.High)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// complement gives all other characters. The ranges are a union.
func complement(ranges []triggers.Range) []triggers.Range {
	var others []triggers.Range
	low := rune(0)
	for _, r := range ranges {
		if r.Low > low {
			others = append(others, triggers.Range{Low: low, High: predecessor(r.Low)})
		}
		low = successor(r.High)
	}
	if low <= unicode.MaxRune {
		others = append(others, triggers.Range{Low: low, High: unicode.MaxRune})
	}
	return others
}

// foldRanges adds to the ranges the folded form of all they hold: events are compared folded, so that other forms need no place.
func foldRanges(ranges []triggers.Range) []triggers.Range {
	folded := slices.Clone(ranges)
	for _, c := range casedRunes() {
		if c.folded != c.rune && slices.ContainsFunc(ranges, func(r triggers.Range) bool { return r.Low <= c.rune && c.rune <= r.High }) {
			folded = append(folded, triggers.Range{Low: c.folded, High: c.folded})
		}
	}
	return folded
}

// casedRune is a character that has other cases, beside the one that stands for them all.
type casedRune struct{ rune, folded rune }

// casedRunes lists every character that folding changes, some 1,500.
var casedRunes = sync.OnceValue(func() []casedRune {
	var all []casedRune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if unicode.SimpleFold(r) == r {
			continue
		}
		for _, folded := range triggers.Fold(string(r)) {
			if folded != r {
				all = append(all, casedRune{rune: r, folded: folded})
			}
		}
	}
	return all
})
