package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// hooksAtOnce is how many webhooks' work is claimed with one statement.
	hooksAtOnce = 64

	pgWorkColumns = `work.id, work.tenant, work.webhook, work.event, work.members, work.revision, work.trigger, work.built_ms, work.tries, work.fence,
  work.status_code, work.started_ms, work.reason, work.first`
	// pgClaim takes of each webhook, one after another, as many as it has room for, the earliest due first. What another node is about to take is
	// passed over.
	pgClaim = `WITH picked AS (SELECT turn.place, due.id, due.due_ms
    FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS turn (webhook, room, place)
    CROSS JOIN LATERAL (SELECT id, due_ms FROM work WHERE webhook = turn.webhook AND due_ms IS NOT NULL AND due_ms <= $3
      ORDER BY due_ms, id LIMIT turn.room FOR UPDATE SKIP LOCKED) AS due LIMIT $4)
  UPDATE work SET due_ms = NULL, node = $5, fence = work.fence + 1 FROM picked WHERE work.id = picked.id
  RETURNING ` + pgWorkColumns + `, picked.due_ms, picked.place`
	// pgHeads gives the first of each line of an ordered webhook, where that waits.
	pgHeads = `WITH RECURSIVE head (line, id, due_ms) AS (
    (SELECT line, id, due_ms FROM work WHERE webhook = $1 AND line IS NOT NULL ORDER BY line, id LIMIT 1)
    UNION ALL SELECT later.line, later.id, later.due_ms FROM head CROSS JOIN LATERAL (SELECT line, id, due_ms FROM work
      WHERE webhook = $1 AND line IS NOT NULL AND line > head.line ORDER BY line, id LIMIT 1) AS later)
  SELECT id, due_ms FROM head WHERE due_ms IS NOT NULL ORDER BY due_ms, id LIMIT $2`
	pgClaimHeads = `WITH picked AS (SELECT id, due_ms FROM work WHERE id = ANY($1::bigint[]) AND due_ms IS NOT NULL ORDER BY due_ms, id FOR UPDATE SKIP LOCKED)
  UPDATE work SET due_ms = NULL, node = $2, fence = work.fence + 1 FROM picked WHERE work.id = picked.id
  RETURNING ` + pgWorkColumns + `, picked.due_ms, 1::bigint`
	pgEarliest = `SELECT asked.webhook, (SELECT due_ms FROM work WHERE work.webhook = asked.webhook AND due_ms IS NOT NULL ORDER BY due_ms, id LIMIT 1)
  FROM unnest($1::bigint[]) AS asked (webhook)`
)

// Claim implements delivery.Queue. Free is called while the claim is made: it must not call the store.
func (p *Postgres) Claim(
	ctx context.Context, now time.Time, limit int, free func(webhook uint32) int,
) (claimed []delivery.Claimed, next time.Time, err error) {
	leave, err := p.enter()
	if err != nil {
		return nil, time.Time{}, err
	}
	defer leave()
	taken, next, err := p.claim(ctx, now.UnixMilli(), limit, free)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claim: %w", pgCommitError(err))
	}
	claimed, err = p.load(ctx, taken)
	if err != nil {
		// The work goes back into line as it was; where that fails too, it does later.
		err = fmt.Errorf("claim: %w", err)
		if _, back := p.Settle(context.WithoutCancel(ctx), givenBack(taken)); back != nil {
			p.doubts.add(doubtfulOf(taken))
			err = fmt.Errorf("%w; %w", err, back)
		}
		return nil, time.Time{}, err
	}
	return claimed, next, nil
}

func (p *Postgres) claim(ctx context.Context, now int64, limit int, free func(webhook uint32) int) (taken []leased, next time.Time, err error) {
	t := &p.turns
	t.claiming.Lock()
	defer t.claiming.Unlock()
	if err := p.lookForWork(ctx); err != nil {
		return nil, time.Time{}, err
	}
	t.begin()
	var ready []uint32
	t.mu.Lock()
	t.turns.wake(now)
	ready = append(ready, t.turns.ready...)
	t.mu.Unlock()
	var had []turn
	if len(ready) > 0 && limit > 0 {
		c := claimer{now: now, limit: limit, free: free, ready: ready, rooms: make(map[uint32]int)}
		err = p.transactInside(ctx, func(tx *pgTx) error {
			err := c.run(tx)
			tx.leases = doubtfulOf(c.taken)
			return err
		})
		taken, had = c.taken, c.had
	}
	t.end(func(all *turns) {
		if err == nil {
			all.taken(had, now)
		}
		if due, ok := all.next(); ok {
			next = timeOf(due)
		}
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return taken, next, nil
}

// claimer makes one claim.
type claimer struct {
	now   int64
	limit int
	free  func(webhook uint32) int
	ready []uint32
	rooms map[uint32]int // what free has said: it is asked once, however often the transaction is tried

	taken []leased
	had   []turn // of the first of ready
	// rates are the buckets of the present round, by webhook.
	rates map[uint32]*rateBucket
}

func (c *claimer) run(tx *pgTx) error {
	c.taken, c.had = nil, nil
	for at := 0; at < len(c.ready) && len(c.taken) < c.limit; {
		round := c.ready[at:min(at+hooksAtOnce, len(c.ready))]
		had, err := c.round(tx, round)
		if err != nil {
			return err
		}
		c.had = append(c.had, had...)
		if at += len(had); len(had) < len(round) {
			break // the limit is reached
		}
	}
	return nil
}

func (c *claimer) room(webhook uint32) int {
	room, asked := c.rooms[webhook]
	if !asked {
		room = c.free(webhook)
		c.rooms[webhook] = room
	}
	return c.allowed(webhook, room)
}

// orderedOf says which of some webhooks are ordered; those that are gone have no entry.
func (t *pgTx) orderedOf(webhooks []uint32) (map[uint32]bool, error) {
	keys := make([]int64, len(webhooks))
	for i, webhook := range webhooks {
		keys[i] = int64(webhook)
	}
	ordered := make(map[uint32]bool, len(webhooks))
	q := newQueue()
	q.orderedOf(keys, ordered)
	return ordered, q.send(t.ctx, t.tx)
}

// orderedOf reads which of some webhooks are ordered into a map.
func (q *queue) orderedOf(webhooks []int64, into map[uint32]bool) {
	q.rows(func(scan func(...any) error) error {
		var key, is int64
		err := scan(&key, &is)
		into[uint32(key)] = is != 0 //nolint:gosec // a key
		return err
	}, pgHooksOf, webhooks)
}

// round claims of some webhooks, and says what became of the first of them: of those that had their turn before the limit was reached.
func (c *claimer) round(tx *pgTx, webhooks []uint32) ([]turn, error) {
	keys := make([]int64, len(webhooks))
	for i, webhook := range webhooks {
		keys[i] = int64(webhook)
	}
	ordered, err := c.hooksOf(tx, keys)
	if err != nil {
		return nil, err
	}
	before := len(c.taken)
	had, err := c.inTurn(tx, webhooks, ordered)
	if err != nil {
		return nil, err
	}
	return had, c.spend(tx, c.taken[before:])
}

// inTurn is round, of webhooks of which it is known which exist, and whether they are ordered.
func (c *claimer) inTurn(tx *pgTx, webhooks []uint32, ordered map[uint32]bool) ([]turn, error) {
	had := make([]turn, 0, len(webhooks))
	for at := 0; at < len(webhooks); {
		if c.limit == len(c.taken) {
			return had, nil
		}
		if inOrder, exists := ordered[webhooks[at]]; exists && inOrder {
			one, err := c.heads(tx, webhooks[at])
			if err != nil {
				return nil, err
			}
			had = append(had, one)
			at++
			continue
		}
		end := at + 1
		for end < len(webhooks) && !ordered[webhooks[end]] {
			end++
		}
		some, err := c.plain(tx, webhooks[at:end], ordered)
		if err != nil {
			return nil, err
		}
		had = append(had, some...)
		if at += len(some); at < end {
			return had, nil // the limit is reached
		}
	}
	return had, nil
}

// plain claims of webhooks that are not ordered.
func (c *claimer) plain(tx *pgTx, webhooks []uint32, exists map[uint32]bool) ([]turn, error) {
	keys, rooms := make([]int64, 0, len(webhooks)), make([]int64, 0, len(webhooks))
	for _, webhook := range webhooks {
		room := 0
		if _, ok := exists[webhook]; ok { // what waits for one that is gone is cancelled by whoever deletes it
			room = c.room(webhook)
		}
		keys, rooms = append(keys, int64(webhook)), append(rooms, int64(min(max(room, 0), c.limit)))
	}
	before := len(c.taken)
	rows, err := tx.tx.Query(tx.ctx, pgClaim, keys, rooms, c.now, int64(c.limit-before), tx.node)
	if err != nil {
		return nil, err
	}
	last, err := c.collect(rows)
	if err != nil {
		return nil, err
	}
	served := len(webhooks)
	if len(c.taken) == c.limit {
		served = last
	}
	earliest := make(map[uint32]int64, served)
	q := newQueue()
	q.rows(func(scan func(...any) error) error {
		var webhook int64
		var due *int64
		err := scan(&webhook, &due)
		if due != nil {
			earliest[uint32(webhook)] = *due //nolint:gosec // a key
		}
		return err
	}, pgEarliest, keys[:served])
	if err := q.send(tx.ctx, tx.tx); err != nil {
		return nil, err
	}
	had := make([]turn, served)
	for i, webhook := range webhooks[:served] {
		due, left := earliest[webhook]
		had[i] = turn{webhook, left, due}
	}
	return had, nil
}

// heads claims of an ordered webhook, of each line the first.
func (c *claimer) heads(tx *pgTx, webhook uint32) (turn, error) {
	room := min(max(c.room(webhook), 0), c.limit-len(c.taken))
	// One more than may be taken says what is left.
	rows, err := tx.tx.Query(tx.ctx, pgHeads, int64(webhook), int64(room+1))
	if err != nil {
		return turn{}, err
	}
	type head struct{ ID, Due int64 }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[head])
	if err != nil {
		return turn{}, err
	}
	var ids []int64
	had := turn{webhook: webhook}
	for i, one := range found {
		if i < room && one.Due <= c.now {
			ids = append(ids, one.ID)
			continue
		}
		had.left, had.due = true, one.Due
		break
	}
	if len(ids) == 0 {
		return had, nil
	}
	rows, err = tx.tx.Query(tx.ctx, pgClaimHeads, ids, tx.node)
	if err != nil {
		return turn{}, err
	}
	_, err = c.collect(rows)
	return had, err
}

// collect takes the rows of a claim, the earliest due of each webhook first, and says which webhook of those asked was the last that had any.
func (c *claimer) collect(rows pgx.Rows) (last int, err error) {
	defer rows.Close()
	type placed struct {
		leased
		place int64
	}
	var found []placed
	for rows.Next() {
		var one placed
		var id, tenant, webhook, event, trigger, fence int64
		l := &one.lease
		err := rows.Scan(&id, &tenant, &webhook, &event, &l.members, &l.revision, &trigger, &l.built, &l.tries, &fence, &l.status, &l.started,
			&l.reason, &l.first, &one.due, &one.place)
		if err != nil {
			return 0, err
		}
		one.id, l.tenant, l.webhook, l.event = triggers.ID(id), uint32(tenant), uint32(webhook), triggers.ID(event) //nolint:gosec // written from such types
		l.trigger, l.fence = uint8(trigger), uint32(fence)                                                          //nolint:gosec // as above
		found = append(found, one)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	slices.SortFunc(found, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id))
	})
	for i := range found {
		c.taken = append(c.taken, found[i].leased)
		last = int(found[i].place)
	}
	return last, nil
}
