package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dial opens a connection of its own. Its time limit is only there so that a test which finds a fault ends.
func (p *process) dial(tb testing.TB) *net.TCPConn {
	tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", p.listen)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	require.NoError(tb, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	return conn.(*net.TCPConn)
}

// emitting is the head of a request that emits, up to what says how long its body is.
const emitting = "POST /api/v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + processKey + "\r\nContent-Type: application/json\r\n"

// A thousand clients that are slow in every way keep nobody from being answered, and are hung up on in the end.
func TestManySlowClients(t *testing.T) {
	t.Parallel()
	eachStore(t, testManySlowClients)
}

func testManySlowClients(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	beginnings := []string{"", "G", "GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: ", emitting + "Content-Length: 1000\r\n"}
	var slow []*net.TCPConn
	for i := range 1000 {
		conn := server.dial(t)
		_, err := io.WriteString(conn, beginnings[i%len(beginnings)])
		require.NoError(t, err)
		slow = append(slow, conn)
	}
	for range 3 {
		server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/a/delete"}, nil, http.StatusAccepted)
	}
	for i, conn := range slow {
		said, err := io.ReadAll(conn)
		require.NoError(t, err, "connection %d is closed by the server", i)
		require.NotContains(t, string(said), "HTTP/1.1 2")
	}
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/a/delete"}, nil, http.StatusAccepted)
	require.Equal(t, 4, int(server.metric(t, "portalhook_events_accepted_total")))
}

// What comes over a connection is read in one way only, so that a proxy in front cannot take for one request what is two here. Each
// case is followed by a request of its own on the same connection, which is answered, or the connection is closed before it.
func TestRequestsOfEveryShape(t *testing.T) {
	t.Parallel()
	eachStore(t, testRequestsOfEveryShape)
}

func testRequestsOfEveryShape(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	const event = `{"uri":"/items/a/delete"}`
	length := "Content-Length: " + strconv.Itoa(len(event)) + "\r\n"
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(event), event)
	const closed = 0
	accepted := 0
	for name, c := range map[string]struct {
		request  string
		statuses []int // in order; the last is that of the request that follows, or closed
	}{
		"plain":                              {emitting + length + "\r\n" + event, []int{202, 200}},
		"chunked":                            {emitting + "Transfer-Encoding: chunked\r\n\r\n" + chunked, []int{202, 200}},
		"chunked with a trailer":             {emitting + "Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n" + strings.TrimSuffix(chunked, "\r\n") + "X-A: 1\r\n\r\n", []int{202, 200}},
		"a chunk with an extension":          {emitting + "Transfer-Encoding: chunked\r\n\r\n" + strings.Replace(chunked, "\r\n", ";a=b\r\n", 1), []int{202, 200}},
		"announced and chunked":              {emitting + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, []int{202, 200}},
		"announced twice, the same":          {emitting + length + length + "\r\n" + event, []int{202, 200}},
		"announced twice":                    {emitting + length + "Content-Length: 3\r\n\r\n" + event, []int{400, closed}},
		"announced as a list":                {emitting + "Content-Length: 25, 25\r\n\r\n" + event, []int{400, closed}},
		"announced with a sign":              {emitting + "Content-Length: +25\r\n\r\n" + event, []int{400, closed}},
		"announced below zero":               {emitting + "Content-Length: -1\r\n\r\n" + event, []int{400, closed}},
		"announced beyond any integer":       {emitting + "Content-Length: 99999999999999999999\r\n\r\n" + event, []int{400, closed}},
		"announced as too much":              {emitting + "Content-Length: 8388609\r\n\r\n", []int{413, closed}},
		"chunked and something else":         {emitting + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunked, []int{501, closed}},
		"chunked twice":                      {emitting + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, []int{501, closed}},
		"another coding":                     {emitting + "Transfer-Encoding: gzip\r\n\r\n" + event, []int{501, closed}},
		"a space before the colon":           {emitting + "Transfer-Encoding : chunked\r\n\r\n" + chunked, []int{400, closed}},
		"a folded header":                    {emitting + "X-A: 1\r\n Transfer-Encoding: chunked\r\n" + length + "\r\n" + event, []int{202, 200}},
		"a header without a name":            {emitting + ": chunked\r\n" + length + "\r\n" + event, []int{400, closed}},
		"a control character in a name":      {emitting + "X-\x00: 1\r\n" + length + "\r\n" + event, []int{400, closed}},
		"a control character in a value":     {emitting + "X-A: \x00\r\n" + length + "\r\n" + event, []int{400, closed}},
		"a chunk's length that is none":      {emitting + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" + event, []int{400, closed}},
		"a chunk longer than any":            {emitting + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + event, []int{400, closed}},
		"a chunk longer than it says":        {emitting + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n", []int{400, closed}},
		"two hosts":                          {"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []int{400, closed}},
		"no host":                            {"GET /healthz HTTP/1.1\r\n\r\n", []int{400, closed}},
		"HTTP/1.0":                           {"GET /healthz HTTP/1.0\r\n\r\n", []int{200, closed}},
		"HTTP/3.0":                           {"GET /healthz HTTP/3.0\r\n\r\n", []int{505, closed}},
		"HTTP/2 without TLS":                 {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{404, closed}},
		"no HTTP":                            {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400, closed}},
		"a body with a GET":                  {"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /", []int{200, 200}},
		"a request within a body":            {"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\nDELETE /api/v1/x HTTP/1.1\r\nHost: a\r\n\r\n", []int{405, 200}},
		"a whole address":                    {"GET http://elsewhere.example.com/healthz HTTP/1.1\r\nHost: a\r\n\r\n", []int{200, 200}},
		"a tunnel":                           {"CONNECT elsewhere.example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", []int{404, 200}},
		"a trace":                            {"TRACE /healthz HTTP/1.1\r\nHost: a\r\nX-Secret: 1\r\n\r\n", []int{405, 200}},
		"an upgrade":                         {"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", []int{200, 200}},
		"a header of 40 KiB":                 {"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", []int{431, closed}},
		"ten thousand headers":               {"GET /healthz HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: 1\r\n", 10_000) + "\r\n", []int{431, closed}},
		"an address of 40 KiB":               {"GET /healthz?" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", []int{431, closed}},
		"a header of 30 KiB":                 {"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 30<<10) + "\r\n\r\n", []int{200, 200}},
		"awaiting leave, and refused":        {emitting + "Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n", []int{413, closed}},
		"awaiting leave without a key":       {"POST /api/v1/events HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 25\r\n\r\n", []int{401, closed}},
		"awaiting leave":                     {emitting + "Expect: 100-continue\r\n" + length + "\r\n" + event, []int{100, 202, 200}},
		"awaiting something else":            {emitting + "Expect: 200-ok\r\n" + length + "\r\n" + event, []int{417, closed}},
		"a compressed body":                  {emitting + "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00", []int{415, 200}},
		"compressed twice":                   {emitting + "Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00", []int{415, 200}},
		"not compressed, says the header":    {emitting + "Content-Encoding: Identity\r\n" + length + "\r\n" + event, []int{202, 200}},
		"a mark of byte order":               {emitting + "Content-Length: 28\r\n\r\n\xef\xbb\xbf" + event, []int{400, 200}},
		"UTF-16":                             {emitting + "Content-Length: 6\r\n\r\n\xff\xfe{\x00}\x00", []int{400, 200}},
		"content types that contradict":      {emitting + "Content-Type: text/plain\r\n" + length + "\r\n" + event, []int{415, 200}},
		"keys that contradict":               {emitting + "Authorization: Bearer other\r\n" + length + "\r\n" + event, []int{401, 200}},
		"a path that climbs":                 {"GET /console/assets/../../../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", []int{307, 200}},
		"a path with an escape that is none": {"GET /healthz%zz HTTP/1.1\r\nHost: a\r\n\r\n", []int{400, closed}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := server.dial(t)
			_, err := io.WriteString(conn, c.request+"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			require.NoError(t, err)
			var statuses []int
			answers := bufio.NewReader(conn)
			for {
				response, err := http.ReadResponse(answers, nil)
				if err != nil {
					// The server resets a connection on which more has come than it wants to read.
					require.True(t, errors.Is(err, io.ErrUnexpectedEOF) || isReset(err), err)
					break
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				statuses = append(statuses, response.StatusCode)
			}
			if len(statuses) < len(c.statuses) {
				statuses = append(statuses, closed)
			}
			require.Equal(t, c.statuses, statuses)
			if slices.Contains(statuses, http.StatusAccepted) {
				accepted++
			}
		})
	}
	require.Equal(t, accepted, int(server.metric(t, "portalhook_events_accepted_total")))
}

func isReset(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && !failed.Timeout()
}
