package console

import (
	"net/netip"
	"sync"
	"time"
)

// How sign-ins that fail are slowed down: the first few of an address cost nothing, then each doubles the wait.
const (
	freeGuesses  = 5
	firstWait    = time.Second
	longestWait  = 15 * time.Minute
	guessMemory  = time.Hour // how long an address is remembered after its last failure
	maxAddresses = 10_000
)

// guesses counts the sign-ins that failed, by address; IPv6 by its /64, which is what one customer is given.
type guesses struct {
	mu      sync.Mutex
	failing map[netip.Prefix]failure
}

// failure is how often an address guessed wrong, and from when on it may guess again.
type failure struct {
	times int
	last  time.Time
	until time.Time
}

func newGuesses() *guesses { return &guesses{failing: make(map[netip.Prefix]failure)} }

// prefixOf is what counts as one address; everything that is none counts as one, too.
func prefixOf(client string) netip.Prefix {
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}

// wait is how long the client must wait before it may guess again; 0 when it may now.
func (g *guesses) wait(client string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.failing[prefixOf(client)].until.Sub(now))
}

// failed notes a wrong guess.
func (g *guesses) failed(client string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := prefixOf(client)
	f, known := g.failing[from]
	if known && now.Sub(f.last) > guessMemory {
		f = failure{}
	}
	if !known && len(g.failing) >= maxAddresses {
		g.forget(now)
	}
	f.times++
	f.last = now
	if over := f.times - freeGuesses; over > 0 {
		f.until = now.Add(min(longestWait, firstWait<<min(over-1, 20)))
	}
	g.failing[from] = f
}

// succeeded forgets what an address did before.
func (g *guesses) succeeded(client string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.failing, prefixOf(client))
}

// forget makes room: what is old goes and who need not wait, else any tenth, so that the next ones find room at once.
func (g *guesses) forget(now time.Time) {
	for from, f := range g.failing {
		if f.times <= freeGuesses || now.Sub(f.last) > guessMemory {
			delete(g.failing, from)
		}
	}
	for from := range g.failing {
		if len(g.failing) <= maxAddresses-maxAddresses/10 {
			break
		}
		delete(g.failing, from)
	}
}
