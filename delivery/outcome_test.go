package delivery_test

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
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

func TestClassifyEveryStatus(t *testing.T) {
	special := map[int]delivery.Outcome{
		410: delivery.Gone, 429: delivery.Throttled, 502: delivery.BadGateway, 504: delivery.BadGateway,
	}
	for status := 100; status <= 599; status++ {
		want, ok := special[status]
		switch {
		case ok:
		case status/100 == 2:
			want = delivery.Delivered
		case status/100 == 3:
			want = delivery.Redirected
		default:
			want = delivery.Rejected
		}
		require.Equal(t, want, delivery.Classify(status, nil), "status %d", status)
	}
}

func TestClassifyErrors(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	read := func(err error) error {
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
	}
	cases := []struct {
		name string
		err  error
		want delivery.Outcome
	}{
		{"no such name", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, delivery.NoSuchHost},
		{"the resolver is silent", &net.DNSError{Err: "i/o timeout", IsTimeout: true}, delivery.Infrastructure},
		{"the resolver fails", &net.DNSError{Err: "server misbehaving", IsTemporary: true}, delivery.Infrastructure},
		{"too many files", dial(syscall.EMFILE), delivery.Infrastructure},
		{"too many files in the system", dial(syscall.ENFILE), delivery.Infrastructure},
		{"no port left", dial(syscall.EADDRNOTAVAIL), delivery.Infrastructure},
		{"no buffers", dial(syscall.ENOBUFS), delivery.Infrastructure},
		{"our firewall", dial(syscall.EPERM), delivery.Infrastructure},
		{"our network is down", dial(syscall.ENETDOWN), delivery.Infrastructure},
		{"the caller went away", context.Canceled, delivery.Infrastructure},
		{"refused", dial(syscall.ECONNREFUSED), delivery.Refused},
		{"no way to the host", dial(syscall.EHOSTUNREACH), delivery.Unreachable},
		{"no way to the network", dial(syscall.ENETUNREACH), delivery.Unreachable},
		{"the system's own timeout", dial(syscall.ETIMEDOUT), delivery.TimedOut},
		{"our deadline", fmt.Errorf("send: %w", context.DeadlineExceeded), delivery.TimedOut},
		{"a connection's deadline", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, delivery.TimedOut},
		{"reset", read(syscall.ECONNRESET), delivery.Reset},
		{"broken pipe", &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, delivery.Reset},
		{"ended before the answer", io.EOF, delivery.Reset},
		{"ended within the answer", io.ErrUnexpectedEOF, delivery.Reset},
		{"closed under our hands", net.ErrClosed, delivery.Reset},
		{"not TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, delivery.TLSFailed},
		{"an alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, delivery.TLSFailed},
		{"unknown authority", x509.UnknownAuthorityError{}, delivery.TLSFailed},
		{"another host's certificate", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, delivery.TLSFailed},
		{"expired", x509.CertificateInvalidError{Reason: x509.Expired}, delivery.TLSFailed},
		{"verification", &tls.CertificateVerificationError{Err: errors.New("no")}, delivery.TLSFailed},
		{"forbidden address", &net.OpError{Op: "dial", Err: &delivery.BlockedError{Address: "10.0.0.1:443"}}, delivery.Blocked},
		{"not HTTP", errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0"`), delivery.Malformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, delivery.Classify(0, c.err))
			require.Equal(t, c.want, delivery.Classify(http.StatusOK, c.err), "the error counts, whatever the status")
			require.Equal(t, c.want, delivery.Classify(0, fmt.Errorf("wrapped: %w", c.err)))
		})
	}
}

func TestOnlyOurOwnTroubleIsNotCharged(t *testing.T) {
	for _, outcome := range delivery.Outcomes {
		ours := outcome == delivery.Infrastructure || outcome == delivery.ShutDown
		require.Equal(t, !ours, outcome.Charged(), outcome)
	}
}
