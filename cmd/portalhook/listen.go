package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"portalhook/triggers"
)

type listenCommand struct {
	Addr    string   `help:"Address to listen on; port 0 takes a free one." default:"127.0.0.1:9000" placeholder:"HOST:PORT"`
	Secrets []string `name:"secret" help:"Check signatures by this secret; repeat it while one is being rotated. Deliveries that fail are answered 401." env:"PORTALHOOK_SECRET" sep:"none" placeholder:"SECRET"`

	Count   int           `help:"End after this many deliveries that verified and were answered 2xx; 0 is never." placeholder:"N" xor:"count"`
	Once    bool          `help:"The same as --count 1." xor:"count"`
	Timeout time.Duration `help:"With --count or --once: fail when it has not come to that within this time, as in 30s; 0 is never." placeholder:"TIME"`

	Status       int           `help:"Answer with this status." default:"200" placeholder:"CODE"`
	FailFirst    int           `help:"Answer the first N requests with 500." placeholder:"N" xor:"script"`
	StatusScript []int         `help:"Answer the first requests with these statuses, in turn, as in 500,429,200." placeholder:"CODE" xor:"script"`
	Delay        time.Duration `help:"Wait this long before each answer, as in 2s." placeholder:"TIME"`

	Pretty bool `help:"Indent JSON bodies." xor:"form"`
	JSON   bool `help:"Print one line of JSON for each delivery." xor:"form"`
}

// Help is shown below the summary.
func (listenCommand) Help() string {
	return `It prints every request it gets: time, headers and body, and whether the signatures hold. With a secret it also answers the challenge of
webhooks whose crcCheck is on.

	portalhook listen --secret whsec_… --pretty
	portalhook listen --fail-first 3       # to watch retries
	portalhook listen --once --timeout 1m  # in a script

A server takes a receiver on this machine only when it was started with --allow-http --allow-target 127.0.0.0/8.`
}

// Validate is called by kong once the flags are read.
func (l *listenCommand) Validate() error {
	for _, status := range append(slices.Clone(l.StatusScript), l.Status) {
		if status < 200 || status > 599 {
			return fmt.Errorf("%d is no status to answer with: 200 to 599", status)
		}
	}
	if l.Count < 0 || l.FailFirst < 0 || l.Delay < 0 || l.Timeout < 0 {
		return fmt.Errorf("--count, --fail-first, --delay and --timeout cannot be negative")
	}
	if l.wanted() > 0 && !succeeded(l.Status) && !slices.ContainsFunc(l.StatusScript, succeeded) {
		return fmt.Errorf("--count never comes to an end when every answer is %d", l.Status)
	}
	if l.Timeout > 0 && l.wanted() == 0 {
		return fmt.Errorf("--timeout needs --count or --once")
	}
	return nil
}

func (l *listenCommand) wanted() int {
	if l.Once {
		return 1
	}
	return l.Count
}

func (l *listenCommand) answers() script {
	s := script{first: l.StatusScript, then: l.Status, delay: l.Delay}
	if l.FailFirst > 0 {
		s.first = slices.Repeat([]int{http.StatusInternalServerError}, l.FailFirst)
	}
	return s
}

// Run receives until the wanted deliveries have come, or ctx ends.
func (l *listenCommand) Run(ctx context.Context, std streams) error {
	listener, err := listenOn(ctx, l.Addr)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	if l.Timeout > 0 {
		serving, stop = context.WithTimeout(serving, l.Timeout)
		defer stop()
	}
	tally := &tally{wanted: l.wanted(), checked: len(l.Secrets) > 0, reached: stop, show: l.printer(std)}
	var secrets []triggers.Secret
	for _, text := range l.Secrets {
		secrets = append(secrets, triggers.NewSecret(text))
	}
	fmt.Fprintf(std.err, "listening on http://%s\n", listener.Addr())
	if err := serveUntil(serving, listener, newReceiver(secrets, l.answers(), tally.add)); err != nil {
		return err
	}
	return tally.verdict()
}

func (l *listenCommand) printer(std streams) func(arrival, int) error {
	if l.JSON {
		return jsonPrinter{out: std.out, checked: len(l.Secrets) > 0}.print
	}
	return textPrinter{out: std.out, paint: paintFor(std.out), checked: len(l.Secrets) > 0, pretty: l.Pretty}.print
}

// tally shows arrivals one at a time and knows when enough have come.
type tally struct {
	wanted  int // 0: never enough
	checked bool
	reached func()
	show    func(a arrival, attempt int) error

	mu       sync.Mutex
	accepted int
	attempts map[string]int // by delivery id
	broken   error          // the first failure to show one
}

// maxRemembered bounds the delivery ids whose attempts are counted; past it the count starts anew.
const maxRemembered = 100_000

func (t *tally) add(a arrival) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wanted > 0 && t.accepted >= t.wanted {
		return // one more came while the last was being answered
	}
	if t.attempts == nil || len(t.attempts) >= maxRemembered {
		t.attempts = make(map[string]int)
	}
	attempt := 1
	if id := deliveryID(a); id != "" {
		t.attempts[id]++
		attempt = t.attempts[id]
	}
	if err := t.show(a, attempt); err != nil && t.broken == nil {
		t.broken = fmt.Errorf("print: %w", err)
		t.reached()
	}
	if a.problem == nil && succeeded(a.status) {
		t.accepted++
	}
	if t.wanted > 0 && t.accepted == t.wanted {
		t.reached()
	}
}

// verdict is nil when all that was wanted has come.
func (t *tally) verdict() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken != nil {
		return t.broken
	}
	if t.accepted < t.wanted {
		what := "deliveries"
		if t.checked {
			what = "verified deliveries"
		}
		return fmt.Errorf("%d of %d %s came", t.accepted, t.wanted, what)
	}
	return nil
}
