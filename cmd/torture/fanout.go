package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// fan is a receiver of many webhooks, each by a path of its own.
type fan struct {
	events   int
	verifier *standardwebhooks.Webhook
	got      []atomic.Int32 // by webhook and event

	mu    sync.Mutex
	wrong error // the first
}

func (f *fan) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return // cut off
	}
	webhook, err := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/"))
	event, bad := eventNumber(body)
	if err := errors.Join(err, bad, f.verifier.Verify(body, request.Header)); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.wrong == nil {
			f.wrong = fmt.Errorf("a request of the fan: %w", err)
		}
		return
	}
	f.got[webhook*f.events+event].Add(1)
}

// fanOut has very many webhooks hear every event.
func fanOut(r *rig) error {
	const events, hosts = 10, 8
	webhooks := max(10*hosts, r.size.events/2)
	s, err := r.standard(serverOptions{env: []string{"GOMEMLIMIT=256MiB"}}) // else the heap may grow to five times what is in use
	if err != nil {
		return err
	}
	f := &fan{events: events, got: make([]atomic.Int32, webhooks*events)}
	if f.verifier, err = standardwebhooks.NewWebhook(receiverSecret); err != nil {
		return err
	}
	var urls []string
	for range hosts {
		server := r.listenHTTP(f)
		r.cleanups = append(r.cleanups, server.Close)
		urls = append(urls, server.URL)
	}
	subscribed, err := timed(func() error { return r.subscribeFan(s, urls, webhooks) })
	if err != nil {
		return err
	}
	r.account.faults++
	began := time.Now()
	var took []time.Duration
	for range events { // one after the other, so that what each is kept waiting is seen
		l := r.emit(s, 1, loadOptions{})
		each, err := timed(l.wait)
		if err != nil {
			return err
		}
		took = append(took, each)
	}
	if err := r.settle(s, 5*time.Minute); err != nil {
		return err
	}
	all := time.Since(began)
	for i := range f.got {
		times := int(f.got[i].Load())
		if times == 0 {
			return fmt.Errorf("event %d has not arrived at webhook %d", i%events, i/events)
		}
		r.account.duplicates += times - 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	peak, err := s.peak()
	r.logf("%d webhooks, made in %s; an event was acknowledged within %s, %d deliveries arrived within %s; at most %d MiB in memory",
		webhooks, subscribed.Round(time.Millisecond), slices.Max(took).Round(time.Millisecond), len(f.got), all.Round(time.Millisecond), peak>>20)
	return errors.Join(f.wrong, err, s.within(384<<20))
}

// subscribeFan makes the webhooks, several at a time.
func (r *rig) subscribeFan(s *server, urls []string, webhooks int) error {
	const together = 8
	failed := make(chan error, together)
	for part := range together {
		go func() {
			for i := part; i < webhooks; i += together {
				err := r.subscribe(s, &receiver{name: "fan"}, urls[i%len(urls)]+"/"+strconv.Itoa(i))
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	var err error
	for range together {
		err = errors.Join(err, <-failed)
	}
	return err
}
