package web

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// between has servers hear what others tell.
type between struct {
	mu      sync.Mutex
	servers []*Server
	texts   []string
}

// teller is a server's end of it.
type teller struct {
	*between

	from int
}

func (b teller) Tell(_ context.Context, texts []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts = append(b.texts, texts...)
	for i, s := range b.servers {
		for _, text := range texts {
			if i != b.from {
				s.HearOther(text)
			}
		}
	}
	return nil
}

// Whichever server a user asks, he may do what he may do at one: what he does is known everywhere a second later.
func TestRateLimitOfAllServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		told := new(between)
		for i := range 3 {
			limiter := newRateLimiter(RateLimit{Tier1: 2, Tier2: 1}, func(uint32) int { return 4 }, time.Now)
			s := &Server{limiter: limiter, config: Config{Others: teller{told, i}}}
			told.servers = append(told.servers, s)
			go s.Share(ctx)
		}
		synctest.Wait()
		second := func() {
			time.Sleep(shareInterval) //nolint:forbidigo // in a bubble
			synctest.Wait()
		}
		at := func(i int) *rateLimiter { return told.servers[i%3].limiter }
		for i := range 10 {
			require.Zero(t, at(i).take(1, "ann", readTier), i)
			second()
		}
		for i := range 3 {
			require.InDelta(t, 290, at(i).take(1, "ann", readTier), 3)
			require.Zero(t, at(i).take(2, "ann", readTier))
		}
		// All users together may do twice as much as one.
		for i := range 10 {
			require.Zero(t, at(i).take(1, "user "+strconv.Itoa(i), readTier), i)
		}
		second()
		for i := range 3 {
			require.Positive(t, at(i).take(1, "bob", readTier))
			require.Zero(t, at(i).take(1, "bob", changeTier), "the other tier counts by itself")
		}
		time.Sleep(5 * time.Minute) //nolint:forbidigo // in a bubble
		require.Zero(t, at(1).take(1, "ann", readTier))
		second()
		before := len(told.texts)
		second()
		require.Len(t, told.texts, before, "where nobody calls, nothing is told")

		for i := range 300 {
			at(0).take(7, strings.Repeat("long ", 100)+strconv.Itoa(i), readTier)
		}
		second()
		require.GreaterOrEqual(t, len(told.texts), before+2)
		for _, text := range told.texts {
			require.LessOrEqual(t, len(text), delivery.MaxTold)
		}
		require.Positive(t, at(1).take(7, "whoever", readTier))
		stop()
		synctest.Wait()
	})
}
