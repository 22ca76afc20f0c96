package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
	"portalhook/web"
)

// pipes is a listener whose connections are pipes, so that time limits run on the time of a bubble.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newPipes() *pipes { return &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialled:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// slow is a client that is in no hurry. Its writes are unbuffered, and fail once the server has cut it off.
type slow struct {
	net.Conn

	answer chan string // all that the server says, once it has hung up
}

func (p *pipes) dial() *slow {
	here, there := net.Pipe()
	p.dialled <- there
	s := &slow{Conn: here, answer: make(chan string, 1)}
	go func() {
		said, _ := io.ReadAll(here)
		s.answer <- string(said)
	}()
	return s
}

// drip sends a piece, waits, sends it again, until the server has had enough or all is sent; it says which.
func (s *slow) drip(piece string, times int, wait time.Duration) error {
	for range times {
		if _, err := io.WriteString(s, piece); err != nil {
			return err
		}
		<-time.After(wait)
	}
	return nil
}

// head begins a request with a body.
func head(path, contentType, framing string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " + adminKey + "\r\nContent-Type: " + contentType + "\r\n" + framing + "\r\n\r\n"
}

// served runs a server in a bubble until what is to be seen on it is seen.
func served(t *testing.T, look func(t *testing.T, e *edge, to *pipes), change ...func(*web.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newBareEdge(t, change...)
		to := newPipes()
		ended := make(chan error, 1)
		go func() { ended <- e.server.Serve(to) }()
		defer func() {
			if err := errors.Join(e.server.Shutdown(context.WithoutCancel(t.Context())), <-ended); err != nil {
				t.Error(err)
			}
		}()
		look(t, e, to)
	})
}

// TestDripping sees that who sends nothing, or too little, is cut off, whatever it is that he does not send; that an answer tells him why
// where HTTP has one; and that nothing of it is stored.
func TestDripping(t *testing.T) {
	const never = 100_000
	for name, c := range map[string]struct {
		head, piece string
		wait        time.Duration
		answer      string
	}{
		"says nothing":             {"", "", time.Second, ""},
		"drips its request line":   {"", "G", time.Second, "HTTP/1.1 400 "},
		"drips headers":            {"GET /healthz HTTP/1.1\r\nHost: a\r\n", "X-A: 1\r\n", time.Second, ""},
		"drips an announced body":  {head("/api/v1/events", "application/json", "Content-Length: 1000000"), " ", time.Second, "HTTP/1.1 408 "},
		"drips a chunked body":     {head("/api/v1/events", "application/x-ndjson", "Transfer-Encoding: chunked"), "1\r\n\n\r\n", time.Second, "HTTP/1.1 408 "},
		"drips a chunk's length":   {head("/api/v1/events", "application/json", "Transfer-Encoding: chunked"), "0", time.Minute / 8, "HTTP/1.1 408 "},
		"drips after much":         {head("/api/v1/events", "application/json", "Content-Length: 4000000") + strings.Repeat(" ", 1<<20), " ", time.Second, "HTTP/1.1 408 "},
		"stops in the middle":      {head("/api/v1/events", "application/json", "Content-Length: 100") + `{"uri":`, "", time.Second, "HTTP/1.1 408 "},
		"drips a webhook":          {head("/api/v1/webhooks", "application/json", "Content-Length: 1000"), " ", time.Second, "HTTP/1.1 408 "},
		"drips a form":             {head("/sharing/rest/generateToken?f=json", "application/x-www-form-urlencoded", "Content-Length: 1000"), "a", time.Second, `"code":408`},
		"drips a form to the door": {head("/console/login", "application/x-www-form-urlencoded", "Content-Length: 1000"), "a", time.Second, "HTTP/1.1 4"},
		"drips an arrival":         {head("/receiver/x", "application/json", "Content-Length: 1000"), "a", time.Second, "HTTP/1.1 408 "},
		"drips without a key":      {"POST /api/v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", " ", time.Second, "HTTP/1.1 401 "},
		"drips to where nothing is": {
			"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", " ", time.Second, "HTTP/1.1 404 ",
		},
		"keeps a connection": {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "", time.Second, "HTTP/1.1 200 "},
	} {
		t.Run(name, func(t *testing.T) {
			served(t, func(t *testing.T, e *edge, to *pipes) {
				t.Helper()
				client := to.dial()
				_, err := io.WriteString(client, c.head)
				require.NoError(t, err)
				if c.piece != "" {
					require.Error(t, client.drip(c.piece, never, c.wait), "the server hangs up")
				}
				said := <-client.answer
				require.True(t, c.answer == "" && said == "" || c.answer != "" && strings.Contains(said, c.answer), "%q", said)
				require.Zero(t, e.stored())
				// The server is well: one who sends what he has is answered.
				other := to.dial()
				_, err = io.WriteString(other, head("/api/v1/events", "application/json", fmt.Sprintf("Content-Length: %d", len(share)))+share)
				require.NoError(t, err)
				require.Contains(t, <-other.answer, "HTTP/1.1 202 ")
			})
		})
	}
}

// TestSlowAndHonest sees that the largest batch gets through a line of 300 kbit a second, in either framing, although the limit for a
// request that brings little is far below the time that takes.
func TestSlowAndHonest(t *testing.T) {
	const size = 8 << 20
	batch := strings.Repeat("\n", size-len(share)) + share
	for name, send := range map[string]func(client *slow) error{
		"announced": func(client *slow) error {
			if _, err := io.WriteString(client, head("/api/v1/events", "application/x-ndjson", fmt.Sprintf("Content-Length: %d", size))); err != nil {
				return err
			}
			for rest := batch; rest != ""; {
				n := min(len(rest), 36<<10)
				if _, err := io.WriteString(client, rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
				<-time.After(time.Second)
			}
			return nil
		},
		"chunked": func(client *slow) error {
			if _, err := io.WriteString(client, head("/api/v1/events", "application/x-ndjson", "Transfer-Encoding: chunked")); err != nil {
				return err
			}
			for rest := batch; rest != ""; {
				n := min(len(rest), 36<<10)
				if _, err := fmt.Fprintf(client, "%x\r\n%s\r\n", n, rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
				<-time.After(time.Second)
			}
			_, err := io.WriteString(client, "0\r\n\r\n")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			served(t, func(t *testing.T, e *edge, to *pipes) {
				t.Helper()
				client := to.dial()
				require.NoError(t, send(client))
				require.Contains(t, <-client.answer, "HTTP/1.1 202 ")
				require.Len(t, e.events, 1)
			})
		})
	}
}

// TestUnreadAnswer sees that an answer which nobody takes does not keep the server for ever.
func TestUnreadAnswer(t *testing.T) {
	served(t, func(t *testing.T, _ *edge, to *pipes) {
		t.Helper()
		here, there := net.Pipe()
		to.dialled <- there
		_, err := io.WriteString(here, "GET /api/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		<-time.After(time.Hour) // without reading a byte
		said, err := io.ReadAll(here)
		require.NoError(t, err)
		require.Less(t, len(said), 8<<10, "no more than the buffer that stood in the pipe")
	})
}

// patient is a tester whose receiver takes its time, and that tells whether its caller is still there.
type patient struct {
	*memory

	takes time.Duration
}

func (p patient) Test(ctx context.Context, _ uint32, _ triggers.WebhookID, _ *triggers.Event) (*delivery.Trial, error) {
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return nil, errPatient
}

var errPatient = errors.New("the whole time was given")

// TestWorkOutlastsReading sees that what the server does with a request may take longer than its reading, with a body and without one.
func TestWorkOutlastsReading(t *testing.T) {
	for name, rest := range map[string]string{
		"without a body": "\r\n",
		"with a body":    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"in chunks":      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			served(t, func(t *testing.T, e *edge, to *pipes) {
				t.Helper()
				id := e.create(t, hook)
				client := to.dial()
				_, err := fmt.Fprintf(client, "POST /api/v1/webhooks/%s/actions/test HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %s\r\n%s", id, adminKey, rest)
				require.NoError(t, err)
				response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(<-client.answer)), nil)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Contains(t, e.log.String(), errPatient.Error())
				require.NotContains(t, e.log.String(), "canceled")
			}, func(c *web.Config) { c.Tester = patient{c.Tester.(*memory), 90 * time.Second} })
		})
	}
}
