package web

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
)

const (
	// shareInterval is how late other servers of the store hear of calls that count against a management rate limit.
	shareInterval = time.Second
	// callsTopic is what the texts begin with that tell of them.
	callsTopic = "calls "
)

// toldCalls are a user's calls of a tier since they were told last.
type toldCalls struct {
	Tenant uint32 `json:"t"`
	User   string `json:"u"`
	Tier   tier   `json:"k"`
	Count  int    `json:"n"`
}

// Share tells the other servers of the store of calls that count against the management rate limit, until ctx ends. So a user may not do more in all than at
// one server, but for what he does within a second.
func (s *Server) Share(ctx context.Context) {
	if s.limiter == nil || s.config.Others == nil {
		return
	}
	s.limiter.share()
	tick := time.NewTicker(shareInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		texts := encodeCalls(s.limiter.news())
		if len(texts) == 0 {
			continue
		}
		err := s.config.Others.Tell(ctx, texts)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.Warn("other servers do not hear of calls that are limited", "err", err)
		}
		failing = err != nil
	}
}

// HearOther takes in a text that another server of the store has told.
func (s *Server) HearOther(text string) {
	if ended, is := strings.CutPrefix(text, endedTopic); is {
		s.hearEnded(ended)
		return
	}
	rest, ours := strings.CutPrefix(text, callsTopic)
	var calls []toldCalls
	if !ours || s.limiter == nil || json.Unmarshal([]byte(rest), &calls) != nil {
		return // another topic, or of a version that says it otherwise
	}
	for _, c := range calls {
		if c.Tier > byMethod && c.Tier < noTier && c.Count > 0 {
			s.limiter.hear(c)
		}
	}
}

// encodeCalls writes calls in texts that may be told.
func encodeCalls(calls []toldCalls) (texts []string) {
	for part := range slices.Chunk(calls, callsAtOnce) {
		text, err := json.Marshal(part)
		if err != nil {
			continue // a user's id is text
		}
		if len(text)+len(callsTopic) > delivery.MaxTold && len(part) > 1 {
			half := len(part) / 2
			texts = append(append(texts, encodeCalls(part[:half])...), encodeCalls(part[half:])...)
			continue
		}
		texts = append(texts, callsTopic+string(text))
	}
	return texts
}

// callsAtOnce is how many users' calls one text tells of, where their ids are short.
const callsAtOnce = 100

// share has the limiter keep what others are to be told.
func (l *rateLimiter) share() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = make(map[windowKey]int)
}

// news are the calls since it was asked last.
func (l *rateLimiter) news() (calls []toldCalls) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range l.fresh {
		calls = append(calls, toldCalls{key.tenant, key.user, key.tier, n})
	}
	clear(l.fresh)
	return calls
}

// hear counts calls that another server has taken.
func (l *rateLimiter) hear(c toldCalls) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := int64(l.now().Sub(l.began) / time.Second)
	l.window(windowKey{tenant: c.Tenant, user: c.User, tier: c.Tier}, second).add(second, c.Count)
	l.window(windowKey{tenant: c.Tenant, whole: true, tier: c.Tier}, second).add(second, c.Count)
}
