package web_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/web"
)

// wireReceiver takes one connection after the other, keeps the bytes of the request on it as they came, and answers 204.
func wireReceiver(t *testing.T) (address string, requests <-chan []byte) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	got := make(chan []byte, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			got <- rawRequest(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			conn.Close()
		}
	}()
	return "http://" + listener.Addr().String(), got
}

// rawRequest reads a request of a known length, byte by byte as it came.
func rawRequest(conn net.Conn) []byte {
	var raw bytes.Buffer
	reader := bufio.NewReader(io.TeeReader(conn, &raw))
	request, err := http.ReadRequest(reader)
	if err != nil {
		return nil
	}
	_, _ = io.Copy(io.Discard, request.Body)
	return raw.Bytes()
}

// TestWire looks at deliveries as bytes on a socket: receivers made for Qlik Cloud test headers for being equal, and compare the signature
// of what they have read as lower-case letters.
func TestWire(t *testing.T) { storagetest.OnEach(t, testWire) }

func testWire(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	address, requests := wireReceiver(t)
	w := newWholeWith(t, place(t), newReceiver(t), func(c *delivery.Config, _ *web.Config) {
		c.UserAgent = "Qlik Webhook"
	})
	w.create(t, `{"name":"cloud","url":"`+address+`/hook","eventTypes":["com.qlik.v1.app.created"],"enabled":true,"secret":"`+secret+`","headers":{"x-env":"prod"}}`)
	w.create(t, `{"name":"hybrid","url":"`+address+`/hook","eventTypes":["com.qlik.v1.app.deleted"],"enabled":true,"secret":"`+secret+`","enableCloudEventDelivery":false}`)
	const data = `{"name":"naïve <b>&amp;\u2028\"x\"</b>","n":1.50,"big":12345678901234567890}`
	for _, kind := range []string{"com.qlik.v1.app.created", "com.qlik.v1.app.deleted"} {
		w.post(t, `{"specversion":"1.0","id":"`+kind+`","source":"com.qlik/engine","type":"`+kind+`","data":`+data+`}`)
		raw := <-requests
		head, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
		require.True(t, found, "%q", raw)
		lines := strings.Split(string(head), "\r\n")
		require.Equal(t, "POST /hook HTTP/1.1", lines[0])
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		for _, want := range []string{
			"Content-Type: application/json", "User-Agent: Qlik Webhook", "Content-Length: " + strconv.Itoa(len(body)),
			"Qlik-Signature: " + hex.EncodeToString(mac.Sum(nil)),
		} {
			name, _, _ := strings.Cut(want, ":")
			var sent []string
			for _, line := range lines {
				if strings.HasPrefix(strings.ToLower(line), strings.ToLower(name)+":") {
					sent = append(sent, line)
				}
			}
			require.Equal(t, []string{want}, sent, kind)
		}
		require.Contains(t, string(body), `"data":`+strings.ReplaceAll(data, `\u2028`, "\u2028"), "the data as it came, with the fewest escapes")
		require.False(t, bytes.HasSuffix(body, []byte("\n")))
	}
}
