package delivery_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// middleman is a proxy: by CONNECT, in plain or within TLS, or by SOCKS 5. It connects to what it is told, and notes it.
type middleman struct {
	scheme         string
	user, password string // empty: it asks for none
	// lead is where an address leads in truth, so that public ones can be used; one that is not in it leads to itself.
	lead map[string]string
	// refuse gives the answer to a target: a whole one by HTTP, one byte by SOCKS; nil: it is connected to.
	refuse func(target string) []byte

	hangs   bool          // it takes every question and says nothing
	closing chan struct{} // closed when it ends
	address string
	roots   *x509.CertPool // of the one within TLS
	mu      sync.Mutex
	asked   []string
	open    map[net.Conn]bool
	working sync.WaitGroup
}

func (m *middleman) start(t *testing.T) *middleman {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m.closing = make(chan struct{})
	m.address, m.open = listener.Addr().String(), make(map[net.Conn]bool)
	if m.scheme == "https" {
		own := issue(t, nil, "proxy", func(c *x509.Certificate) {
			authority(c)
			c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})
		m.roots = x509.NewCertPool()
		m.roots.AddCert(own.cert)
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{own.cert.Raw}, PrivateKey: own.key}}})
	}
	m.working.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			m.keep(conn)
			m.working.Go(func() {
				defer conn.Close()
				if m.scheme == "socks5" {
					m.serveSOCKS(conn)
				} else {
					m.serveCONNECT(conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		close(m.closing)
		require.NoError(t, listener.Close())
		m.mu.Lock()
		for conn := range m.open {
			_ = conn.Close()
		}
		m.mu.Unlock()
		m.working.Wait()
	})
	return m
}

func (m *middleman) keep(conn net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[conn] = true
}

// proxy is it as the operator names it.
func (m *middleman) proxy(t *testing.T) *delivery.Proxy {
	t.Helper()
	text := m.scheme + "://"
	if m.user != "" {
		text += m.user + ":" + m.password + "@"
	}
	p, err := delivery.ParseProxy(text + m.address)
	require.NoError(t, err)
	return p
}

// targets are what it was asked for.
func (m *middleman) targets() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

func (m *middleman) note(target string) (refusal []byte) {
	m.mu.Lock()
	m.asked = append(m.asked, target)
	m.mu.Unlock()
	if m.hangs {
		<-m.closing
	}
	if m.refuse == nil {
		return nil
	}
	return m.refuse(target)
}

func (m *middleman) serveCONNECT(conn net.Conn) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil || request.Method != http.MethodConnect || request.Host != request.RequestURI {
		return
	}
	if m.user != "" && request.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(m.user+":"+m.password)) {
		_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"p\"\r\n\r\n")
		return
	}
	if refusal := m.note(request.Host); refusal != nil {
		_, _ = conn.Write(refusal)
		return
	}
	m.tunnel(conn, request.Host, []byte("HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"), []byte("HTTP/1.1 503 Service Unavailable\r\n\r\n"))
}

func (m *middleman) serveSOCKS(conn net.Conn) {
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	const version, byPassword, none = 5, 2, 0xff
	head := read(2)
	methods := read(int(head[1]))
	if head[0] != version {
		return
	}
	if m.user == "" {
		_, _ = conn.Write([]byte{version, 0})
	} else {
		if methods[len(methods)-1] != byPassword {
			_, _ = conn.Write([]byte{version, none})
			return
		}
		_, _ = conn.Write([]byte{version, byPassword})
		user := string(read(int(read(2)[1])))
		if password := string(read(int(read(1)[0]))); user != m.user || password != m.password {
			_, _ = conn.Write([]byte{1, 1})
			return
		}
		_, _ = conn.Write([]byte{1, 0})
	}
	var addr netip.Addr
	switch head := read(4); head[3] {
	case 1:
		addr, _ = netip.AddrFromSlice(read(4))
	case 4:
		addr, _ = netip.AddrFromSlice(read(16))
	default: // a name
		return
	}
	target := netip.AddrPortFrom(addr, binary.BigEndian.Uint16(read(2))).String()
	reply := func(code byte) []byte { return []byte{version, code, 0, 1, 0, 0, 0, 0, 0, 0} }
	if refusal := m.note(target); refusal != nil {
		_, _ = conn.Write(reply(refusal[0]))
		return
	}
	m.tunnel(conn, target, reply(0), reply(1))
}

func (m *middleman) tunnel(conn net.Conn, target string, established, failed []byte) {
	if there, ok := m.lead[target]; ok {
		target = there
	}
	if addr, err := netip.ParseAddrPort(target); err != nil || !addr.Addr().IsLoopback() { // tests send nothing elsewhere
		_, _ = conn.Write(failed)
		return
	}
	out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
	if err != nil {
		_, _ = conn.Write(failed)
		return
	}
	defer out.Close()
	m.keep(out)
	_, _ = conn.Write(established)
	m.working.Go(func() {
		_, _ = io.Copy(out, conn)
		_ = out.Close()
	})
	_, _ = io.Copy(conn, out)
}

// ways are how a house may reach its receivers: directly, and by each kind of proxy.
func ways(t *testing.T) map[string]*middleman {
	t.Helper()
	return map[string]*middleman{
		"directly": nil,
		"http":     (&middleman{scheme: "http"}).start(t),
		"socks5":   (&middleman{scheme: "socks5", user: "ann", password: "canary-of-the-proxy"}).start(t),
	}
}

// housed opens a house with a transport of the configuration, by way of a proxy if there is one.
func housed(t *testing.T, by *middleman, config delivery.TransportConfig) *house {
	t.Helper()
	if by != nil {
		config.Proxy = by.proxy(t)
	}
	transport := delivery.NewTransport(config)
	t.Cleanup(transport.CloseIdleConnections)
	return open(t, func(c *delivery.Config) { c.Transport = transport })
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return port
}
