package storage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// turnsInterval is how long waiting work may lie that another node has left: this one looks for it that often, or when looking takes long,
// less often.
const turnsInterval = time.Second

// turnsShare bounds the part of the time that is spent on looking for waiting work: one twentieth.
const turnsShare = 20

// pgWaitingHooks gives every webhook with waiting work, and when the earliest of it falls due: it goes from one webhook to the next in the index,
// however much work each has.
const pgWaitingHooks = `WITH RECURSIVE hook (webhook, due_ms) AS (
  (SELECT webhook, due_ms FROM work WHERE due_ms IS NOT NULL ORDER BY webhook, due_ms, id LIMIT 1)
  UNION ALL SELECT later.webhook, later.due_ms FROM hook CROSS JOIN LATERAL (SELECT webhook, due_ms FROM work
    WHERE due_ms IS NOT NULL AND webhook > hook.webhook ORDER BY webhook, due_ms, id LIMIT 1) AS later)
  SELECT webhook, due_ms FROM hook`

// sharedTurns is whose turn it is at this node: what it has left to wait itself, at once, and what others have, when it looks. What it says is
// what may be claimed; the database says what can.
type sharedTurns struct {
	claiming sync.Mutex // held while a claim is made
	looked   time.Time  // when the database was asked last, by the holder of claiming
	pause    time.Duration

	mu    sync.Mutex
	turns turns
	// late is what was marked while a claim or a look was under way, which may not have seen it; nil when none is.
	late []mark
	open bool
}

// markAll notes waiting work.
func (t *sharedTurns) markAll(marks []mark) {
	if len(marks) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range marks {
		t.turns.mark(m.webhook, m.due)
	}
	if t.open {
		t.late = append(t.late, marks...)
	}
}

// begin has what is marked from now on noted again by end.
func (t *sharedTurns) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open, t.late = true, nil
}

// end changes the turns after a claim or a look.
func (t *sharedTurns) end(change func(*turns)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.turns)
	for _, m := range t.late {
		t.turns.mark(m.webhook, m.due)
	}
	t.open, t.late = false, nil
}

// forget has the database be asked before the next claim.
func (t *sharedTurns) forget() {
	t.claiming.Lock()
	defer t.claiming.Unlock()
	t.looked = time.Time{}
}

// lookForWork asks which webhooks have waiting work, unless that was done lately. Its caller holds claiming. Who has had its turn stays behind
// those that have not.
func (p *Postgres) lookForWork(ctx context.Context) error {
	t := &p.turns
	if !t.looked.IsZero() && time.Since(t.looked) < max(turnsInterval, t.pause) {
		return nil
	}
	began := time.Now()
	t.begin()
	waiting := make(map[uint32]int64)
	err := p.eachPooled(ctx, pgWaitingHooks, func(scan func(...any) error) error {
		var webhook, due int64
		err := scan(&webhook, &due)
		waiting[uint32(webhook)] = due //nolint:gosec // a key
		return err
	})
	t.end(func(all *turns) {
		if err != nil {
			return
		}
		fresh := newTurns()
		fresh.woken = all.woken
		for _, webhook := range all.ready {
			if due, waits := waiting[webhook]; waits {
				fresh.places[webhook] = &place{webhook: webhook, due: due, index: -1}
				fresh.ready = append(fresh.ready, webhook)
			}
		}
		for webhook, due := range waiting {
			fresh.mark(webhook, due)
		}
		*all = fresh
	})
	if err != nil {
		return fmt.Errorf("look for waiting work: %w", err)
	}
	t.looked, t.pause = time.Now(), turnsShare*time.Since(began)
	return nil
}

// lineNumber is how a line is told in the table: two that have the same number are one, which holds them back for nothing and mixes up nothing.
func lineNumber(name string) *int64 {
	n := int64(xxhash.Sum64String(name)) //nolint:gosec // any number will do
	return &n
}
