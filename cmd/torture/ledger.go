package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// fate is what the ledger must say of a delivery in the end.
type fate struct {
	state    string
	attempts []string // outcome and status of each, such as "rejected 500" or "timeout"; where several are right, with | between them
}

// arrived is the fate of a delivery that arrives at the attempt after those given.
func arrived(before ...string) fate {
	return fate{"succeeded", append(slices.Clip(before), "delivered 200")}
}

// exhausted is the fate of one that never arrives: n attempts that all came to the same.
func exhausted(n int, attempt string) fate {
	return fate{"exhausted", slices.Repeat([]string{attempt}, n)}
}

// recorded is a delivery as the ledger has it.
type recorded struct {
	State      string `json:"state"`
	AttemptLog []struct {
		Outcome    string  `json:"outcome"`
		StatusCode int     `json:"statusCode"`
		DNS        float64 `json:"dnsMs"`
	} `json:"attemptLog"`
	Response struct {
		Body      string `json:"body"`
		Truncated bool   `json:"truncated"`
	} `json:"response"`
}

// audit holds the ledger's record of every delivery of a load to a receiver to what it must be: want of the n-th event, from 0.
func (r *rig) audit(s *server, v *receiver, l *load, want func(n int) fate) error {
	var wrong []error
	requests := 0 // that it must have seen
	for n := range l.events {
		record, err := s.record(v, l, n)
		if err != nil {
			return err
		}
		for _, attempt := range record.AttemptLog {
			if attempt.Outcome != "no-such-host" {
				requests++
			}
		}
		switch difference, got := want(n).difference(record), v.arrived(l.first+n); {
		case difference != "":
			wrong = append(wrong, fmt.Errorf("event %d to %s: %s", n, v.name, difference))
		case v.server != nil && (record.State == "succeeded") != (got > 0):
			wrong = append(wrong, fmt.Errorf("event %d to %s is %s, and arrived %d times", n, v.name, record.State, got))
		}
		if len(wrong) == 5 {
			break
		}
	}
	if len(wrong) == 0 && v.server != nil && v.seen() != requests {
		wrong = append(wrong, fmt.Errorf("%s saw %d requests, and the ledger has %d attempts", v.name, v.seen(), requests))
	}
	return errors.Join(wrong...)
}

// record reads the delivery of a load's n-th event to a receiver.
func (s *server) record(v *receiver, l *load, n int) (recorded, error) {
	var record recorded
	delivery, err := s.match(v, l, n)
	if err == nil {
		err = s.ask(http.MethodGet, "/api/v1/webhooks/"+v.webhook+"/deliveries/"+delivery.ID, nil, &record)
	}
	return record, err
}

// match is how that delivery stands, as its event tells.
func (s *server) match(v *receiver, l *load, n int) (standing, error) {
	l.mu.Lock()
	id := l.acked[l.first+n]
	l.mu.Unlock()
	var event stored
	if err := s.ask(http.MethodGet, "/api/v1/events/"+id, nil, &event); err != nil {
		return standing{}, err
	}
	for _, m := range event.Matches {
		if m.WebhookID == v.webhook {
			return m.Delivery, nil
		}
	}
	return standing{}, fmt.Errorf("event %d has no delivery to %s", n, v.name)
}

// difference says how a record is not what it must be, "" when it is.
func (f fate) difference(record recorded) string {
	var log []string
	for _, attempt := range record.AttemptLog {
		text := attempt.Outcome
		if attempt.StatusCode != 0 {
			text += " " + strconv.Itoa(attempt.StatusCode)
		}
		log = append(log, text)
	}
	right := record.State == f.state && slices.EqualFunc(log, f.attempts, func(got, allowed string) bool {
		return slices.Contains(strings.Split(allowed, "|"), got)
	})
	if right {
		return ""
	}
	return fmt.Sprintf("it is %s after %q, and must be %s after %q", record.State, log, f.state, f.attempts)
}
