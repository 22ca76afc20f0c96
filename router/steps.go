package router

import (
	"math/bits"
	"slices"
	"strings"

	"portalhook/triggers"
)

// steps are the tokens of one segment, made to be matched without backtracking: each token turns the set of places that may have been
// reached in the text into the next such set. The time is at most the product of the lengths of pattern and text, whatever either holds.
type steps []step

type step struct {
	kind    triggers.TokenKind
	text    []rune           // of Literal
	ranges  []triggers.Range // of Class, a union, folded where events are
	negated bool             // of Class
	choices []steps          // of Alternatives
}

func newSteps(s triggers.Segment, fold bool) steps {
	all := make(steps, len(s))
	for i, token := range s {
		all[i] = step{kind: token.Kind, text: []rune(token.Text), negated: token.Negated}
		switch {
		case token.Kind != triggers.Class:
		case fold:
			all[i].ranges = union(foldRanges(token.Ranges))
		default:
			all[i].ranges = union(token.Ranges)
		}
		for _, choice := range token.Choices {
			all[i].choices = append(all[i].choices, newSteps(choice, fold))
		}
	}
	return all
}

// spell writes the steps in the glob library's way and says whether the library is to match them. Its `*` is zero characters or more.
func (all steps) spell(b *strings.Builder) matcherKind {
	kind := library
	for _, s := range all {
		switch s.kind {
		case triggers.Literal:
			for _, r := range s.text {
				if strings.ContainsRune(`*?\[]{},`, r) {
					b.WriteByte('\\')
				}
				b.WriteRune(r)
			}
		case triggers.AnyRun:
			b.WriteString("?*")
		case triggers.AnyOne:
			b.WriteByte('?')
		case triggers.Class:
			// The library takes both ends of a range as they are, but for a leading `!`.
			if len(s.ranges) > 1 || s.ranges[0].Low == '!' && !s.negated {
				kind = stepped
			}
			s.spellClass(b)
		case triggers.Alternatives:
			kind = stepped
			for i, choice := range s.choices {
				b.WriteByte("{,"[min(i, 1)])
				choice.spell(b)
			}
			b.WriteByte('}')
		}
	}
	return kind
}

func (s *step) spellClass(b *strings.Builder) {
	b.WriteByte('[')
	if s.negated {
		b.WriteByte('!')
	}
	for _, r := range s.ranges {
		b.WriteRune(r.Low)
		b.WriteByte('-')
		b.WriteRune(r.High)
	}
	b.WriteByte(']')
}

// takes says whether a step of one character takes it.
func (s *step) takes(r rune) bool {
	if s.kind != triggers.Class {
		return true
	}
	_, in := slices.BinarySearchFunc(s.ranges, r, func(x triggers.Range, r rune) int {
		switch {
		case x.High < r:
			return -1
		case x.Low > r:
			return 1
		}
		return 0
	})
	return in != s.negated
}

// places is a set of places in a text: n stands for after n characters.
type places []uint64

const placesPerWord = 64

// stackWords holds the places of any id; the texts of longer ones, if ever there were, would be allocated.
const stackWords = triggers.MaxIDCharacters/placesPerWord + 1

func (all steps) match(segment string) bool {
	var stack [triggers.MaxIDCharacters]rune
	text := stack[:0]
	for _, r := range segment {
		text = append(text, r)
	}
	words := len(text)/placesPerWord + 1
	var room [3 * stackWords]uint64
	sets := room[:]
	if 3*words > len(sets) {
		sets = make([]uint64, 3*words)
	}
	now, before, after := places(sets[:words]), places(sets[words:2*words]), places(sets[2*words:3*words])
	now[0] = 1
	for i := range all {
		if all[i].kind != triggers.Alternatives {
			now.advance(&all[i], text)
			continue
		}
		copy(before, now)
		clear(after)
		for _, choice := range all[i].choices {
			copy(now, before)
			for j := range choice { // alternatives do not nest
				now.advance(&choice[j], text)
			}
			for w := range after {
				after[w] |= now[w]
			}
		}
		copy(now, after)
	}
	return now[len(text)/placesPerWord]>>(len(text)%placesPerWord)&1 != 0
}

// advance goes on by one step from every place.
func (p places) advance(s *step, text []rune) {
	switch s.kind {
	case triggers.Literal:
		for _, want := range s.text {
			p.shift(text, func(r rune) bool { return r == want })
		}
	case triggers.AnyRun:
		p.run(len(text))
	case triggers.AnyOne, triggers.Class, triggers.Alternatives:
		p.shift(text, s.takes)
	}
}

// shift moves every place on by one character that is taken, and drops the others. It goes from the end, so as not to meet what it
// has moved.
func (p places) shift(text []rune, takes func(rune) bool) {
	for w := range slices.Backward(p) {
		for left := p[w]; left != 0; {
			bit := bits.Len64(left) - 1
			left &^= 1 << bit
			p[w] &^= 1 << bit
			if at := w*placesPerWord + bit; at < len(text) && takes(text[at]) {
				p[(at+1)/placesPerWord] |= 1 << ((at + 1) % placesPerWord)
			}
		}
	}
}

// run replaces the places by all that lie beyond the first of them.
func (p places) run(end int) {
	first := end
	for w := range slices.Backward(p) {
		if p[w] != 0 {
			first = w*placesPerWord + bits.TrailingZeros64(p[w])
		}
	}
	clear(p)
	for at := first + 1; at <= end; at++ {
		p[at/placesPerWord] |= 1 << (at % placesPerWord)
	}
}
