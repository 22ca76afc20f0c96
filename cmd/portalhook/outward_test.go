package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// outward are the names by which Go programs open connections or look names up, by import path.
var outward = map[string]*regexp.Regexp{
	"net":                              regexp.MustCompile(`^(Dial.*|Lookup.*|Resolve.*Addr|(Default)?Resolver|FileConn)$`),
	"net/http":                         regexp.MustCompile(`^((Default)?Client|(Default)?Transport|NewFileTransport.*|Get|Head|Post|PostForm|Proxy.*)$`),
	"crypto/tls":                       regexp.MustCompile(`^(Dial.*|Client)$`),
	"syscall":                          regexp.MustCompile(`^(Connect|Socket|Send.*|Syscall.*|RawSyscall.*)$`),
	"golang.org/x/sys/unix":            regexp.MustCompile(`^(Connect|Socket|Send.*|Syscall.*|RawSyscall.*)$`),
	"golang.org/x/net/proxy":           regexp.MustCompile(`.`),
	"golang.org/x/crypto/ssh":          regexp.MustCompile(`.`),
	"net/smtp":                         regexp.MustCompile(`.`),
	"net/rpc":                          regexp.MustCompile(`.`),
	"net/http/httputil":                regexp.MustCompile(`.`),
	"net/http/httptest":                regexp.MustCompile(`.`),
	"log/syslog":                       regexp.MustCompile(`.`),
	"os/exec":                          regexp.MustCompile(`.`),
	"github.com/cloudevents/sdk-go/v2": regexp.MustCompile(`Client|Protocol`),
	"github.com/prometheus/client_golang/prometheus/push":         regexp.MustCompile(`.`),
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptrace": regexp.MustCompile(`.`),
}

// waysOut are where the product does so, and why that reaches no receiver past the guard.
var waysOut = map[string]string{
	// The guarded client, and what the operator puts between it and receivers.
	"delivery/transport.go": "crypto/tls.Client net.Dialer net.Resolver net/http.Transport",
	"delivery/egress.go":    "crypto/tls.Client golang.org/x/net/proxy.Auth golang.org/x/net/proxy.SOCKS5 net.Dialer net.Resolver",
	// They hand the operator's resolver on.
	"cmd/portalhook/serve.go":  "net.Resolver",
	"cmd/portalhook/server.go": "net.Resolver",
	// The client commands, run by people on their own machines.
	"cmd/portalhook/client.go":      "net/http.Client",
	"cmd/portalhook/arcgis_list.go": "net/http.Client",
}

// TestCase32OneWayOut holds that no other code of the product can open a connection.
func TestCase32OneWayOut(t *testing.T) {
	found := make(map[string]string)
	files := 0
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (len(entry.Name()) > 2 && strings.HasPrefix(entry.Name(), ".") || strings.HasSuffix(filepath.ToSlash(path), "cmd/torture") || entry.Name() == "postgrestest") {
			return fs.SkipDir // what tools keep, and the harness, which stands outside the server
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		files++
		if names := outwardIn(t, file); len(names) > 0 {
			found[filepath.ToSlash(strings.TrimPrefix(path, "../../"))] = strings.Join(names, " ")
		}
		return nil
	}))
	require.Greater(t, files, 100)
	require.Equal(t, waysOut, found, "what leaves the server goes through delivery.Transport")
}

// outwardIn are the names in a file that open connections, sorted, each once.
func outwardIn(t *testing.T, file *ast.File) (names []string) {
	t.Helper()
	imports := make(map[string]string) // path by name in the file
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if outward[path] == nil {
			continue
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if path == "github.com/cloudevents/sdk-go/v2" {
			name = "cloudevents"
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		require.NotEqual(t, ".", name, "%s hides what is called", path)
		imports[name] = path
	}
	ast.Inspect(file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := selector.X.(*ast.Ident); ok {
			if path := imports[of.Name]; path != "" && outward[path].MatchString(selector.Sel.Name) {
				names = append(names, path+"."+selector.Sel.Name)
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// TestListenPort is our own port as the guard is told it, whatever address is listened on.
func TestListenPort(t *testing.T) {
	for address, want := range map[string]uint16{
		"127.0.0.1:8080": 8080, "0.0.0.0:8080": 8080, "[::]:8080": 8080, "[::1]:8080": 8080, "[fe80::1%eth0]:8080": 8080, "/run/portalhook.sock": 0,
	} {
		require.Equal(t, want, listenPort(listenerAt{address: address}), address)
	}
}

// listenerAt is a listener that has an address and nothing else.
type listenerAt struct {
	net.Listener
	address string
}

func (l listenerAt) Addr() net.Addr  { return l }
func (l listenerAt) Network() string { return "tcp" }
func (l listenerAt) String() string  { return l.address }
