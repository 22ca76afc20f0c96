package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receiverSecret signs what every receiver of a scenario gets.
const receiverSecret = "whsec_dG9ydHVyZS10b3J0dXJlLXRvcnR1cmUtdG9ydHVyZSE=" // #nosec G101 -- of receivers that live as long as a scenario

// receiver takes deliveries of one webhook, verifies each with the public library of Standard Webhooks, and remembers by event how often
// it has answered 2xx.
type receiver struct {
	name    string
	webhook string           // id
	sick    bool             // need not get what it is sent: its deliveries must be in the ledger, in a state that is allowed
	only    string           // the operation that its webhook hears; empty: every one
	server  *httptest.Server // nil: it is not HTTP
	renewed bool             // it gets events anew, under further webhook-ids; guarded by mu

	anyTime func(body []byte, header http.Header) error // verify without regard to the time of signing

	mu       sync.Mutex
	verify   func(body []byte, header http.Header) error
	got      map[int]int           // by event number: how often it was answered 2xx
	ids      map[int]string        // by event number: the webhook-id it came under
	took     map[int]time.Duration // by event number: from its being sent first to its first arrival
	requests int
	wrong    []error // what must never be seen, the first few
}

// answer is how a receiver answers a request that verified; it may do what it likes. It returns whether the event has arrived.
type answer func(w http.ResponseWriter, r *http.Request, event int) (arrived bool)

// receive starts a receiver and makes its webhook, for all items. Without an answer it says 200. Members override those of the webhook.
func (r *rig) receive(s *server, name string, how answer, members ...map[string]any) (*receiver, error) {
	v, err := r.newReceiver(name)
	if err != nil {
		return nil, err
	}
	r.open(v, how)
	return v, r.subscribe(s, v, v.server.URL+"/"+name, members...)
}

func (r *rig) newReceiver(name string) (*receiver, error) {
	verifier, err := standardwebhooks.NewWebhook(receiverSecret)
	if err != nil {
		return nil, err
	}
	v := &receiver{
		name: name, verify: verifier.Verify, anyTime: verifier.VerifyIgnoringTimestamp,
		got: map[int]int{}, ids: map[int]string{}, took: map[int]time.Duration{},
	}
	r.receivers = append(r.receivers, v)
	return v, nil
}

// open has it listen. Without an answer it says 200.
func (r *rig) open(v *receiver, how answer) { v.server = r.listenHTTP(v.handler(how)) }

// listenHTTP serves where the servers reach it.
func (r *rig) listenHTTP(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	if r.cluster != nil {
		listener, err := new(net.ListenConfig).Listen(r.ctx, "tcp", net.JoinHostPort(r.here(), "0"))
		if err != nil {
			panic(err) // as httptest does
		}
		_ = server.Listener.Close()
		server.Listener = listener
	}
	server.Start()
	return server
}

// hears reports whether the receiver is to get the load.
func (v *receiver) hears(l *load) bool { return v.only == "" || v.only == l.operation }

// subscribe makes the webhook of a receiver.
func (r *rig) subscribe(s *server, v *receiver, url string, members ...map[string]any) error {
	webhook := map[string]any{
		"name": v.name, "url": url, "eventTypes": []string{"/items"}, "enabled": true, "secret": receiverSecret,
		"retry": []string{"0s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s"},
	}
	for _, more := range members {
		maps.Copy(webhook, more)
	}
	var made struct {
		ID string `json:"id"`
	}
	if v.only != "" {
		webhook["eventTypes"] = []string{"/items/" + v.only}
	}
	if err := s.ask(http.MethodPost, "/api/v1/webhooks", webhook, &made); err != nil {
		return err
	}
	v.webhook = made.ID
	return s.known(v)
}

// known waits until every node knows a receiver's webhook.
func (s *server) known(v *receiver) error {
	for _, other := range s.peers.all {
		if other == s {
			continue
		}
		err := poll(s.ctx, 10*time.Second, "the webhook is known to every node", func() (bool, error) {
			err := other.ask(http.MethodGet, "/api/v1/webhooks/"+v.webhook, nil, nil)
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *receiver) handler(how answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return // the server was killed while it sent: not a request
		}
		n, err := v.check(body, request.Header)
		if err != nil {
			v.complain(err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if how != nil && !how(w, request, n) {
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.got[n]++; v.got[n] == 1 {
			if sent, err := number(body, "at"); err == nil {
				v.took[n] = time.Since(time.UnixMicro(int64(sent)))
			}
		}
	})
}

// refuseOnce answers 500 to the first request of each event.
func refuseOnce() answer {
	var mu sync.Mutex
	refused := map[int]bool{}
	return func(w http.ResponseWriter, _ *http.Request, event int) bool {
		mu.Lock()
		defer mu.Unlock()
		if refused[event] {
			return true
		}
		refused[event] = true
		w.WriteHeader(http.StatusInternalServerError)
		return false
	}
}

// check verifies a request and says which event it tells of. The same event must always come under the same webhook-id.
func (v *receiver) check(body []byte, header http.Header) (event int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.requests++
	if err := v.verify(body, header); err != nil {
		return 0, fmt.Errorf("a request does not verify: %w", err)
	}
	event, err = eventNumber(body)
	if err != nil {
		return 0, err
	}
	id := header.Get("webhook-id")
	if known, ok := v.ids[event]; ok && known != id && !v.renewed {
		return 0, fmt.Errorf("event %d came as %s and as %s", event, known, id)
	}
	v.ids[event] = id
	return event, nil
}

// eventNumber reads the number that the load wrote into the event's properties.
func eventNumber(body []byte) (int, error) { return number(body, "n") }

// number reads a number from the properties.
func number(body []byte, name string) (int, error) {
	_, rest, found := bytes.Cut(body, []byte(`"`+name+`":`))
	if !found {
		return 0, errors.New("a request has no event of ours")
	}
	end := bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	return strconv.Atoi(string(rest[:max(end, 0)]))
}

func (v *receiver) complain(err error) {
	const kept = 5
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.wrong) < kept {
		v.wrong = append(v.wrong, fmt.Errorf("%s: %w", v.name, err))
	}
}

// ignoreTime has requests verify whatever the time in them, where the sender's clock is wrong on purpose.
func (v *receiver) ignoreTime() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.verify = v.anyTime
}

// arrived is how often an event was answered 2xx.
func (v *receiver) arrived(event int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.got[event]
}

// arrivals is how many events have arrived.
func (v *receiver) arrivals() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.got)
}

// seen is how many requests have come.
func (v *receiver) seen() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.requests
}

func (v *receiver) close() {
	if v.server != nil {
		v.server.CloseClientConnections() // those that hang on purpose
		v.server.Close()
	}
}
