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

// sayUntilClosed repeats a piece until the other side has had enough, and then tells how much it took.
func sayUntilClosed(head, piece string, took chan<- int) func(net.Conn) {
	return func(conn net.Conn) {
		n, err := io.WriteString(conn, head)
		for more := 0; err == nil; n += more {
			more, err = io.WriteString(conn, piece)
		}
		if took != nil {
			took <- n
		}
	}
}

// TestReceiversOfEveryKind makes one attempt at each kind of receiver, over real sockets.
func TestReceiversOfEveryKind(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	closedPort := func(t *testing.T) string {
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		return "http://" + listener.Addr().String() + "/hook"
	}
	status := func(code int) func(*testing.T) string {
		return func(t *testing.T) string {
			return receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		}
	}
	answering := func(answer func(net.Conn)) func(*testing.T) string {
		return func(t *testing.T) string { return raw(t, answer) }
	}
	named := func(host string) func(*testing.T) string {
		return func(*testing.T) string { return "http://" + host + ":9999/hook" }
	}
	bomb := func() string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := io.CopyN(w, zeros{}, 16<<20)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.String()
	}()
	header := func(size int) string { return "X-Long: " + strings.Repeat("a", size) + "\r\n" }

	cases := []struct {
		name    string
		target  func(*testing.T) string
		outcome delivery.Outcome
		reason  string // the beginning
		check   func(*testing.T, *delivery.Attempt)
	}{
		{"200", status(200), delivery.Delivered, "200 OK", nil},
		{"204", status(204), delivery.Delivered, "204 No Content", nil},
		{"299", status(299), delivery.Delivered, "299", nil},
		{"301", status(301), delivery.Redirected, "redirects are forbidden: 301 Moved Permanently", nil},
		{"308", status(308), delivery.Redirected, "redirects are forbidden: 308 Permanent Redirect", nil},
		{"304", status(304), delivery.Redirected, "redirects are forbidden: 304 Not Modified", nil},
		{"400", status(400), delivery.Rejected, "400 Bad Request", nil},
		{"429", status(429), delivery.Throttled, "429 Too Many Requests", nil},
		{"500", status(500), delivery.Rejected, "500 Internal Server Error", nil},
		{"502", status(502), delivery.BadGateway, "502 Bad Gateway", nil},
		{"101", answering(says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")), delivery.Rejected, "101", nil},
		{"nobody listens", closedPort, delivery.Refused, "the connection was refused", nil},
		{"no such host", named("nowhere.example.com"), delivery.NoSuchHost, "the host name does not exist", nil},
		{"a forbidden address", named("inside.example.com"), delivery.Blocked, "the address must not be reached", nil},
		{"ends before the answer", answering(func(net.Conn) {}), delivery.Reset, "the connection ended", nil},
		{"resets", answering(func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }), delivery.Reset, "the connection ended", nil},
		{"ends within the head", answering(says(ok + "X-Name: a\r\n")), delivery.Reset, "the connection ended", nil},
		{"ends within the body", answering(says(ok + "Content-Length: 100\r\n\r\nhalf")), delivery.Reset, "the connection ended",
			func(t *testing.T, a *delivery.Attempt) {
				require.Equal(t, 200, a.StatusCode)
				require.Equal(t, "half", string(a.ResponseBody))
				require.True(t, a.Truncated)
			}},
		{"ends within a chunk", answering(says(ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nab")), delivery.Reset, "the connection ended", nil},
		{"speaks no HTTP", answering(says("SSH-2.0-OpenSSH_9.6\r\n")), delivery.Malformed, "the answer is not HTTP", nil},
		{"a status that is none", answering(says("HTTP/1.1 abc OK\r\n\r\n")), delivery.Malformed, "the answer is not HTTP", nil},
		{"a chunk that is none", answering(says(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n")), delivery.Malformed, "the answer", nil},
		{"headers without end", answering(sayUntilClosed(ok, "X-A: b\r\n", nil)), delivery.Malformed, "the answer is not HTTP", nil},
		{"long headers", answering(says(ok + header(20<<10) + "X-Short: 1\r\nContent-Length: 0\r\n\r\n")), delivery.Delivered, "200 OK",
			func(t *testing.T, a *delivery.Attempt) {
				size := 0
				for _, pair := range a.ResponseHeaders {
					size += len(pair[0]) + len(pair[1])
				}
				require.LessOrEqual(t, size, 8<<10)
			}},
		{"headers that are no ASCII", answering(says(ok + "X-Name: \xff\xfe\xe9\r\nContent-Length: 0\r\n\r\n")), delivery.Delivered, "200 OK", nil},
		{"a body without end", answering(sayUntilClosed(ok+"\r\n", strings.Repeat("a", 1024), nil)), delivery.Delivered, "200 OK",
			func(t *testing.T, a *delivery.Attempt) {
				require.Len(t, a.ResponseBody, 16<<10)
				require.True(t, a.Truncated)
			}},
		{"chunks without end", answering(sayUntilClosed(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", nil)), delivery.Delivered,
			"200 OK", func(t *testing.T, a *delivery.Attempt) { require.True(t, a.Truncated) }},
		{"a gzip bomb", answering(says(ok + "Content-Encoding: gzip\r\nContent-Length: " + fmt.Sprint(len(bomb)) + "\r\n\r\n" + bomb)),
			delivery.Delivered, "200 OK", func(t *testing.T, a *delivery.Attempt) {
				require.Equal(t, make([]byte, 16<<10), a.ResponseBody)
				require.True(t, a.Truncated)
			}},
		{"gzip that nobody asked for", answering(says(ok + "Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + zipped(t, "hello"))),
			delivery.Delivered, "200 OK", func(t *testing.T, a *delivery.Attempt) {
				require.Equal(t, "hello", string(a.ResponseBody))
				require.False(t, a.Truncated)
			}},
		{"gzip that is none", answering(says(ok + "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")), delivery.Delivered, "200 OK",
			func(t *testing.T, a *delivery.Attempt) {
				require.Empty(t, a.ResponseBody)
				require.True(t, a.Truncated)
			}},
		{"empty members of gzip without end", answering(sayUntilClosed(ok+"Content-Encoding: gzip\r\n\r\n", zipped(t, ""), nil)),
			delivery.Delivered, "200 OK", func(t *testing.T, a *delivery.Attempt) { require.True(t, a.Truncated) }},
		{"exactly what is kept", answering(says(ok + "Content-Length: 16384\r\n\r\n" + strings.Repeat("b", 16<<10))), delivery.Delivered,
			"200 OK", func(t *testing.T, a *delivery.Attempt) {
				require.Len(t, a.ResponseBody, 16<<10)
				require.False(t, a.Truncated)
			}},
		{"http where https is spoken", func(t *testing.T) string {
			return strings.Replace(receiver(t, func(http.ResponseWriter, *http.Request) {}), "http:", "https:", 1)
		}, delivery.TLSFailed, "no trusted TLS connection", nil},
		{"a certificate that nobody knows", func(t *testing.T) string {
			server := httptest.NewUnstartedServer(nil)
			server.Config.ErrorLog = silent
			server.StartTLS()
			t.Cleanup(server.Close)
			return server.URL
		}, delivery.TLSFailed, "no trusted TLS connection", nil},
		{"TLS 1.1", func(t *testing.T) string {
			server := httptest.NewUnstartedServer(nil)
			server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11} //nolint:gosec // that is the point
			server.Config.ErrorLog = silent
			server.StartTLS()
			t.Cleanup(server.Close)
			return server.URL
		}, delivery.TLSFailed, "no trusted TLS connection", nil},
	}
	_, resolver := newNameServer(t, map[string][]nameAnswer{"inside.example.com": {{addrs: []string{"10.0.0.1"}}}})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, func(config *delivery.Config) {
				transport := delivery.NewTransport(delivery.TransportConfig{
					Guard: delivery.NewGuard(loopback(t), 0), Resolver: resolver, RootCAs: x509.NewCertPool(),
				})
				t.Cleanup(transport.CloseIdleConnections)
				config.Transport = transport
			})
			h.subscribe(c.target(t), func(w *triggers.Webhook) { w.Retry.Profile = triggers.RetryOnce })
			record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended)
			require.Equal(t, 1, record.Tries)
			require.Len(t, record.Attempts, 1)
			attempt := &record.Attempts[0]
			require.Equal(t, c.outcome, attempt.Outcome, record.Reason)
			require.True(t, strings.HasPrefix(record.Reason, c.reason), record.Reason)
			if c.outcome == delivery.Delivered {
				require.Equal(t, delivery.Succeeded, record.State)
				require.Empty(t, attempt.Error)
			} else {
				require.Equal(t, delivery.Exhausted, record.State)
			}
			require.Equal(t, 1, attempt.Number)
			require.Positive(t, attempt.Total)
			if c.check != nil {
				c.check(t, attempt)
			}
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
	mute := func(t *testing.T) string { // accepts and never shakes hands
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, listener.Close()) })
		return "https://" + listener.Addr().String() + "/hook"
	}
	cases := []struct {
		name   string
		target func(*testing.T) string
	}{
		{"no answer", func(t *testing.T) string { return raw(t, hang) }},
		{"no handshake", mute},
		{"a head that drips", func(t *testing.T) string { return raw(t, drip("HTTP/1.1 200 OK\r\n", "X-A: b\r\n")) }},
		{"a body that drips", func(t *testing.T) string { return raw(t, drip("HTTP/1.1 200 OK\r\n\r\n", "a")) }},
		{"interim answers without end", func(t *testing.T) string { return raw(t, drip("", "HTTP/1.1 102 Processing\r\n\r\n")) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := open(t, nil)
			h.subscribe(c.target(t), func(w *triggers.Webhook) { w.Retry.Profile, w.TimeoutSeconds = triggers.RetryOnce, 1 })
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
			_, resolver := newNameServer(t, map[string][]nameAnswer{"a.example.com": {answer}})
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

func TestWhatIsSent(t *testing.T) {
	type seen struct {
		header http.Header
		raw    []byte
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
	_, resolver := newNameServer(t, map[string][]nameAnswer{"example.com": {{addrs: []string{"127.0.0.1"}}}})
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

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
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
