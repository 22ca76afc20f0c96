package web_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/web"
)

func TestParseRateLimit(t *testing.T) {
	for text, want := range map[string]web.RateLimit{
		"": {}, "off": {}, "qlik": {Tier1: 1000, Tier2: 100}, "600,60": {Tier1: 600, Tier2: 60}, "1, 1000000": {Tier1: 1, Tier2: 1000000},
	} {
		limit, err := web.ParseRateLimit(text)
		require.NoError(t, err, text)
		require.Equal(t, want, limit, text)
	}
	for _, text := range []string{"Qlik", "600", "600,", ",60", "600,60,6", "0,60", "600,0", "-1,1", "1000001,1", "1e3,1", "off,1"} {
		_, err := web.ParseRateLimit(text)
		require.ErrorContains(t, err, "such as 600,60", text)
	}
}

// call is one that was taken.
type call struct {
	second int64
	tenant uint32
	user   string
	change bool
}

// callLog is the specification of the limits: every call that was taken, looked through each time.
type callLog struct {
	limit   web.RateLimit
	users   func(tenant uint32) int
	calls   []call
	refused map[call]int64 // until which second, by tenant, user (empty: all) and tier
}

// early is how many seconds a call comes too early for those that count must be fewer than most.
func (l *callLog) early(now int64, who call, most int) int64 {
	if until := l.refused[who]; now < until {
		return until - now
	}
	for wait := int64(0); ; wait++ {
		count := 0
		for _, c := range l.calls {
			if c.tenant == who.tenant && c.change == who.change && (who.user == "" || c.user == who.user) && c.second > now+wait-300 {
				count++
			}
		}
		if count < most {
			l.refused[who] = now + wait
			return wait
		}
	}
}

func (l *callLog) take(now int64, tenant uint32, user string, change bool) int64 {
	most := l.limit.Tier1 * 5
	if change {
		most = l.limit.Tier2 * 5
	}
	if wait := l.early(now, call{tenant: tenant, user: user, change: change}, most); wait > 0 {
		return wait
	}
	if wait := l.early(now, call{tenant: tenant, change: change}, max(most, most*l.users(tenant)/2)); wait > 0 {
		return wait
	}
	l.calls = append(l.calls, call{now, tenant, user, change})
	return 0
}

// TestRateLimiterIsExact holds the limiter to the log of calls.
func TestRateLimiterIsExact(t *testing.T) {
	began := time.Now()
	rapid.Check(t, func(rt *rapid.T) {
		limit := web.RateLimit{Tier1: rapid.IntRange(1, 3).Draw(rt, "tier 1"), Tier2: rapid.IntRange(1, 2).Draw(rt, "tier 2")}
		people := map[uint32]int{1: rapid.IntRange(0, 5).Draw(rt, "users of 1"), 2: 3}
		users := func(tenant uint32) int { return people[tenant] }
		clock := began
		take := web.RateLimiter(limit, users, func() time.Time { return clock })
		log := &callLog{limit: limit, users: users, refused: map[call]int64{}}
		passed := rapid.OneOf(
			rapid.Just(time.Duration(0)), rapid.Map(rapid.IntRange(0, 5_000), milliseconds), rapid.Map(rapid.IntRange(0, 400_000), milliseconds),
		)
		for range rapid.IntRange(1, 150).Draw(rt, "calls") {
			clock = clock.Add(passed.Draw(rt, "passed"))
			people[1] = rapid.IntRange(0, 5).Draw(rt, "users of 1 by now")
			tenant, change := rapid.Uint32Range(1, 2).Draw(rt, "tenant"), rapid.Bool().Draw(rt, "change")
			user := rapid.SampledFrom([]string{"ann", "bob", "cid"}).Draw(rt, "user")
			want := log.take(int64(clock.Sub(began)/time.Second), tenant, user, change)
			require.Equal(rt, want, take(tenant, user, change))
		}
	})
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// TestRateLimiterForgets sees that users who are gone cost nothing, and that those who are not are not forgotten.
func TestRateLimiterForgets(t *testing.T) {
	clock := time.Now()
	take := web.RateLimiter(web.RateLimit{Tier1: 1, Tier2: 1}, func(uint32) int { return 100_000 }, func() time.Time { return clock })
	for n := range 5 {
		require.Zero(t, take(1, "first", true), n)
	}
	require.EqualValues(t, 300, take(1, "first", true))
	for n := range 10_000 {
		require.Zero(t, take(1, strconv.Itoa(n), true), n)
	}
	require.EqualValues(t, 300, take(1, "first", true))
	clock = clock.Add(5 * time.Minute)
	for n := range 10_000 {
		require.Zero(t, take(1, "later "+strconv.Itoa(n), true), n)
	}
	require.Zero(t, take(1, "first", true))
}

// TestManagementRateLimit asks too often, and waits.
func TestManagementRateLimit(t *testing.T) {
	clock := time.Now()
	limited := func(limit web.RateLimit) *edge {
		e := newBareEdge(t, func(c *web.Config) { c.ManagementRateLimit = limit })
		e.server.LimitBy(func() time.Time { return clock })
		return e
	}
	e := limited(web.RateLimit{Tier1: 2, Tier2: 1})
	read := func(key string) answer { return e.as(t, key, "GET", "/api/core/webhooks", "") }
	for range 10 {
		require.Equal(t, http.StatusOK, read(viewerKey).status)
		clock = clock.Add(time.Second)
	}
	a := read(viewerKey)
	require.Equal(t, http.StatusTooManyRequests, a.status)
	require.Equal(t, "290", a.header.Get("Retry-After"))
	const told = `{"errors":[{"code":"HTTP-429","title":"API rate limit reached.","detail":"You need to wait 290 seconds until limit is lifted."}]}`
	require.Equal(t, told, a.body) //nolint:testifylint // to the byte
	require.Len(t, a.header.Get("X-Request-Id"), 32)

	// Others, the other tier, events and what needs no key go on.
	require.Equal(t, http.StatusOK, read(adminKey).status)
	require.Equal(t, http.StatusTooManyRequests, e.as(t, viewerKey, "POST", "/api/v1/match", `{"uri":"`+shareURI+`"}`).status, "a dry run reads")
	for range 5 {
		e.create(t, hook)
	}
	require.Equal(t, http.StatusTooManyRequests, e.call(t, "POST", "/api/v1/webhooks", hook).status)
	require.Len(t, e.all(1), 5, "nothing is stored")
	e.post(t, share)
	require.Equal(t, http.StatusOK, e.do(t, request{method: "GET", path: "/readyz"}).status)
	require.Equal(t, http.StatusUnauthorized, read("nobody").status)
	require.Equal(t, http.StatusForbidden, e.as(t, emitterKey, "GET", "/api/v1/webhooks", "").status, "what a role may not do does not count")

	// Until the time is over, and what was refused did not count.
	clock = clock.Add(289 * time.Second)
	require.Equal(t, "1", read(viewerKey).header.Get("Retry-After"))
	clock = clock.Add(time.Second)
	require.Equal(t, http.StatusOK, read(viewerKey).status)

	// The tenant of six users may do three times as much as one of them.
	e = limited(web.RateLimit{Tier1: 1, Tier2: 1})
	taken := 0
	for _, key := range []string{adminKey, viewerKey, userKey, operatorKey} {
		for range 5 {
			if read(key).status == http.StatusOK {
				taken++
			}
		}
	}
	require.Equal(t, 15, taken)
	require.Equal(t, http.StatusOK, read(otherKey).status, "another tenant has its own")
}

// TestTiers holds the routes of webhooks to the tiers that Qlik Cloud lists, and sees that every other route has one.
func TestTiers(t *testing.T) {
	listed := map[string]int{
		"GET ": 1, "POST ": 2, "GET /event-types": 1, "GET /:webhook": 1, "PATCH /:webhook": 2, "PUT /:webhook": 2, "DELETE /:webhook": 2,
		"GET /:webhook/deliveries": 1, "GET /:webhook/deliveries/:delivery": 1, "POST /:webhook/deliveries/:delivery/actions/resend": 2,
	}
	tiers := map[string]int{}
	for _, route := range newBareEdge(t).server.Routes() {
		tiers[route.Method+" "+route.Path] = route.Tier
		if row := route.Method + " " + route.Path; !route.Public && row != "POST /api/v1/events" && row != "GET /api/v1/tail" {
			require.NotZero(t, route.Tier, "%s %s", route.Method, route.Path)
		}
	}
	for _, prefix := range []string{"/api/v1/webhooks", "/api/core/webhooks"} {
		for row, tier := range listed {
			method, path, _ := strings.Cut(row, " ")
			require.Equal(t, tier, tiers[method+" "+prefix+path], row)
		}
	}
	require.Zero(t, tiers["POST /api/v1/events"])
	require.Zero(t, tiers["GET /api/v1/tail"], "it is listened to for hours, and bounded by the number of listeners")
	require.Zero(t, tiers["GET /metrics"])
	require.Equal(t, 1, tiers["POST /api/v1/match"])
}
