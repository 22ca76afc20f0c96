package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// maxReceived is the largest body that a receiver of ours reads, in bytes: more than any delivery can be.
const maxReceived = 16 << 20

// receiver is the far end of deliveries: it reads them, checks their signatures, hands each on and answers by its script.
type receiver struct {
	// secrets check signatures; without any, nothing is checked and nothing refused.
	secrets []triggers.Secret
	script  script
	// heard is called for every request before it is answered, from many goroutines at once.
	heard func(arrival)
	// count numbers the requests: each takes its own place in the script.
	count atomic.Int64
}

// newReceiver makes a receiver; heard must be safe for concurrent use.
func newReceiver(secrets []triggers.Secret, answers script, heard func(arrival)) *receiver {
	return &receiver{secrets: secrets, script: answers, heard: heard}
}

// arrival is one delivery as it came, and what it is answered.
type arrival struct {
	at     time.Time
	method string
	path   string
	header http.Header
	body   []byte
	// signatures are the headers that verified; problem says why they did not, or why the body could not be read.
	signatures []string
	problem    error
	status     int // of the answer
}

// prove answers a challenge, by GET with a crc_token, by the first secret; false when the request is none.
func (r *receiver) prove(w http.ResponseWriter, request *http.Request) bool {
	token := request.URL.Query().Get("crc_token")
	if request.Method != http.MethodGet || token == "" || len(r.secrets) == 0 {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	// Whoever asked may be gone: nothing is left to tell him.
	_ = json.MarshalWrite(w, map[string]string{"response_token": delivery.CRCAnswer(r.secrets[0], token)})
	return true
}

// ServeHTTP reads a delivery to its end and answers it. A challenge is answered and not handed on: it is no delivery. A signature that does not hold is answered 401, unless the script asks for
// a failure anyway.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if r.prove(w, request) {
		return
	}
	a := arrival{at: time.Now(), method: request.Method, path: request.URL.RequestURI(), header: request.Header}
	a.body, a.problem = io.ReadAll(http.MaxBytesReader(w, request.Body, maxReceived))
	if a.problem != nil {
		a.problem = fmt.Errorf("read body: %w", a.problem)
	} else if len(r.secrets) > 0 {
		a.signatures, a.problem = payload.Verify(payload.Received{
			Secrets: r.secrets, Header: request.Header.Get, Body: a.body, Now: a.at,
		})
	}
	a.status = r.script.status(int(r.count.Add(1)) - 1)
	if a.problem != nil && succeeded(a.status) {
		a.status = http.StatusUnauthorized
	}
	r.heard(a)
	if !wait(request.Context(), r.script.delay) {
		return // the sender has hung up
	}
	w.WriteHeader(a.status)
}

func succeeded(status int) bool { return status >= 200 && status <= 299 }

// wait pauses for d and reports false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// script says what requests are answered, by their number from 0.
type script struct {
	first []int // the answers to the first requests, in turn
	then  int   // the answer to all others
	delay time.Duration
}

func (s script) status(number int) int {
	if number < len(s.first) {
		return s.first[number]
	}
	return s.then
}

// Timeouts and limits of the servers that receive.
const (
	receiverHeaderTimeout = 10 * time.Second
	receiverStopTimeout   = 5 * time.Second // for answers under way when it stops
)

// listenOn opens a TCP address; the error says in one line which address and why not.
func listenOn(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		if wrong, ok := errors.AsType[*net.OpError](err); ok {
			err = wrong.Err
		}
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// serveUntil serves handler on listener until ctx ends, then lets answers under way finish.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: receiverHeaderTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("receive: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), receiverStopTimeout)
	defer cancel()
	err := server.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // a sender that keeps its request open is no failure of ours
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}
