package payload

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"sync"
	"time"

	"portalhook/triggers"
)

// The headers that Sign makes, spelt as receivers' documentation spells them. An http.Header keeps this spelling on the wire
// when it is assigned by index; Set would change it.
const (
	HeaderID        = "webhook-id"           // the delivery's id, the same on every attempt
	HeaderTimestamp = "webhook-timestamp"    // seconds since 1970, of the attempt
	HeaderSignature = "webhook-signature"    // v1,<base64>; several, separated by spaces, while a rotated secret is valid
	HeaderEsri      = "x-esriHook-Signature" // sha256=<base64>
	HeaderQlik      = "Qlik-Signature"       // <lower-case hex>
	HeaderSecret    = "secret"               // the secret itself, as portals before 11.2 sent it
)

const (
	standardPrefix = "v1,"     // of each signature in HeaderSignature
	esriPrefix     = "sha256=" // of HeaderEsri's value
	base64Length   = 44        // of 32 bytes, padded
	standardLength = len(standardPrefix) + base64Length
	ownLength      = 2 * sha256.Size // of the longer of the families' own values
)

// Signing is all that the headers of one attempt depend on.
type Signing struct {
	// Secrets are the present one first, then those that were rotated out and still sign. Without any the delivery is unsigned.
	Secrets []triggers.Secret
	Plain   bool      // also send the present secret itself; portal and service deliveries only
	ID      string    // the delivery's id: no dot in it, so that the signed text reads one way only
	At      time.Time // of the attempt
	Body    []byte    // as it goes on the wire
	// ContentType is the body's. Of a form, the families' own signatures cover the JSON in the field payload.
	ContentType string
	Cloud       bool // the Qlik header in place of Esri's
}

// Sign gives the headers of one attempt as pairs of name and value, in a fixed order. Every delivery has an id and a timestamp, by
// which receivers drop what they have seen; one with a secret has the Standard Webhooks signature and its family's own.
//
// Standard Webhooks signs `<id>.<timestamp>.<body>` with each secret's Key. The families' own signatures cover the body alone, or the JSON
// in a form's, by the text of the present secret; they know of no rotation.
func Sign(s Signing) [][2]string {
	timestamp := strconv.FormatInt(s.At.Unix(), 10)
	headers := make([][2]string, 0, 5)
	headers = append(headers, [2]string{HeaderID, s.ID}, [2]string{HeaderTimestamp, timestamp})
	if len(s.Secrets) == 0 || s.Secrets[0].IsZero() {
		return headers
	}

	pooled := texts.Get().(*[]byte)
	text := append((*pooled)[:sha256.BlockSize], s.ID...)
	text = append(text, '.')
	text = append(text, timestamp...)
	text = append(text, '.')
	text = append(text, s.Body...)
	// The values are written one after the other and cut from one string.
	values := make([]byte, 0, len(s.Secrets)*(standardLength+1)+ownLength)
	for _, secret := range s.Secrets {
		if secret.IsZero() {
			continue // an empty key would be anybody's
		}
		if len(values) > 0 {
			values = append(values, ' ')
		}
		sum := mac(Key(secret), text)
		values = base64.StdEncoding.AppendEncode(append(values, standardPrefix...), sum[:])
	}
	end := len(values)

	present := s.Secrets[0].Reveal()
	covered, _ := own(s.ContentType, s.Body)
	text = append(text[:sha256.BlockSize], covered...)
	sum := mac([]byte(present), text)
	if cap(text) <= keptText {
		*pooled = text
	}
	texts.Put(pooled)

	family := HeaderEsri
	if s.Cloud {
		family = HeaderQlik
		values = hex.AppendEncode(values, sum[:])
	} else {
		values = base64.StdEncoding.AppendEncode(append(values, esriPrefix...), sum[:])
	}
	both := string(values)
	headers = append(headers, [2]string{HeaderSignature, both[:end]}, [2]string{family, both[end:]})
	if s.Plain && !s.Cloud {
		headers = append(headers, [2]string{HeaderSecret, present})
	}
	return headers
}

// texts holds buffers for what is signed: a block that mac fills, then the text.
var texts = sync.Pool{New: func() any {
	text := make([]byte, sha256.BlockSize, 2048)
	return &text
}}

// keptText is the largest buffer, in bytes, that waits for the next delivery.
const keptText = 64 << 10

// mac is HMAC-SHA256 (RFC 2104) of what follows the first block of text; it overwrites that block. Written out over Sum256 it takes
// no allocation and two thirds of the time of crypto/hmac, twice for every delivery. Verify uses crypto/hmac, so each holds the
// other.
func mac(key, text []byte) [sha256.Size]byte {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	var outer [sha256.BlockSize + sha256.Size]byte
	copy(outer[:], key)
	for i, b := range outer[:sha256.BlockSize] {
		text[i] = b ^ 0x36
		outer[i] = b ^ 0x5c
	}
	inner := sha256.Sum256(text)
	copy(outer[sha256.BlockSize:], inner[:])
	return sha256.Sum256(outer[:])
}
