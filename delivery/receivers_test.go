package delivery_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"portalhook/delivery"
	"portalhook/triggers"
)

// raw is a receiver that answers bytes of its own making.
func raw(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				answer(conn)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		<-done
	})
	return "http://" + listener.Addr().String() + "/hook"
}

func says(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

// sayUntilClosed repeats a piece until the other side has had enough.
func sayUntilClosed(head, piece string) func(net.Conn) {
	return func(conn net.Conn) {
		_, err := io.WriteString(conn, head)
		for err == nil {
			_, err = io.WriteString(conn, piece)
		}
	}
}

// closedPort is where nobody listens: at an address of its own, so that no other test gets the port.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.3:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "http://" + listener.Addr().String() + "/hook"
}

// secured is a receiver that nobody vouches for, with the newest version of TLS that it speaks.
func secured(t *testing.T, newest uint16) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{MaxVersion: newest}
	server.Config.ErrorLog = silent
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestReceiversOfEveryKind makes one attempt at each kind of receiver, over real sockets.
func TestReceiversOfEveryKind(t *testing.T) {
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
		gzipped = ok + "Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
		kept    = 16 << 10
	)
	status := func(code int) string {
		return receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	saying := func(text string) string { return raw(t, says(text)) }
	endless := func(head, piece string) string { return raw(t, sayUntilClosed(head, piece)) }
	cases := []struct {
		name      string
		target    string
		outcome   delivery.Outcome
		reason    string // its beginning
		body      string // what is kept of the answer's
		truncated bool
	}{
		{name: "200", target: status(200), outcome: delivery.Delivered, reason: "200 OK"},
		{name: "204", target: status(204), outcome: delivery.Delivered, reason: "204 No Content"},
		{name: "299", target: status(299), outcome: delivery.Delivered, reason: "299"},
		{name: "301", target: status(301), outcome: delivery.Redirected, reason: "redirects are forbidden: 301 Moved Permanently"},
		{name: "304", target: status(304), outcome: delivery.Redirected, reason: "redirects are forbidden: 304 Not Modified"},
		{name: "308", target: status(308), outcome: delivery.Redirected, reason: "redirects are forbidden: 308 Permanent Redirect"},
		{name: "400", target: status(400), outcome: delivery.Rejected, reason: "400 Bad Request"},
		{name: "429", target: status(429), outcome: delivery.Throttled, reason: "429 Too Many Requests"},
		{name: "500", target: status(500), outcome: delivery.Rejected, reason: "500 Internal Server Error"},
		{name: "502", target: status(502), outcome: delivery.BadGateway, reason: "502 Bad Gateway"},
		{
			name: "101", target: saying("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
			outcome: delivery.Rejected, reason: "101",
		},

		{name: "nobody listens", target: closedPort(t), outcome: delivery.Refused, reason: "the connection was refused"},
		{
			name: "no such host", target: "http://nowhere.example.com:9999/hook",
			outcome: delivery.NoSuchHost, reason: "the host name does not exist",
		},
		{
			name: "a forbidden address", target: "http://inside.example.com:9999/hook",
			outcome: delivery.Blocked, reason: "the address must not be reached",
		},
		{name: "a URL that is none", target: "http://[::1", outcome: delivery.Unsendable, reason: "the request cannot be made"},

		{name: "ends before the answer", target: saying(""), outcome: delivery.Reset, reason: "the connection ended"},
		{
			name: "resets", target: raw(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }),
			outcome: delivery.Reset, reason: "the connection ended",
		},
		{name: "ends within the head", target: saying(ok + "X-Name: a\r\n"), outcome: delivery.Reset, reason: "the connection ended"},
		{
			name: "ends within the body", target: saying(ok + "Content-Length: 100\r\n\r\nhalf"),
			outcome: delivery.Reset, reason: "the connection ended", body: "half", truncated: true,
		},
		{
			name: "ends within a chunk", target: saying(chunked + "5\r\nab"),
			outcome: delivery.Reset, reason: "the connection ended", body: "ab", truncated: true,
		},

		{name: "speaks no HTTP", target: saying("SSH-2.0-OpenSSH_9.6\r\n"), outcome: delivery.Malformed, reason: "the answer is not HTTP"},
		{name: "a status that is none", target: saying("HTTP/1.1 abc OK\r\n\r\n"), outcome: delivery.Malformed, reason: "the answer is not"},
		{
			name: "a chunk that is none", target: saying(chunked + "zz\r\n"),
			outcome: delivery.Malformed, reason: "the answer is not HTTP", truncated: true,
		},
		{name: "headers without end", target: endless(ok, "X-A: b\r\n"), outcome: delivery.Malformed, reason: "the answer is not HTTP"},
		{
			name: "long headers", target: saying(ok + "X-Long: " + strings.Repeat("a", 20<<10) + "\r\nContent-Length: 0\r\n\r\n"),
			outcome: delivery.Delivered, reason: "200 OK",
		},
		{
			name: "headers that are no ASCII", target: saying(ok + "X-Name: \xff\xfe\xe9\r\nContent-Length: 0\r\n\r\n"),
			outcome: delivery.Delivered, reason: "200 OK",
		},

		{
			name: "exactly what is kept", target: saying(ok + "Content-Length: 16384\r\n\r\n" + strings.Repeat("b", kept)),
			outcome: delivery.Delivered, reason: "200 OK", body: strings.Repeat("b", kept),
		},
		{
			name: "one more", target: saying(ok + "Content-Length: 16385\r\n\r\n" + strings.Repeat("b", kept+1)),
			outcome: delivery.Delivered, reason: "200 OK", body: strings.Repeat("b", kept), truncated: true,
		},
		{
			name: "a body without end", target: endless(ok+"\r\n", strings.Repeat("a", 1024)),
			outcome: delivery.Delivered, reason: "200 OK", body: strings.Repeat("a", kept), truncated: true,
		},
		{
			name: "chunks without end", target: endless(chunked, "1\r\na\r\n"),
			outcome: delivery.Delivered, reason: "200 OK", body: strings.Repeat("a", kept), truncated: true,
		},
		{
			name: "a gzip bomb", target: saying(gzipped + zipped(t, string(make([]byte, 16<<20)))),
			outcome: delivery.Delivered, reason: "200 OK", body: string(make([]byte, kept)), truncated: true,
		},
		{
			name: "gzip that nobody asked for", target: saying(gzipped + zipped(t, "hello")),
			outcome: delivery.Delivered, reason: "200 OK", body: "hello",
		},
		{name: "gzip that is none", target: saying(gzipped + "hello"), outcome: delivery.Delivered, reason: "200 OK", truncated: true},
		{
			name: "empty members of gzip without end", target: endless(gzipped, zipped(t, "")),
			outcome: delivery.Delivered, reason: "200 OK", truncated: true,
		},

		{
			name: "http where https is spoken", target: strings.Replace(status(200), "http:", "https:", 1),
			outcome: delivery.TLSFailed, reason: "no trusted TLS connection",
		},
		{
			name: "a certificate that nobody knows", target: secured(t, tls.VersionTLS13),
			outcome: delivery.TLSFailed, reason: "no trusted TLS connection",
		},
		{name: "TLS 1.1", target: secured(t, tls.VersionTLS11), outcome: delivery.TLSFailed, reason: "no trusted TLS connection"},
	}
	resolver := nameService(t, map[string][]nameAnswer{"inside.example.com": {{addrs: []string{"10.0.0.1"}}}})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, func(config *delivery.Config) {
				transport := delivery.NewTransport(delivery.TransportConfig{
					Guard: delivery.NewGuard(loopback(t), 0), Resolver: resolver, RootCAs: x509.NewCertPool(),
				})
				t.Cleanup(transport.CloseIdleConnections)
				config.Transport = transport
			})
			h.subscribe(c.target, func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
			record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended)
			require.Len(t, record.Attempts, 1)
			attempt := &record.Attempts[0]
			require.Equal(t, c.outcome, attempt.Outcome, record.Reason)
			require.True(t, strings.HasPrefix(record.Reason, c.reason), record.Reason)
			require.Equal(t, 1, attempt.Number)
			require.Positive(t, attempt.Total)
			if c.outcome == delivery.Delivered {
				require.Equal(t, delivery.Succeeded, record.State)
				require.Empty(t, attempt.Error)
			} else {
				require.Equal(t, delivery.Exhausted, record.State)
			}
			require.Equal(t, c.body, string(attempt.ResponseBody))
			require.Equal(t, c.truncated, attempt.Truncated)
			size := 0
			for _, pair := range attempt.ResponseHeaders {
				size += len(pair[0]) + len(pair[1])
			}
			require.LessOrEqual(t, size, 8<<10)
		})
	}
}

// TestOneDeadlineForEverything holds every step of an attempt to the webhook's second.
func TestOneDeadlineForEverything(t *testing.T) {
	hang := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	drip := func(head, piece string) func(net.Conn) {
		return func(conn net.Conn) {
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			_, err := io.WriteString(conn, head)
			for ; err == nil; <-ticker.C {
				_, err = io.WriteString(conn, piece)
			}
		}
	}
	mute, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0") // never shakes hands
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, mute.Close()) })
	cases := []struct{ name, target string }{
		{"no answer", raw(t, hang)},
		{"no handshake", "https://" + mute.Addr().String() + "/hook"},
		{"a head that drips", raw(t, drip("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"))},
		{"a body that drips", raw(t, drip("HTTP/1.1 200 OK\r\n\r\n", "a"))},
		{"interim answers without end", raw(t, drip("", "HTTP/1.1 102 Processing\r\n\r\n"))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, nil)
			h.subscribe(c.target, func(w *triggers.Webhook) { w.Retry.Profile, w.TimeoutSeconds = triggers.RetryOnce, 1 })
			record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended)
			require.Equal(t, delivery.TimedOut, record.Attempts[0].Outcome)
			require.Equal(t, delivery.Exhausted, record.State)
			require.GreaterOrEqual(t, record.Attempts[0].Total, time.Second)
		})
	}
}

// TestTroubleOfOurOwnIsNotCharged has a resolver that fails, then one that is silent.
func TestTroubleOfOurOwnIsNotCharged(t *testing.T) {
	for name, answer := range map[string]nameAnswer{
		"fails":  {code: dnsmessage.RCodeServerFailure},
		"silent": {silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resolver := nameService(t, map[string][]nameAnswer{"a.example.com": {answer}})
			h := open(t, func(config *delivery.Config) {
				config.Transport = delivery.NewTransport(delivery.TransportConfig{Guard: delivery.NewGuard(loopback(t), 0), Resolver: resolver})
			})
			h.subscribe("http://a.example.com:9/hook", func(w *triggers.Webhook) {
				w.Retry.Profile, w.TimeoutSeconds = triggers.RetryOnce, 1
			})
			record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, func(r *delivery.Record) bool { return r.Reason != "" })
			require.Equal(t, delivery.Waiting, record.State)
			require.Zero(t, record.Tries)
			require.Contains(t, record.Reason, "not charged")
			require.True(t, record.DueAt.After(time.Now()))
		})
	}
}

// TestCase39WhatIsSent sees that what is signed is what is sent, and that history shows no secret.
func TestCase39WhatIsSent(t *testing.T) {
	type seen struct {
		header http.Header
		body   []byte
	}
	requests := make(chan seen, 1)
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{header: r.Header.Clone(), body: body}
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("X-Echo", "is 0123456789abcdef0123456789abcdef ok")
		_, _ = io.WriteString(w, "you sent 0123456789abcdef0123456789abcdef and top-secret-token")
	})
	h := open(t, nil)
	h.subscribe(target, func(w *triggers.Webhook) {
		w.PlainSecretHeader = true
		w.Headers = []triggers.Header{{Name: "x-team", Value: triggers.NewSecret("blue")}, {Name: "user-agent", Value: triggers.NewSecret("own/1")}}
		w.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret("top-secret-token")}}
		w.OldSecrets = []triggers.OldSecret{
			{Secret: triggers.NewSecret("rotated-and-still-valid-for-a-while"), Until: time.Now().Add(time.Hour)},
			{Secret: triggers.NewSecret("rotated-and-over"), Until: time.Now().Add(-time.Hour)},
		}
	})
	id := h.emit(event(t, "/items/4adc30bb03054812a846fa592de105de/update"))[0].ID + 1
	record := h.delivered(id, ended)
	got := <-requests
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Equal(t, []string{"own/1"}, got.header["User-Agent"], "a webhook's own header replaces ours")
	require.Equal(t, "identity", got.header.Get("Accept-Encoding"))
	require.Equal(t, "blue", got.header.Get("X-Team"))
	require.Equal(t, "top-secret-token", got.header.Get("Authorization"))
	require.Equal(t, "0123456789abcdef0123456789abcdef", got.header.Get("secret"))
	require.Equal(t, id.Delivery(), got.header.Get("Webhook-Id"))
	require.NotContains(t, got.header, "X-Idempotency-Key")
	require.Contains(t, string(got.body), `"operation":"update"`)

	mac := hmac.New(sha256.New, []byte("0123456789abcdef0123456789abcdef"))
	mac.Write(got.body)
	require.Equal(t, "sha256="+base64.StdEncoding.EncodeToString(mac.Sum(nil)), got.header.Get("X-Esrihook-Signature"))
	require.Len(t, strings.Fields(got.header.Get("Webhook-Signature")), 2, "the present secret's and the valid old one's")

	history := fmt.Sprintf("%+v %s", record, record.Attempts[0].ResponseBody)
	for _, secret := range []string{"0123456789abcdef0123456789abcdef", "top-secret-token", "session=1"} {
		require.NotContains(t, history, secret)
	}
	require.Contains(t, string(record.Attempts[0].ResponseBody), "you sent **OMITTED** and **OMITTED**")
}

// An echo that stands where what is kept of an answer ends leaves no part of a secret either.
func TestEchoAtTheCut(t *testing.T) {
	const kept, secret = 16 << 10, "top-secret-token-of-some-length"
	target := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(".", kept-len(secret)/2)+secret+"!")
	})
	h := open(t, nil)
	h.subscribe(target, func(w *triggers.Webhook) {
		w.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret(secret)}}
	})
	attempt := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended).Attempts[0]
	require.Equal(t, "**OMITTED**!", strings.TrimLeft(string(attempt.ResponseBody), "."))
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	count, port := counted(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "thanks") })
	h := open(t, nil)
	h.subscribe(fmt.Sprintf("http://127.0.0.1:%d/hook", port), func(w *triggers.Webhook) { w.Ordered = true })
	var last triggers.ID
	for range 50 {
		last = h.emit(event(t, "/items/a/update"))[0].ID + 1
	}
	record := h.delivered(last, ended)
	require.EqualValues(t, 1, count.Load())
	require.Zero(t, record.Attempts[0].Connect, "no connection was opened for it")
	require.Positive(t, record.Attempts[0].FirstByte)
}

// TestAnIdleConnectionThatWasClosedCostsNoAttempt ends each connection after its answer without saying so.
func TestAnIdleConnectionThatWasClosedCostsNoAttempt(t *testing.T) {
	target := raw(t, says("HTTP/1.1 204 No Content\r\n\r\n"))
	h := open(t, nil)
	h.subscribe(target, func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
	for range 30 {
		record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended)
		require.Equal(t, delivery.Succeeded, record.State, record.Reason)
	}
}

func TestTimingsOfANewConnection(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	resolver := nameService(t, map[string][]nameAnswer{"example.com": {{addrs: []string{"127.0.0.1"}}}})
	h := open(t, func(config *delivery.Config) {
		transport := delivery.NewTransport(delivery.TransportConfig{Guard: delivery.NewGuard(loopback(t), 0), RootCAs: roots, Resolver: resolver})
		t.Cleanup(transport.CloseIdleConnections)
		config.Transport = transport
	})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	h.subscribe("https://example.com:"+port+"/hook", nil)
	record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended)
	require.Equal(t, delivery.Succeeded, record.State, record.Reason)
	a := record.Attempts[0]
	require.Positive(t, a.DNS)
	require.GreaterOrEqual(t, a.Connect, a.DNS)
	require.GreaterOrEqual(t, a.TLS, a.Connect)
	require.GreaterOrEqual(t, a.FirstByte, a.TLS)
	require.GreaterOrEqual(t, a.Total, a.FirstByte)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}
