package router

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/gobwas/glob"

	"portalhook/triggers"
)

// matcher is one segment of a pattern, made to be matched: a literal, a glob that the library matches, or one that we match.
type matcher struct {
	// text spells the segment in the glob library's way; equal texts match alike. A literal is spelt as it is.
	text  string
	kind  matcherKind
	glob  *glob.Pattern
	steps steps
	// prefix and suffix are the literal texts that a glob begins and ends with, often empty.
	prefix, suffix string
}

type matcherKind uint8

const (
	literal matcherKind = iota
	// library globs hold nothing but literals, `*`, `?` and classes of one range.
	library
	// stepped globs hold what the library cannot say, several ranges in a class, or what it would try in every combination:
	// three braces in a row can cost it 70 ms.
	stepped
)

// newMatcher makes a segment ready. With fold, a class holds what any case of it holds; literals have been folded by the parser.
func newMatcher(s triggers.Segment, fold bool) *matcher {
	if text, ok := s.Literal(); ok {
		return &matcher{text: text}
	}
	var spelling strings.Builder
	m := &matcher{steps: newSteps(s, fold)}
	m.kind = m.steps.spell(&spelling)
	m.text = spelling.String()
	if m.kind == library {
		// Every character that is special to the library has been quoted, so this cannot fail; the fuzz test holds us to it.
		m.glob, m.steps = glob.MustCompile(m.text), nil
	}
	if s[0].Kind == triggers.Literal {
		m.prefix = s[0].Text
	}
	if last := s[len(s)-1]; last.Kind == triggers.Literal {
		m.suffix = last.Text
	}
	return m
}

// matches compares with one segment of an event, folded where its resource folds.
func (m *matcher) matches(segment string) bool {
	switch m.kind {
	case literal:
		return m.text == segment
	case library:
		return m.glob.Match(segment)
	case stepped:
	}
	return m.steps.match(segment)
}

// maxSpellings is up to how many ids a segment is subscribed id by id rather than as a glob.
const maxSpellings = 16

// spellings gives all texts that a segment of literals and alternatives of literals stands for; false when there are too many, or
// when it has any other glob.
func spellings(s triggers.Segment) ([]string, bool) {
	texts := []string{""}
	for _, token := range s {
		choices := []triggers.Segment{{token}}
		if token.Kind == triggers.Alternatives {
			choices = token.Choices
		}
		if len(texts)*len(choices) > maxSpellings {
			return nil, false
		}
		longer := make([]string, 0, len(texts)*len(choices))
		for _, choice := range choices {
			end, ok := choice.Literal()
			if !ok {
				return nil, false
			}
			for _, begin := range texts {
				longer = append(longer, begin+end)
			}
		}
		texts = longer
	}
	return texts, true
}

// union gives the same characters in rising ranges that neither overlap nor touch.
func union(ranges []triggers.Range) []triggers.Range {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b triggers.Range) int { return cmp.Compare(a.Low, b.Low) })
	merged := sorted[:0]
	for _, r := range sorted {
		if n := len(merged); n > 0 && r.Low <= merged[n-1].High+1 {
			merged[n-1].High = max(merged[n-1].High, r.High)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// foldRanges adds to the ranges the folded form of all they hold: events are compared folded, so that other forms need no place.
func foldRanges(ranges []triggers.Range) []triggers.Range {
	folded := slices.Clone(ranges)
	for _, c := range casedRunes() {
		if slices.ContainsFunc(ranges, func(r triggers.Range) bool { return r.Low <= c.rune && c.rune <= r.High }) {
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
