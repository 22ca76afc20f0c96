package delivery

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/proxy"

	"portalhook/triggers"
)

// What the operator puts between us and receivers: a name server, a proxy. Their addresses are the operator's and are not judged.

// ResolverAt asks one DNS server.
func ResolverAt(server netip.AddrPort) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.String())
	}}
}

// Proxy is one that every connection to a receiver is opened through. It is told addresses, never names.
type Proxy struct {
	scheme, host   string
	address        string // host:port
	user, password triggers.Secret
}

// proxyPorts are the ports of proxies whose URL has none, by scheme.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080"}

var errProxyURL = errors.New("it is not a URL such as http://proxy.example.com:3128, https://… or socks5://…, with a user and a password at most")

// ParseProxy reads http://[user:password@]host[:port], https://… or socks5://…. The error does not repeat what was read, which may hold a password.
func ParseProxy(text string) (*Proxy, error) {
	u, err := url.Parse(text)
	if err != nil || proxyPorts[u.Scheme] == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") {
		return nil, errProxyURL
	}
	port := u.Port()
	if port == "" {
		port = proxyPorts[u.Scheme]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, errors.New("the port is not from 1 to 65535")
	}
	p := &Proxy{scheme: u.Scheme, host: u.Hostname(), address: net.JoinHostPort(u.Hostname(), port)}
	if u.User == nil {
		return p, nil
	}
	user := u.User.Username()
	password, _ := u.User.Password()
	const most = 255 // RFC 1929, section 2
	switch {
	case user == "":
		return nil, errors.New("the user is missing")
	case strings.Contains(user, ":"):
		return nil, errors.New("the user must not hold a colon") // RFC 7617, section 2
	case len(user) > most || len(password) > most:
		return nil, fmt.Errorf("the user and the password have at most %d bytes each", most)
	}
	p.user, p.password = triggers.NewSecret(user), triggers.NewSecret(password)
	return p, nil
}

// String is the proxy without user and password.
func (p Proxy) String() string { return p.scheme + "://" + p.address }

// GoString is String: printed by reflection, the secrets within would be seen.
func (p Proxy) GoString() string { return p.String() }

// proxyError is trouble with the proxy itself. It tells no address.
type proxyError struct{ text string }

func (e *proxyError) Error() string { return "the proxy: " + e.text }

// egress opens connections through a proxy.
type egress struct {
	proxy *Proxy
	net   net.Dialer
	tls   *tls.Config // to the proxy itself; nil: in plain
	// socks is how a proxy of that kind is spoken to; nil: by CONNECT.
	socks interface {
		DialWithConn(ctx context.Context, conn net.Conn, network, address string) (net.Addr, error)
	}
	began    time.Time
	answered atomic.Int64 // nanoseconds since began at which the proxy last answered anything; 0: never
}

// newEgress uses the system's resolver for the proxy's own name: the one for receivers may know of public names only.
func newEgress(p *Proxy, roots *x509.CertPool, now func() time.Time) *egress {
	e := &egress{proxy: p, net: net.Dialer{Resolver: &net.Resolver{PreferGo: true}, KeepAlive: keepAlive}, began: time.Now()}
	switch p.scheme {
	case "https":
		e.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Time: now, ServerName: p.host}
	case "socks5":
		var auth *proxy.Auth
		if !p.user.IsZero() {
			auth = &proxy.Auth{User: p.user.Reveal(), Password: p.password.Reveal()}
		}
		dialer, _ := proxy.SOCKS5("tcp", p.address, auth, nil) // never fails
		e.socks = dialer.(interface {
			DialWithConn(ctx context.Context, conn net.Conn, network, address string) (net.Addr, error)
		})
	}
	return e
}

// question is what an attempt waits for at the proxy: since when, for a connection to a receiver; the zero time, for the proxy itself.
type question struct {
	to    *egress
	since time.Duration
}

// timedOut says whose a deadline is that passed: the receiver's only where the proxy has answered others since it was asked. Then it is
// alive, and waits for the receiver as we do.
func (q *question) timedOut() error {
	if q.since > 0 && time.Duration(q.to.answered.Load()) > q.since {
		return context.DeadlineExceeded
	}
	return &proxyError{"no answer before the deadline"}
}

// dial opens a connection to an address that has been judged. Its errors are a *proxyError where the proxy failed, else the receiver's.
func (e *egress) dial(ctx context.Context, steps *steps, target netip.AddrPort) (net.Conn, error) {
	asked := &question{to: e}
	steps.asking.Store(asked)
	conn, err := e.reach(ctx)
	if err != nil {
		return nil, err
	}
	asked = &question{to: e, since: max(time.Since(e.began), 1)}
	steps.asking.Store(asked)
	ask := e.connect
	if e.socks != nil {
		ask = e.connectSOCKS
	}
	if err := ask(ctx, conn, target.String()); err != nil {
		_ = conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			return nil, asked.timedOut()
		}
		steps.asking.Store(nil)
		return nil, err
	}
	steps.asking.Store(nil)
	return conn, nil
}

// reach opens a connection to the proxy itself.
func (e *egress) reach(ctx context.Context) (net.Conn, error) {
	conn, err := e.net.DialContext(ctx, "tcp", e.proxy.address)
	if err != nil {
		return nil, unreachable(err)
	}
	if e.tls == nil {
		return conn, nil
	}
	secured := tls.Client(conn, e.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if isTimeout(err) {
			return nil, unreachable(err)
		}
		why := "no trusted TLS connection to it"
		if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			why += ": its certificate does not stand: " + unverified.Err.Error()
		}
		return nil, &proxyError{why}
	}
	return secured, nil
}

// unreachable says why the proxy cannot be reached, without its address.
func unreachable(err error) error {
	var (
		dns    *net.DNSError
		number syscall.Errno
	)
	switch {
	case isTimeout(err):
		return &proxyError{"no connection before the deadline"}
	case errors.As(err, &dns):
		return &proxyError{"its name cannot be looked up: " + dns.Err}
	case errors.As(err, &number):
		return &proxyError{"it cannot be reached: " + number.Error()}
	}
	return &proxyError{"it cannot be reached"}
}

// connect asks by CONNECT (RFC 9110, section 9.3.6), for plain http too.
func (e *egress) connect(ctx context.Context, conn net.Conn, target string) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	detach := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := e.ask(conn, target)
	if !detach() { // and the connection has a deadline in the past
		return context.Cause(ctx)
	}
	_ = conn.SetDeadline(time.Time{})
	return err
}

func (e *egress) ask(conn net.Conn, target string) error {
	credentials := ""
	if !e.proxy.user.IsZero() {
		pair := e.proxy.user.Reveal() + ":" + e.proxy.password.Reveal()
		credentials = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) + "\r\n"
	}
	_, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, target, credentials)
	if err != nil {
		return brokenOff(err)
	}
	from := bufio.NewReader(io.LimitReader(conn, readHeaders))
	response, err := http.ReadResponse(from, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return brokenOff(err)
	}
	_ = response.Body.Close() // of a refusal it is not read: the connection is closed
	e.heard()
	switch {
	case response.StatusCode < 200 || response.StatusCode > 299:
		return refusal(response)
	case from.Buffered() > 0: // it would be lost
		return &proxyError{"its answer was followed by what was not asked for"}
	}
	return nil
}

func (e *egress) heard() { e.answered.Store(int64(time.Since(e.began))) }

// brokenOff is a conversation with the proxy that came to no end.
func brokenOff(err error) error {
	switch {
	case isTimeout(err):
		return err
	case isAny(err, connectionEnded):
		return &proxyError{"it ended the connection without an answer"}
	}
	return &proxyError{"its answer cannot be read"}
}

// proxyStatus are the errors of Proxy-Status (RFC 9209, section 2.3) that speak of the receiver.
var proxyStatus = map[string]syscall.Errno{
	"connection_refused": syscall.ECONNREFUSED, "connection_timeout": syscall.ETIMEDOUT, "connection_terminated": syscall.ECONNRESET,
	"destination_unavailable": syscall.EHOSTUNREACH, "destination_ip_unroutable": syscall.EHOSTUNREACH,
}

// squidErrors are the errors of a connection, by the numbers of Squid's machine, that speak of the receiver.
var squidErrors = []syscall.Errno{syscall.ECONNREFUSED, syscall.ETIMEDOUT, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH}

// refusal is the receiver's where the proxy says that it could not get through to it: by 504, by Proxy-Status, or by Squid's own header. Any
// other answer may have every cause, so it is the proxy's.
func refusal(response *http.Response) error {
	for part := range strings.FieldsFuncSeq(strings.Join(response.Header.Values("Proxy-Status"), ","), func(c rune) bool { return c == ';' || c == ',' }) {
		if word, ok := strings.CutPrefix(strings.TrimSpace(part), "error="); ok && proxyStatus[word] != 0 {
			return proxyStatus[word]
		}
	}
	if text, ok := strings.CutPrefix(response.Header.Get("X-Squid-Error"), "ERR_CONNECT_FAIL "); ok {
		n, _ := strconv.ParseUint(text, 10, 16)
		if number := syscall.Errno(n); slices.Contains(squidErrors, number) {
			return number
		}
	}
	if response.StatusCode == http.StatusGatewayTimeout {
		return syscall.ETIMEDOUT
	}
	return &proxyError{"it answered " + statusLine(response.StatusCode)}
}

// socksReplies are the replies of RFC 1928, section 6, that speak of the receiver, in the library's words.
var socksReplies = map[string]syscall.Errno{
	"network unreachable": syscall.ENETUNREACH, "host unreachable": syscall.EHOSTUNREACH,
	"connection refused": syscall.ECONNREFUSED, "TTL expired": syscall.EHOSTUNREACH,
}

// connectSOCKS asks by SOCKS 5 (RFC 1928, RFC 1929).
func (e *egress) connectSOCKS(ctx context.Context, conn net.Conn, target string) error {
	_, err := e.socks.DialWithConn(ctx, conn, "tcp", target)
	switch {
	case err == nil:
		e.heard()
		return nil
	case isTimeout(err):
		return err
	}
	var op, inner *net.OpError
	if !errors.As(err, &op) || errors.As(op.Err, &inner) || isAny(err, connectionEnded) {
		return brokenOff(err) // in any other words there would be addresses
	}
	e.heard()
	reply := strings.TrimPrefix(op.Err.Error(), "unknown error ")
	if number, ok := socksReplies[reply]; ok {
		return number
	}
	return &proxyError{"it answered: " + reply}
}
