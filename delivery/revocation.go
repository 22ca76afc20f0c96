package delivery

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"portalhook/triggers"
)

const (
	// shortLived is how long a certificate is good for that nobody revokes, as it ends before that would be known: 7 days, by the
	// Baseline Requirements of the CA/Browser Forum, 1.6.1.
	shortLived = 7 * 24 * time.Hour
	// standingKept is how long at most an answer is believed, whatever date it gives itself.
	standingKept = 24 * time.Hour
	// standingsKept is of how many certificates answers are kept, about 100 bytes each.
	standingsKept = 4096
	// clockSkew is how far an authority's clock may be ahead of ours.
	clockSkew = 5 * time.Minute
	// nameShown is how many bytes of a certificate's name are told.
	nameShown = 64
)

// revocationError says that a certificate is revoked, or that nobody would say that it is not.
type revocationError struct {
	text string
	ours error // what of our own kept us from asking; nil when nothing did
}

func (e *revocationError) Error() string { return e.text }
func (e *revocationError) Unwrap() error { return e.ours }

// standing is what an authority says of a certificate of its own: revoked, or not. It is believed until the date.
type standing struct {
	revoked bool
	until   time.Time
}

// standingKey is the certificate and the key that answers about it are signed with.
type standingKey [sha256.Size]byte

// inquiry is one that is under way, so that many connections to one receiver ask once.
type inquiry struct {
	done     chan struct{} // closed when the rest is there
	standing standing
	err      error
	cutOff   bool // whoever asked was stopped: the error says nothing
}

// revocations tells whether certificates are revoked: by the answer that the receiver has stapled, else by asking the places that the
// certificate names, and remembers what it was told.
type revocations struct {
	way    http.RoundTripper // guarded, follows no redirects
	places triggers.Targets  // that may be asked
	now    func() time.Time
	lists  chan struct{} // a place for each list of revoked certificates that is read together with others

	mu     sync.Mutex
	known  map[standingKey]standing
	asking map[standingKey]*inquiry
}

func newRevocations(way http.RoundTripper, places triggers.Targets, now func() time.Time) *revocations {
	return &revocations{
		way: way, places: places, now: now, lists: make(chan struct{}, listsTogether),
		known: make(map[standingKey]standing), asking: make(map[standingKey]*inquiry),
	}
}

// check judges a handshake whose chains have been verified: one of them must be free of revoked certificates. It returns until when
// that is known; the error is a *revocationError, or the context's.
func (r *revocations) check(ctx context.Context, state *tls.ConnectionState) (time.Time, error) {
	var failed error = &revocationError{text: "the receiver has no verified certificate"}
	for i, chain := range state.VerifiedChains {
		until, err := r.checkChain(ctx, chain, state.OCSPResponse)
		if err == nil {
			return until, nil
		}
		if i == 0 { // the shortest way to a root, which is the one that people see
			failed = err
		}
	}
	return time.Time{}, failed
}

// checkChain judges each certificate of a chain by what its issuer says; the last one is trusted as it is.
func (r *revocations) checkChain(ctx context.Context, chain []*x509.Certificate, stapled []byte) (time.Time, error) {
	until := r.now().Add(standingKept)
	for i, cert := range chain[:len(chain)-1] {
		if i > 0 {
			stapled = nil // it is of the first
		}
		found, err := r.standing(ctx, cert, chain[i+1], stapled)
		if err != nil {
			return time.Time{}, err
		}
		if found.revoked {
			return time.Time{}, &revocationError{text: fmt.Sprintf("the certificate of %s is revoked", nameOf(cert))}
		}
		if found.until.Before(until) {
			until = found.until
		}
	}
	return until, nil
}

// nameOf is what a certificate is called, quoted.
func nameOf(cert *x509.Certificate) string {
	name := cert.Subject.CommonName
	if len(cert.DNSNames) > 0 {
		name = cert.DNSNames[0]
	}
	if name == "" {
		name = cert.Subject.String()
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(name[:min(len(name), nameShown)], ""))
}

// standing is what is said of a certificate. That it was revoked is not forgotten for a stapled answer, which may be an older one.
func (r *revocations) standing(ctx context.Context, cert, issuer *x509.Certificate, stapled []byte) (standing, error) {
	if cert.NotAfter.Sub(cert.NotBefore) <= shortLived {
		return standing{until: cert.NotAfter}, nil
	}
	key := standingKey(sha256.Sum256(append(append([]byte(nil), cert.Raw...), issuer.RawSubjectPublicKeyInfo...)))
	known, ok := r.recall(key)
	if ok && known.revoked {
		return known, nil
	}
	if len(stapled) > 0 {
		if said, err := readOCSP(stapled, cert, issuer, r.now()); err == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.remember(key, said), nil
		}
	}
	if ok {
		return known, nil
	}
	return r.inquire(ctx, key, cert, issuer)
}

// recall is what was said of a certificate and is still to be believed.
func (r *revocations) recall(key standingKey) (standing, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.known[key]
	return known, ok && r.now().Before(known.until)
}

// inquire asks, or waits for the answer that another connection has asked for.
func (r *revocations) inquire(ctx context.Context, key standingKey, cert, issuer *x509.Certificate) (standing, error) {
	for {
		r.mu.Lock()
		if known, ok := r.known[key]; ok && r.now().Before(known.until) {
			r.mu.Unlock()
			return known, nil
		}
		other := r.asking[key]
		if other == nil {
			own := &inquiry{done: make(chan struct{})}
			r.asking[key] = own
			r.mu.Unlock()
			r.ask(ctx, own, key, cert, issuer)
			return own.standing, own.err
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return standing{}, context.Cause(ctx)
		case <-other.done:
			if !other.cutOff {
				return other.standing, other.err
			}
		}
	}
}

// ask consults the authority and tells those who wait.
func (r *revocations) ask(ctx context.Context, own *inquiry, key standingKey, cert, issuer *x509.Certificate) {
	said, err := r.consult(ctx, cert, issuer)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		said = r.remember(key, said)
	}
	own.standing, own.err, own.cutOff = said, err, err != nil && ctx.Err() != nil
	delete(r.asking, key)
	close(own.done)
}

// remember keeps an answer, for a day at most, and returns it so. When there are too many, those go whose time is over, and then any
// one. It is called with the lock held.
func (r *revocations) remember(key standingKey, said standing) standing {
	now := r.now()
	if most := now.Add(standingKept); said.until.After(most) {
		said.until = most
	}
	if _, ok := r.known[key]; !ok && len(r.known) >= standingsKept {
		for other, old := range r.known {
			if !now.Before(old.until) {
				delete(r.known, other)
			}
		}
		for other := range r.known {
			if len(r.known) < standingsKept {
				break
			}
			delete(r.known, other)
		}
	}
	r.known[key] = said
	return said
}
