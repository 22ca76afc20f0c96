package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// soakScenarios are everything at once.
func soakScenarios() []scenario {
	return []scenario{{
		name: "soak", cases: []int{40},
		about: "healthy, slow, failing, throttling, hanging and breaking receivers at once, while the server is killed, stopped, frozen, and receivers are cut off",
		run:   soak,
	}}
}

// manyTries are enough for a receiver that fails now and then.
var manyTries = map[string]any{"retry": slices.Repeat([]string{"0s", "1s"}, 10), "timeoutSeconds": 2}

// soak has every kind of receiver hear the same events, while a fault of some kind happens at every point.
func soak(r *rig) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	if err := r.soakReceivers(s); err != nil {
		return err
	}
	if err := r.soakSick(s); err != nil {
		return err
	}
	l := r.emit(s, r.size.events, loadOptions{})
	faults := []func() error{
		func() error { s.kill(); return s.start() },
		func() error { return errors.Join(s.terminate(), s.start()) },
		func() error { return s.freeze(r) },
		func() error {
			for _, v := range r.receivers {
				if v.server != nil {
					v.server.CloseClientConnections()
				}
			}
			return nil
		},
	}
	few := r.emit(s, sickEvents, loadOptions{operation: sickOperation, conns: 1})
	for i, at := range r.points(max(len(faults), r.size.kills/5)) {
		fault := faults[i%len(faults)]
		if err := errors.Join(l.reached(at), r.fault(l, fault, func() error { return nil })); err != nil {
			return err
		}
	}
	if err := firstError(l.wait, few.wait, func() error { return r.settle(s, 5*time.Minute) }); err != nil {
		return err
	}
	for _, v := range r.receivers {
		if v.sick {
			continue
		}
		r.logf("%-10s %6d events, from their being sent to their arrival: %s", v.name, v.arrivals(), v.percentiles())
	}
	return nil
}

// soakReceivers are those that must get everything.
func (r *rig) soakReceivers(s *server) error {
	var count [4]atomic.Int64
	one := func(kind, of int) bool { return count[kind].Add(1)%int64(of) == 0 }
	for name, how := range map[string]answer{
		"steady": nil,
		"slow": func(_ http.ResponseWriter, request *http.Request, _ int) bool {
			pause(request.Context(), 20*time.Millisecond)
			return true
		},
		"fails": func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if one(0, 3) {
				w.WriteHeader(http.StatusInternalServerError)
				return false
			}
			return true
		},
		"throttles": func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if one(1, r.size.events/2) {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				return false
			}
			return true
		},
		"hangs": func(_ http.ResponseWriter, request *http.Request, _ int) bool {
			if one(2, r.size.events/4) {
				<-request.Context().Done()
				return false
			}
			return true
		},
		"breaks": func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			if one(3, 5) {
				if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
					_ = conn.Close()
				}
				return false
			}
			return true
		},
	} {
		if _, err := r.receive(s, name, how, maps.Clone(manyTries)); err != nil {
			return err
		}
	}
	return nil
}

// soakSick are those that get a few events of their own, and never well.
func (r *rig) soakSick(s *server) error {
	for _, a := range []ailment{dripsBody, gigabyte("chunked"), noise, hugeHeaders, failsAlways, {name: "silent", members: oneShort, talk: func(c net.Conn, _ func() (int, bool)) { waitGone(c) }}} {
		if _, err := r.ail(s, &a, "sick-"+a.name); err != nil {
			return err
		}
	}
	return nil
}

// freeze stops the process for a while, as a machine that is suspended does.
func (s *server) freeze(r *rig) error {
	if err := s.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(r.ctx, 500*time.Millisecond)
	return s.signal(syscall.SIGCONT)
}

// percentiles are those of the time from an event's being sent to its first arrival.
func (v *receiver) percentiles() string {
	v.mu.Lock()
	took := slices.Sorted(maps.Values(v.took))
	v.mu.Unlock()
	if len(took) == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %s, p99 %s, last %s", short(percentile(took, 0.5)), short(percentile(took, 0.99)), short(percentile(took, 1)))
}
