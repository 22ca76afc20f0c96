package triggers

import (
	"errors"
	"fmt"
)

// ErrNotFound says that the thing asked for is not there, or belongs to another tenant (which must look the same).
var ErrNotFound = errors.New("not found")

// ErrLimit says that the tenant has as many of the thing as it may have, ErrOwnerLimit that their owner has.
var (
	ErrLimit      = errors.New("limit reached")
	ErrOwnerLimit = errors.New("limit of the owner reached")
)

// ErrMediaType is what a *FieldError wraps when the content type of a body is none that events are read from.
var ErrMediaType = errors.New("unsupported media type")

// ErrTooLarge is what a *FieldError wraps when an event, a batch or its number of events is past its bound.
var ErrTooLarge = errors.New("too large")

// The codes of a FieldError.
const (
	CodeRequired       = "REQUIRED"        // a member is missing or empty
	CodeUnknownTrigger = "UNKNOWN_TRIGGER" // no such resource, operation, change type or cloud type to subscribe to
	CodeCannotFire     = "CANNOT_FIRE"     // the parts exist, but no event will ever match them together
	CodePlaceholder    = "PLACEHOLDER"     // <itemID> left in
	CodeBadPattern     = "BAD_PATTERN"     // the glob syntax of a trigger
	CodeBadURI         = "BAD_URI"         // the syntax of an event's URI, or no such resource, operation or cloud type
	CodeMissingID      = "MISSING_ID"      // an event's URI without the id its operation needs
	CodeMissing        = "MISSING_PROPERTY"
	CodeWrongType      = "WRONG_TYPE"
	CodeUnknownField   = "UNKNOWN_FIELD"
	CodeDuplicateKey   = "DUPLICATE_KEY"
	CodeNotJSON        = "NOT_JSON"
	CodeTooLong        = "TOO_LONG"
	CodeTooMany        = "TOO_MANY"
	CodeTooLarge       = "TOO_LARGE" // wraps ErrTooLarge
	CodeOutOfRange     = "OUT_OF_RANGE"
	CodeNotAllowed     = "NOT_ALLOWED"
	CodeNotSupported   = "NOT_SUPPORTED"
	CodeExists         = "EXISTS"                 // another one has it
	CodeFilter         = "FILTER"                 // the syntax of a filter, or an attribute that no chosen trigger's events have
	CodeMediaType      = "UNSUPPORTED_MEDIA_TYPE" // wraps ErrMediaType
)

// FieldError is bad input: it names the field as the sender wrote it. Nothing has been stored.
type FieldError struct {
	// Code is stable and machine-readable, in upper snake case: one of the constants above, or a package's own.
	Code string
	// Field is the path of the offending member, as in properties.sharedToGroups or eventTypes[2]; empty for the body as a whole.
	Field string
	// Index is the position in a batch, -1 outside one.
	Index int
	// Detail is one sentence for a person: what is wrong and what would be right.
	Detail string
	// Suggestion is what would have been accepted in its place, where something near is; Detail already says it.
	Suggestion string

	kind error
}

func (e *FieldError) Error() string {
	switch {
	case e.Index >= 0 && e.Field != "":
		return fmt.Sprintf("event %d: %s: %s", e.Index, e.Field, e.Detail)
	case e.Index >= 0:
		return fmt.Sprintf("event %d: %s", e.Index, e.Detail)
	case e.Field != "":
		return fmt.Sprintf("%s: %s", e.Field, e.Detail)
	}
	return e.Detail
}

// Unwrap gives ErrMediaType or ErrTooLarge where the error is of that kind, else nil.
func (e *FieldError) Unwrap() error { return e.kind }

// Invalid makes a FieldError outside a batch.
func Invalid(code, field, format string, args ...any) *FieldError {
	return &FieldError{Code: code, Field: field, Index: -1, Detail: fmt.Sprintf(format, args...)}
}
