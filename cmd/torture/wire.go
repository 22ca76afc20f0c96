package main

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// oneAttempt is one that must be enough within the seconds, since it fails for what is said and not for time.
var oneAttempt = map[string]any{"retry": "once", "timeoutSeconds": 10}

// oneShort is one that the deadline ends.
var oneShort = map[string]any{"retry": "once", "timeoutSeconds": 1}

// drips sends the head of an answer and then a byte a second for ever.
func drips(head string) talk {
	return func(c net.Conn, request func() (int, bool)) {
		n, ok := request()
		if !ok {
			return
		}
		if n >= wellAfter {
			_, _ = io.WriteString(c, wellAnswer)
			return
		}
		_, err := io.WriteString(c, head)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for err == nil {
			<-tick.C
			_, err = io.WriteString(c, "x")
		}
	}
}

const (
	halfHead = "HTTP/1.1 200 OK\r\nX-Half: "
	bodyHead = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
)

var dripsHead = ailment{
	name: "drips-head", members: retries(2), talk: drips(halfHead),
	want: fates(slices.Repeat([]fate{exhausted(2, "timeout")}, wellAfter)...),
}

var dripsBody = ailment{
	name: "drips-body", members: retries(2), talk: drips(bodyHead),
	want: fates(slices.Repeat([]fate{exhausted(2, "timeout 200")}, wellAfter)...),
}

// stalls sends the first words of an answer and then nothing more, on a connection that stays open.
func stalls(words string) talk {
	return func(c net.Conn, request func() (int, bool)) {
		if n, ok := request(); ok && n >= wellAfter {
			_, _ = io.WriteString(c, wellAnswer)
			return
		}
		_, _ = io.WriteString(c, words)
		waitGone(c)
	}
}

var hangs = ailment{
	name: "hangs", members: retries(2), talk: stalls(""),
	want: fates(slices.Repeat([]fate{exhausted(2, "timeout")}, wellAfter)...),
}

var hangsInBody = ailment{
	name: "hangs-in-body", members: retries(2), talk: stalls(bodyHead),
	want: fates(slices.Repeat([]fate{exhausted(2, "timeout 200")}, wellAfter)...),
}

var hangsInHandshake = ailment{
	name: "hangs-in-handshake", members: oneShort, scheme: "https",
	talk: func(c net.Conn, _ func() (int, bool)) { waitGone(c) },
	want: func(int) fate { return exhausted(1, "timeout") },
}

var endings = []string{
	"",
	halfHead,
	bodyHead + "0123456789",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n01234567",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n",
	"HTTP/1.1 200 OK\r\n\r\nas much as there is", // which is an answer
	"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
}

var closes = ailment{
	name: "closes", members: oneAttempt, talk: says(endings...),
	want: fates(exhausted(1, "reset"), exhausted(1, "reset"), exhausted(1, "reset 200"), exhausted(1, "reset 200"), exhausted(1, "reset 200")),
}

// resets ends connections with a reset in place of an end.
var resets = ailment{
	name: "resets", members: oneAttempt,
	talk: func(c net.Conn, request func() (int, bool)) {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		says(slices.Repeat(endings[:3], 3)...)(c, request)
	},
	// A reset may overtake what was sent before it.
	want: func(n int) fate { return exhausted(1, [...]string{"reset", "reset", "reset 200|reset"}[n%3]) },
}

const answerSize = 1 << 30

// gigabyte answers with one. What lies in the buffers of the two systems was not read by anyone, and is some megabytes at most.
func gigabyte(framing string) ailment {
	head := map[string]string{
		"announced": fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", answerSize),
		"chunked":   fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", answerSize),
		"unframed":  "HTTP/1.1 200 OK\r\n\r\n",
	}[framing]
	const inBuffers = 16 << 20
	var (
		mu   sync.Mutex
		most int64 // of what was taken of one answer
	)
	return ailment{
		name: framing, members: oneAttempt, want: func(int) fate { return arrived() },
		talk: func(c net.Conn, request func() (int, bool)) {
			if _, ok := request(); !ok {
				return
			}
			_, err := io.WriteString(c, head)
			block := make([]byte, 64<<10)
			sent := int64(0)
			for err == nil && sent < answerSize {
				var n int
				n, err = c.Write(block)
				sent += int64(n)
			}
			mu.Lock()
			defer mu.Unlock()
			most = max(most, sent)
		},
		then: func(_ *rig, s *server, v *receiver, l *load) error {
			mu.Lock()
			defer mu.Unlock()
			if most > inBuffers {
				return fmt.Errorf("%s: %d bytes of an answer were taken", v.name, most)
			}
			return keptLittle(s, v, l)
		},
	}
}

// keptLittle holds the ledger to the first 16 KiB of every answer, marked as cut.
func keptLittle(s *server, v *receiver, l *load) error {
	for n := range l.events {
		record, err := s.record(v, l, n)
		if err != nil {
			return err
		}
		if !record.Response.Truncated || len(record.Response.Body) > 16<<10 {
			return fmt.Errorf("event %d to %s: %d bytes of the answer are kept, cut: %t", n, v.name, len(record.Response.Body), record.Response.Truncated)
		}
	}
	return nil
}

// zeros is a gigabyte of them as gzip: many members, one after the other.
var zeros = sync.OnceValue(func() []byte {
	const member = 1 << 20
	var one bytes.Buffer
	w := gzip.NewWriter(&one)
	_, err := w.Write(make([]byte, member))
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err) // in memory
	}
	return bytes.Repeat(one.Bytes(), answerSize/member)
})

func gzipped(w http.ResponseWriter) { w.Header().Set("Content-Encoding", "gzip") }

var bomb = ailment{
	name: "bomb", members: oneAttempt, want: func(int) fate { return arrived() },
	answer: func(w http.ResponseWriter, _, _ int) bool {
		gzipped(w)
		_, _ = w.Write(zeros())
		return true
	},
	then: func(_ *rig, s *server, v *receiver, l *load) error { return keptLittle(s, v, l) },
}

var emptyMembers = ailment{
	name: "empty-members", members: oneAttempt, want: func(int) fate { return arrived() },
	answer: func(w http.ResponseWriter, _, _ int) bool {
		gzipped(w)
		member := []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00")
		members := bytes.Repeat(member, 1000)
		for err := error(nil); err == nil; {
			_, err = w.Write(members)
		}
		return true
	},
	then: func(_ *rig, s *server, v *receiver, l *load) error { return keptLittle(s, v, l) },
}

var noGzip = ailment{
	name: "no-gzip", members: oneAttempt, want: func(int) fate { return arrived() },
	answer: func(w http.ResponseWriter, _, _ int) bool {
		gzipped(w)
		_, _ = io.WriteString(w, "this is no gzip")
		return true
	},
}

var banner = ailment{
	name: "banner", members: oneAttempt,
	talk: func(c net.Conn, _ func() (int, bool)) {
		_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n")
		waitGone(c)
	},
	want: func(int) fate { return exhausted(1, "malformed") },
}

// answersTwice sends a second answer that nobody has asked for. It must not be taken for that to the next request.
var answersTwice = ailment{
	name: "answers-twice", members: oneAttempt,
	talk: func(c net.Conn, request func() (int, bool)) {
		if _, ok := request(); ok {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
			waitGone(c)
		}
	},
	want: func(int) fate { return arrived() },
}

var otherProtocols = ailment{
	name: "other-protocols", members: oneAttempt,
	talk: says("220 mail.example.com ESMTP\r\n", "RTSP/1.0 200 OK\r\n\r\n", "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\n", "xyz"),
	want: fates(slices.Repeat([]fate{exhausted(1, "malformed")}, 4)...),
}

var noise = ailment{
	name: "noise", members: oneAttempt,
	talk: func(c net.Conn, request func() (int, bool)) {
		n, ok := request()
		if !ok {
			return
		}
		random := rand.New(rand.NewPCG(uint64(n), 0)) // #nosec G404 G115 -- noise that can be repeated
		text := make([]byte, 1<<uint(2*n+6))          // up to a megabyte
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		_, _ = c.Write(append(text, '\n'))
	},
	want: func(int) fate { return exhausted(1, "malformed") },
}

var alert = ailment{
	name: "alert", members: oneAttempt, talk: says(slices.Repeat([]string{"\x15\x03\x03\x00\x02\x02\x28"}, sickEvents)...),
	want: func(int) fate { return exhausted(1, "malformed") },
}

var plainUnderTLS = ailment{
	name: "plain-under-tls", members: oneAttempt, scheme: "https",
	talk: func(c net.Conn, _ func() (int, bool)) {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		waitGone(c)
	},
	want: func(int) fate { return exhausted(1, "tls") },
}

// ownCertificate is one that nobody vouches for.
var ownCertificate = sync.OnceValue(func() *tls.Config {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return server.TLS.Clone()
})

var unknownAuthority = ailment{
	name: "unknown-authority", members: oneAttempt, scheme: "https",
	talk: func(c net.Conn, _ func() (int, bool)) { waitGone(tls.Server(c, ownCertificate())) },
	want: func(int) fate { return exhausted(1, "tls") },
}

var brokenHeaders = ailment{
	name: "broken", members: oneAttempt,
	talk: says(
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
	),
	want: fates(append(slices.Repeat([]fate{exhausted(1, "malformed")}, 6), exhausted(1, "malformed 200"))...),
}

var oddHeaders = ailment{
	name: "odd", members: oneAttempt,
	talk: says(
		"HTTP/1.1 200 OK\r\nX-Place: Zürich\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Place: Z\xfcrich \xff\xfe\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Null: a\x00b\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 000 none\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 099 little\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n",
		"HTTP/1.1 999 much\r\nContent-Length: 0\r\n\r\n",
	),
	want: fates(arrived(), arrived(), exhausted(1, "malformed"), exhausted(1, "rejected"), exhausted(1, "rejected 99"),
		exhausted(1, "rejected 101"), exhausted(1, "rejected 999")),
}

var hugeHeaders = ailment{
	name: "huge", members: oneAttempt,
	talk: says(
		"HTTP/1.1 200 OK\r\nX-Huge: "+strings.Repeat("x", 1<<20)+"\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Many: x\r\n", 100_000)+"Content-Length: 0\r\n\r\n",
		"HTTP/1.1 200 "+strings.Repeat("x", 1<<20)+"\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Many: x\r\n", 1000)+"Content-Length: 0\r\n\r\n", // which is still an answer
	),
	want: fates(slices.Repeat([]fate{exhausted(1, "malformed")}, 3)...),
}

var interim = ailment{
	name: "interim", members: oneAttempt,
	talk: says(
		strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 100_000)+wellAnswer,
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 3)+wellAnswer, // which is allowed
	),
	want: fates(exhausted(1, "malformed")),
}
