package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// limitScenarios are those in which there is too little of something, or too much to do.
func limitScenarios() []scenario {
	return []scenario{
		{name: "out-of-files", about: "no file descriptor is left, again and again, with more senders and receivers than there is room for", run: outOfFiles},
		{name: "memory-limit", about: "GOMEMLIMIT of 128 MiB; batches of 8 MiB, a receiver that hangs, more pending than the limit", run: memoryLimit},
		{name: "cgroup", about: "the same in a control group that may have 256 MiB, in which the kernel kills what takes more", run: memoryGroup},
		{
			name: "pending-at-start", about: "killed while the receiver is away, with five deliveries an event of the table's waiting; all arrive after the start",
			run: pendingAtStart,
		},
		{name: "fan-out", cases: []int{27}, about: "half as many webhooks as the table's events, all of which hear each of a few events", run: fanOut},
	}
}

// outOfFiles takes the process's descriptors away under load, to a handful more than it has open, and gives them back.
func outOfFiles(r *rig) error {
	const receivers, conns = 24, 48
	if _, err := exec.LookPath("prlimit"); err != nil {
		return fmt.Errorf("%w: no prlimit(1)", errLeftOut)
	}
	s, err := r.standard(serverOptions{limits: []string{fmt.Sprintf("--nofile=%d", filesMost)}})
	if err != nil {
		return err
	}
	for i := range receivers {
		if _, err := r.receive(s, fmt.Sprintf("healthy-%d", i), nil); err != nil {
			return err
		}
	}
	events := r.size.events / 10
	l := r.emit(s, events, loadOptions{conns: conns, pace: time.Millisecond})
	for i := range max(2, r.size.kills/40) {
		err := errors.Join(l.reached(events*(i+1)/100), r.fault(l, func() error { return r.starve(s) }, func() error { return s.files(filesMost) }))
		if err != nil {
			return err
		}
	}
	if err := firstError(l.wait, func() error { return r.settle(s, 3*time.Minute) }); err != nil {
		return err
	}
	ours, err := s.metric(`portalhook_attempts_total{outcome="infrastructure"}`)
	if err == nil && ours == 0 {
		err = errors.New("no attempt ran out of descriptors, so that nothing was shown")
	}
	return err
}

// starve leaves the process a few descriptors, drops the connections of senders and receivers, so that both need new ones, and waits until
// it has run into the limit for a while.
func (r *rig) starve(s *server) error {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid()))
	if err != nil {
		return fmt.Errorf("%w: %w", errLeftOut, err)
	}
	if err := s.files(max(len(open)/2, 20)); err != nil {
		return err
	}
	s.client.CloseIdleConnections()
	for _, v := range r.receivers {
		v.server.CloseClientConnections()
	}
	pause(r.ctx, 300*time.Millisecond)
	return nil
}

// filesMost is the hard limit, which stays as it is: nobody but root may raise it again.
const filesMost = 4096

// files sets how many descriptors the process may have; those that it has beyond stay.
func (s *server) files(n int) error {
	command := exec.CommandContext(s.ctx, "prlimit", "--pid", strconv.Itoa(s.pid()), fmt.Sprintf("--nofile=%d:%d", n, filesMost)) // #nosec G204 -- our own process
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("prlimit: %w: %s", err, out)
	}
	return nil
}

// What is sent where memory is short.
const (
	largePad   = 250_000 // of an event, which may have 256 KiB
	largeBatch = 33      // events, which make 8 MiB
)

// heavy is a server under a load of large batches, with a receiver that hangs for all of it and one that does not. When
// the process ends it is started again.
func (r *rig) heavy(o serverOptions) (*server, error) {
	s, err := r.standard(o)
	if err != nil {
		return nil, err
	}
	var back atomic.Bool
	slow, err := r.receive(s, "hangs", func(_ http.ResponseWriter, request *http.Request, _ int) bool {
		if back.Load() {
			return true
		}
		<-request.Context().Done()
		return false
	}, map[string]any{"timeoutSeconds": 60})
	if err != nil {
		return nil, err
	}
	r.account.faults++
	restart, stop := context.WithCancel(r.ctx)
	restarted := make(chan error, 1)
	go func() { restarted <- r.keepAlive(restart, s) }()
	l := r.emit(s, max(largeBatch*8, r.size.events/32), loadOptions{conns: 8, batch: largeBatch, pad: largePad})
	err = l.wait()
	stop()
	err = errors.Join(err, <-restarted)
	if err != nil {
		return nil, err
	}
	back.Store(true)
	slow.server.CloseClientConnections()
	return s, r.settle(s, 5*time.Minute)
}

// keepAlive starts the process again whenever it has ended, until ctx ends.
func (r *rig) keepAlive(ctx context.Context, s *server) error {
	for {
		s.mu.Lock()
		ended := s.ended
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
		}
		r.account.faults++
		r.logf("the process has ended: %v", s.gone())
		if err := s.start(); err != nil {
			return err
		}
	}
}

func memoryLimit(r *rig) error {
	s, err := r.heavy(serverOptions{env: []string{"GOMEMLIMIT=128MiB"}})
	if err != nil {
		return err
	}
	peak, err := s.peak()
	r.logf("at most %d MiB were in memory", peak>>20)
	return errors.Join(err, s.within(3*128<<20))
}

// group is a control group with a limit of memory.
type group struct{ dir string }

// wrap has the shell enter the group and become the process.
func (g group) wrap(line []string) []string {
	return append([]string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}, line...)
}

// group makes one below the one that this process is in.
func (r *rig) group(bytes int) (*group, error) {
	const version1, version2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLeftOut, err)
	}
	root, limit, path := version2, "memory.max", ""
	for line := range strings.Lines(string(own)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) != 3:
		case fields[1] == "memory":
			root, limit, path = version1, "memory.limit_in_bytes", fields[2]
		case fields[1] == "" && root == version2:
			path = fields[2]
		}
	}
	for _, parent := range []string{filepath.Join(root, path), root} { // in a container the path may be one outside of it
		g := &group{dir: filepath.Join(parent, fmt.Sprintf("torture-%d-%d", os.Getpid(), r.random.Uint32()))}
		if err = os.Mkdir(g.dir, 0o755); err != nil { // #nosec G301 -- of a control group
			continue
		}
		r.cleanups = append(r.cleanups, func() { _ = os.Remove(g.dir) })
		if err = os.WriteFile(filepath.Join(g.dir, limit), []byte(strconv.Itoa(bytes)), 0o600); err == nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%w: no control group for memory: %w", errLeftOut, err)
}

func memoryGroup(r *rig) error {
	const most = 256 << 20
	g, err := r.group(most)
	if err != nil {
		return err
	}
	s, err := r.heavy(serverOptions{within: g})
	if err != nil {
		return err
	}
	peak, err := s.peak()
	r.logf("at most %d MiB were in memory", peak>>20)
	return errors.Join(err, s.within(most))
}

// pendingAtStart kills the server with many deliveries waiting for a receiver that is away, and starts it again.
func pendingAtStart(r *rig) error {
	const perEvent, fewest = 5, 100
	empty, err := r.serve(serverOptions{store: r.path("empty.db")})
	if err != nil {
		return err
	}
	empty.kill()
	emptyStart, err := timed(empty.start)
	if err != nil {
		return err
	}
	empty.kill()
	s, err := r.serve(serverOptions{})
	if err != nil {
		return err
	}
	var back atomic.Bool
	_, err = r.receive(s, "away", func(_ http.ResponseWriter, request *http.Request, _ int) bool {
		if back.Load() {
			return true
		}
		<-request.Context().Done()
		return false
	}, map[string]any{"timeoutSeconds": 60})
	if err != nil {
		return err
	}
	l := r.emit(s, perEvent*r.size.events, loadOptions{batch: fewest, conns: 4})
	if err := l.wait(); err != nil {
		return err
	}
	for _, node := range s.peers.all {
		node.kill()
	}
	back.Store(true)
	r.account.faults++
	start, err := timed(s.start)
	for _, node := range s.peers.all[1:] {
		err = errors.Join(err, node.start())
	}
	if err != nil {
		return err
	}
	ready := time.Now()
	err = r.settle(s, 5*time.Minute)
	if err != nil {
		return err
	}
	peak, err := s.peak()
	r.logf("%d waiting: ready after %s, %.1f times the %s of an empty store; all arrived %s later; at most %d MiB in memory",
		l.events, start.Round(time.Millisecond), float64(start)/float64(emptyStart), emptyStart.Round(time.Millisecond), time.Since(ready).Round(time.Millisecond), peak>>20)
	return errors.Join(err, s.within(peakMost))
}

func timed(do func() error) (time.Duration, error) {
	began := time.Now()
	err := do()
	return time.Since(began), err
}
