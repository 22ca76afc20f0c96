package triggers

import (
	"errors"
	"fmt"
)

// ErrNotFound says that the thing asked for is not there, or belongs to another tenant (which must look the same).
var ErrNotFound = errors.New("not found")

// FieldError is bad input: it names the field as the sender wrote it. Nothing has been stored.
type FieldError struct {
	// Code is stable and machine-readable, in upper snake case: UNKNOWN_TRIGGER, PLACEHOLDER, MISSING_PROPERTY, WRONG_TYPE,
	// UNKNOWN_FIELD, DUPLICATE_KEY, NOT_JSON, TOO_LONG, OUT_OF_RANGE, NOT_ALLOWED, …
	Code string
	// Field is the path of the offending member, as in properties.sharedToGroups or eventTypes[2]; empty for the body as a whole.
	Field string
	// Index is the position in a batch, -1 outside one.
	Index int
	// Detail is one sentence for a person: what is wrong and what would be right.
	Detail string
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

// Invalid makes a FieldError outside a batch.
func Invalid(code, field, format string, args ...any) *FieldError {
	return &FieldError{Code: code, Field: field, Index: -1, Detail: fmt.Sprintf(format, args...)}
}
