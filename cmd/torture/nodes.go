package main

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// nodeScenarios are those of nodes that share a PostgreSQL.
func nodeScenarios() []scenario {
	return []scenario{
		{
			name: "rolling-restart", of: postgres, cases: []int{8}, run: rollingRestart,
			about: "one node after the other is taken out of the balancer, stopped, started and taken in again: no request is refused, and none goes unanswered",
		},
		{
			name: "postgres-restarted", of: postgres, cases: []int{7}, run: postgresRestarted,
			about: "PostgreSQL ends at once, as in a crash, or in order, stays away for a while and starts again",
		},
		{
			name: "postgres-cut", of: postgres, cases: []int{7, 9, 13}, run: postgresCut,
			about: "PostgreSQL is cut off from one node, without a word to either, until others have taken its work over, and joined again; receivers answer late what it had under way",
		},
		{
			name: "connections-reset", of: postgres, cases: []int{7}, run: connectionsReset,
			about: "connections to PostgreSQL are reset, those of one node or of all, or ended by PostgreSQL",
		},
		{
			name: "frozen", of: postgres, cases: []int{9, 12, 13}, run: frozen,
			about: "a node is frozen (SIGSTOP) until others have taken its work over, and woken; receivers answer late what it had under way",
		},
		{
			name: "upgrade", of: postgres, cases: []int{8}, run: upgrade,
			about: "two nodes of the next version, which bring the tables up to date, are started at the same moment beside those of this one, which are replaced one after the other; one goes back: no request is refused, and none goes unanswered",
		},
		{
			name: "migrating-at-once", of: postgres, run: migratingAtOnce,
			about: "two nodes are started at the same moment on an empty database",
		},
	}
}

// rollingRestart does what an orchestrator does: what is sent nothing any more is stopped, and what is ready is sent something.
func rollingRestart(r *rig) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	l := r.emit(s, r.size.events, loadOptions{})
	for i := range max(clusterNodes, r.size.kills/20) {
		node := s.peers.all[i%clusterNodes]
		err := firstError(
			func() error { return l.reached((i + 1) * r.size.events / (r.size.kills + 10)) },
			func() error { return r.replaced(l, node, func() {}) },
		)
		if err != nil {
			return err
		}
	}
	return firstError(l.wait, l.undisturbed, func() error { return r.settle(s, 2*time.Minute) })
}

// replaced stops a node that is sent nothing any more, and starts another in its place, which is sent something when it is ready.
func (r *rig) replaced(l *load, node *server, change func()) error {
	defer node.out.Store(false)
	return r.fault(l, func() error {
		node.out.Store(true)
		pause(r.ctx, 50*time.Millisecond) // what was on its way to it
		return node.terminate()
	}, func() error {
		change()
		return node.start()
	})
}

// undisturbed is an error when a sender was refused, or was not answered.
func (l *load) undisturbed() error {
	if refused, unheard := l.refused(), l.unheard.Load(); refused > 0 || unheard > 0 {
		return fmt.Errorf("%d requests were refused and %d had no answer", refused, unheard)
	}
	return nil
}

// postgresRestarted ends the database and starts it again.
func postgresRestarted(r *rig) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	times := max(2, r.size.kills/20)
	for i := range times {
		l := r.emit(s, r.size.events/times, loadOptions{})
		away := time.Duration(r.random.IntN(3000)) * time.Millisecond
		if err := l.reached(1 + r.random.IntN(r.size.events/times/2)); err != nil {
			return err
		}
		more := r.emit(s, 10_000, loadOptions{conns: 6, pace: 10 * time.Millisecond}) // while it is away
		err := r.fault(more, func() error {
			if err := r.cluster.postgres.End(i%2 == 0); err != nil {
				return err
			}
			pause(r.ctx, away)
			for _, node := range s.peers.all {
				if err := node.notReady("store"); err != nil {
					return err
				}
			}
			return nil
		}, func() error { return r.cluster.postgres.Again(r.ctx) })
		more.stop()
		if err := errors.Join(err, l.wait(), more.wait()); err != nil {
			return err
		}
	}
	return r.settle(s, 2*time.Minute)
}

// lateAfter is how late a receiver answers that is to answer a node which has been taken for dead meanwhile.
const lateAfter = 17 * time.Second

// late makes a receiver that answers every hundredth request late.
func (r *rig) late(s *server) error {
	var requests atomic.Int64
	_, err := r.receive(s, "late", func(_ http.ResponseWriter, request *http.Request, _ int) bool {
		if requests.Add(1)%100 == 50 {
			pause(request.Context(), lateAfter)
		}
		return request.Context().Err() == nil
	}, map[string]any{"timeoutSeconds": 60})
	return err
}

// withoutOne takes one node away after the other for long enough that others take its work over, and gives it back; each time under load.
func (r *rig) withoutOne(away func(*server) error, meanwhile func(*server) error, back func(*server) error) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	if err := r.late(s); err != nil {
		return err
	}
	for range max(1, r.size.kills/50) {
		l := r.emit(s, r.size.events, loadOptions{conns: 8, pace: 8 * 25 * time.Second / time.Duration(r.size.events)}) // for some 25 s
		node := s.peers.one(r)
		before := node.number
		err := firstError(
			func() error { return l.reached(r.size.events / 20) },
			func() error {
				return r.fault(l, func() error {
					if err := away(node); err != nil {
						return err
					}
					takenOver := r.cluster.watch(node)
					err := meanwhile(node)
					<-takenOver
					return err
				}, func() error {
					return firstError(func() error { return back(node) }, func() error { return r.rejoined(node, before) })
				})
			},
		)
		l.stop()
		if err := errors.Join(err, l.wait()); err != nil {
			return err
		}
	}
	return r.settle(s, 3*time.Minute)
}

// rejoined waits until a node is ready again, under another number.
func (r *rig) rejoined(node *server, before int64) error {
	if err := node.awaitReady(); err != nil {
		return err
	}
	err := poll(r.ctx, time.Minute, "the node has joined the others again", func() (bool, error) {
		joined, err := r.cluster.number(node.options.store, "SELECT count(*) FROM node")
		return err == nil && joined == int64(len(node.peers.all)), err
	})
	if err != nil {
		return err
	}
	if err := r.cluster.identify(node); err != nil {
		return err
	}
	if node.number <= before {
		return fmt.Errorf("the node's number is %d, and was %d", node.number, before)
	}
	return nil
}

func postgresCut(r *rig) error {
	return r.withoutOne((*server).cut, r.withoutDatabase, (*server).mend)
}

// What a node may take without its database.
const (
	noticeMost = 10 * time.Second // until it answers whoever asked when it was cut off
	refuseMost = 2 * time.Second  // until it answers later ones
)

// withoutDatabase holds a node that is cut off from its database to what it may do: it acknowledges nothing, says so soon, and is not ready.
func (r *rig) withoutDatabase(node *server) error {
	most := noticeMost
	var answered []time.Duration
	for i := range 8 {
		began := time.Now()
		body := fmt.Appendf(nil, `{"eventId":"cut-off-%d-%d","uri":"/groups/%032x/update","username":"jdoe"}`, r.account.faults, i, i)
		status, header, answer, err := node.call(http.MethodPost, "/api/v1/events", body)
		took := time.Since(began)
		switch {
		case err != nil:
			return fmt.Errorf("a node without its database does not answer: after %s %w", took, err)
		case status != http.StatusServiceUnavailable || header.Get("Retry-After") == "":
			return fmt.Errorf("a node without its database answers %d, Retry-After %q: %s", status, header.Get("Retry-After"), answer)
		case took > most:
			return fmt.Errorf("a node without its database takes %s to say so", took)
		}
		answered = append(answered, took)
		most = refuseMost
		pause(r.ctx, 200*time.Millisecond)
	}
	r.logf("the node that is cut off refused the first event after %s, the others within %s", answered[0].Round(time.Millisecond), longest(answered[1:]))
	return node.notReady("store")
}

// connectionsReset breaks connections to the database off under load.
func connectionsReset(r *rig) error {
	r.cluster.cables = true
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	l := r.emit(s, r.size.events, loadOptions{})
	faults := []func() error{
		func() error {
			s.peers.one(r).cable.reset()
			return nil
		},
		func() error {
			for _, node := range s.peers.all {
				node.cable.reset()
			}
			return nil
		},
		func() error {
			_, err := r.cluster.number("postgres", `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'portalhook'`)
			return err
		},
	}
	for i, at := range r.points(max(2*len(faults), r.size.kills)) {
		if err := errors.Join(l.reached(at), r.fault(l, faults[i%len(faults)], func() error { return nil })); err != nil {
			return err
		}
	}
	return firstError(l.wait, func() error { return r.settle(s, 2*time.Minute) })
}

func frozen(r *rig) error {
	return r.withoutOne(
		func(node *server) error { return node.signal(syscall.SIGSTOP) },
		func(*server) error { return nil },
		func(node *server) error { return node.signal(syscall.SIGCONT) },
	)
}

// migratingAtOnce has two nodes find an empty database.
func migratingAtOnce(r *rig) error {
	rounds := max(2, r.size.kills/20)
	for n := range rounds {
		if err := r.foundedTwice(n, r.size.events/rounds); err != nil {
			return fmt.Errorf("round %d: %w", n, err)
		}
	}
	return nil
}

func (r *rig) foundedTwice(n, events int) error {
	round := *r
	round.account, round.servers, round.receivers, round.cleanups = account{}, nil, nil, nil
	defer round.clear()
	nodes, err := round.nodes(serverOptions{}, 2)
	if err != nil {
		return err
	}
	r.account.faults++
	if err := startTogether(nodes); err != nil {
		return fmt.Errorf("%w\n%s", err, round.lastWords())
	}
	if _, err := round.receive(nodes[n%2], "healthy", nil); err != nil {
		return err
	}
	l := round.emit(nodes[0], events, loadOptions{})
	err = firstError(l.wait, func() error { return round.settle(nodes[0], time.Minute) })
	round.account.verify(round.receivers, round.servers)
	r.account.add(&round.account)
	return err
}

// startTogether starts nodes at the same moment.
func startTogether(nodes []*server) error {
	started := make(chan error, len(nodes))
	for _, s := range nodes {
		go func() { started <- s.start() }()
	}
	var err error
	for range nodes {
		err = errors.Join(err, <-started)
	}
	return err
}
