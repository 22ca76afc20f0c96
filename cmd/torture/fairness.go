package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func fairnessScenarios() []scenario {
	return []scenario{{
		name: "hanging-receivers", cases: []int{23}, run: hangingReceivers,
		about: "none, 1, 5 and 9 of 10 receivers of every event take it and never answer; a healthy one is timed (the table below)",
	}}
}

const (
	fairReceivers = 10
	fairPace      = 200 // events a second
	fairTimeout   = 2   // seconds after which a receiver that hangs is given up
)

// fairness is how long events took to a healthy receiver, with so many others hanging.
type fairness struct {
	hanging int
	took    []time.Duration // of every event, from its being sent to its arrival; sorted
}

// hangingReceivers gives the same load to the same number of receivers, of which more and more hang. The rounds take turns, so that what the
// machine does beside is spread over all of them.
func hangingReceivers(r *rig) error {
	for round := range min(3, 1+r.size.events/5000) {
		for i, hanging := range []int{0, 1, 5, 9} {
			if err := r.hangingRound(filepath.Join(r.dir, fmt.Sprint(round)), hanging, i); err != nil {
				return fmt.Errorf("%d hanging: %w", hanging, err)
			}
		}
	}
	return nil
}

func (r *rig) hangingRound(dir string, hanging, place int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	round := *r
	round.account, round.servers, round.receivers, round.cleanups = account{}, nil, nil, nil
	defer round.clear()
	s, err := round.serve(serverOptions{store: filepath.Join(dir, fmt.Sprintf("%d.db", hanging))})
	if err != nil {
		return err
	}
	healthy, err := round.receive(s, "healthy", nil)
	if err != nil {
		return err
	}
	for n := range fairReceivers - 1 {
		other := r.listenHTTP(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
			_, _ = io.Copy(io.Discard, request.Body) // else the end of the connection is not seen
			if n < hanging {
				<-request.Context().Done()
			}
		}))
		defer other.Close()
		defer other.CloseClientConnections()
		// Not one of the round's receivers: what hangs is not waited for.
		name := fmt.Sprintf("other-%d", n)
		err := round.subscribe(s, &receiver{name: name}, other.URL+"/"+name, map[string]any{"timeoutSeconds": fairTimeout})
		if err != nil {
			return err
		}
	}
	defer s.kill() // before the receivers close, or it would ask them again and again
	const conns = 4
	events := max(r.size.events/10, 4*conns)
	l := round.emit(s, events, loadOptions{conns: conns, pace: conns * time.Second / fairPace})
	err = errors.Join(l.wait(), poll(r.ctx, time.Minute, "every event is at the healthy receiver", func() (bool, error) {
		return healthy.arrivals() == events, fmt.Errorf("%d of %d", healthy.arrivals(), events)
	}), round.count(s))
	round.account.verify(round.receivers, round.servers)
	r.account.add(&round.account)
	if hanging > 0 {
		r.account.faults++
	}
	if len(r.account.fair) <= place {
		r.account.fair = append(r.account.fair, fairness{hanging: hanging})
	}
	f := &r.account.fair[place]
	f.took = append(f.took, healthy.times()...)
	slices.Sort(f.took)
	r.logf("%d of %d hang: %s", hanging, fairReceivers, healthy.percentiles())
	return err
}

// times are how long each event took to its first arrival.
func (v *receiver) times() []time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	var took []time.Duration
	for _, t := range v.took {
		took = append(took, t)
	}
	return took
}

// fairTable compares what a healthy receiver waits with what it waits when none hangs.
func fairTable(rounds []fairness) string {
	if len(rounds) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d events a second to %d receivers each; what one healthy receiver of them waits, from sending to arrival:\n\n", fairPace, fairReceivers)
	b.WriteString("| receivers that hang | events timed | p50 | p99 | p99.9 | p99 beside that with none |\n|--:|--:|--:|--:|--:|--:|\n")
	none := percentile(rounds[0].took, 0.99)
	for _, f := range rounds {
		fmt.Fprintf(&b, "| %d of %d | %d | %s | %s | %s | %.2f |\n", f.hanging, fairReceivers, len(f.took), short(percentile(f.took, 0.5)),
			short(percentile(f.took, 0.99)), short(percentile(f.took, 0.999)), float64(percentile(f.took, 0.99))/float64(none))
	}
	return b.String()
}

// percentile is the value that the share of the sorted times do not exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
