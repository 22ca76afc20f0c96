package delivery_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers from a table; a name that is asked for several times may be given several answers, the last one for ever.
type nameServer struct {
	conn net.PacketConn

	mu    sync.Mutex
	names map[string][]nameAnswer
	asked map[string]int
}

type nameAnswer struct {
	alias  string // the addresses are this name's, in truth
	addrs  []string
	code   dnsmessage.RCode
	silent bool
}

// nameService listens on loopback, and returns a resolver that asks it.
func nameService(t *testing.T, names map[string][]nameAnswer) *net.Resolver {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nameServer{conn: conn, names: names, asked: make(map[string]int)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asking, err := (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
		if err == nil { // a look-up that was given up goes on reading for seconds
			t.Cleanup(func() { _ = asking.Close() })
		}
		return asking, err
	}}
}

func (s *nameServer) serve() {
	buffer := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply := s.reply(buffer[:n]); reply != nil {
			_, _ = s.conn.WriteTo(reply, from)
		}
	}
}

func (s *nameServer) reply(query []byte) []byte {
	var message dnsmessage.Message
	if message.Unpack(query) != nil || len(message.Questions) != 1 {
		return nil
	}
	question := message.Questions[0]
	answer := s.next(strings.TrimSuffix(question.Name.String(), "."), question.Type)
	if answer.silent {
		return nil
	}
	message.Response, message.RCode, message.Additionals = true, answer.code, nil
	owner := question.Name
	if answer.alias != "" {
		owner = dnsmessage.MustNewName(answer.alias + ".")
		message.Answers = append(message.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.CNAMEResource{CNAME: owner},
		})
	}
	for _, text := range answer.addrs {
		addr := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: owner, Type: question.Type, Class: dnsmessage.ClassINET, TTL: 60}
		switch {
		case addr.Is4() && question.Type == dnsmessage.TypeA:
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
			message.Answers = append(message.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	packed, err := message.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// next counts the questions for A records only, since each look-up also asks for AAAA.
func (s *nameServer) next(name string, kind dnsmessage.Type) nameAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := s.names[name]
	if len(answers) == 0 {
		return nameAnswer{code: dnsmessage.RCodeNameError}
	}
	i := min(s.asked[name+kind.String()], len(answers)-1)
	s.asked[name+kind.String()]++
	return answers[i]
}
