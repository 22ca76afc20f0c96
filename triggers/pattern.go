package triggers

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a trigger.
const (
	MaxPatternCharacters = 256
	MaxPatternSegments   = 16
	MaxPatternWildcards  = 4 // each of * ? [] {} and ** is one
)

// A refusal says why a text is no trigger, and which texts might be what was meant, likeliest first.
type refusal struct {
	code    string
	detail  string
	repairs []string
	// nearest asks for the nearest trigger of the catalogue when no repair will do.
	nearest bool
}

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code: code, detail: fmt.Sprintf(format, args...)}
}

// mend adds what might have been meant, and asks for the nearest of the catalogue should none of it be a trigger.
func (r *refusal) mend(repairs ...string) *refusal {
	r.repairs, r.nearest = append(r.repairs, repairs...), true
	return r
}

// piece is one segment of a pattern as written, and where it starts: at is the position of its first character, counted from 1.
type piece struct {
	raw string
	at  int
}

// isRest reports whether the segment is `**`.
func (p piece) isRest() bool { return p.raw == "**" }

// isPlaceholder reports whether the segment is <itemID> or the like, as the documentation prints what is to be filled in.
func (p piece) isPlaceholder() bool {
	return len(p.raw) >= 2 && p.raw[0] == '<' && p.raw[len(p.raw)-1] == '>'
}

// cut splits a pattern at sep and checks what holds for every pattern: its bounds, no empty segment, `**` last if at all.
func cut(text string, sep byte) ([]piece, *refusal) {
	name := "slash"
	if sep == '.' {
		name = "dot"
	}
	pieces := make([]piece, 0, 4)
	at := 1
	for rest, more := text, true; more; {
		var raw string
		raw, rest, more = strings.Cut(rest, string(sep))
		pieces = append(pieces, piece{raw, at})
		at += utf8.RuneCountInString(raw) + 1
	}
	if sep == '/' {
		pieces = pieces[1:] // before the leading slash
	}
	if len(pieces) > MaxPatternSegments {
		return nil, refuse(CodeTooMany, "a trigger has at most %d segments, not %d", MaxPatternSegments, len(pieces))
	}
	for i, p := range pieces {
		last := i == len(pieces)-1
		switch {
		case p.raw == "" && last:
			return nil, refuse(CodeBadPattern, "a trigger does not end in a %s", name).mend(strings.TrimRight(text, string(sep)))
		case p.raw == "":
			return nil, refuse(CodeBadPattern, "the segment at character %d is empty", p.at)
		case p.isRest() && !last:
			return nil, refuse(CodeBadPattern, "** at character %d may stand only as the last segment", p.at)
		}
	}
	return pieces, nil
}

// tokeniser cuts one segment into tokens.
type tokeniser struct {
	raw  string
	pos  int // in raw, bytes
	at   int // of raw's first character in the whole text, counted from 1
	wild int // wildcards met
}

// tokenise cuts a segment into tokens and says how many wildcards it has. Only * ? [] {} are special; %XX is that literal character.
func tokenise(p piece) (Segment, int, *refusal) {
	t := &tokeniser{raw: p.raw, at: p.at}
	s, r := t.segment(false)
	return s, t.wild, r
}

func (t *tokeniser) position(pos int) int { return t.at + utf8.RuneCountInString(t.raw[:pos]) }

func (t *tokeniser) refuse(pos int, format string, args ...any) *refusal {
	return refuse(CodeBadPattern, format+" (character %d)", append(args, t.position(pos))...)
}

// segment reads to the end of the segment, or within braces to the comma or brace that ends the alternative.
func (t *tokeniser) segment(inBraces bool) (Segment, *refusal) {
	var s Segment
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			s = append(s, Token{Kind: Literal, Text: literal.String()})
			literal.Reset()
		}
	}
	for t.pos < len(t.raw) {
		switch c := t.raw[t.pos]; {
		case inBraces && (c == ',' || c == '}'):
			flush()
			return s, nil
		case c == '*':
			if strings.HasPrefix(t.raw[t.pos:], "**") {
				return nil, t.refuse(t.pos, "** may stand only as a whole last segment")
			}
			flush()
			s = append(s, Token{Kind: AnyRun})
			t.wild++
			t.pos++
		case c == '?':
			flush()
			s = append(s, Token{Kind: AnyOne})
			t.wild++
			t.pos++
		case c == '[':
			flush()
			class, r := t.class()
			if r != nil {
				return nil, r
			}
			s = append(s, class)
		case c == '{':
			if inBraces {
				return nil, t.refuse(t.pos, "braces do not nest; write %%7B for the character {")
			}
			flush()
			alternatives, r := t.alternatives()
			if r != nil {
				return nil, r
			}
			s = append(s, alternatives)
		case c == ']' || c == '}':
			return nil, t.refuse(t.pos, "%c closes nothing; write %%%X for the character itself", c, c)
		default:
			text, r := t.characters()
			if r != nil {
				return nil, r
			}
			literal.WriteString(text)
		}
	}
	flush()
	return s, nil
}

// characters reads one character, or the characters that a run of %XX spells.
func (t *tokeniser) characters() (string, *refusal) {
	start := t.pos
	var text string
	if t.raw[t.pos] == '%' {
		decoded, n, ok := decodeRun(t.raw[t.pos:])
		if !ok {
			return "", t.refuse(start, "%% is not followed by two hex digits; write %%25 for the character %%")
		}
		if !utf8.ValidString(decoded) {
			return "", t.refuse(start, "%s is not UTF-8", t.raw[start:start+n])
		}
		text, t.pos = decoded, t.pos+n
	} else {
		_, n := utf8.DecodeRuneInString(t.raw[t.pos:])
		text, t.pos = t.raw[t.pos:t.pos+n], t.pos+n
	}
	if hasControl(text) {
		return "", t.refuse(start, "control characters are not allowed")
	}
	return text, nil
}

// class reads [a-z_] or [!a-z].
func (t *tokeniser) class() (Token, *refusal) {
	start := t.pos
	t.pos++
	t.wild++
	token := Token{Kind: Class}
	if t.pos < len(t.raw) {
		switch t.raw[t.pos] {
		case '!':
			token.Negated = true
			t.pos++
		case '^':
			return token, t.refuse(t.pos, "write [!…] for every character but those, or %%5E for the character ^")
		}
	}
	for first := true; ; first = false {
		if t.pos >= len(t.raw) {
			return token, t.refuse(start, "[ is not closed; write %%5B for the character [")
		}
		if t.raw[t.pos] == ']' {
			if first {
				return token, t.refuse(start, "[] names no character")
			}
			t.pos++
			return token, nil
		}
		ranges, r := t.classRange()
		if r != nil {
			return token, r
		}
		token.Ranges = append(token.Ranges, ranges...)
	}
}

// classRange reads one member of a class: a character, a range, or a run of %XX, which may spell several characters.
func (t *tokeniser) classRange() ([]Range, *refusal) {
	start := t.pos
	if t.raw[start] == '[' {
		return nil, t.refuse(start, "[ within a class is written %%5B")
	}
	text, r := t.characters()
	if r != nil {
		return nil, r
	}
	var ranges []Range
	for _, c := range text {
		ranges = append(ranges, Range{c, c})
	}
	// A hyphen before the closing bracket is a hyphen.
	if t.pos+1 >= len(t.raw) || t.raw[t.pos] != '-' || t.raw[t.pos+1] == ']' {
		return ranges, nil
	}
	t.pos++
	if t.raw[t.pos] == '[' {
		return nil, t.refuse(t.pos, "[ within a class is written %%5B")
	}
	text, r = t.characters()
	if r != nil {
		return nil, r
	}
	high, n := utf8.DecodeRuneInString(text)
	last := &ranges[len(ranges)-1]
	if last.High = high; last.Low > high {
		return nil, t.refuse(start, "the range %s runs backwards", t.raw[start:t.pos])
	}
	for _, c := range text[n:] {
		ranges = append(ranges, Range{c, c})
	}
	return ranges, nil
}

// alternatives reads {ann,bob}.
func (t *tokeniser) alternatives() (Token, *refusal) {
	start := t.pos
	t.wild++
	token := Token{Kind: Alternatives}
	for t.pos < len(t.raw) && t.raw[t.pos] != '}' {
		t.pos++ // the opening brace, or a comma
		from := t.pos
		choice, r := t.segment(true)
		if r != nil {
			return token, r
		}
		if t.pos >= len(t.raw) {
			break
		}
		if len(choice) == 0 {
			return token, t.refuse(from, "an alternative within braces is empty")
		}
		token.Choices = append(token.Choices, choice)
	}
	if t.pos >= len(t.raw) {
		return token, t.refuse(start, "{ is not closed within its segment; write %%7B for the character {")
	}
	t.pos++
	return token, nil
}

// decodeRun decodes the run of %XX at the start of s, n bytes of s in all; ok is false when a % in it is not followed by two hex digits.
func decodeRun(s string) (decoded string, n int, ok bool) {
	var b strings.Builder
	for n < len(s) && s[n] == '%' {
		if n+2 >= len(s) {
			return "", n, false
		}
		high, ok1 := unhex(s[n+1])
		low, ok2 := unhex(s[n+2])
		if !ok1 || !ok2 {
			return "", n, false
		}
		b.WriteByte(high<<4 | low)
		n += 3
	}
	return b.String(), n, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// hasControl reports whether s holds a control character, those of U+0080 to U+009F included.
func hasControl(s string) bool {
	for i := range len(s) {
		if b := s[i]; b < ' ' || b >= 0x7f {
			return strings.IndexFunc(s[i:], unicode.IsControl) >= 0
		}
	}
	return false
}

// foldSegment folds the literals of a segment, those of alternatives too. It changes s, which is the caller's alone.
func foldSegment(s Segment) {
	for i := range s {
		s[i].Text = Fold(s[i].Text)
		for _, choice := range s[i].Choices {
			foldSegment(choice)
		}
	}
}

// matches reports whether text is what the segment describes, character for character; fold compares by ASCII case folding. It is
// for the words of the catalogue, which are few and short: it tries every way in turn.
func (s Segment) matches(text string, fold bool) bool {
	if len(s) == 0 {
		return text == ""
	}
	token, rest := s[0], s[1:]
	switch token.Kind {
	case Literal:
		n := len(token.Text)
		if len(text) < n || text[:n] != token.Text && (!fold || !equalFoldASCII(text[:n], token.Text)) {
			return false
		}
		return rest.matches(text[n:], fold)
	case AnyOne, Class:
		c, n := utf8.DecodeRuneInString(text)
		if n == 0 || token.Kind == Class && !token.includes(c, fold) {
			return false
		}
		return rest.matches(text[n:], fold)
	case AnyRun:
		for i := range text {
			_, n := utf8.DecodeRuneInString(text[i:])
			if rest.matches(text[i+n:], fold) {
				return true
			}
		}
		return false
	case Alternatives:
		for _, choice := range token.Choices {
			for i := 0; i <= len(text); i++ {
				if choice.matches(text[:i], fold) && rest.matches(text[i:], fold) {
					return true
				}
			}
		}
	}
	return false
}

// includes reports whether a Class takes c.
func (t *Token) includes(c rune, fold bool) bool {
	for _, r := range t.Ranges {
		if r.Low <= c && c <= r.High {
			return !t.Negated
		}
		if other := swapCaseASCII(c); fold && r.Low <= other && other <= r.High {
			return !t.Negated
		}
	}
	return t.Negated
}

func swapCaseASCII(c rune) rune {
	switch {
	case 'a' <= c && c <= 'z':
		return c - 'a' + 'A'
	case 'A' <= c && c <= 'Z':
		return c - 'A' + 'a'
	}
	return c
}
