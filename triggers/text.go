package triggers

import (
	"strings"
	"unicode/utf8"
)

// CheckText refuses a text that not every store can hold: one with the character U+0000, or with bytes that are no UTF-8. It is the one rule for all that
// is kept as text; what is kept as JSON, properties and data, may hold the character as \u0000. The error is a *FieldError.
func CheckText(field, text string) error {
	switch {
	case strings.IndexByte(text, 0) >= 0:
		return Invalid(CodeNotAllowed, field, "it holds the character U+0000, which no text may hold")
	case !utf8.ValidString(text):
		return Invalid(CodeNotAllowed, field, "it is not UTF-8, as all text must be")
	}
	return nil
}
