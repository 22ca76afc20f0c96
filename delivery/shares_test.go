package delivery

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

func testTarget(host string, change func(*triggers.Webhook)) *target {
	w := &triggers.Webhook{Enabled: true}
	if change != nil {
		change(w)
	}
	return &target{webhook: w, host: host, schedule: ScheduleFor(w.Retry, triggers.PortalSettings{})}
}

// yard is a shares with a few lanes, and a plain record of what went through it.
type yard struct {
	shares
	now     time.Time
	lanes   []*lane
	taken   []*job
	inside  map[*job]bool // pushed, not yet taken, returned or dropped
	pushed  int
	through int // taken or returned

	trespasses int // deliveries that took a slot of the reserve and must not
}

func newYard(limits Limits, hosts ...string) *yard {
	y := &yard{
		shares: shares{limits: limits.withDefaults()},
		now:    time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		inside: make(map[*job]bool),
	}
	for _, host := range hosts {
		y.add(testTarget(host, nil))
	}
	return y
}

func (y *yard) add(to *target) *lane {
	l := new(lane)
	y.aim(l, to)
	y.lanes = append(y.lanes, l)
	return l
}

// offer reserves and pushes up to n deliveries, and says how many found room.
func (y *yard) offer(l *lane, n int) int {
	n = min(n, y.room(l, y.now))
	y.reserve(l, n)
	for range n {
		j := &job{lane: l, size: 10, entry: &entry{lane: l}}
		y.inside[j] = true
		y.push(j)
	}
	y.pushed += n
	return n
}

// run takes all that may run.
func (y *yard) run() int {
	n := 0
	for {
		before, others := y.running, y.running-y.runningBy[fresh]
		j := y.take(y.now)
		if j == nil {
			break
		}
		if j.class != fresh && before >= y.limits.InFlight-y.limits.Reserve && others >= y.limits.Reserve {
			y.trespasses++
		}
		delete(y.inside, j)
		y.taken = append(y.taken, j)
		y.through++
		n++
	}
	y.collect()
	return n
}

// collect notes what went back to the store.
func (y *yard) collect() {
	for _, back := range y.returned {
		delete(y.inside, back.job)
		y.through++
	}
	y.returned = nil
}

func (y *yard) end(i int, outcome Outcome, took time.Duration) {
	j := y.taken[i]
	y.taken = slices.Delete(y.taken, i, i+1)
	y.done(j, result{outcome: outcome, took: took}, y.now)
	y.collect()
}

func TestShareOfAWebhook(t *testing.T) {
	y := newYard(Limits{}, "https://a:443")
	l := y.lanes[0]
	require.Equal(t, 68, y.offer(l, 100), "four may run, sixteen may wait for each of them")
	require.Equal(t, 4, y.run())

	y.end(0, Delivered, time.Millisecond)
	require.Equal(t, 2, y.run(), "one for the place that is free, one for the share that has risen")
	require.Equal(t, 5, l.limit)
	y.end(0, Delivered, 2*time.Second)
	require.Equal(t, 5, l.limit, "a slow success does not raise it")
	y.end(0, Infrastructure, time.Millisecond)
	require.Equal(t, 5, l.limit, "trouble of our own does not lower it")
	y.end(0, Rejected, time.Millisecond)
	require.Equal(t, 2, l.limit)
	y.end(0, TimedOut, 15*time.Second)
	require.Equal(t, 1, l.limit)
	y.end(0, TimedOut, 15*time.Second)
	require.Equal(t, 1, l.limit, "never less than one")

	for range 200 {
		y.offer(l, 10)
		y.run()
		y.end(0, Delivered, time.Millisecond)
	}
	require.Equal(t, shareMost, l.limit)
}

func TestReserveIsForWebhooksThatAreWell(t *testing.T) {
	y := newYard(Limits{InFlight: 16, Reserve: 4, PerHost: 100})
	for i := range 4 {
		l := y.add(testTarget(fmt.Sprintf("https://busy%d:443", i), nil))
		l.limit = 64
		y.offer(l, 50)
	}
	y.run()
	require.Equal(t, 12, y.running, "four slots are left")
	require.Equal(t, 4, y.runningBy[fresh])
	sick := y.add(testTarget("https://sick:443", nil))
	sick.failing = true
	y.offer(sick, 1)
	require.Zero(t, y.run(), "one that failed waits like the busy")
	for i := range 4 {
		well := y.add(testTarget(fmt.Sprintf("https://well%d:443", i), nil))
		require.Equal(t, 2, y.offer(well, 2))
	}
	require.Equal(t, 4, y.run(), "one delivery of each of the others")
}

func TestNobodyIsKeptOut(t *testing.T) {
	y := newYard(Limits{InFlight: 16, Reserve: 2})
	sick := y.add(testTarget("https://sick:443", nil))
	sick.failing = true
	y.offer(sick, 20)
	many := y.add(testTarget("https://many:443", nil))
	y.offer(many, 20)
	for i := range 200 {
		y.offer(y.add(testTarget(fmt.Sprintf("https://fresh%d:443", i), nil)), 1)
	}
	y.run()
	for range 60 {
		y.end(0, Delivered, 2*time.Second)
		y.run()
	}
	require.Less(t, sick.leased, 20, "a stream of fresh webhooks does not keep out those that failed")
	require.Less(t, many.leased, 19, "nor those that have much to do")
}

func TestTheIllGetHalf(t *testing.T) {
	y := newYard(Limits{InFlight: 16, Reserve: 2})
	for i := range 30 {
		l := y.add(testTarget(fmt.Sprintf("https://ill%d:443", i), nil))
		l.failing = true
		y.offer(l, 4)
	}
	require.Equal(t, 8, y.run())
	many := y.add(testTarget("https://many:443", nil))
	many.limit = 64
	y.offer(many, 64)
	require.Equal(t, 6, y.run(), "the reserve is left")
}

func TestMemoryIsSharedToo(t *testing.T) {
	y := newYard(Limits{InFlight: 8, Leased: 272})
	add := func() *lane { return y.add(testTarget(fmt.Sprintf("https://r%d:443", len(y.lanes)), nil)) }
	require.Equal(t, []int{68, 68}, []int{y.offer(add(), 100), y.offer(add(), 100)}, "up to the half as much as may run and wait")
	for y.leased < 238 {
		require.LessOrEqual(t, y.offer(add(), 50), 4, "beyond it what may run")
	}
	for y.leased < 272 {
		l := add()
		require.Equal(t, 1, y.offer(l, 50), "the last eighth is for those who have nothing")
		require.Zero(t, y.offer(l, 50))
	}
	require.Zero(t, y.offer(add(), 1))

	y = newYard(Limits{Bytes: 100})
	l := y.lanes[:0]
	for range 5 {
		l = append(l, y.add(testTarget("https://a:443", nil)))
	}
	require.Equal(t, 5, y.offer(l[0], 5))
	require.Equal(t, 4, y.offer(l[1], 5))
	require.Equal(t, 1, y.offer(l[2], 5))
	require.Zero(t, y.offer(l[3], 5))
}

func TestHostLimit(t *testing.T) {
	y := newYard(Limits{PerHost: 6}, "https://a:443", "https://a:443", "https://a:443", "https://b:443")
	for _, l := range y.lanes {
		y.offer(l, 4)
	}
	y.run()
	require.Equal(t, 6, y.lanes[0].host.running)
	require.Equal(t, 4, y.lanes[3].running, "another host is not affected")
	for y.running > 0 {
		y.end(0, Delivered, time.Minute)
		y.run()
		require.LessOrEqual(t, y.lanes[0].host.running, 6)
	}
	require.Empty(t, y.inside, "all have run")
}

func TestOpenBreakerSendsBackWhatWaits(t *testing.T) {
	y := newYard(Limits{}, "https://a:443", "https://a:443")
	a, b := y.lanes[0], y.lanes[1]
	for range 3 {
		y.offer(a, 20)
		for y.run(); len(y.taken) > 0 && !a.host.breaker.open; y.run() {
			y.end(0, Refused, time.Millisecond)
		}
	}
	require.True(t, a.host.breaker.open)
	y.run()
	require.Empty(t, y.inside)
	require.Zero(t, y.offer(a, 5))
	require.Zero(t, y.offer(b, 5), "another webhook of the same host rests as well")

	y.now = y.now.Add(breakerOpenFirst)
	for len(y.taken) > 0 {
		y.undo(y.taken[0])
		y.taken = y.taken[1:]
	}
	require.Equal(t, 1, y.offer(a, 5), "one probe")
	require.Zero(t, y.offer(b, 5), "for the whole host")
	require.Equal(t, 1, y.run())
	y.end(0, Delivered, time.Millisecond)
	for range 2 {
		require.Equal(t, 1, y.offer(b, 5))
		y.run()
		y.end(0, Delivered, time.Millisecond)
	}
	require.False(t, a.host.breaker.open)
	require.Positive(t, y.offer(a, 5))
}

func TestHoldKeepsAWebhookAlone(t *testing.T) {
	y := newYard(Limits{}, "https://a:443")
	l := y.lanes[0]
	y.offer(l, 10)
	y.run()
	j := y.taken[0]
	y.taken = y.taken[1:]
	y.done(j, result{outcome: Throttled, hold: time.Minute}, y.now)
	require.Zero(t, y.run())
	require.Empty(t, y.inside, "what waited went back")
	require.Zero(t, y.offer(l, 1))
	y.now = y.now.Add(time.Minute)
	require.Equal(t, 1, y.offer(l, 1))
	y.aim(l, testTarget("https://a:443", func(w *triggers.Webhook) { w.Enabled = false }))
	require.Zero(t, y.offer(l, 1), "nothing while it is off")
}

func TestRateLimit(t *testing.T) {
	y := newYard(Limits{})
	l := y.add(testTarget("https://a:443", func(w *triggers.Webhook) { w.RateLimit = 30 }))
	sent := 0
	for range 600 {
		sent += y.offer(l, 5)
		y.run()
		for len(y.taken) > 0 {
			y.end(0, Delivered, time.Millisecond)
		}
		y.now = y.now.Add(100 * time.Millisecond)
	}
	require.InDelta(t, 30, sent, 1, "in a minute")
	y.reserve(l, 0)
	before := l.rate.tokens
	y.reserve(l, 3)
	y.cancel(l, 3)
	require.InDelta(t, before, l.rate.tokens, 1e-9, "what was not used is given back")
}

func TestMovingAWebhookMovesItsShare(t *testing.T) {
	y := newYard(Limits{}, "https://a:443")
	l := y.lanes[0]
	y.offer(l, 10)
	y.run()
	old := l.host
	y.aim(l, testTarget("https://b:443", nil))
	require.Equal(t, "https://b:443", l.host.name)
	require.Equal(t, 10, l.host.leased)
	require.Zero(t, old.leased)
	require.NotContains(t, y.hosts, "https://a:443")
	for len(y.taken) > 0 {
		y.end(0, Refused, time.Millisecond)
	}
	require.Equal(t, shareFirst, l.limit, "what happened at the old place says nothing of the new one")
	require.Equal(t, 4, y.run())
	y.forget(l, y.now)
	y.run()
	require.Empty(t, y.hosts)
	for len(y.taken) > 0 {
		y.end(0, Delivered, time.Millisecond)
	}
	require.Zero(t, y.leased)
	require.Zero(t, y.bytes)
	require.Zero(t, y.running)
}

// TestSharesKeepTheirBounds does anything in any order and checks after every step that no bound is broken, that the sums are right
// and that nothing that could run is left standing.
func TestSharesKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{
			InFlight: rapid.IntRange(1, 12).Draw(t, "inFlight"), Reserve: 1, PerHost: rapid.IntRange(1, 6).Draw(t, "perHost"),
			Leased: rapid.IntRange(12, 40).Draw(t, "leased"),
		}
		y := newYard(limits)
		hosts := []string{"https://a:443", "https://b:443", "http://c:80"}
		target := func() *target {
			rate := rapid.SampledFrom([]int{0, 0, 0, 30, 600}).Draw(t, "rate")
			host := rapid.SampledFrom(hosts).Draw(t, "host")
			return testTarget(host, func(w *triggers.Webhook) { w.RateLimit = rate })
		}
		for range rapid.IntRange(1, 6).Draw(t, "lanes") {
			y.add(target())
		}
		pick := func() *lane { return y.lanes[rapid.IntRange(0, len(y.lanes)-1).Draw(t, "lane")] }
		t.Repeat(map[string]func(*rapid.T){
			"offer": func(t *rapid.T) { y.offer(pick(), rapid.IntRange(1, 10).Draw(t, "n")) },
			"run":   func(*rapid.T) { y.run() },
			"end": func(t *rapid.T) {
				if len(y.taken) > 0 {
					i := rapid.IntRange(0, len(y.taken)-1).Draw(t, "job")
					y.end(i, rapid.SampledFrom(Outcomes).Draw(t, "outcome"), time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms"))*time.Millisecond)
				}
			},
			"undo": func(*rapid.T) {
				if len(y.taken) > 0 {
					y.undo(y.taken[0])
					y.taken = y.taken[1:]
				}
			},
			"time": func(t *rapid.T) { y.now = y.now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "s")) * time.Second) },
			"move": func(*rapid.T) { y.aim(pick(), target()) },
			"forget": func(*rapid.T) {
				if len(y.lanes) > 1 {
					l := pick()
					y.forget(l, y.now)
					y.collect()
					y.lanes = slices.DeleteFunc(y.lanes, func(other *lane) bool { return other == l })
					y.add(target())
				}
			},
			"": func(t *rapid.T) { y.check(t) },
		})
		y.now = y.now.Add(time.Hour)
		for y.run(); len(y.taken) > 0; y.run() { // all that is inside gets through
			y.end(0, Delivered, 2*time.Second)
			y.now = y.now.Add(time.Minute)
		}
		require.Empty(t, y.inside)
		require.Equal(t, y.pushed, y.through)
		require.Zero(t, y.leased+y.running+y.bytes)
	})
}

// nextOf reports whether a lane of the host stands in a ring.
func (y *yard) nextOf(h *host) bool {
	return slices.ContainsFunc(y.lanes, func(l *lane) bool { return l.host == h && l.in == &y.rings[l.class()] })
}

func (y *yard) check(t *rapid.T) {
	require.Len(t, y.taken, y.running)
	require.Zero(t, y.trespasses)
	require.LessOrEqual(t, y.running, y.limits.InFlight)
	require.LessOrEqual(t, y.runningBy[ill], max(y.limits.InFlight/2, 1))
	require.LessOrEqual(t, y.leased, y.limits.Leased)
	perHost, perLane := make(map[*host]int), make(map[*lane]int)
	var byClass [classes]int
	for _, j := range y.taken {
		perHost[j.host]++
		perLane[j.lane]++
		byClass[j.class]++
	}
	require.Equal(t, byClass, y.runningBy)
	leasedBy := make(map[*host]int)
	waiting := 0
	for _, l := range y.lanes {
		require.Equal(t, perLane[l], l.running)
		leasedBy[l.host] += l.leased
		inside := len(l.waiting.jobs) - l.waiting.head
		waiting += inside
		require.Equal(t, l.leased, l.running+inside)
		switch runnable := inside > 0 && l.running < l.limit; {
		case !runnable:
			require.Nil(t, l.in)
		case l.in == &l.host.full:
			free := l.host.running < y.limits.PerHost
			require.True(t, !free || y.nextOf(l.host), "a lane waits for a slot that is free, and none of its host is next")
		default:
			require.Same(t, &y.rings[l.class()], l.in)
		}
	}
	require.Len(t, y.inside, waiting)
	for _, h := range y.hosts {
		require.Equal(t, perHost[h], h.running)
		require.LessOrEqual(t, h.running, y.limits.PerHost)
		require.Equal(t, leasedBy[h], h.leased)
	}
}

// Of what a webhook and a host may have, each node takes its part, and more when there are fewer nodes.
func TestSharesOfNodes(t *testing.T) {
	y := newYard(Limits{PerHost: 10}, "https://a:443", "https://b:443", "https://b:443")
	y.nodes = 4
	l := y.lanes[0]
	require.Equal(t, 17, y.offer(l, 100), "one may run, sixteen may wait for it")
	require.Equal(t, 1, y.run())
	l.limit = 7
	y.offer(l, 100)
	require.Equal(t, 1, y.run(), "a part of one is one")
	y.nodes = 3
	y.offer(l, 100)
	require.Equal(t, 1, y.run(), "a third of seven, rounded up")
	y.nodes = 1
	y.offer(l, 100)
	require.Equal(t, 4, y.run())

	y.nodes = 4
	for _, one := range y.lanes[1:] {
		one.limit = 64
		y.offer(one, 100)
	}
	require.Equal(t, 3, y.run(), "both together have a fourth of what the host may have")
	y.nodes = 100
	require.Zero(t, y.run())
	y.nodes = 2
	y.end(len(y.taken)-1, Delivered, time.Millisecond)
	require.Equal(t, 3, y.run())
}
