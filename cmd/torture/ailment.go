package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"
)

// ailment is one way in which a receiver is sick, and what the ledger must say of what it gets. It is given sickEvents events, and is
// well where its answer says so. Ten failures that speak against a host have it left alone for half a minute, so that a scenario that
// is to be quick stays below seven of them.
type ailment struct {
	name    string
	members map[string]any    // of the webhook
	answer  sickAnswer        // of one that speaks HTTP
	each    func() sickAnswer // the same, for one that remembers: made anew for each receiver
	talk    talk              // of one that does not
	scheme  string            // of the URL; default http
	want    func(n int) fate
	then    func(*rig, *server, *receiver, *load) error // what else must be so in the end
}

// sickAnswer answers the try-th request, from 0, for the n-th event, and returns whether that has arrived.
type sickAnswer func(w http.ResponseWriter, n, try int) bool

// talk has a connection to itself. Request reads the request that comes in over it, and says for which event it is; false when there is none.
type talk func(c net.Conn, request func() (n int, ok bool))

const (
	sickEvents    = 8
	sickOperation = "add"
	wellAfter     = 3 // events, where an ailment is expensive
	// besides is the part of a table's events that the healthy receiver gets besides: there are many such scenarios.
	besides = 5
)

// peakMost bounds what the server may have in memory at once while receivers misbehave, in bytes.
const peakMost = 256 << 20

// suffer is a scenario: receivers with each of these ailments, several where there is time, beside a healthy one. All of them
// get the same few events, the healthy one a load besides.
func suffer(ailments ...ailment) func(*rig) error {
	return func(r *rig) error {
		s, err := r.standard(serverOptions{})
		if err != nil {
			return err
		}
		var sick []*receiver
		for _, a := range ailments {
			for i := range max(1, r.size.events/5000) {
				v, err := r.ail(s, &a, fmt.Sprintf("%s-%d", a.name, i))
				if err != nil {
					return err
				}
				sick = append(sick, v)
			}
		}
		r.account.faults += len(sick)
		few := r.emit(s, sickEvents, loadOptions{operation: sickOperation, conns: 1})
		many := r.emit(s, r.size.events/besides, loadOptions{})
		if err := firstError(few.wait, many.wait, func() error { return r.settle(s, 2*time.Minute) }); err != nil {
			return err
		}
		for i, v := range sick {
			a := &ailments[i*len(ailments)/len(sick)]
			if err := r.audit(s, v, few, a.want); err != nil {
				return err
			}
			if a.then != nil {
				if err := a.then(r, s, v, few); err != nil {
					return err
				}
			}
		}
		return s.within(peakMost)
	}
}

// ail starts a sick receiver and makes its webhook. The load that it hears must be the first of the scenario.
func (r *rig) ail(s *server, a *ailment, name string) (*receiver, error) {
	v, err := r.newReceiver(name)
	if err != nil {
		return nil, err
	}
	v.sick, v.only = true, sickOperation
	address := ""
	answer := a.answer
	if a.each != nil {
		answer = a.each()
	}
	if answer != nil {
		tries := map[int]int{} // by event; guarded by v.mu
		r.open(v, func(w http.ResponseWriter, _ *http.Request, n int) bool {
			v.mu.Lock()
			try := tries[n]
			tries[n]++
			v.mu.Unlock()
			return answer(w, n%sickEvents, try)
		})
		address = v.server.Listener.Addr().String()
	} else if address, err = r.converse(v, a.talk); err != nil {
		return nil, err
	}
	scheme := "http"
	if a.scheme != "" {
		scheme = a.scheme
	}
	members := maps.Clone(a.members)
	if members == nil {
		members = map[string]any{}
	}
	if members["retry"] == nil {
		members["retry"] = "once"
	}
	return v, r.subscribe(s, v, scheme+"://"+address+"/"+name, members)
}

// converse listens for a receiver that is not HTTP.
func (r *rig) converse(v *receiver, talk talk) (address string, err error) {
	listener, err := new(net.ListenConfig).Listen(r.ctx, "tcp", net.JoinHostPort(r.here(), "0"))
	if err != nil {
		return "", err
	}
	r.cleanups = append(r.cleanups, func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				talk(conn, func() (int, bool) { return v.listen(conn) })
			}()
		}
	}()
	return listener.Addr().String(), nil
}

// listen reads a request off a connection and verifies it.
func (v *receiver) listen(conn net.Conn) (n int, ok bool) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return 0, false
	}
	defer request.Body.Close()
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return 0, false
	}
	n, err = v.check(body, request.Header)
	if err != nil {
		v.complain(err)
	}
	return n, err == nil
}

// waitGone waits until the other side has closed the connection.
func waitGone(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// wellAnswer is a healthy answer in HTTP.
const wellAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// says answers the n-th event with the n-th of the texts, as it is, and those beyond with a healthy answer; then it closes.
func says(texts ...string) talk {
	return func(c net.Conn, request func() (int, bool)) {
		n, ok := request()
		switch {
		case !ok:
			return
		case n < len(texts):
			_, _ = io.WriteString(c, texts[n])
		default:
			_, _ = io.WriteString(c, wellAnswer)
		}
	}
}

// fates are the n-th event's; beyond them it arrives at once.
func fates(of ...fate) func(n int) fate {
	return func(n int) fate {
		if n < len(of) {
			return of[n]
		}
		return arrived()
	}
}

// firstError does one after the other until one fails.
func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// retries are so many attempts, each as soon as the last has failed.
func retries(n int) map[string]any {
	return map[string]any{"retry": slices.Repeat([]string{"0s"}, n), "timeoutSeconds": 1}
}
