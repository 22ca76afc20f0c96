package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"portalhook/delivery"
)

const (
	// largeBodies bounds what bodies of events larger than keptBuffer may have in memory together, in bytes. Each is parsed, rendered and
	// written, which takes several times its size.
	largeBodies = 4 * maxEventsBody
	// largeBodyWait is how long one waits for room before it is refused.
	largeBodyWait = 5 * time.Second
)

var errLargeBodies = errors.New("too many large bodies are in memory")

// bodyRoom is the room that one request has among the large bodies: none until it asks.
type bodyRoom struct {
	of    *semaphore.Weighted
	taken int64
}

// take waits for room for a body that turns out to be large. What has not announced its length may have any up to the limit.
func (b *bodyRoom) take(r *http.Request, limit int64) error {
	need := limit
	if r.ContentLength > 0 {
		need = r.ContentLength
	}
	ctx, cancel := context.WithTimeout(r.Context(), largeBodyWait)
	defer cancel()
	if err := b.of.Acquire(ctx, need); err != nil {
		return &delivery.Overload{Status: http.StatusServiceUnavailable, RetryAfter: time.Second, Err: errLargeBodies}
	}
	b.taken = need
	return nil
}

// release gives it back.
func (b *bodyRoom) release() {
	if b.taken > 0 {
		b.of.Release(b.taken)
	}
}
