package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strconv"
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
	// leastForAnAddress is what one of a receiver's addresses is given at least, when there are several and a proxy in between.
	leastForAnAddress = 2 * time.Second
)

// TransportConfig says how requests leave the house.
type TransportConfig struct {
	Guard *Guard // needed
	// MaxInFlight is how many requests may be under way together, all possibly to one host; 0: 512. As many idle connections are
	// kept: with fewer, busy receivers would be dialled anew for every delivery.
	MaxInFlight int
	RootCAs     *x509.CertPool // nil: the system's
	Resolver    *net.Resolver  // nil: Go's own, by the system's configuration
	Proxy       *Proxy         // nil: connections are opened directly
	// Now is by what certificates, and what is said of their revocation, are judged; nil: time.Now.
	Now func() time.Time
}

// Transport is the one way out: no proxy but the operator's, and none from the environment, every address judged before it is dialled or
// named to the proxy, HTTP/1.1, one connection to one attempt, so that no attempt waits behind another's bytes. Connections whose certificates were checked for revocation are apart from those that were not.
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
		guard: config.Guard,
		net:   net.Dialer{Resolver: resolver, KeepAlive: keepAlive, ControlContext: config.Guard.control},
		tls:   &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Time: now},
	}
	if config.Proxy != nil {
		d.egress = newEgress(config.Proxy, config.RootCAs, now)
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
	guard       *Guard
	net         net.Dialer
	egress      *egress // nil: connections are opened directly
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
	host, port, err := net.SplitHostPort(address)
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
	var conn net.Conn
	if d.egress != nil {
		conn, err = d.through(ctx, steps, host, port)
	} else {
		conn, err = d.net.DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	steps.leave(stepConnect)
	return conn, nil
}

// through resolves and judges as a direct dial does, and then has the proxy connect to what was judged: what a name comes to is decided
// once, and not by the proxy.
func (d *dialer) through(ctx context.Context, steps *steps, host, port string) (net.Conn, error) {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, errors.Join(errUnsendable, err)
	}
	addrs, err := d.lookUp(ctx, host)
	if err != nil {
		return nil, err
	}
	var judged []netip.AddrPort
	for _, addr := range addrs {
		target := netip.AddrPortFrom(addr.Unmap(), uint16(number))
		if refused := d.guard.Judge(host, target); refused == nil {
			judged = append(judged, target)
		} else if err == nil {
			err = refused
		}
	}
	if len(judged) == 0 {
		return nil, err
	}
	err = nil
	for i, target := range judged {
		conn, failed := d.eachInTime(ctx, steps, target, len(judged)-i)
		if failed == nil {
			return conn, nil
		}
		// What is known of the receiver tells more than that the proxy has no way to one of its addresses.
		if _, ours := errors.AsType[*proxyError](err); err == nil || ours {
			err = failed
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// lookUp gives the addresses of a host, which may be one itself; the error is a *net.DNSError.
func (d *dialer) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	return d.net.Resolver.LookupNetIP(ctx, "ip", host)
}

// eachInTime gives an address its share of the time that is left, as a net.Dialer does.
func (d *dialer) eachInTime(ctx context.Context, steps *steps, target netip.AddrPort, left int) (net.Conn, error) {
	if until, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(time.Until(until)/time.Duration(left), leastForAnAddress))
		defer cancel()
	}
	return d.egress.dial(ctx, steps, target)
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
	asking          atomic.Pointer[question] // what the proxy was asked and has not answered; nil: nothing
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

// explain takes a deadline that passed while the name was looked up for the failure of the resolver that it is, and one that passed at
// the proxy for whose it is.
func (s *steps) explain(err error, name string) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if asked := s.asking.Load(); asked != nil {
		return asked.timedOut()
	}
	if s.resolving() {
		return &net.DNSError{Err: "no answer before the deadline", Name: name, IsTimeout: true}
	}
	return err
}
