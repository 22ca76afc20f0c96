package triggers

// Trigger is what a webhook subscribes to, parsed: a Trigger in hand is valid and can fire.
type Trigger struct {
	// Text is the trigger as it is listed: the catalogue's spelling of resource and operation, ids and globs as they were written.
	Text string
	// Root is `/`: every operation of items, groups, users and roles. All else is empty then.
	Root bool
	// Resource is what it is about.
	Resource Resource
	// Operations are those it hears, operation globs worked out.
	Operations OpSet
	// Any is true when events are heard whatever their id, those without an id included: /items, /items/share, /items/**,
	// /items/*/share. Path is empty then.
	Any bool
	// Path is what must be matched below the resource, folded where the resource folds: one segment for portal resources and
	// webhooks (the id), one or two for services (folder, name), one per dot for cloud types.
	Path []Segment
	// Rest is true when `**` stands after Path: one or more further segments of any content.
	Rest bool
}

// Segment is one segment of a pattern, cut into tokens.
type Segment []Token

// Literal gives the text of a segment without globs; false when it has any.
func (s Segment) Literal() (string, bool) {
	switch {
	case len(s) == 1 && s[0].Kind == Literal:
		return s[0].Text, true
	default:
		return "", false
	}
}

// TokenKind is the kind of a Token.
type TokenKind uint8

// The kinds of token.
const (
	Literal      TokenKind = iota // Text
	AnyRun                        // * : one character or more
	AnyOne                        // ? : one character
	Class                         // [a-z_] or [!a-z]
	Alternatives                  // {ann,bob}
)

// Token is one piece of a segment.
type Token struct {
	Kind    TokenKind
	Text    string    // of Literal
	Ranges  []Range   // of Class
	Negated bool      // of Class
	Choices []Segment // of Alternatives: never nested, never empty
}

// Range is the characters from Low to High, both included.
type Range struct{ Low, High rune }
