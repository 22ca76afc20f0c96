package payload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"portalhook/triggers"
)

// Tolerance is how far a delivery's timestamp may lie from the receiver's clock, either way.
const Tolerance = 5 * time.Minute

// Why a delivery is not to be trusted.
var (
	ErrUnsigned  = errors.New("no signature")
	ErrSignature = errors.New("signature does not match")
	ErrTimestamp = errors.New("timestamp is missing, malformed or too far from now")
)

// Received is a delivery as a receiver has it in hand.
type Received struct {
	Secrets []triggers.Secret // any of them will do
	// Header gives the value of a header, its name in any case, or nothing: the Get method of an http.Header.
	Header func(name string) string
	Body   []byte // as it came over the wire
	Now    time.Time
}

// Checked is a signature that a delivery carries, and what is wrong with it; nil when it holds.
type Checked struct {
	Header string // its name, spelt as the constants here
	Err    error  // ErrSignature or ErrTimestamp
}

// Check judges every signature that the delivery carries by itself.
func Check(r Received) []Checked {
	var list []Checked
	for _, c := range []struct {
		header string
		check  func(Received, string) error
	}{
		{HeaderSignature, checkStandard},
		{HeaderEsri, checkEsri},
		{HeaderQlik, checkQlik},
		{HeaderSecret, checkPlain},
	} {
		if value := r.Header(c.header); value != "" {
			list = append(list, Checked{c.header, c.check(r, value)})
		}
	}
	return list
}

// Verify checks every signature that the delivery carries and gives the names of their headers, spelt as the constants here. All
// of them must hold, by one secret or another: ErrUnsigned says that there is none, ErrSignature which one does not match,
// ErrTimestamp that a Standard Webhooks signature is too old or from the future (the other families bear no date).
func Verify(r Received) ([]string, error) {
	var verified []string
	for _, c := range Check(r) {
		if c.Err != nil {
			return nil, fmt.Errorf("%s: %w", c.Header, c.Err)
		}
		verified = append(verified, c.Header)
	}
	if len(verified) == 0 {
		return nil, ErrUnsigned
	}
	return verified, nil
}

func checkStandard(r Received, value string) error {
	timestamp := r.Header(HeaderTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return ErrTimestamp
	}
	if age := r.Now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return ErrTimestamp
	}
	return r.any(func(secret triggers.Secret) bool {
		want := hmacOf(Key(secret), []byte(r.Header(HeaderID)+"."+timestamp+"."), r.Body)
		for signature := range strings.FieldsSeq(value) {
			encoded, ok := strings.CutPrefix(signature, standardPrefix)
			if ok && sameBase64(encoded, want) {
				return true
			}
		}
		return false
	})
}

func checkEsri(r Received, value string) error {
	// ArcGIS Online percent-encodes the value; a raw one never holds a %.
	if strings.Contains(value, "%") {
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return ErrSignature
		}
		value = decoded
	}
	encoded, ok := strings.CutPrefix(value, esriPrefix)
	if !ok {
		return ErrSignature
	}
	covered, ok := own(r.Header("Content-Type"), r.Body)
	if !ok {
		return ErrSignature
	}
	return r.any(func(secret triggers.Secret) bool {
		return sameBase64(encoded, hmacOf([]byte(secret.Reveal()), covered))
	})
}

func checkQlik(r Received, value string) error {
	got, err := hex.DecodeString(value)
	if err != nil {
		return ErrSignature
	}
	return r.any(func(secret triggers.Secret) bool {
		return hmac.Equal(got, hmacOf([]byte(secret.Reveal()), r.Body))
	})
}

func checkPlain(r Received, value string) error {
	// Digests of equal length, so that the comparison tells nothing of the secret's length either.
	got := sha256.Sum256([]byte(value))
	return r.any(func(secret triggers.Secret) bool {
		want := sha256.Sum256([]byte(secret.Reveal()))
		return hmac.Equal(got[:], want[:])
	})
}

// any tries the secrets in turn and is ErrSignature when none holds.
func (r Received) any(holds func(triggers.Secret) bool) error {
	for _, secret := range r.Secrets {
		if !secret.IsZero() && holds(secret) {
			return nil
		}
	}
	return ErrSignature
}

func hmacOf(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// sameBase64 compares in constant time, by the decoded bytes: one signature has one spelling only when padding is strict.
func sameBase64(encoded string, want []byte) bool {
	got, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return err == nil && hmac.Equal(got, want)
}
