package payload

import (
	"crypto/rand"
	"encoding/base64"
	"strings"

	"portalhook/triggers"
)

const (
	secretPrefix = "whsec_" // Standard Webhooks: the rest is the key in padded base64
	secretBytes  = 32       // of a generated key
)

// NewSecret draws a signing secret: whsec_ and 32 random bytes in base64.
func NewSecret() triggers.Secret {
	var key [secretBytes]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the process instead
	return triggers.NewSecret(secretPrefix + base64.StdEncoding.EncodeToString(key[:]))
}

// Key is the key of the Standard Webhooks signature: the decoded part of a whsec_ secret, and the bytes of the text of any other
// (their receivers verify with the libraries' raw form). A text that begins with whsec_ and does not go on in base64 is of the
// other kind.
func Key(secret triggers.Secret) []byte {
	text := secret.Reveal()
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		if key, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(key) > 0 {
			return key
		}
	}
	return []byte(text)
}

// CheckSecret refuses a secret whose receivers could not verify with it: one that says whsec_ and has no base64 after it. The
// error is a *triggers.FieldError on the field secret and shows nothing of the text. How long a secret may be is the surface's rule.
func CheckSecret(secret triggers.Secret) error {
	encoded, ok := strings.CutPrefix(secret.Reveal(), secretPrefix)
	if !ok {
		return nil
	}
	if key, err := base64.StdEncoding.DecodeString(encoded); err != nil || len(key) == 0 {
		return triggers.Invalid(triggers.CodeNotAllowed, "secret",
			"a secret that begins with %s must go on in padded base64, which is its key; leave the prefix out to sign by the text", secretPrefix)
	}
	return nil
}
