package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"portalhook/triggers"
)

// RateLimit is how often a user may call the management of a tenant: requests a minute, measured over a rolling window of five minutes,
// so that five minutes' worth may come at once. A whole tenant may do half as often as all its users together might, but never less than
// one user. The zero value is no limit.
type RateLimit struct {
	Tier1 int // requests that read
	Tier2 int // requests that change something, or send something
}

// qlikRateLimit is Qlik Cloud's.
var qlikRateLimit = RateLimit{Tier1: 1000, Tier2: 100}

// maxRateLimit is far above what a server can answer.
const maxRateLimit = 1_000_000

// ParseRateLimit reads off, qlik, or the two tiers' requests a minute, as in 600,60.
func ParseRateLimit(text string) (RateLimit, error) {
	switch text {
	case "", "off":
		return RateLimit{}, nil
	case "qlik":
		return qlikRateLimit, nil
	}
	bad := fmt.Errorf("%q is not off, qlik, or two numbers of requests a minute from 1 to %d, such as 600,60", text, maxRateLimit)
	first, second, ok := strings.Cut(text, ",")
	tier1, err1 := strconv.Atoi(strings.TrimSpace(first))
	tier2, err2 := strconv.Atoi(strings.TrimSpace(second))
	if !ok || errors.Join(err1, err2) != nil || min(tier1, tier2) < 1 || max(tier1, tier2) > maxRateLimit {
		return RateLimit{}, bad
	}
	return RateLimit{tier1, tier2}, nil
}

// tier is the limit that calls of a route count against.
type tier uint8

const (
	byMethod   tier = iota // readTier of a GET, else changeTier
	readTier               // Qlik's tier 1
	changeTier             // Qlik's tier 2
	noTier
)

func (r *route) limitedBy() tier {
	switch {
	case r.tier != byMethod:
		return r.tier
	case r.method == http.MethodGet:
		return readTier
	}
	return changeTier
}

// limit counts a call, or refuses it in the words of Qlik Cloud.
func (s *Server) limit(r route, key *triggers.APIKey) error {
	t := r.limitedBy()
	if s.limiter == nil || t == noTier {
		return nil
	}
	wait := s.limiter.take(key.Tenant, key.UserID, t)
	if wait == 0 {
		return nil
	}
	return &problem{
		Code: codeRateLimit, Index: -1, RetryAfter: time.Duration(wait) * time.Second,
		Detail: fmt.Sprintf("You need to wait %d seconds until limit is lifted.", wait),
	}
}

// windowSeconds is the length of the rolling window. Calls count by whole seconds.
const windowSeconds = 5 * 60

// rateLimiter counts calls, per tenant, user and tier, and per tenant and tier. It is safe for concurrent use.
type rateLimiter struct {
	limits [noTier]int // of one user in a window, by tier
	users  func(tenant uint32) int
	now    func() time.Time
	began  time.Time

	mu      sync.Mutex
	windows map[windowKey]*window
	sweepAt int // the number of windows at which those that count nothing are dropped
	// fresh are the users' calls that other servers have not been told of; nil: there are no others.
	fresh map[windowKey]int
}

// windowKey names who is counted.
type windowKey struct {
	tenant uint32
	whole  bool // the tenant itself, whoever called
	user   string
	tier   tier
}

// firstSweep is how many windows, of some 1.2 KB each, are kept before any is looked at.
const firstSweep = 256

func newRateLimiter(limit RateLimit, users func(tenant uint32) int, now func() time.Time) *rateLimiter {
	const minutes = windowSeconds / 60
	return &rateLimiter{
		limits: [noTier]int{readTier: limit.Tier1 * minutes, changeTier: limit.Tier2 * minutes},
		users:  users, now: now, began: now(), windows: make(map[windowKey]*window), sweepAt: firstSweep,
	}
}

// take counts a call, or says how many seconds it is too early, and then counts nothing. Whoever is too early once stays refused until
// that time is over: the user, or where the tenant's calls are too many, all of them.
func (l *rateLimiter) take(tenant uint32, user string, t tier) (wait int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := int64(l.now().Sub(l.began) / time.Second)
	limit := l.limits[t]
	own := l.window(windowKey{tenant: tenant, user: user, tier: t}, second)
	if wait = own.wait(second, limit); wait > 0 {
		return wait
	}
	whole := l.window(windowKey{tenant: tenant, whole: true, tier: t}, second)
	if wait = whole.wait(second, max(limit, limit*l.users(tenant)/2)); wait > 0 {
		return wait
	}
	own.add(second, 1)
	whole.add(second, 1)
	if l.fresh != nil {
		l.fresh[windowKey{tenant: tenant, user: user, tier: t}]++
	}
	return 0
}

func (l *rateLimiter) window(key windowKey, second int64) *window {
	if w := l.windows[key]; w != nil {
		return w
	}
	if len(l.windows) >= l.sweepAt {
		for key, w := range l.windows {
			if w.idle(second) {
				delete(l.windows, key)
			}
		}
		l.sweepAt = max(firstSweep, 2*len(l.windows))
	}
	w := &window{last: second}
	l.windows[key] = w
	return w
}

// window holds how many calls there were in each of the last windowSeconds seconds: exact, and of one size however many there are.
type window struct {
	counts [windowSeconds]uint32 // by second, modulo the length
	total  int
	last   int64 // the second until which the counts are right
	freed  int64 // the second from which calls are taken again
}

// advance forgets what has left the window.
func (w *window) advance(second int64) {
	for s := w.last + 1; s <= min(second, w.last+windowSeconds); s++ {
		slot := &w.counts[s%windowSeconds]
		w.total -= int(*slot)
		*slot = 0
	}
	w.last = max(w.last, second)
}

// wait is how many seconds a call comes too early, 0 when it may be taken.
func (w *window) wait(second int64, limit int) int64 {
	w.advance(second)
	if second < w.freed {
		return w.freed - second
	}
	left := w.total
	for n := int64(1); left >= limit && n <= windowSeconds; n++ {
		left -= int(w.counts[(second+n)%windowSeconds]) // the oldest second, which leaves the window then
		w.freed = second + n
	}
	return max(w.freed-second, 0)
}

func (w *window) add(second int64, calls int) {
	w.advance(second)
	w.counts[second%windowSeconds] += uint32(calls) //nolint:gosec // fewer than a server can answer
	w.total += calls
}

// idle reports whether the window would be the same if it were made anew.
func (w *window) idle(second int64) bool {
	w.advance(second)
	return w.total == 0 && w.freed <= second
}
