package triggers

import "log/slog"

// Secret is text that must never be seen: keys, signing secrets, values of encrypted headers. Every way of printing it says
// <secret>; Reveal is the one way to the text.
type Secret struct{ text string }

const masked = "<secret>"

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal gives the text, for signing, encrypting and sending only.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// String says <secret>.
func (s Secret) String() string { return masked }

// GoString says <secret>.
func (s Secret) GoString() string { return masked }

// LogValue says <secret>.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalJSON says "<secret>".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + masked + `"`), nil }
