package delivery

import (
	"crypto/x509"
	"encoding/binary"
	"net/http"
	"time"
)

// RetryAfter lets black-box tests reach the parser.
var RetryAfter = retryAfter

// NewTestClock is a clock on given ones.
var NewTestClock = newClock

// Heard is what is asked before anything is told.
func (t *Tail) Heard() bool { return t.heard() }

// StandingsAfter is how many standings are kept when so many were told.
func StandingsAfter(told int, now func() time.Time) int {
	r := newRevocations(nil, (&Guard{}).authorities(), now)
	for n := range told {
		var key standingKey
		binary.LittleEndian.PutUint64(key[:], uint64(n))
		r.remember(key, standing{until: now().Add(time.Hour)})
	}
	return len(r.known)
}

// ReadOCSP tells whether an answer says of a certificate that it is revoked.
func ReadOCSP(answer []byte, cert, issuer *x509.Certificate, now time.Time) (revoked bool, err error) {
	told, err := readOCSP(answer, cert, issuer, now)
	return told.revoked, err
}

// ReadRevocationList tells whether a list says of a certificate that it is revoked.
func ReadRevocationList(der []byte, cert, issuer *x509.Certificate, now time.Time) (revoked bool, err error) {
	told, err := readRevocationList(der, cert, issuer, now)
	return told.revoked, err
}

// ReadBody reads an answer to a webhook without secrets.
func ReadBody(response *http.Response) (kept []byte, truncated bool, err error) {
	return new(target).readBody(response)
}
