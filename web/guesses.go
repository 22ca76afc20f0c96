package web

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// How wrong keys are slowed down: the first few of an address cost nothing, then each doubles the wait.
const (
	freeGuesses  = 10
	firstWait    = time.Second
	longestWait  = time.Minute
	guessMemory  = time.Hour // how long an address is remembered after its last wrong key
	maxAddresses = 10_000
	// rememberedGuesses is how many wrong texts of an address are known again: whoever sends the same one over and over guesses nothing.
	rememberedGuesses = 4
	// keptPlaces is how many addresses are remembered that a key was used from.
	keptPlaces = 16
)

// guesses counts wrong keys by address, on all surfaces together; IPv6 by its /64, which is what one customer is given. It takes some 2 MB
// at most.
type guesses struct {
	mu      sync.Mutex
	failing map[netip.Prefix]failure
}

// failure is how often an address guessed wrong, and from when on it may guess again.
type failure struct {
	times int
	last  time.Time
	until time.Time
	texts [rememberedGuesses]uint64 // of the hashes of what was sent
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

// wait is how long the address must wait before it may guess again; 0 when it may now.
func (g *guesses) wait(from netip.Prefix, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.failing[from].until.Sub(now))
}

// failed notes a wrong text, and gives the wait that it leads to.
func (g *guesses) failed(from netip.Prefix, text string, now time.Time) time.Duration {
	sum := sha256.Sum256([]byte(text[:min(len(text), maxKeyLength)]))
	mark := binary.BigEndian.Uint64(sum[:])
	g.mu.Lock()
	defer g.mu.Unlock()
	f, known := g.failing[from]
	if known && now.Sub(f.last) > guessMemory {
		f = failure{}
	}
	if slices.Contains(f.texts[:min(f.times, rememberedGuesses)], mark) {
		return 0
	}
	if !known && len(g.failing) >= maxAddresses {
		g.forget(now)
	}
	f.texts[f.times%rememberedGuesses] = mark
	f.times++
	f.last = now
	var wait time.Duration
	if over := f.times - freeGuesses; over > 0 {
		wait = min(longestWait, firstWait<<min(over-1, 20))
		f.until = now.Add(wait)
	}
	g.failing[from] = f
	return wait
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

// places are the addresses that a key was used from, the last keptPlaces.
type places struct {
	mu   sync.Mutex
	kept []netip.Prefix
	next int // where the next one goes, once there are keptPlaces
}

func (p *places) has(from netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.kept, from)
}

func (p *places) add(from netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case slices.Contains(p.kept, from):
	case len(p.kept) < keptPlaces:
		p.kept = append(p.kept, from)
	default:
		p.kept[p.next] = from
		p.next = (p.next + 1) % keptPlaces
	}
}

// drawnLength is how many characters a key that the server has drawn has at least: 26 of base32.
const drawnLength = len(keyPrefix) + 26

// isDrawn reports whether a text looks like a key or a token that the server has made, of 130 random bits and more: nobody comes by such
// a one by guessing, so it is looked at wherever it comes from.
func isDrawn(text string) bool {
	return len(text) >= drawnLength && strings.HasPrefix(text, keyPrefix) || strings.HasPrefix(text, tokenPrefix)
}

// screen lets a key through that a text was found to be, or the token to stand for; known says that the server has made or been given the text,
// though it may open nothing any more: it is no guess then. Others count against the address that they come from, and once there were too
// many of them, what could be a guess is not answered: unless it is a key that was used from there before, whose holder may share the
// address with the one who guesses.
func (s *Server) screen(r *http.Request, text string, known bool, key *heldKey) error {
	if known && isDrawn(text) {
		return nil
	}
	from, at := prefixOf(s.echo.IPExtractor(r)), time.Now()
	if known && key.use.from.has(from) {
		return nil
	}
	if wait := s.guesses.wait(from, at); wait > 0 {
		return &problem{
			Code: codeTooManyGuesses, Index: -1, RetryAfter: wait,
			Detail: "send nothing before the time in Retry-After is over; keys that the server has drawn, and those that were used from this address before, are let in all the same",
		}
	}
	if known {
		key.use.from.add(from)
	} else if wait := s.guesses.failed(from, text, at); wait > 0 {
		s.log.Warn("wrong keys", "client", from.Addr().String(), "wait", wait)
	}
	return nil
}
