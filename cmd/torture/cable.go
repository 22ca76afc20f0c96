package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// cable carries connections to an address. It can be cut, so that whatever is sent over it is swallowed without a word, and every connection can
// be reset.
type cable struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool // both ends of every connection
	dead  map[net.Conn]bool // of those that were there while it was cut: they stay silent after that
}

// cable lays one from an address of this process's.
func (r *rig) cable(to string) (*cable, error) {
	listener, err := new(net.ListenConfig).Listen(r.ctx, "tcp", net.JoinHostPort(r.here(), "0"))
	if err != nil {
		return nil, err
	}
	c := &cable{listener: listener, to: to, conns: map[net.Conn]bool{}, dead: map[net.Conn]bool{}}
	r.cleanups = append(r.cleanups, func() {
		_ = listener.Close()
		c.reset()
	})
	go c.run(r.ctx)
	return c, nil
}

func (c *cable) run(ctx context.Context) {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		go c.carry(ctx, near)
	}
}

// carry connects one through. While the cable is cut nothing goes on from it.
func (c *cable) carry(ctx context.Context, near net.Conn) {
	c.add(near)
	defer c.drop(near)
	if c.silent(near) {
		_, _ = io.Copy(io.Discard, near)
		return
	}
	far, err := new(net.Dialer).DialContext(ctx, "tcp", c.to)
	if err != nil { // as of a host on which nobody listens
		reset(near)
		return
	}
	c.add(far)
	defer c.drop(far)
	var both sync.WaitGroup
	both.Go(func() { c.copy(far, near) })
	both.Go(func() { c.copy(near, far) })
	both.Wait()
}

// copy takes over what comes from one end until it ends, and then ends the other.
func (c *cable) copy(to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		silent := c.silent(from) || c.silent(to)
		if n > 0 && !silent {
			if _, err := to.Write(buffer[:n]); err != nil {
				reset(from)
				return
			}
		}
		switch {
		case err == nil:
		case silent: // the end is not heard of either
			return
		case errors.Is(err, io.EOF):
			if half, ok := to.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			return
		default:
			reset(to)
			return
		}
	}
}

func (c *cable) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn], c.dead[conn] = true, c.cut
}

func (c *cable) drop(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = conn.Close()
	delete(c.conns, conn)
	delete(c.dead, conn)
}

func (c *cable) silent(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut || c.dead[conn]
}

// sever cuts it, or mends it; connections that were there are silent for ever.
func (c *cable) sever(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		c.dead[conn] = true
	}
}

// reset breaks every connection off, as a router does that has forgotten them.
func (c *cable) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		reset(conn)
	}
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
