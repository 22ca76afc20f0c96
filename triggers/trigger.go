package triggers

// Trigger is what a webhook subscribes to, parsed: a Trigger in hand is valid and can fire.
type Trigger struct {
	// Text is the trigger as it is listed: the catalogue's spelling of resource and operation, ids and globs as they were written.
	// Parsed again it gives the same Trigger.
	Text string
	// Root is `/`: every operation of items, groups, users and roles. All else but TenantOnly is empty then.
	Root bool
	// Resource is what it is about; NoResource of Root.
	Resource Resource
	// Also is a second resource that it is about: Geoprocessing for a service trigger with `**` in the place of the service's
	// kind, whose Resource is FeatureServices; NoResource for every other trigger.
	Also Resource
	// Operations are those of Resource that it hears, operation globs worked out, FeaturesEdited widened; of Also it hears all.
	Operations OpSet
	// Any is true when events are heard whatever their id (and folder), those without an id included: /items, /items/share, /items/**,
	// /items/*/share. Path is empty then. A lone `*` as the id of /items/* is Any too, as every such event has an id, and so is
	// that of /users/*, whose Operations then leave out the bulk ones, which have none.
	Any bool
	// Path is what must be matched below the resource; its literals are folded where the resource folds, its classes are as written
	// (a character is in a class when any member of its folding orbit is). Portal resources and webhooks have one segment, the id.
	// Services have one, the name of a service outside any folder, or two, folder and name. Cloud types have one per dot.
	Path []Segment
	// Rest is true when `**` stands after Path: one or more further segments of any content. For cloud types these are parts of
	// the type. For services, of both kinds then: a Path of one segment hears those in a folder that it matches, and those outside
	// any folder whose name it matches; one of two hears those whose folder and name it matches.
	Rest bool
	// TenantOnly is true when it hears any event that has no user level, so that no webhook of user level may have it.
	TenantOnly bool
}

// OperationsOf is the set of operations of r that the trigger hears; empty when it is not about r.
func (t *Trigger) OperationsOf(r Resource) OpSet {
	switch {
	case t.Root:
		if r.IsPortal() {
			return AllOperations(r)
		}
		return 0
	case r == NoResource:
		return 0
	case r == t.Resource:
		return t.Operations
	case r == t.Also:
		return AllOperations(r)
	}
	return 0
}

// Segment is one segment of a pattern, cut into tokens.
type Segment []Token

// Literal gives the text of a segment without globs; false when it has any.
func (s Segment) Literal() (string, bool) {
	if len(s) == 1 && s[0].Kind == Literal {
		return s[0].Text, true
	}
	return "", false
}

// isAnyRun reports whether the segment is `*` alone.
func (s Segment) isAnyRun() bool { return len(s) == 1 && s[0].Kind == AnyRun }

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
