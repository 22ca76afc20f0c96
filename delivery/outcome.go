package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Outcome is what an attempt came to.
type Outcome string

// The outcomes. All but Delivered are failures; Infrastructure and ShutDown are ours and are not charged to the webhook.
const (
	Delivered      Outcome = "delivered"      // 2xx
	Redirected     Outcome = "redirected"     // 3xx, never followed
	Gone           Outcome = "gone"           // 410: nobody is there any more, the webhook is switched off
	Throttled      Outcome = "throttled"      // 429
	BadGateway     Outcome = "bad-gateway"    // 502, 504: what stands before the receiver cannot reach it
	Rejected       Outcome = "rejected"       // any other status
	NoSuchHost     Outcome = "no-such-host"   // the name does not exist
	Refused        Outcome = "refused"        // nobody listens there
	Unreachable    Outcome = "unreachable"    // no way to that network or host
	Reset          Outcome = "reset"          // the connection ended before the answer did
	TLSFailed      Outcome = "tls"            // no trusted encrypted connection came about
	Revocation     Outcome = "revocation"     // a certificate is revoked, or nobody would say that it is not
	Blocked        Outcome = "blocked"        // the address is one that must not be reached
	TimedOut       Outcome = "timeout"        // the deadline passed
	Malformed      Outcome = "malformed"      // what came back is not an answer in HTTP
	Unsendable     Outcome = "unsendable"     // the request could not be made from what is stored
	Infrastructure Outcome = "infrastructure" // trouble of our own: resolver, proxy, file descriptors, ports, memory
	ShutDown       Outcome = "shut-down"      // we stopped in the middle
)

// Outcomes lists every outcome, for metrics and tables.
var Outcomes = []Outcome{
	Delivered, Redirected, Gone, Throttled, BadGateway, Rejected, NoSuchHost, Refused, Unreachable, Reset, TLSFailed, Revocation,
	Blocked, TimedOut, Malformed, Unsendable, Infrastructure, ShutDown,
}

// Charged reports whether the attempt counts as one of the webhook's tries.
func (o Outcome) Charged() bool { return o != Infrastructure && o != ShutDown }

// hostDown reports whether the outcome speaks against the whole host, as the breaker counts it. A status that an application
// gives at once does not: other webhooks of the same host may be well, and it holds no slot.
func (o Outcome) hostDown() bool {
	switch o {
	case BadGateway, NoSuchHost, Refused, Unreachable, Reset, TLSFailed, TimedOut, Malformed:
		return true
	case Delivered, Redirected, Gone, Throttled, Rejected, Revocation, Blocked, Unsendable, Infrastructure, ShutDown:
	}
	return false
}

// hostSilent reports whether the outcome says nothing about the host, so that the breaker must not hear of it. Webhooks of the same
// host that do not ask for revocation may be well.
func (o Outcome) hostSilent() bool {
	return o == Revocation || o == Blocked || o == Unsendable || o == Infrastructure || o == ShutDown
}

var (
	// errShutDown is the cause of a context that ends because the server does.
	errShutDown = errors.New("the server is shutting down")
	// errUnsendable wraps what keeps a request from being made.
	errUnsendable = errors.New("the request cannot be made")
)

// BlockedError says that an address must not be reached.
type BlockedError struct {
	Address string // as it would have been dialled
	Why     string
}

func (e *BlockedError) Error() string {
	return fmt.Sprintf("%s must not be reached: %s", e.Address, e.Why)
}

// tlsError marks an error of the handshake, so that a connection that ends there is not taken for one that ends in the answer.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }

// Classify says what an attempt came to: by err when there is one, else by the answer's status. It is the one place that decides.
func Classify(status int, err error) Outcome {
	if err != nil {
		return classifyError(err)
	}
	switch {
	case status >= 200 && status <= 299:
		return Delivered
	case status >= 300 && status <= 399:
		return Redirected
	case status == http.StatusGone:
		return Gone
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return BadGateway
	}
	return Rejected
}

// classifyError judges the narrowest kind first: a name look-up that timed out is our resolver's, not the receiver's timeout, a connection
// that the proxy refused was not refused by the receiver, and a handshake that ended early is a failure of TLS, not a reset.
func classifyError(err error) Outcome {
	var (
		blocked *BlockedError
		proxy   *proxyError
		revoked *revocationError
		dns     *net.DNSError
	)
	switch {
	case errors.Is(err, errShutDown):
		return ShutDown
	case errors.Is(err, errUnsendable):
		return Unsendable
	case errors.As(err, &blocked):
		return Blocked
	case errors.As(err, &proxy):
		return Infrastructure
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return NoSuchHost
		}
		return Infrastructure
	case isAny(err, ourTrouble):
		return Infrastructure
	case errors.As(err, &revoked):
		return Revocation
	case isTimeout(err):
		return TimedOut
	case isTLS(err):
		return TLSFailed
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case isAny(err, noWay):
		return Unreachable
	case isAny(err, connectionEnded):
		return Reset
	}
	return Malformed
}

var (
	ourTrouble = []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EACCES, syscall.EPERM,
		syscall.ENETDOWN, context.Canceled,
	}
	noWay           = []error{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN}
	connectionEnded = []error{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed}
)

func isAny(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func isTLS(err error) bool {
	var (
		handshake *tlsError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.As(err, &handshake) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) ||
		errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid)
}

// legible is a text that every store can keep as it is: what a receiver's answer makes an error say may be no text at all.
func legible(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// reason says in one sentence how an attempt ended, for people: 200 OK; redirects are forbidden: 308 Permanent Redirect; ….
func reason(status int, err error) string {
	if err == nil {
		line := statusLine(status)
		if Classify(status, nil) == Redirected {
			return "redirects are forbidden: " + line
		}
		return line
	}
	switch Classify(status, err) {
	case NoSuchHost:
		return "the host name does not exist"
	case Refused:
		return "the connection was refused"
	case Unreachable:
		return "the host cannot be reached"
	case Reset:
		return "the connection ended before the answer did"
	case TLSFailed, Revocation:
		return "no trusted TLS connection: " + err.Error()
	case Blocked:
		return "the address must not be reached"
	case TimedOut:
		return "no complete answer before the deadline"
	case Malformed:
		return "the answer is not HTTP that can be read"
	case Infrastructure:
		return "trouble on our side, not charged to the webhook: " + trouble(err)
	case ShutDown:
		return "the server was shutting down"
	case Unsendable, Delivered, Redirected, Gone, Throttled, BadGateway, Rejected:
	}
	return err.Error()
}

// trouble names our own trouble without the addresses that the error would tell.
func trouble(err error) string {
	var (
		revoked *revocationError
		proxy   *proxyError
		dns     *net.DNSError
		number  syscall.Errno
	)
	switch {
	case errors.As(err, &revoked):
		return revoked.text
	case errors.As(err, &proxy):
		return proxy.Error()
	case errors.As(err, &dns):
		return "the name server: " + dns.Err
	case errors.As(err, &number):
		return number.Error()
	}
	return "the attempt was given up"
}

// statusLine is a status as people know it: 308 Permanent Redirect; a number without a name stands alone.
func statusLine(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}
