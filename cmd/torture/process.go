package main

import (
	"errors"
	"slices"
	"time"
)

func processScenarios() []scenario {
	return []scenario{
		{name: "kill", cases: []int{1, 40}, about: "kill -9 at random points under load", run: killUnderLoad},
		{name: "sigterm", cases: []int{8, 10}, about: "SIGTERM under load: the process ends with status 0 and starts again", run: stopUnderLoad},
	}
}

// killUnderLoad kills the server at random points of the load.
func killUnderLoad(r *rig) error {
	return r.interrupted(r.size.kills, (*server).die)
}

// die kills the process; of several nodes, others take over what it had in hand.
func (s *server) die() error {
	s.kill()
	if s.cluster != nil {
		s.cluster.watch(s)
	}
	return nil
}

// stopUnderLoad stops the server as an operator does, while it is fed.
func stopUnderLoad(r *rig) error {
	return r.interrupted(max(3, r.size.kills/20), (*server).terminate)
}

// interrupted ends the server, of several nodes any, so many times at random points of the load and starts it again.
func (r *rig) interrupted(times int, end func(*server) error) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	return r.endedAndMended(s, times, end)
}

// endedAndMended does the same to a server that is there.
func (r *rig) endedAndMended(s *server, times int, end func(*server) error) error {
	l := r.emit(s, r.size.events, loadOptions{})
	for _, at := range r.points(times) {
		victim := s.peers.one(r)
		if err := errors.Join(l.reached(at), r.fault(l, func() error { return end(victim) }, victim.start)); err != nil {
			return err
		}
	}
	return errors.Join(l.wait(), r.settle(s, 2*time.Minute))
}

// points are n random numbers of acknowledged events, rising.
func (r *rig) points(n int) []int {
	points := make([]int, n)
	for i := range points {
		points[i] = 1 + r.random.IntN(r.size.events-1)
	}
	slices.Sort(points)
	return points
}
