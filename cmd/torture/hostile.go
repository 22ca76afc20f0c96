package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// hostileScenarios are receivers that do what no receiver should.
func hostileScenarios() []scenario {
	return []scenario{
		{name: "answers-500", about: "a receiver answers errors: always, or twice and then 200", run: suffer(failsAlways, failsTwice)},
		{
			name: "answers-429", cases: []int{15}, about: "429 with Retry-After: in seconds, as a date, as a date by a clock that is an hour slow",
			run: answersThrottled,
		},
		{name: "answers-410", about: "410 switches a webhook off; on again, it recovers what it has missed", run: answersGone},
		{name: "answers-3xx", cases: []int{31}, about: "every kind of redirect to a server of our own network: none is followed", run: answersRedirect},
		{name: "drips", cases: []int{28}, about: "a byte of the answer a second: of its head, of its body", run: suffer(dripsHead, dripsBody)},
		{
			name: "hangs", about: "a connection, a request or a handshake is taken, and never an answer given",
			run: suffer(hangs, hangsInHandshake, hangsInBody),
		},
		{name: "closes-in-the-middle", about: "the connection ends before, in and after the head of an answer", run: suffer(closes, resets)},
		{
			name: "sends-a-gigabyte", cases: []int{28}, about: "an answer of a gigabyte: announced, in chunks, without a length",
			run: suffer(gigabyte("announced"), gigabyte("chunked"), gigabyte("unframed")),
		},
		{
			name: "gzip-bomb", cases: []int{28}, about: "a gigabyte of zeros in a megabyte; members that unpack to nothing, without end; no gzip at all",
			run: suffer(bomb, emptyMembers, noGzip),
		},
		{
			name: "speaks-no-http", about: "banners of SSH and SMTP, HTTP/2, random bytes, a TLS alert; two answers to one request; plain HTTP and an unknown authority under https",
			run: suffer(banner, answersTwice, otherProtocols, noise, alert, plainUnderTLS, unknownAuthority),
		},
		{
			name: "broken-headers", cases: []int{28}, about: "headers that are huge, many, not ASCII, doubled, negative; endless interim answers",
			run: suffer(brokenHeaders, oddHeaders, hugeHeaders, interim),
		},
	}
}

var failing = [sickEvents]int{400, 401, 404, 405, 422, 500, 501, 503}

var failsAlways = ailment{
	name: "fails", members: retries(3),
	answer: func(w http.ResponseWriter, n, _ int) bool {
		http.Error(w, "no", failing[n])
		return false
	},
	want: func(n int) fate { return exhausted(3, "rejected "+strconv.Itoa(failing[n])) },
}

var failsTwice = ailment{
	name: "fails-twice", members: retries(3),
	answer: func(w http.ResponseWriter, n, try int) bool {
		if try < 2 {
			http.Error(w, "no", failing[n])
		}
		return try == 2
	},
	want: func(n int) fate {
		attempt := "rejected " + strconv.Itoa(failing[n])
		return arrived(attempt, attempt)
	},
}

// asked remembers who came before the time that he was asked to wait for.
type asked struct {
	mu    sync.Mutex
	early error
}

// throttles is a receiver that answers the first request for every event with 429. Ask writes what it asks for, and says by the
// receiver's clock, which is slow, before when it wants none.
func throttles(name string, a *asked, slow time.Duration, ask func(h http.Header, now time.Time) (not time.Time)) ailment {
	return ailment{
		name: name, members: retries(2),
		each: func() sickAnswer {
			var not [wellAfter]time.Time // before it, by the receiver's clock, an event shall not come again
			return func(w http.ResponseWriter, n, try int) bool {
				now := time.Now().Add(-slow)
				a.mu.Lock()
				defer a.mu.Unlock()
				if n >= wellAfter {
					return true
				}
				if try > 0 {
					if early := not[n].Sub(now); early > 0 {
						a.early = fmt.Errorf("event %d came to %s %s before the time that it had asked for", n, name, early)
					}
					return true
				}
				not[n] = ask(w.Header(), now)
				w.WriteHeader(http.StatusTooManyRequests)
				return false
			}
		},
		want: fates(slices.Repeat([]fate{arrived("throttled 429")}, wellAfter)...),
	}
}

func answersThrottled(r *rig) error {
	seconds := func(h http.Header, now time.Time) time.Time {
		h.Set("Retry-After", "1")
		return now.Add(time.Second)
	}
	date := func(h http.Header, now time.Time) time.Time {
		then := now.UTC().Truncate(time.Second).Add(2 * time.Second)
		h.Set("Retry-After", then.Format(http.TimeFormat))
		return then
	}
	byOwnClock := func(h http.Header, now time.Time) time.Time {
		h.Set("Date", now.UTC().Format(http.TimeFormat))
		return date(h, now)
	}
	undated := func(h http.Header, now time.Time) time.Time {
		h["Date"] = nil
		return date(h, now)
	}
	all := make([]asked, 4)
	err := suffer(
		throttles("seconds", &all[0], 0, seconds), throttles("date", &all[1], 0, date),
		throttles("slow-clock", &all[2], time.Hour, byOwnClock), throttles("undated", &all[3], 0, undated),
	)(r)
	for i := range all {
		err = errors.Join(err, all[i].early)
	}
	return err
}

// answersGone has one receiver say 410, which switches its webhook off; what comes then is skipped, and recovered when it is on again.
func answersGone(r *rig) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	var back atomic.Bool
	v, err := r.ail(s, &ailment{answer: func(w http.ResponseWriter, _, _ int) bool {
		if !back.Load() {
			w.WriteHeader(http.StatusGone)
		}
		return back.Load()
	}}, "gone")
	if err != nil {
		return err
	}
	r.account.faults++
	first := r.emit(s, 1, loadOptions{operation: sickOperation})
	if err := first.wait(); err != nil {
		return err
	}
	var webhook struct {
		Enabled bool   `json:"enabled"`
		Code    string `json:"disabledReasonCode"`
	}
	err = poll(r.ctx, 10*time.Second, "410 switches the webhook off, for every node", func() (bool, error) {
		for _, node := range s.peers.all {
			if err := node.ask(http.MethodGet, "/api/v1/webhooks/"+v.webhook, nil, &webhook); err != nil || webhook.Enabled || webhook.Code != "GONE" {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	later := r.emit(s, sickEvents-1, loadOptions{operation: sickOperation})
	many := r.emit(s, r.size.events/besides, loadOptions{})
	err = firstError(later.wait, many.wait, func() error { return s.idle(time.Minute) })
	if err != nil {
		return err
	}
	err = errors.Join(
		r.audit(s, v, first, func(int) fate { return exhausted(1, "gone 410") }),
		r.auditSkipped(s, v, later),
	)
	if err != nil {
		return err
	}
	back.Store(true)
	v.mu.Lock()
	v.renewed = true
	v.mu.Unlock()
	var recovery struct {
		Counted struct {
			Exhausted, Skipped int
		} `json:"counted"`
	}
	err = firstError(
		func() error { return s.ask(http.MethodPost, "/api/v1/webhooks/"+v.webhook+"/actions/enable", nil, nil) },
		func() error {
			return s.ask(http.MethodPost, "/api/v1/webhooks/"+v.webhook+"/actions/recover", map[string]any{"ratePerMinute": 60000}, &recovery)
		},
	)
	if err != nil {
		return err
	}
	if recovery.Counted.Exhausted != 1 || recovery.Counted.Skipped != sickEvents-1 {
		return fmt.Errorf("to recover are counted %+v", recovery.Counted)
	}
	err = poll(r.ctx, time.Minute, "all that was missed arrives", func() (bool, error) {
		return v.arrivals() == sickEvents, nil
	})
	return errors.Join(err, r.settle(s, time.Minute))
}

// auditSkipped holds deliveries to be skipped without an attempt.
func (r *rig) auditSkipped(s *server, v *receiver, l *load) error {
	for n := range l.events {
		record, err := s.record(v, l, n)
		if err != nil {
			return err
		}
		if difference := (fate{state: "skipped"}).difference(record); difference != "" {
			return fmt.Errorf("event %d after the 410: %s", n, difference)
		}
	}
	return nil
}

var redirects = [sickEvents]int{300, 301, 302, 303, 304, 307, 308, 399}

// answersRedirect redirects to a server that counts who comes.
func answersRedirect(r *rig) error {
	var followed atomic.Int32
	trap := r.listenHTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer trap.Close()
	err := suffer(ailment{
		name: "redirects", members: retries(2),
		answer: func(w http.ResponseWriter, n, _ int) bool {
			w.Header().Set("Location", trap.URL)
			w.WriteHeader(redirects[n])
			return false
		},
		want: func(n int) fate { return exhausted(2, "redirected "+strconv.Itoa(redirects[n])) },
	})(r)
	if followed.Load() > 0 {
		err = errors.Join(err, fmt.Errorf("%d redirects were followed", followed.Load()))
	}
	return err
}
