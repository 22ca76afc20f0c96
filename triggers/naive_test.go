package triggers_test

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"portalhook/triggers"
)

// hears is what a Trigger means, by its fields alone and as slowly as one likes.
func hears(t *triggers.Trigger, u *triggers.URI) bool {
	if !t.OperationsOf(u.Resource).Has(u.Operation) {
		return false
	}
	if t.Root || t.Any {
		return true
	}
	var segments []string
	fold := true
	switch u.Resource {
	case triggers.FeatureServices, triggers.Geoprocessing:
		if u.Folder != "" {
			segments = append(segments, u.FolderKey())
		}
		segments = append(segments, u.Key())
		if t.Rest {
			// The kind of service stands for what follows.
			segments = append(segments, "kind")
		}
	case triggers.CloudTypes:
		segments, fold = strings.Split(u.Key(), "."), false
	case triggers.Roles:
		segments, fold = []string{u.Key()}, false
	case triggers.Items, triggers.Groups, triggers.Users, triggers.Webhooks, triggers.NoResource:
		if u.ID == "" {
			return false
		}
		segments = []string{u.Key()}
	}
	if len(segments) < len(t.Path) || t.Rest != (len(segments) > len(t.Path)) {
		return false
	}
	for i, pattern := range t.Path {
		if !fits(pattern, []rune(segments[i]), fold) {
			return false
		}
	}
	return true
}

// fits matches one segment by trying everything.
func fits(pattern triggers.Segment, text []rune, fold bool) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	token, rest := pattern[0], pattern[1:]
	for n := 0; n <= len(text); n++ {
		if fitsToken(token, text[:n], fold) && fits(rest, text[n:], fold) {
			return true
		}
	}
	return false
}

func fitsToken(token triggers.Token, text []rune, fold bool) bool {
	switch token.Kind {
	case triggers.Literal:
		return string(text) == token.Text
	case triggers.AnyRun:
		return len(text) > 0
	case triggers.AnyOne:
		return len(text) == 1
	case triggers.Class:
		if len(text) != 1 {
			return false
		}
		for _, member := range orbit(text[0], fold) {
			for _, r := range token.Ranges {
				if r.Low <= member && member <= r.High {
					return !token.Negated
				}
			}
		}
		return token.Negated
	case triggers.Alternatives:
		for _, choice := range token.Choices {
			if fits(choice, text, fold) {
				return true
			}
		}
	}
	return false
}

// orbit is all characters equal to c under simple folding, c among them.
func orbit(c rune, fold bool) []rune {
	members := []rune{c}
	for next := unicode.SimpleFold(c); fold && next != c; next = unicode.SimpleFold(next) {
		members = append(members, next)
	}
	return members
}

// heardByText is what a trigger's text means, by regular expressions and without any of the code under test. It is for portal resources
// and takes texts that are triggers.
func heardByText(text string, u *triggers.URI) bool {
	operation := triggers.OperationName(u.Resource, u.Operation)
	bulk := strings.HasPrefix(operation, "bulk")
	if text == "/" {
		return true
	}
	segments := strings.Split(text, "/")[1:]
	if !strings.EqualFold(segments[0], u.Resource.String()) {
		return false
	}
	switch len(segments) {
	case 1:
		return true
	case 2:
		second := segments[1]
		if second == "**" {
			return true
		}
		if isOperation(u.Resource, second) {
			return strings.EqualFold(second, operation)
		}
		return !bulk && fitsText(second, u.ID, u.Resource != triggers.Roles)
	}
	id, wanted := segments[1], segments[2]
	// Operations fold ASCII case only: a long s is no s there, though (?i) takes it for one.
	if wanted != "**" && (strings.Contains(wanted, "ſ") || !fitsText(wanted, operation, true)) {
		return false
	}
	return id == "*" || !bulk && fitsText(id, u.ID, u.Resource != triggers.Roles)
}

func isOperation(r triggers.Resource, word string) bool {
	for op := triggers.Operation(0); triggers.OperationName(r, op) != ""; op++ {
		if strings.EqualFold(triggers.OperationName(r, op), word) {
			return true
		}
	}
	return false
}

// fitsText translates a segment as written into a regular expression, whose (?i) is simple folding, too.
func fitsText(segment, text string, fold bool) bool {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	if fold {
		b.WriteString(`(?i)`)
	}
	b.WriteString(`(?:`)
	inClass, inBraces := false, false
	for i := 0; i < len(segment); i++ {
		switch c := segment[i]; {
		case c == '%':
			b.WriteString(`\x` + segment[i+1:i+3])
			i += 2
		case inClass && c == ']':
			inClass = false
			b.WriteByte(c)
		case inClass:
			b.WriteByte(c)
		case c == '*':
			b.WriteString(`.+`)
		case c == '?':
			b.WriteByte('.')
		case c == '[':
			inClass = true
			b.WriteByte(c)
			if strings.HasPrefix(segment[i+1:], "!") {
				b.WriteByte('^')
				i++
			}
		case c == '{':
			inBraces = true
			b.WriteString(`(?:`)
		case c == '}':
			inBraces = false
			b.WriteByte(')')
		case c == ',' && inBraces:
			b.WriteByte('|')
		case c >= utf8.RuneSelf:
			b.WriteByte(c)
		default:
			b.WriteString(regexp.QuoteMeta(string(rune(c))))
		}
	}
	b.WriteString(`)$`)
	return regexp.MustCompile(b.String()).MatchString(text)
}
