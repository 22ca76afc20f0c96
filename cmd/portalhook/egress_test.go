package main_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// nameServer says of every name that it is at 127.0.0.1.
func nameServer(t *testing.T) (address string) {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(buffer[:n]) != nil || len(message.Questions) != 1 {
				continue
			}
			message.Response, message.Additionals = true, nil
			if question := message.Questions[0]; question.Type == dnsmessage.TypeA {
				message.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				}}
			}
			if packed, err := message.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	})
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		serving.Wait()
	})
	return conn.LocalAddr().String()
}

// try makes a webhook, tests it and gives what came of that.
func (p *process) try(t *testing.T, target string) (answer map[string]any) {
	t.Helper()
	var made struct{ ID string }
	p.call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{"name": "w", "url": target, "eventTypes": []string{"/items/update"}}, &made, http.StatusCreated)
	p.call(t, http.MethodPost, "/api/v1/webhooks/"+made.ID+"/actions/test", map[string]any{}, &answer, http.StatusOK)
	return answer
}

// TestCase33EnvironmentProxiesAreNotUsed holds that a real server heeds none of the environment's proxies. The receiver has a name, as programs
// that heed them leave them out for addresses of loopback.
func TestCase33EnvironmentProxiesAreNotUsed(t *testing.T) {
	eachStore(t, testCase33EnvironmentProxiesAreNotUsed)
}

func testCase33EnvironmentProxiesAreNotUsed(t *testing.T, startServer starter) {
	t.Helper()
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer proxy.Close()
	hosts := make(chan string, 1)
	target := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host }))
	defer target.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
		t.Setenv(strings.ToLower(name), proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	p := startServer(t, "--resolver", nameServer(t))
	host := "receiver.example.com:" + portOf(t, target.URL)
	require.Equal(t, "delivered", p.try(t, "http://"+host+"/hook")["outcome"])
	require.Equal(t, host, <-hosts)
	require.Zero(t, asked.Load())
}

// TestCase33EgressProxy has a real server behind a proxy that asks for a password, which must be seen nowhere.
func TestCase33EgressProxy(t *testing.T) {
	eachStore(t, testCase33EgressProxy)
}

func testCase33EgressProxy(t *testing.T, startServer starter) {
	t.Helper()
	const password = "canary-of-the-proxy"
	asked := make(chan string, 8)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:"+password)) {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		out, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer out.Close()
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(out, conn)
			_ = out.Close()
		}()
		_, _ = io.Copy(conn, out)
	}))
	t.Cleanup(proxy.Close)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	t.Cleanup(target.Close)
	host := "receiver.example.com:" + portOf(t, target.URL)
	t.Setenv("PORTALHOOK_EGRESS_PROXY", strings.Replace(proxy.URL, "http://", "http://ann:"+password+"@", 1))
	p := startServer(t, "--resolver", nameServer(t), "--log-level", "debug")
	seen := ""
	answer := p.try(t, "http://"+host+"/hook")
	require.Equal(t, "delivered", answer["outcome"], "%v", answer)
	require.Equal(t, "CONNECT 127.0.0.1:"+portOf(t, target.URL), <-asked)
	seen += fmt.Sprint(answer)

	answer = p.try(t, "http://"+p.listen+"/hook")
	require.Equal(t, "blocked", answer["outcome"], "our own address is closed that way too")
	require.Empty(t, asked)

	// What the proxy refuses is nobody's fault but ours.
	p.kill()
	seen += p.log.String()
	require.Contains(t, seen, `"egressProxy":"`+proxy.URL+`"`)
	t.Setenv("PORTALHOOK_EGRESS_PROXY", strings.Replace(proxy.URL, "http://", "http://ann:wrong-"+password+"@", 1))
	p.start(t)
	answer = p.try(t, "http://"+host+"/hook")
	require.Equal(t, "infrastructure", answer["outcome"])
	seen += fmt.Sprint(answer)
	require.Contains(t, seen, "the proxy: it answered 407 Proxy Authentication Required")
	p.kill()
	seen += p.log.String()
	stored, err := filepath.Glob(p.store + "*")
	require.NoError(t, err)
	require.NotEmpty(t, stored)
	for _, file := range stored {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		seen += string(text)
	}
	require.NotContains(t, seen, password)
}

func portOf(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u.Port()
}
