package delivery_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"
	"golang.org/x/net/dns/dnsmessage"

	"portalhook/delivery"
	"portalhook/triggers"
)

// signer is a certificate with its key.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials atomic.Int64

// issue makes a certificate of a year, signed by the issuer, or by itself when there is none.
func issue(tb testing.TB, by *signer, name string, change func(*x509.Certificate)) *signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + serials.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	change(template)
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	require.NoError(tb, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(tb, err)
	return &signer{cert, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature
}

// ocspAnswer is what a signer says of a certificate.
func ocspAnswer(tb testing.TB, issuer, by *signer, about *x509.Certificate, change func(*ocsp.Response)) []byte {
	tb.Helper()
	template := ocsp.Response{
		Status: ocsp.Good, SerialNumber: about.SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(6 * time.Hour),
	}
	if by != issuer {
		template.Certificate = by.cert
	}
	if change != nil {
		change(&template)
	}
	answer, err := ocsp.CreateResponse(issuer.cert, by.cert, template, crypto.Signer(by.key))
	require.NoError(tb, err)
	return answer
}

// revocationList is the issuer's list with the certificates in it.
func revocationList(tb testing.TB, by *signer, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	tb.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(6 * time.Hour)}
	for _, cert := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now().Add(-time.Hour)})
	}
	if change != nil {
		change(template)
	}
	list, err := x509.CreateRevocationList(rand.Reader, template, by.cert, by.key)
	require.NoError(tb, err)
	return list
}

// partOf says in a list that it is about the certificates which name the place only.
func partOf(t *testing.T, place string) func(*x509.RevocationList) {
	t.Helper()
	type name struct {
		Full []asn1.RawValue `asn1:"optional,tag:0"`
	}
	value, err := asn1.Marshal(struct {
		Name name `asn1:"optional,tag:0"`
	}{name{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(place)}}}})
	require.NoError(t, err)
	return func(list *x509.RevocationList) {
		list.ExtraExtensions = append(list.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value})
	}
}

// trust is a root, an authority below it, and the place where both are asked: by paths, whose answers can be changed.
type trust struct {
	root, middle *signer
	base, port   string // of the place

	mu      sync.Mutex
	answers map[string]func() []byte // nil bytes: 503
	asked   map[string]int
}

func newTrust(t *testing.T) *trust {
	t.Helper()
	c := &trust{answers: make(map[string]func() []byte), asked: make(map[string]int)}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	var err error
	_, c.port, err = net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	c.base = "http://authority.example.com:" + c.port
	c.root = issue(t, nil, "Root", authority)
	c.middle = issue(t, c.root, "Middle", func(cert *x509.Certificate) {
		authority(cert)
		cert.CRLDistributionPoints = []string{c.base + "/root.crl"}
	})
	c.says("/root.crl", revocationList(t, c.root, nil))
	return c
}

func (c *trust) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[r.Method+" "+r.URL.Path]++
	answer := c.answers[r.URL.Path]
	if answer == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write(answer())
}

func (c *trust) says(path string, answer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[path] = func() []byte { return answer }
}

func (c *trust) times(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[what]
}

// leaf is a receiver's certificate.
func (c *trust) leaf(t *testing.T, change func(*x509.Certificate)) *signer {
	t.Helper()
	return issue(t, c.middle, "receiver", func(cert *x509.Certificate) {
		cert.DNSNames, cert.ExtKeyUsage = []string{"receiver.example.com"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		change(cert)
	})
}

// receiver is one with the certificate; it counts connections.
func (c *trust) receiver(t *testing.T, leaf *signer, stapled []byte) (target string, connections *atomic.Int32) {
	t.Helper()
	at, connections := c.served(t, leaf, stapled, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	return fmt.Sprintf("https://receiver.example.com:%d/hook", portOf(t, at)), connections
}

// served is an address where a handler is found behind the certificate; it counts connections.
func (c *trust) served(t *testing.T, leaf *signer, stapled []byte, handler http.HandlerFunc) (at string, connections *atomic.Int32) {
	t.Helper()
	connections = new(atomic.Int32)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{
		Certificate: [][]byte{leaf.cert.Raw, c.middle.cert.Raw}, PrivateKey: leaf.key, OCSPStaple: stapled,
	}}}
	server.Config.ErrorLog = silent
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), connections
}

// house trusts the root, and has a clock that can be set ahead.
func (c *trust) house(t *testing.T, ahead *atomic.Int64) *house {
	t.Helper()
	return open(t, func(config *delivery.Config) {
		roots := x509.NewCertPool()
		roots.AddCert(c.root.cert)
		transport := delivery.NewTransport(delivery.TransportConfig{
			Guard: delivery.NewGuard(loopback(t), 0), RootCAs: roots, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
			Resolver: nameService(t, map[string][]nameAnswer{
				"receiver.example.com":  {{addrs: []string{"127.0.0.1"}}},
				"authority.example.com": {{addrs: []string{"127.0.0.1"}}},
				"inside.example.com":    {{addrs: []string{"10.0.0.1"}}},
				"broken.example.com":    {{code: dnsmessage.RCodeServerFailure}},
			}),
		})
		t.Cleanup(transport.CloseIdleConnections)
		config.Transport = transport
	})
}

func checked(w *triggers.Webhook) {
	w.Retry.Profile, w.CheckCertificateRevocation, w.TimeoutSeconds = triggers.RetryOnce, true, 20
}

func (h *house) once(t *testing.T) *delivery.Record {
	t.Helper()
	return h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended)
}

// TestRevocation makes one attempt at receivers whose authority says one thing or another.
func TestRevocation(t *testing.T) {
	c := newTrust(t)
	named := func(places ...string) *signer {
		return c.leaf(t, func(cert *x509.Certificate) {
			for _, place := range places {
				if strings.HasSuffix(place, ".crl") {
					cert.CRLDistributionPoints = append(cert.CRLDistributionPoints, place)
				} else {
					cert.OCSPServer = append(cert.OCSPServer, place)
				}
			}
		})
	}
	revoked := func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Hour) }
	unknown := func(r *ocsp.Response) { r.Status = ocsp.Unknown }
	stale := func(r *ocsp.Response) {
		r.ThisUpdate, r.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	}
	undated := func(r *ocsp.Response) { r.NextUpdate = time.Time{} }
	early := func(r *ocsp.Response) { r.ThisUpdate = time.Now().Add(time.Hour) }
	oldList := func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	}
	appointed := issue(t, c.middle, "Responder", func(cert *x509.Certificate) { cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	stranger := issue(t, nil, "Middle", authority) // of the same name
	const (
		failed = "could not be checked for revocation"
		isBad  = `the certificate of "receiver.example.com" is revoked`
	)
	cases := []struct {
		name  string
		leaf  *signer
		ocsp  func(leaf *signer) []byte // nil: the responder is down
		list  func(leaf *signer) []byte // nil: so is the place of the list
		sends func(leaf *signer) []byte // stapled
		wrong string                    // nothing: it is delivered
		asked string                    // for whom it is asked once, or nothing: nobody is
	}{
		{
			name: "good", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, nil) },
		},
		{
			name: "good, said by one appointed", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, appointed, l.cert, nil) },
		},
		{
			name: "good, without a date", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, undated) },
		},
		{
			name: "good, said by the revoked one itself", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "not appointed",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, l, l.cert, nil) },
		},
		{
			name: "good, said by a stranger", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "bad OCSP signature",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, stranger, stranger, l.cert, nil) },
		},
		{
			name: "good, of another certificate", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "no response matching",
			ocsp: func(*signer) []byte { return ocspAnswer(t, c.middle, c.middle, appointed.cert, nil) },
		},
		{
			name: "revoked", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: isBad,
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, revoked) },
		},
		{
			name: "revoked, whatever the list says", leaf: named(c.base+"/ocsp", c.base+"/leaf.crl"), asked: "POST /ocsp", wrong: isBad,
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, revoked) },
			list: func(*signer) []byte { return revocationList(t, c.middle, nil) },
		},
		{
			name: "unknown", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "the authority does not know",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, unknown) },
		},
		{
			name: "an answer that has expired", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "the answer was good until",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, stale) },
		},
		{
			name: "an answer of tomorrow", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "the answer is good from",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, early) },
		},
		{
			name: "an answer that is none", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: failed,
			ocsp: func(*signer) []byte { return []byte("<html>") },
		},
		{
			name: "an answer without end", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "more than 64 KiB",
			ocsp: func(*signer) []byte { return make([]byte, 65<<10) },
		},
		{name: "a responder that is down", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: "503 Service Unavailable"},
		{name: "a port that is not asked", leaf: named("http://authority.example.com:25/ocsp"), wrong: "is not asked"},
		{name: "no such authority", leaf: named("http://nowhere.example.com/ocsp"), wrong: "nowhere.example.com: the host name does not exist"},
		{name: "a forbidden address", leaf: named("http://inside.example.com/ocsp"), wrong: "inside.example.com: the address must not be reached"},
		{name: "a literal address", leaf: named("http://169.254.169.254/latest/meta-data"), wrong: "is not asked"},
		{name: "a file", leaf: named("file:///etc/passwd"), wrong: "is not asked"},
		{name: "https", leaf: named("https://authority.example.com/ocsp"), wrong: "is not asked"},
		{name: "nobody to ask", leaf: named(), wrong: "it names no place to ask"},
		{
			name: "one that lives six days", leaf: c.leaf(t, func(cert *x509.Certificate) { cert.NotAfter = cert.NotBefore.Add(6 * 24 * time.Hour) }),
		},
		{
			name: "a second responder", leaf: named(c.base+"/down", c.base+"/ocsp"), asked: "POST /ocsp",
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, nil) },
		},

		{
			name: "stapled", leaf: named(c.base + "/ocsp"),
			sends: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, nil) },
		},
		{
			name: "stapled, where none can be asked", leaf: named(),
			sends: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, nil) },
		},
		{
			name: "stapled and revoked", leaf: named(c.base + "/ocsp"), wrong: isBad,
			sends: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, revoked) },
			ocsp:  func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, nil) },
		},
		{
			name: "stapled and expired, then good", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp",
			sends: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, stale) },
			ocsp:  func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, nil) },
		},
		{
			name: "stapled by itself, then revoked", leaf: named(c.base + "/ocsp"), asked: "POST /ocsp", wrong: isBad,
			sends: func(l *signer) []byte { return ocspAnswer(t, c.middle, l, l.cert, nil) },
			ocsp:  func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, revoked) },
		},

		{
			name: "not in the list", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl",
			list: func(*signer) []byte { return revocationList(t, c.middle, nil, appointed.cert) },
		},
		{
			name: "not in the list, the responder down", leaf: named(c.base+"/ocsp", c.base+"/leaf.crl"), asked: "GET /leaf.crl",
			list: func(*signer) []byte { return revocationList(t, c.middle, nil) },
		},
		{
			name: "in the list", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl", wrong: isBad,
			list: func(l *signer) []byte { return revocationList(t, c.middle, nil, appointed.cert, l.cert) },
		},
		{
			name: "in the list, unknown to the responder", leaf: named(c.base+"/ocsp", c.base+"/leaf.crl"), asked: "GET /leaf.crl", wrong: isBad,
			ocsp: func(l *signer) []byte { return ocspAnswer(t, c.middle, c.middle, l.cert, unknown) },
			list: func(l *signer) []byte { return revocationList(t, c.middle, nil, l.cert) },
		},
		{
			name: "the list of its part", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl",
			list: func(*signer) []byte { return revocationList(t, c.middle, partOf(t, c.base+"/leaf.crl")) },
		},
		{
			name: "the list of another part", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl", wrong: "not about this certificate",
			list: func(*signer) []byte { return revocationList(t, c.middle, partOf(t, c.base+"/other.crl")) },
		},
		{
			name: "changes to a list", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl", wrong: "of a kind that is not known",
			list: func(*signer) []byte {
				return revocationList(t, c.middle, func(l *x509.RevocationList) {
					l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
				})
			},
		},
		{
			name: "a list that has expired", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl", wrong: "the list was good until",
			list: func(*signer) []byte { return revocationList(t, c.middle, oldList) },
		},
		{
			name: "a stranger's list", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl", wrong: "the list's signature",
			list: func(*signer) []byte { return revocationList(t, stranger, nil) },
		},
		{
			name: "another authority's list", leaf: named(c.base + "/leaf.crl"), asked: "GET /leaf.crl", wrong: "another authority's",
			list: func(*signer) []byte { return revocationList(t, c.root, nil) },
		},
	}
	for _, say := range cases {
		t.Run(say.name, func(t *testing.T) {
			c.mu.Lock()
			delete(c.answers, "/ocsp")
			delete(c.answers, "/leaf.crl")
			clear(c.asked)
			c.mu.Unlock()
			var stapled []byte
			if say.ocsp != nil {
				c.says("/ocsp", say.ocsp(say.leaf))
			}
			if say.list != nil {
				c.says("/leaf.crl", say.list(say.leaf))
			}
			if say.sends != nil {
				stapled = say.sends(say.leaf)
			}
			target, _ := c.receiver(t, say.leaf, stapled)
			h := c.house(t, new(atomic.Int64))
			h.subscribe(target, checked)
			record := h.once(t)
			if say.wrong == "" {
				require.Equal(t, delivery.Succeeded, record.State, record.Reason)
			} else {
				require.Equal(t, delivery.Exhausted, record.State)
				require.Equal(t, delivery.Revocation, record.Attempts[0].Outcome, record.Reason)
				require.Contains(t, record.Reason, say.wrong)
				require.True(t, strings.HasPrefix(record.Reason, "no trusted TLS connection: "), record.Reason)
				require.NotContains(t, record.Reason, "127.0.0.1")
			}
			if say.asked == "" {
				require.Zero(t, c.times("POST /ocsp")+c.times("GET /leaf.crl"))
			} else {
				require.Equal(t, 1, c.times(say.asked))
			}
		})
	}
	t.Run("an authority that is revoked", func(t *testing.T) {
		c.says("/root.crl", revocationList(t, c.root, nil, c.middle.cert))
		leaf := named(c.base + "/ocsp")
		c.says("/ocsp", ocspAnswer(t, c.middle, c.middle, leaf.cert, nil))
		target, _ := c.receiver(t, leaf, nil)
		h := c.house(t, new(atomic.Int64))
		h.subscribe(target, checked)
		record := h.once(t)
		require.Equal(t, delivery.Revocation, record.Attempts[0].Outcome)
		require.Contains(t, record.Reason, `the certificate of "Middle" is revoked`)
	})
}

// TestRevocationIsAskedOnceWhileItsAnswerIsGood sends much at once, and then after the answer's date.
func TestRevocationIsAskedOnceWhileItsAnswerIsGood(t *testing.T) {
	c := newTrust(t)
	leaf := c.leaf(t, func(cert *x509.Certificate) { cert.OCSPServer = []string{c.base + "/ocsp"} })
	c.says("/ocsp", ocspAnswer(t, c.middle, c.middle, leaf.cert, nil))
	target, _ := c.receiver(t, leaf, nil)
	// At once.
	burst := c.house(t, new(atomic.Int64))
	burst.subscribe(target, checked)
	var ids []triggers.ID
	for range 30 {
		ids = append(ids, burst.emit(event(t, "/items/a/update"))[0].ID+1)
	}
	for _, id := range ids {
		require.Equal(t, delivery.Succeeded, burst.delivered(id, ended).State)
	}
	require.Equal(t, 1, c.times("POST /ocsp"))
	require.Equal(t, 1, c.times("GET /root.crl"))

	// One after another, by a transport that knows nothing yet.
	ahead := new(atomic.Int64)
	h := c.house(t, ahead)
	target, connections := c.receiver(t, leaf, nil)
	h.subscribe(target, checked)
	for range 5 {
		require.Equal(t, delivery.Succeeded, h.once(t).State)
	}
	require.Equal(t, 2, c.times("POST /ocsp"))
	require.EqualValues(t, 1, connections.Load(), "connections are used again")

	// The answer's date passes, and the certificate has been revoked since. Idle connections are left of before.
	c.says("/ocsp", ocspAnswer(t, c.middle, c.middle, leaf.cert, func(r *ocsp.Response) {
		r.Status, r.RevokedAt, r.NextUpdate = ocsp.Revoked, time.Now(), time.Now().Add(18*time.Hour)
	}))
	c.says("/root.crl", revocationList(t, c.root, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(18 * time.Hour) }))
	ahead.Store(int64(7 * time.Hour))
	record := h.once(t)
	require.Equal(t, delivery.Revocation, record.Attempts[0].Outcome, record.Reason)
	require.Equal(t, 3, c.times("POST /ocsp"))
	require.EqualValues(t, 2, connections.Load(), "the check needs a handshake of its own")
	require.Equal(t, delivery.Revocation, h.once(t).Attempts[0].Outcome)
	require.Equal(t, 3, c.times("POST /ocsp"), "that it is revoked is remembered, too")
}

// TestRevocationIsOfThoseThatAskForIt has two webhooks at one receiver that is revoked. Who does not ask gets on, and leaves connections
// that the other must not use.
func TestRevocationIsOfThoseThatAskForIt(t *testing.T) {
	c := newTrust(t)
	leaf := c.leaf(t, func(cert *x509.Certificate) { cert.CRLDistributionPoints = []string{c.base + "/leaf.crl"} })
	c.says("/leaf.crl", revocationList(t, c.middle, nil, leaf.cert))
	target, _ := c.receiver(t, leaf, nil)
	h := c.house(t, new(atomic.Int64))
	h.subscribe(target, func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce }, "/items/add")
	h.subscribe(target, checked, "/items/update")
	const rounds = 12 // more failures in a row than the breaker of a host suffers
	for range rounds {
		require.Equal(t, delivery.Succeeded, h.delivered(h.emit(event(t, "/items/a/add"))[0].ID+1, ended).State)
		record := h.once(t)
		require.Equal(t, delivery.Revocation, record.Attempts[0].Outcome, record.Reason)
	}
	require.Equal(t, delivery.Succeeded, h.delivered(h.emit(event(t, "/items/a/add"))[0].ID+1, ended).State)
	require.Equal(t, 1, c.times("GET /leaf.crl"))
}

// TestAResponderThatHangsLeavesTheReasonKnown has one that takes the question and says nothing.
func TestAResponderThatHangsLeavesTheReasonKnown(t *testing.T) {
	c := newTrust(t)
	hung := raw(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	place := strings.Replace(hung, "127.0.0.1", "authority.example.com", 1)
	leaf := c.leaf(t, func(cert *x509.Certificate) { cert.OCSPServer = []string{place, place} })
	target, _ := c.receiver(t, leaf, nil)
	h := c.house(t, new(atomic.Int64))
	h.subscribe(target, func(w *triggers.Webhook) {
		checked(w)
		w.TimeoutSeconds = 2
	})
	record := h.once(t)
	require.Equal(t, delivery.Revocation, record.Attempts[0].Outcome, record.Reason)
	require.Equal(t, 2, strings.Count(record.Reason, "no answer in time"), record.Reason)
}

// TestOwnTroubleWithAnAuthorityIsNotCharged has a resolver that fails at the authority's name.
func TestOwnTroubleWithAnAuthorityIsNotCharged(t *testing.T) {
	c := newTrust(t)
	leaf := c.leaf(t, func(cert *x509.Certificate) { cert.OCSPServer = []string{"http://broken.example.com/ocsp"} })
	target, _ := c.receiver(t, leaf, nil)
	h := c.house(t, new(atomic.Int64))
	h.subscribe(target, checked)
	record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, func(r *delivery.Record) bool { return r.Reason != "" })
	require.Equal(t, delivery.Waiting, record.State)
	require.Zero(t, record.Tries)
	require.Contains(t, record.Reason, "not charged")
	require.Contains(t, record.Reason, "broken.example.com: the name server")
}

// TestMemoryOfStandingsIsBounded tells of more certificates than are kept.
func TestMemoryOfStandingsIsBounded(t *testing.T) {
	require.LessOrEqual(t, delivery.StandingsAfter(20_000, time.Now), 4096)
}
