package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Bounds of connections.
const (
	idleConnTimeout = 30 * time.Second
	keepAlive       = 30 * time.Second
	// keptHeaders is what history keeps of an answer's headers, readHeaders what is read of them before the answer is refused.
	keptHeaders = 8 << 10
	readHeaders = 64 << 10
)

// TransportConfig says how requests leave the house.
type TransportConfig struct {
	Guard *Guard // needed
	// MaxInFlight is how many requests may be under way together, all possibly to one host; 0: 512. As many idle connections are
	// kept: with fewer, busy receivers would be dialled anew for every delivery.
	MaxInFlight int
	RootCAs     *x509.CertPool // nil: the system's
	Resolver    *net.Resolver  // nil: Go's own, by the system's configuration
	// Now is by what certificates, and what is said of their revocation, are judged; nil: time.Now.
	Now func() time.Time
}

// Transport is the one way out: no proxy from the environment, every address judged, HTTP/1.1, one connection to one attempt, so that
// no attempt waits behind another's bytes. Connections whose certificates were checked for revocation are apart from those that were not.
type Transport struct {
	plain, checked *http.Transport
}

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip implements http.RoundTripper. Certificates are checked for revocation when the attempt that the context tells of asks for it.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if s, ok := request.Context().Value(stepsKey{}).(*steps); ok && s.checked {
		return t.checked.RoundTrip(request.WithContext(httptrace.WithClientTrace(request.Context(), onlyProven)))
	}
	return t.plain.RoundTrip(request)
}

// CloseIdleConnections closes connections that wait for their next request.
func (t *Transport) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	t.checked.CloseIdleConnections()
}

// NewTransport makes a Transport.
func NewTransport(config TransportConfig) *Transport {
	resolver := config.Resolver
	if resolver == nil {
		resolver = &net.Resolver{PreferGo: true} // one that a deadline can stop, and that says why it failed
	}
	inFlight := config.MaxInFlight
	if inFlight <= 0 {
		inFlight = defaultInFlight
	}
	now := config.Now
	if now == nil {
		now = time.Now
	}
	d := &dialer{
		net: net.Dialer{Resolver: resolver, KeepAlive: keepAlive, ControlContext: config.Guard.control},
		tls: &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Time: now},
	}
	plain := pool(d, inFlight)
	checking := *d
	checking.revocations = newRevocations(plain, config.Guard.authorities(), now)
	return &Transport{plain: plain, checked: pool(&checking, inFlight)}
}

func pool(d *dialer, inFlight int) *http.Transport {
	return &http.Transport{
		DialContext:            d.dial,
		DialTLSContext:         d.dialTLS,
		MaxIdleConns:           4 * inFlight,
		MaxIdleConnsPerHost:    inFlight,
		IdleConnTimeout:        idleConnTimeout,
		DisableCompression:     true, // sizes are limited after decoding, in readBody
		MaxResponseHeaderBytes: readHeaders,
		Protocols:              onlyHTTP1(),
	}
}

func onlyHTTP1() *http.Protocols {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &protocols
}

// dialer opens connections, notes how long each step took, and keeps to the attempt's deadline, from which the transport detaches it.
type dialer struct {
	net         net.Dialer
	tls         *tls.Config
	revocations *revocations // nil: certificates are not checked for revocation
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel, steps := d.prepare(ctx)
	defer cancel()
	return d.connect(ctx, steps, network, address)
}

func (d *dialer) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel, steps := d.prepare(ctx)
	defer cancel()
	plain, err := d.connect(ctx, steps, network, address)
	if err != nil {
		return nil, err
	}
	config := d.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address) // connect has read it before
	var until time.Time
	if d.revocations != nil {
		config.VerifyConnection = func(state tls.ConnectionState) (err error) {
			until, err = d.revocations.check(ctx, &state)
			return err
		}
	}
	steps.enter(stepTLS)
	secured := tls.Client(plain, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(&tlsError{err}, plain.Close())
	}
	steps.leave(stepTLS)
	if d.revocations != nil {
		return &provenConn{Conn: secured, until: until, now: d.revocations.now}, nil
	}
	return secured, nil
}

// provenConn is a connection whose certificates are known not to be revoked until a date. After it no further request is begun.
type provenConn struct {
	net.Conn
	until time.Time
	now   func() time.Time
	over  atomic.Bool
}

var errNotProven = errors.New("what is known of the connection's certificates is out of date")

// Write fails before the first byte of a request when the connection is over; then the transport takes another.
func (c *provenConn) Write(p []byte) (int, error) {
	if c.over.Load() {
		return 0, errNotProven
	}
	return c.Conn.Write(p)
}

// onlyProven looks at a connection that is to be used again, before the request is written.
var onlyProven = &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
	if c, ok := info.Conn.(*provenConn); ok && info.Reused && !c.now().Before(c.until) {
		c.over.Store(true)
	}
}}

// connect resolves and dials, first address that answers.
func (d *dialer) connect(ctx context.Context, steps *steps, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(errUnsendable, err)
	}
	ctx = withHost(ctx, host)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { steps.enter(stepDNS) },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			if info.Err == nil { // one that failed, at the deadline perhaps, is not done
				steps.leave(stepDNS)
			}
		},
	})
	steps.enter(stepConnect)
	conn, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	steps.leave(stepConnect)
	return conn, nil
}

func (d *dialer) prepare(ctx context.Context) (context.Context, context.CancelFunc, *steps) {
	s, ok := ctx.Value(stepsKey{}).(*steps)
	if !ok { // not one of our attempts: a bound all the same
		s = &steps{began: time.Now(), deadline: time.Now().Add(defaultTimeout)}
	}
	ctx, cancel := context.WithDeadline(ctx, s.deadline)
	return ctx, cancel, s
}

// steps notes how far the opening of a connection has come. An attempt that finds an idle connection leaves it empty. It is written
// by the transport's goroutine, which may outlive the attempt, and read by the attempt's.
type steps struct {
	began, deadline time.Time
	checked         bool                    // certificates are to be checked for revocation
	left            [stepCount]atomic.Int64 // nanoseconds since began at which the step was done; 0: not yet
	entered         [stepCount]atomic.Bool
}

const (
	stepDNS = iota
	stepConnect
	stepTLS
	stepCount
)

type stepsKey struct{}

func (s *steps) enter(step int) { s.entered[step].Store(true) }

func (s *steps) leave(step int) { s.left[step].Store(int64(max(time.Since(s.began), 1))) }

// at is when the step was done, since the attempt began; 0 when it was not.
func (s *steps) at(step int) time.Duration { return time.Duration(s.left[step].Load()) }

// resolving reports whether a name look-up was begun and has not given an address.
func (s *steps) resolving() bool { return s.entered[stepDNS].Load() && s.left[stepDNS].Load() == 0 }

// explain takes a deadline that passed while the name was looked up for the failure of the resolver that it is.
func (s *steps) explain(err error, name string) error {
	if s.resolving() && errors.Is(err, context.DeadlineExceeded) {
		return &net.DNSError{Err: "no answer before the deadline", Name: name, IsTimeout: true}
	}
	return err
}
