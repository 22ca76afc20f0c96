package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// account is what became of a scenario's events.
type account struct {
	emitted      int // events given to senders, acknowledged or not
	faults       int // how often the scenario did what it does
	acknowledged int
	lost         int // acknowledged, but not in the store, without a delivery, or not received by a healthy receiver
	duplicates   int // requests beyond the first that a receiver answered 2xx
	recovered    []time.Duration
	taken        []time.Duration // how long it was until a node's work was taken over
	loads        []*load
	wrong        []error // what must never be seen
	fair         []fairness
	settled      bool // whether settle was called: a scenario that does not count has shown nothing
}

// stored is what the server says of an event.
type stored struct {
	EventID string `json:"eventId"`
	ID      string `json:"id"`
	Matches []struct {
		WebhookID string   `json:"webhookId"`
		Delivery  standing `json:"delivery"`
	} `json:"matches"`
	Matched int `json:"matched"` // how many there are: a list shows twenty
}

// standing is how a delivery stands.
type standing struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Attempts int    `json:"attempts"`
	Reason   string `json:"reason"`
}

// state is that of the event's delivery to a webhook, "" where it has none.
func (e stored) state(webhook string) string {
	for _, m := range e.Matches {
		if m.WebhookID == webhook {
			return m.Delivery.State
		}
	}
	return ""
}

// endStates are those in which the delivery of a sick receiver may be in the end.
var endStates = []string{"succeeded", "exhausted", "skipped", "cancelled"}

// settle waits until nothing is open and then asks about every acknowledged event.
func (r *rig) settle(s *server, limit time.Duration) error {
	if err := s.idle(limit); err != nil {
		return err
	}
	if r.cluster != nil {
		taken, err := r.cluster.watched()
		if err != nil {
			return err
		}
		r.account.taken = taken
	}
	return r.count(s)
}

// count asks the server and the receivers about every acknowledged event; of several nodes any.
func (r *rig) count(s *server) error {
	s = s.peers.one(r)
	known, err := s.everyEvent()
	if err != nil {
		return err
	}
	a := &r.account
	a.settled = true
	for _, l := range a.loads {
		l.mu.Lock()
		a.wrong = append(a.wrong, l.wrong...)
		l.wrong = nil
		for n := range l.acked {
			a.acknowledged++
			if err := r.missing(s, l, n, known); err != nil {
				a.lost++
				if len(a.wrong) < 10 {
					a.wrong = append(a.wrong, err)
				}
			}
		}
		l.mu.Unlock()
	}
	for _, v := range r.receivers {
		for n := range a.emitted {
			a.duplicates += max(0, v.arrived(n)-1)
		}
	}
	return nil
}

// missing says what of an acknowledged event is not there, or nil.
func (r *rig) missing(s *server, l *load, n int, known map[string]stored) error {
	id := l.acked[n]
	event, ok := known[id]
	if !ok || event.EventID != fmt.Sprintf("torture-%d", n) {
		return fmt.Errorf("event %d (%s) is not in the store", n, id)
	}
	if event.Matched > len(event.Matches) {
		if err := s.ask(http.MethodGet, "/api/v1/events/"+id, nil, &event); err != nil {
			return err
		}
	}
	for _, v := range r.receivers {
		if !v.hears(l) {
			continue
		}
		switch state := event.state(v.webhook); {
		case state == "":
			return fmt.Errorf("event %d (%s) has no delivery to %s", n, id, v.name)
		case v.sick && !slices.Contains(endStates, state):
			return fmt.Errorf("event %d (%s): its delivery to %s is %s", n, id, v.name, state)
		case !v.sick && v.arrived(n) == 0:
			return fmt.Errorf("event %d (%s) has not arrived at %s, though its delivery is %s", n, id, v.name, state)
		}
	}
	return nil
}

// everyEvent walks the list of all events, by the server's ids.
func (s *server) everyEvent() (map[string]stored, error) {
	known := map[string]stored{}
	for path := "/api/v1/events?limit=100"; path != ""; {
		var page struct {
			Data  []stored `json:"data"`
			Links struct {
				Next struct {
					Href string `json:"href"`
				} `json:"next"`
			} `json:"links"`
		}
		if err := s.ask(http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		for _, event := range page.Data {
			if _, twice := known[event.ID]; twice {
				return nil, fmt.Errorf("the list of events shows %s twice", event.ID)
			}
			known[event.ID] = event
		}
		path = strings.TrimPrefix(page.Links.Next.Href, s.url)
	}
	return known, nil
}

// verify takes over what receivers complained of, and what is odd in logs.
func (a *account) verify(receivers []*receiver, servers []*server) {
	for _, s := range servers {
		s.log.mu.Lock()
		a.wrong = append(a.wrong, s.log.wrong...)
		s.log.mu.Unlock()
	}
	for _, v := range receivers {
		v.mu.Lock()
		a.wrong = append(a.wrong, v.wrong...)
		v.mu.Unlock()
	}
}

// add takes the account of a round into that of its scenario.
func (a *account) add(round *account) {
	a.emitted += round.emitted
	a.acknowledged += round.acknowledged
	a.lost += round.lost
	a.duplicates += round.duplicates
	a.loads = append(a.loads, round.loads...)
	a.wrong = append(a.wrong, round.wrong...)
	a.settled = round.settled
}

// problem is why the scenario has failed, as far as the account shows.
func (a *account) problem() error {
	if !a.settled {
		return errors.New("nothing was counted")
	}
	var err error
	if a.lost > 0 {
		err = fmt.Errorf("%d acknowledged events are lost", a.lost)
	}
	if a.acknowledged == 0 {
		err = errors.New("no event was acknowledged")
	}
	return errors.Join(append([]error{err}, a.wrong...)...)
}

// fault counts one: begin makes it, end mends it. What it took from the mending to the next acknowledgement is noted.
func (r *rig) fault(l *load, begin, end func() error) error {
	r.account.faults++
	if err := begin(); err != nil {
		return err
	}
	recovered := l.mended()
	if err := end(); err != nil {
		return err
	}
	return poll(r.ctx, time.Minute, "an event is acknowledged after the fault", func() (bool, error) {
		select {
		case <-l.done: // all were acknowledged before
			return true, nil
		default:
		}
		took, ok := recovered()
		if ok {
			r.account.recovered = append(r.account.recovered, took)
		}
		return ok, nil
	})
}

// recoveredWithin is the longest time from the end of a fault to the next acknowledgement.
func (a *account) recoveredWithin() string { return longest(a.recovered) }

// takenOverWithin is the longest time from a node's end to the takeover of its work.
func (a *account) takenOverWithin() string { return longest(a.taken) }

func longest(times []time.Duration) string {
	if len(times) == 0 {
		return "–"
	}
	return slices.Max(times).Round(time.Millisecond).String()
}

// refusals are what senders saw when they were refused, and how often.
func (a *account) refusals() map[string]int {
	all := map[string]int{}
	for _, l := range a.loads {
		l.mu.Lock()
		for what, times := range l.refusals {
			all[what] += times
		}
		l.mu.Unlock()
	}
	return all
}

func (a *account) refusalsText() string {
	all := a.refusals()
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "; %s × %d", what, all[what])
	}
	return b.String()
}
