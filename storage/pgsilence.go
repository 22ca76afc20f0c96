package storage

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// askInterval is how often the database is asked for an answer, whatever else is asked of it.
	askInterval = time.Second
	// askTime is how long the answer may take, on a connection that is there or on a new one: a network that drops packets says nothing for as long as TCP is patient.
	askTime = 3 * time.Second
)

// pgConnections are all connections of a node. While the database is silent there are none and none is made, so that whoever asks something of it is told so at
// once.
type pgConnections struct {
	silent atomic.Bool
	mu     sync.Mutex
	open   map[*pgSocket]bool
}

// errSilent is the cause while the database is silent.
var errSilent = errors.New("the database has not answered for some seconds")

// pgSocket is one of them.
type pgSocket struct {
	net.Conn
	of *pgConnections
}

// Close closes it, as net.Conn says.
func (s *pgSocket) Close() error {
	s.of.mu.Lock()
	delete(s.of.open, s)
	s.of.mu.Unlock()
	return s.Conn.Close()
}

// apply has the connections of a pool be these.
func (c *pgConnections) apply(config *pgxpool.Config) {
	config.ConnConfig.DialFunc = c.dialer(config.ConnConfig)
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return c.heard() }
	config.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) {
		err := c.heard()
		return err == nil, err
	}
}

// dialer connects as the configuration says, within askTime.
func (c *pgConnections) dialer(config *pgx.ConnConfig) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := config.DialFunc
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s := &pgSocket{conn, c}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open[s] = true
		return s, nil
	}
}

// heard is an error while the database is silent.
func (c *pgConnections) heard() error {
	if c.silent.Load() {
		return errSilent
	}
	return nil
}

// answers takes note of whether the database does, and reports whether that has changed. When it does not, all connections are broken off, and what is to be sent over
// them is not sent any more: it might arrive long after everybody has given it up.
func (c *pgConnections) answers(does bool) (changed bool) {
	changed = c.silent.Swap(!does) == does
	var broken []*pgSocket
	if !does {
		c.mu.Lock()
		broken = slices.Collect(maps.Keys(c.open))
		clear(c.open)
		c.mu.Unlock()
	}
	for _, s := range broken {
		if tcp, ok := s.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = s.Conn.Close()
	}
	return changed
}

// askForAnswers asks the database again and again until the store is closed, on a connection of its own: that others wait for each other, for locks or for a disk is not
// silence.
func (p *Postgres) askForAnswers(config *pgx.ConnConfig) {
	own := pgConnections{open: make(map[*pgSocket]bool)}
	config.DialFunc = own.dialer(config)
	var conn *pgx.Conn
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		select {
		case <-p.closing:
			if conn != nil {
				_ = conn.Close(context.Background()) // whatever it says
			}
			return
		case <-tick.C:
		}
		was := conn
		err := ask(&conn, config)
		if err != nil && was != nil { // it may have been the connection
			err = ask(&conn, config)
		}
		does := !isSilence(err)
		switch changed := p.connections.answers(does); {
		case changed && !does:
			p.log.Error("the database is silent; what needs it is refused until it answers", "err", err)
		case changed:
			p.log.Info("the database answers again")
		}
	}
}

// ask asks for an answer, over a connection that is made where there is none. Where there is no answer, there is no connection after it.
func ask(conn **pgx.Conn, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if *conn == nil {
		made, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		*conn = made
	}
	err := (*conn).Ping(ctx)
	if err != nil {
		_ = (*conn).Close(ctx) // it is of no use any more
		*conn = nil
	}
	return err
}

// isSilence reports whether an error says that nobody answers. One who refuses, resets or complains has answered, and does so to everybody else.
func isSilence(err error) bool {
	return pgconn.Timeout(err) || errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}
