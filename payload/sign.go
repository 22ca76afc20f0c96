package payload

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"

	"portalhook/triggers"
)

// The headers that Sign makes, spelt as receivers' documentation spells them. An http.Header keeps this spelling on the wire
// when it is assigned by index; Set would change it.
const (
	HeaderID        = "webhook-id"             // the delivery's id, the same on every attempt
	HeaderTimestamp = "webhook-timestamp"      // seconds since 1970, of the attempt
	HeaderSignature = "webhook-signature"      // v1,<base64>; several, separated by spaces, while a rotated secret is valid
	HeaderEsri      = "x-esriHook-Signature"   // sha256=<base64>
	HeaderQlik      = "Qlik-Signature"         // <lower-case hex>
	HeaderSecret    = "secret"                 // the secret itself, as portals before 11.2 sent it
	standardPrefix  = "v1,"                    // of each signature in HeaderSignature
	esriPrefix      = "sha256="                // of HeaderEsri's value
	standardLength  = len(standardPrefix) + 44 // 44: 32 bytes in padded base64
)

// Signing is all that the headers of one attempt depend on.
type Signing struct {
	// Secrets are the present one first, then those that were rotated out and still sign. Without any the delivery is unsigned.
	Secrets []triggers.Secret
	Plain   bool      // also send the present secret itself; portal and service deliveries only
	ID      string    // the delivery's id: no dot in it, so that the signed text reads one way only
	At      time.Time // of the attempt
	Body    []byte    // as it goes on the wire
	Cloud   bool      // the Qlik header in place of Esri's
}

// Sign gives the headers of one attempt as pairs of name and value, in a fixed order. Every delivery has an id and a timestamp, by
// which receivers drop what they have seen; one with a secret has the Standard Webhooks signature and its family's own.
//
// Standard Webhooks signs `<id>.<timestamp>.<body>` with each secret's Key. The families' own signatures cover the body alone, by
// the text of the present secret; they know of no rotation.
func Sign(s Signing) [][2]string {
	timestamp := strconv.FormatInt(s.At.Unix(), 10)
	headers := make([][2]string, 0, 5)
	headers = append(headers, [2]string{HeaderID, s.ID}, [2]string{HeaderTimestamp, timestamp})
	if len(s.Secrets) == 0 || s.Secrets[0].IsZero() {
		return headers
	}

	signatures := make([]byte, 0, len(s.Secrets)*(standardLength+1))
	var sum [sha256.Size]byte
	for i, secret := range s.Secrets {
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		signatures = append(signatures, standardPrefix...)
		signatures = base64.StdEncoding.AppendEncode(signatures, standardMAC(sum[:0], Key(secret), s.ID, timestamp, s.Body))
	}
	headers = append(headers, [2]string{HeaderSignature, string(signatures)})

	present := s.Secrets[0].Reveal()
	own := bodyMAC(sum[:0], present, s.Body)
	if s.Cloud {
		return append(headers, [2]string{HeaderQlik, hex.EncodeToString(own)})
	}
	headers = append(headers, [2]string{HeaderEsri, esriPrefix + base64.StdEncoding.EncodeToString(own)})
	if s.Plain {
		headers = append(headers, [2]string{HeaderSecret, present})
	}
	return headers
}

// standardMAC appends the Standard Webhooks signature of specification 1.0.0, not yet in base64.
func standardMAC(dst, key []byte, id, timestamp string, body []byte) []byte {
	var room [64]byte
	signed := append(room[:0], id...)
	signed = append(signed, '.')
	signed = append(signed, timestamp...)
	signed = append(signed, '.')
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	mac.Write(body)
	return mac.Sum(dst)
}

// bodyMAC appends what Esri's and Qlik's receivers compute: the body alone, keyed by the secret's text.
func bodyMAC(dst []byte, secret string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return mac.Sum(dst)
}
