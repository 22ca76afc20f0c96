package web_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"portalhook/storage"
	"portalhook/storage/storagetest"

	"github.com/stretchr/testify/require"
)

// rawReceiver answers every request with bytes of its own making, and hands on the bytes that it got up to the end of the headers.
func rawReceiver(t *testing.T, answer string) (url string, got <-chan string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	heads := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			head := new(strings.Builder)
			if _, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, head))); err == nil {
				heads <- head.String()
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String() + "/hook", heads
}

// TestCase28AnswerHeaders delivers to receivers with huge, many and non-ASCII headers: the attempt is recorded, with as much of them as is kept,
// and what is recorded can be shown.
func TestCase28AnswerHeaders(t *testing.T) { storagetest.OnEach(t, testCase28AnswerHeaders) }

func testCase28AnswerHeaders(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	const (
		begin = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n"
		end   = "\r\n"
	)
	for name, c := range map[string]struct {
		answer, state string
		header, value string // one that is shown, if any
	}{
		"latin 1":            {begin + "X-Name: M\xfcller\r\n" + end, "succeeded", "X-Name", "M\ufffdller"},
		"UTF-8":              {begin + "X-Name: Müller 😀\r\n" + end, "succeeded", "X-Name", "Müller 😀"},
		"40 KiB":             {begin + "A-First: 1\r\nX-Long: " + strings.Repeat("x", 40<<10) + "\r\n" + end, "succeeded", "A-First", "1"},
		"a thousand":         {begin + "A-First: 1\r\n" + strings.Repeat("X-A: 1234567890\r\n", 1000) + end, "succeeded", "A-First", "1"},
		"70 KiB":             {begin + "X-Long: " + strings.Repeat("x", 70<<10) + "\r\n" + end, "exhausted", "", ""},
		"a control":          {begin + "X-A: \x01\r\n" + end, "exhausted", "", ""},
		"no name":            {begin + ": a\r\n" + end, "exhausted", "", ""},
		"a non-ASCII name":   {begin + "X-\xfc: a\r\n" + end, "exhausted", "", ""},
		"a non-ASCII reason": {"HTTP/1.1 200 \xfc\r\nContent-Length: 0\r\nX-A: b\r\n" + end, "succeeded", "X-A", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := rawReceiver(t, c.answer)
			w := newWhole(t, place(t), newReceiver(t))
			id := w.create(t, `{"name":"w","url":"`+url+`","eventTypes":["/items"],"enabled":true,"retry":"once"}`)
			event := w.post(t, `{"uri":"/items/a/delete"}`)
			shown := w.settled(t, event, c.state)
			a := w.call(t, "GET", "/api/v1/webhooks/"+id+"/deliveries/"+shown["id"].(string), "")
			require.Equal(t, http.StatusOK, a.status, a.body)
			require.Less(t, len(a.body), 16<<10)
			if c.header != "" {
				require.Contains(t, a.body, `"`+c.header+`"`)
				require.Contains(t, a.body, c.value)
			}
		})
	}
}

// TestCase36HeadersOnTheWire sees a webhook's own headers on the wire as they are stored: their spelling, their bytes, each once.
func TestCase36HeadersOnTheWire(t *testing.T) { storagetest.OnEach(t, testCase36HeadersOnTheWire) }

func testCase36HeadersOnTheWire(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	url, got := rawReceiver(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	w := newWhole(t, place(t), newReceiver(t))
	w.create(t, `{"name":"w","url":"`+url+`","eventTypes":["/items"],"enabled":true,"headers":{"x-tEAM":"blue: \"b\"; a=1, c","user-agent":"own/1","ACCEPT":"*/*"},
		"encryptedHeaders":{"authorization":"Bearer M\u00fcller \ud83d\ude00","X_under":"a\tb"}}`)
	w.post(t, `{"uri":"/items/a/delete"}`)
	head := <-got
	for _, line := range []string{"x-tEAM: blue: \"b\"; a=1, c", "ACCEPT: */*", "authorization: Bearer Müller 😀", "X_under: a\tb"} {
		name, _, _ := strings.Cut(line, ":")
		require.Contains(t, head, "\r\n"+line+"\r\n")
		require.Equal(t, 1, strings.Count(strings.ToLower(head), "\r\n"+strings.ToLower(name)+":"), head)
	}
	require.Equal(t, 1, strings.Count(strings.ToLower(head), "\r\nuser-agent: "), head)
	require.Contains(t, strings.ToLower(head), "\r\nuser-agent: own/1\r\n")
}
