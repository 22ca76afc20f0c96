package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"portalhook/web"
)

// secure serves an edge with TLS on a real socket, until the test ends.
func secure(t *testing.T, change ...func(*web.Config)) (*edge, *tls.Config) {
	t.Helper()
	vouched := httptest.NewTLSServer(nil) // for its certificate
	vouched.Close()
	trust := vouched.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName, trust.NextProtos = "example.com", []string{"h2"}
	e := newBareEdge(t, append(change, func(c *web.Config) {
		c.TLS = &tls.Config{Certificates: vouched.TLS.Certificates, MinVersion: tls.VersionTLS12}
	})...)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- e.server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, e.server.Shutdown(ctx))
		require.NoError(t, <-ended)
	})
	e.url = "https://" + listener.Addr().String()
	return e, trust
}

// flood is an HTTP/2 client that minds no rule.
type flood struct {
	*http2.Framer

	conn *tls.Conn
}

func newFlood(t *testing.T, e *edge, trust *tls.Config) *flood {
	t.Helper()
	conn, err := (&tls.Dialer{Config: trust}).DialContext(t.Context(), "tcp", e.url[len("https://"):])
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	f := &flood{http2.NewFramer(conn, conn), conn.(*tls.Conn)}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(t, f.WriteSettings())
	return f
}

// ask begins a request on a stream.
func (f *flood) ask(stream uint32, method, path string, whole bool, more ...hpack.HeaderField) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range append([]hpack.HeaderField{
		{Name: ":method", Value: method},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: "a"},
		{Name: ":path", Value: path},
		{Name: "authorization", Value: "Bearer " + adminKey},
		{Name: "content-type", Value: "application/json"},
	}, more...) {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndStream: whole, EndHeaders: true})
}

// end reads frames until the server ends the connection or the last stream, and says how; an answer that there are too many headers is no
// error of the protocol.
func (f *flood) end(last uint32) http2.ErrCode {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return http2.ErrCodeConnect // it hung up without a word
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			return frame.ErrCode
		case *http2.RSTStreamFrame:
			if frame.StreamID == last {
				return frame.ErrCode
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == last && frame.PseudoValue("status") == "431" {
				return http2.ErrCodeNo
			}
		}
	}
}

// TestFloods sees that a client which asks and takes back, or asks for more at once than it may, or sends what has no end, is cut off, and that
// another is answered meanwhile.
func TestFloods(t *testing.T) {
	for name, c := range map[string]struct {
		flood func(f *flood) error
		last  uint32 // the stream whose end is waited for; 0: the connection's
		ends  http2.ErrCode
	}{
		"requests that are taken back": {func(f *flood) error {
			for i := range uint32(10_000) {
				if err := errors.Join(f.ask(2*i+1, "POST", "/api/v1/events", false), f.WriteRSTStream(2*i+1, http2.ErrCodeCancel)); err != nil {
					return err
				}
			}
			return nil
		}, 0, http2.ErrCodeEnhanceYourCalm},
		"more requests than there may be": {func(f *flood) error {
			for i := range uint32(102) {
				if err := f.ask(2*i+1, "POST", "/api/v1/events", false); err != nil {
					return err
				}
			}
			return nil
		}, 203, http2.ErrCodeRefusedStream},
		"headers without end": {func(f *flood) error {
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}, EndStream: true}); err != nil {
				return err
			}
			piece := bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 1000)
			for range 10_000 {
				if err := f.WriteContinuation(1, false, piece); err != nil {
					return err
				}
			}
			return nil
		}, 0, http2.ErrCodeProtocol},
		"a header that is too large": {func(f *flood) error {
			return f.ask(1, "GET", "/healthz", true, hpack.HeaderField{Name: "x-a", Value: strings.Repeat("a", 16<<10)},
				hpack.HeaderField{Name: "x-b", Value: strings.Repeat("a", 17<<10)})
		}, 1, http2.ErrCodeNo},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && c.ends == http2.ErrCodeEnhanceYourCalm {
				t.Skip("as slow as the race detector makes it, a client is no flood: the server keeps up")
			}
			e, trust := secure(t)
			f := newFlood(t, e, trust)
			sent := make(chan error, 1)
			go func() { sent <- c.flood(f) }()
			require.Equal(t, c.ends, f.end(c.last))
			require.NoError(t, f.conn.Close())
			if err := <-sent; err != nil {
				t.Log("cut off:", err)
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}}
			defer client.CloseIdleConnections()
			response, err := client.Get(e.url + "/healthz")
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, 2, response.ProtoMajor)
			require.Zero(t, e.stored())
		})
	}
}
