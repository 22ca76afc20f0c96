package triggers

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Filter is a condition on the events that a webhook's triggers match: the subset of SCIM filters (RFC 7644 section 3.4.2.2) that
// the JSON API documents, with parentheses:
//
//	filter  = term *( "or" term )
//	term    = factor *( "and" factor )
//	factor  = "(" filter ")" / attribute ( "eq" / "ne" ) string
//	string  = a JSON string
//
// Attributes and operators fold ASCII case, as the RFC says; values compare exactly. The zero Filter holds for every event.
type Filter struct {
	text       string
	root       *condition
	attributes []FilterAttribute
}

// FilterAttribute is an attribute that a filter asks for: id, spaceId, topLevelResourceId, data.status, username, source, operation,
// or properties.<name> (the name as written).
type FilterAttribute string

// The attributes with a fixed name.
const (
	FilterID                 FilterAttribute = "id"
	FilterSpaceID            FilterAttribute = "spaceId"
	FilterTopLevelResourceID FilterAttribute = "topLevelResourceId"
	FilterDataStatus         FilterAttribute = "data.status"
	FilterUsername           FilterAttribute = "username"
	FilterSource             FilterAttribute = "source"
	FilterOperation          FilterAttribute = "operation"
)

const (
	filterProperties = "properties."

	maxFilterLength = 2048 // characters
	maxFilterDepth  = 16   // parentheses within parentheses
)

var filterAttributes = []FilterAttribute{
	FilterID, FilterSpaceID, FilterTopLevelResourceID, FilterDataStatus, FilterUsername, FilterSource, FilterOperation,
}

// Property gives the name of a properties.<name> attribute; false for any other.
func (a FilterAttribute) Property() (string, bool) {
	return strings.CutPrefix(string(a), filterProperties)
}

// condition is a node of the tree: a comparison when left is nil, else left and right joined.
type condition struct {
	left, right *condition
	and         bool

	attribute FilterAttribute
	negated   bool
	value     string
}

// String is the filter as it was written.
func (f Filter) String() string { return f.text }

// IsZero reports whether the filter holds for every event.
func (f Filter) IsZero() bool { return f.root == nil }

// Attributes are those that the filter asks for, each once, in the order of their first mention.
func (f Filter) Attributes() []FilterAttribute { return f.attributes }

// Holds evaluates the filter over the values an event has of an attribute: none when it is absent, several for an array. eq holds
// when one of them is the value, ne when none is; so ne holds for an absent attribute.
func (f Filter) Holds(values func(FilterAttribute) []string) bool {
	return f.root == nil || f.root.holds(values)
}

func (c *condition) holds(values func(FilterAttribute) []string) bool {
	if c.left == nil {
		return slices.Contains(values(c.attribute), c.value) != c.negated
	}
	if c.and {
		return c.left.holds(values) && c.right.holds(values)
	}
	return c.left.holds(values) || c.right.holds(values)
}

// ParseFilter reads a filter; empty text is the zero Filter. The error is a *FieldError with code CodeFilter whose Detail names the
// position, counted in characters from 1.
func ParseFilter(text string) (Filter, error) {
	if strings.TrimSpace(text) == "" {
		return Filter{}, nil
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxFilterLength {
		return Filter{}, Invalid(CodeFilter, "", "a filter is at most %d characters of valid text", maxFilterLength)
	}
	p := &filterParser{text: text}
	root, err := p.either()
	if err != nil {
		return Filter{}, err
	}
	if p.skip(); p.at < len(text) {
		return Filter{}, p.wrong("expected and, or, or the end")
	}
	return Filter{text: text, root: root, attributes: p.attributes}, nil
}

type filterParser struct {
	text       string
	at         int
	depth      int
	attributes []FilterAttribute
}

func (p *filterParser) wrong(format string, args ...any) *FieldError {
	position := strconv.Itoa(utf8.RuneCountInString(p.text[:p.at]) + 1)
	return Invalid(CodeFilter, "", "at character "+position+": "+format, args...)
}

func (p *filterParser) skip() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t' || p.text[p.at] == '\n' || p.text[p.at] == '\r') {
		p.at++
	}
}

// word reads letters, digits and the signs that names may hold, without moving on.
func (p *filterParser) word() string {
	p.skip()
	end := p.at
	for end < len(p.text) && !strings.ContainsRune(" \t\r\n()\"", rune(p.text[end])) {
		end++
	}
	return p.text[p.at:end]
}

func (p *filterParser) keyword(keyword string) bool {
	if word := p.word(); strings.EqualFold(word, keyword) {
		p.at += len(word)
		return true
	}
	return false
}

func (p *filterParser) either() (*condition, error) {
	left, err := p.both()
	for err == nil && p.keyword("or") {
		var right *condition
		right, err = p.both()
		left = &condition{left: left, right: right}
	}
	return left, err
}

func (p *filterParser) both() (*condition, error) {
	left, err := p.factor()
	for err == nil && p.keyword("and") {
		var right *condition
		right, err = p.factor()
		left = &condition{left: left, right: right, and: true}
	}
	return left, err
}

func (p *filterParser) factor() (*condition, error) {
	p.skip()
	if p.at < len(p.text) && p.text[p.at] == '(' {
		if p.depth++; p.depth > maxFilterDepth {
			return nil, p.wrong("more than %d parentheses within each other", maxFilterDepth)
		}
		p.at++
		inner, err := p.either()
		if err != nil {
			return nil, err
		}
		if p.skip(); p.at >= len(p.text) || p.text[p.at] != ')' {
			return nil, p.wrong("expected )")
		}
		p.at++
		p.depth--
		return inner, nil
	}
	return p.comparison()
}

func (p *filterParser) comparison() (*condition, error) {
	attribute, err := p.attribute()
	if err != nil {
		return nil, err
	}
	c := &condition{attribute: attribute}
	switch {
	case p.keyword("eq"):
	case p.keyword("ne"):
		c.negated = true
	default:
		return nil, p.wrong("expected eq or ne, not %q; other operators are not part of the filter language", p.word())
	}
	if c.value, err = p.value(); err != nil {
		return nil, err
	}
	return c, nil
}

func (p *filterParser) attribute() (FilterAttribute, error) {
	word := p.word()
	found := FilterAttribute("")
	for _, known := range filterAttributes {
		if strings.EqualFold(word, string(known)) {
			found = known
		}
	}
	if len(word) > len(filterProperties) && strings.EqualFold(word[:len(filterProperties)], filterProperties) {
		found = FilterAttribute(filterProperties + word[len(filterProperties):])
	}
	switch {
	case found != "":
	case word == "":
		return "", p.wrong("expected an attribute")
	case strings.EqualFold(word, "not"):
		return "", p.wrong("not is not part of the filter language; ne says that an attribute differs")
	default:
		return "", p.wrong("%q is no attribute; there are id, spaceId, topLevelResourceId, data.status, username, source, operation and properties.<name>", word)
	}
	p.at += len(word)
	if !slices.Contains(p.attributes, found) {
		p.attributes = append(p.attributes, found)
	}
	return found, nil
}

// value reads a JSON string.
func (p *filterParser) value() (string, error) {
	p.skip()
	if p.at >= len(p.text) || p.text[p.at] != '"' {
		return "", p.wrong(`expected a value in double quotes`)
	}
	for end := p.at + 1; end < len(p.text); end++ {
		switch p.text[end] {
		case '\\':
			end++
		case '"':
			raw, err := jsontext.AppendUnquote(nil, p.text[p.at:end+1])
			if err != nil {
				return "", p.wrong("the value is not a JSON string: %s", err)
			}
			p.at = end + 1
			return string(raw), nil
		}
	}
	return "", p.wrong("the value's closing quote is missing")
}
