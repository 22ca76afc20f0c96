package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// rig is what a scenario works with. What it starts is ended after it.
type rig struct {
	ctx     context.Context
	dir     string // empty at first, removed in the end unless the scenario failed
	size    size
	build   *build
	random  *rand.Rand
	logf    func(format string, args ...any)
	account account

	on      store
	cluster *cluster // on PostgreSQL

	servers   []*server
	receivers []*receiver
	cleanups  []func()
}

func (r *rig) clear() {
	for _, s := range r.servers {
		s.kill()
	}
	for _, v := range r.receivers {
		v.close()
	}
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
}

// lastWords is the end of every server's log.
func (r *rig) lastWords() string {
	var b strings.Builder
	for _, s := range r.servers {
		b.WriteString(s.log.tail())
	}
	return b.String()
}

// poll asks again, every 10 ms at first and ever more rarely to five times a second, until done says so or fails, or the time is over.
func poll(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	wait := 10 * time.Millisecond
	tick := time.NewTimer(wait)
	defer tick.Stop()
	var last error
	for {
		ok, err := done()
		if ok {
			return nil
		}
		last = err
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not within %s: %s", limit, what), last)
		case <-tick.C:
			wait = min(wait+wait/8, 200*time.Millisecond)
			tick.Reset(wait)
		}
	}
}

// pause waits for a time in which a fault shall last, or until the run is ended.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// standard is the usual set-up: a server, a healthy receiver, one webhook that hears every item.
func (r *rig) standard(o serverOptions) (*server, error) {
	s, err := r.serve(o)
	if err != nil {
		return nil, err
	}
	_, err = r.receive(s, "healthy", nil)
	return s, err
}

// path is a file in the scenario's folder.
func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }
