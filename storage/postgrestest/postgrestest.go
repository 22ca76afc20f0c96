// Package postgrestest gives tests a PostgreSQL of their own: one throw-away server for each test binary, one database for each test.
package postgrestest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// startTimeout is long for a server on a machine that is busy.
const startTimeout = time.Minute

// shared is the server of this test binary, started by the first test that asks for it.
var shared struct {
	sync.Mutex
	server *Server
	reason string // why there is none
	// templates are the databases that others are copied from, by the name of what prepared them.
	templates map[string]string
	made      int
}

// Database gives the URL of an empty database of the test's own, which is dropped after it; the test is skipped where PostgreSQL is
// not installed. Prepare, where it is not nil, is run once for each name, and databases are copies of what it left.
func Database(tb testing.TB, name string, prepare func(ctx context.Context, url string) error) string {
	tb.Helper()
	server, template, err := prepared(tb.Context(), name, prepare)
	switch {
	case err != nil:
		tb.Fatalf("PostgreSQL for tests: %v", err)
	case server == nil:
		tb.Skip(shared.reason)
	}
	shared.Lock()
	shared.made++
	database := fmt.Sprintf("test_%d", shared.made)
	shared.Unlock()
	if err := server.run(tb.Context(), "CREATE DATABASE "+database+" TEMPLATE "+template); err != nil {
		tb.Fatalf("PostgreSQL for tests: %v", err)
	}
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		if err := server.run(ctx, "DROP DATABASE "+database+" WITH (FORCE)"); err != nil {
			tb.Errorf("PostgreSQL for tests: %v", err)
		}
	})
	return server.Socket(database)
}

// prepared gives the server and the database to copy from; no server where PostgreSQL is not installed.
func prepared(ctx context.Context, name string, prepare func(ctx context.Context, url string) error) (*Server, string, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.reason == "" {
		started, err := Start(ctx, Options{})
		switch {
		case errors.Is(err, ErrMissing):
			shared.reason = err.Error()
		case err != nil:
			return nil, "", err
		}
		shared.server, shared.templates = started, make(map[string]string)
	}
	if shared.server == nil {
		return nil, "", nil
	}
	if prepare == nil {
		return shared.server, "template1", nil
	}
	if template := shared.templates[name]; template != "" {
		return shared.server, template, nil
	}
	template := fmt.Sprintf("template_%d", len(shared.templates)+1)
	if err := shared.server.run(ctx, "CREATE DATABASE "+template); err != nil {
		return nil, "", err
	}
	if err := prepare(ctx, shared.server.Socket(template)); err != nil {
		return nil, "", fmt.Errorf("prepare %s: %w", name, err)
	}
	shared.templates[name] = template
	return shared.server, template, nil
}

// Main runs a package's tests and stops the server after them. It gives the status to exit with.
func Main(m interface{ Run() int }) int {
	status := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Println("PostgreSQL for tests:", err) //nolint:forbidigo // there is no test to tell it to
			status = max(status, 1)
		}
	}
	return status
}

// Exec runs statements on a database that a test has.
func Exec(tb testing.TB, database, statements string) {
	tb.Helper()
	if err := execute(tb.Context(), database, statements); err != nil {
		tb.Fatalf("%s: %v", statements, err)
	}
}

func execute(ctx context.Context, database, statements string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statements, pgx.QueryExecModeSimpleProtocol)
	return err
}

// Create makes an empty database.
func (s *Server) Create(ctx context.Context, database string) error {
	return s.run(ctx, "CREATE DATABASE "+database)
}

// run runs a statement about databases, one after the other: two cannot be copied from one template at the same time.
func (s *Server) run(ctx context.Context, statement string) error {
	s.alone.Lock()
	defer s.alone.Unlock()
	for {
		err := execute(ctx, s.Socket("postgres"), statement)
		busy, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || busy.Code != "55006" { // somebody who has left the template is still seen in it
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// Socket is the URL of a database of the server, by its socket: it is reached wherever the server listens.
func (s *Server) Socket(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.User(superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {s.folder}, "port": {s.port}}.Encode(),
	}).String()
}

// At is the URL of a database of the server as it is reached at another host and port, over TCP and with the password.
func (s *Server) At(address, database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: address, Path: "/" + database}).String()
}

// Address is where the server listens, HOST:PORT.
func (s *Server) Address() string {
	return net.JoinHostPort(cmp.Or(s.options.Listen, "127.0.0.1"), s.port)
}

// Loopback is the same database as another URL names, reached over TCP and with a password.
func Loopback(tb testing.TB, database string) string {
	tb.Helper()
	parsed, err := url.Parse(database)
	if err != nil {
		tb.Fatalf("%s: %v", database, err)
	}
	shared.Lock()
	defer shared.Unlock()
	return shared.server.At(shared.server.Address(), strings.TrimPrefix(parsed.Path, "/"))
}

func newPassword() string { return strings.ToLower(rand.Text()) }

// Number is the one number that a statement gives.
func (s *Server) Number(ctx context.Context, database, statement string) (n int64, err error) {
	conn, err := pgx.Connect(ctx, s.Socket(database))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, statement).Scan(&n)
	return n, err
}
