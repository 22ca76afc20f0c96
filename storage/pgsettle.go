package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	pgLeasedWork = `SELECT work.id, work.tenant, work.webhook, event, members, work.revision, trigger, built_ms, tries, fence, status_code, started_ms, reason, first,
    hook.key IS NOT NULL, line IS NOT NULL, coalesce(failing_ms, 0), coalesce(gave_up, 0), exhausted, coalesce(warned, 0), coalesce(told, 0), coalesce(probe, '')
  FROM work LEFT JOIN webhook AS hook ON hook.key = work.webhook LEFT JOIN health ON health.webhook = work.webhook
  WHERE work.id = ANY($1::bigint[]) AND node IS NOT NULL ORDER BY work.id FOR UPDATE OF work`
	pgWaitAgain = `UPDATE work SET tries = s.tries, due_ms = s.due_ms, node = NULL, status_code = s.status_code, started_ms = s.started_ms,
    reason = s.reason, first = s.first
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bytea[])
    AS s (id, tries, due_ms, status_code, started_ms, reason, first)` + pgLookedUp
	pgDeleteWork  = `DELETE FROM work WHERE id = ANY($1::bigint[])`
	pgInsertEnded = `INSERT INTO delivery (id, tenant, webhook, event, members, revision, trigger, state, built_ms, ended_ms, tries, status_code,
    started_ms, reason, first)
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::bytea[])`
	pgInsertAttempts = `INSERT INTO attempt (delivery, number, body) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
  ON CONFLICT (delivery, number) DO UPDATE SET body = excluded.body`
)

// pgLookedUp joins work to the rows of s by their ids, one after the other: a plan that is made while there is hardly any work would otherwise hold all work to
// each of them, and stay when there is much.
const pgLookedUp = ` CROSS JOIN LATERAL (SELECT found.ctid AS place FROM work AS found WHERE found.id = s.id OFFSET 0) AS at WHERE work.ctid = at.place`

// endedDelivery is the history of a delivery.
type endedDelivery struct {
	id     triggers.ID
	lease  lease
	ending ending
}

// insertEnded writes the history of deliveries that have ended.
func insertEnded(q *queue, all []endedDelivery) {
	if len(all) == 0 {
		return
	}
	var numbers [13][]int64
	reasons, firsts := make([]string, len(all)), make([][]byte, len(all))
	for i := range all {
		d, l := &all[i], &all[i].lease
		for column, value := range [...]int64{
			int64(d.id), int64(l.tenant), int64(l.webhook), int64(l.event), int64(l.members), l.revision, int64(l.trigger), int64(codeOf(d.ending.state)),
			l.built, d.ending.ended, int64(l.tries), int64(l.status), l.started,
		} {
			numbers[column] = append(numbers[column], value)
		}
		reasons[i], firsts[i] = pgText(d.ending.reason), bytesOrNil(l.first)
	}
	args := make([]any, 0, 15)
	for _, column := range numbers {
		args = append(args, column)
	}
	q.add(pgInsertEnded, append(args, reasons, firsts)...)
}

func bytesOrNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// Settle implements delivery.Queue.
func (p *Postgres) Settle(ctx context.Context, batch []delivery.Settlement) (stale int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	err = p.transact(ctx, func(t *pgTx) error {
		s := pgSettling{pgTx: t, batch: batch}
		err := s.settle()
		stale = s.stale
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("settle: %w", pgKnown(err))
	}
	return stale, nil
}

// pgSettling is one transaction of settlements.
type pgSettling struct {
	*pgTx
	batch []delivery.Settlement
	stale int

	leases  map[triggers.ID]*heldLease
	health  map[uint32]delivery.Health // as it was read, of those that have failed
	changed map[uint32][]int           // by webhook, the settlements that may change its health
	told    []*delivery.Notice

	waits struct {
		id, tries, due, status, started []int64
		reason                          []string
		first                           [][]byte
	}
	attempts struct {
		delivery, number []int64
		body             [][]byte
	}
	ended []endedDelivery
}

type heldLease struct {
	lease
	exists bool // its webhook
	inLine bool // of an ordered webhook
}

func (s *pgSettling) settle() error {
	if err := s.read(); err != nil {
		return err
	}
	now := s.pgTx.store.now().UnixMilli()
	for i := range s.batch {
		one := &s.batch[i]
		held := s.leases[one.Delivery]
		if held == nil || held.fence != one.Fence {
			s.stale++
			continue
		}
		delete(s.leases, one.Delivery)
		s.one(i, held, now)
	}
	if s.stale == len(s.batch) {
		return errPassedOver
	}
	q := newQueue()
	if w := &s.waits; len(w.id) > 0 {
		q.add(pgWaitAgain, w.id, w.tries, w.due, w.status, w.started, w.reason, w.first)
	}
	if len(s.attempts.delivery) > 0 {
		q.add(pgInsertAttempts, s.attempts.delivery, s.attempts.number, s.attempts.body)
	}
	if len(s.ended) > 0 {
		ids := make([]int64, len(s.ended))
		for i := range s.ended {
			ids[i] = int64(s.ended[i].id)
		}
		q.add(pgDeleteWork, ids)
		insertEnded(q, s.ended)
	}
	if err := q.send(s.ctx, s.tx); err != nil {
		return err
	}
	err := s.changeHealth(slices.Collect(maps.Keys(s.changed)), func(webhook uint32, health *delivery.Health) {
		for _, place := range s.changed[webhook] {
			_, s.told[place] = health.Note(&s.batch[place])
		}
	})
	if err != nil {
		return err
	}
	q = newQueue()
	for _, told := range s.told {
		if told != nil {
			addNotice(q, told)
		}
	}
	return q.send(s.ctx, s.tx)
}

// read locks the leased rows of work that the settlements are about.
func (s *pgSettling) read() error {
	ids := make([]int64, len(s.batch))
	for i := range s.batch {
		ids[i] = int64(s.batch[i].Delivery)
	}
	slices.Sort(ids)
	s.leases, s.health = make(map[triggers.ID]*heldLease, len(ids)), make(map[uint32]delivery.Health)
	s.changed, s.told = make(map[uint32][]int), make([]*delivery.Notice, len(s.batch))
	q := newQueue()
	q.rows(func(scan func(...any) error) error {
		held := new(heldLease)
		var id, tenant, webhook, event, trigger, fence int64
		var row healthRow
		err := scan(&id, &tenant, &webhook, &event, &held.members, &held.revision, &trigger, &held.built, &held.tries, &fence, &held.status, &held.started,
			&held.reason, &held.first, &held.exists, &held.inLine, &row.failing, &row.gaveUp, &row.exhausted, &row.warned, &row.told, &row.probe)
		if err != nil {
			return err
		}
		held.tenant, held.webhook, held.event = uint32(tenant), uint32(webhook), triggers.ID(event) //nolint:gosec // these were written from such types
		held.trigger, held.fence = uint8(trigger), uint32(fence)                                    //nolint:gosec // as above
		s.leases[triggers.ID(id)] = held
		health, err := row.health()
		if !health.IsZero() {
			s.health[held.webhook] = health
		}
		return err
	}, pgLeasedWork, slices.Compact(ids))
	return q.send(s.ctx, s.tx)
}

// one collects what one settlement says.
func (s *pgSettling) one(place int, held *heldLease, now int64) {
	one, l := &s.batch[place], &held.lease
	l.reason = one.Reason
	if one.Attempt != nil {
		s.attempt(one, l)
	}
	if held.exists {
		s.noteHealth(l.webhook, place)
	} else {
		s.told[place] = one.Notice
	}
	switch {
	case one.State == delivery.Waiting && held.exists:
		w, due := &s.waits, unixMilli(one.DueAt)
		w.id, w.tries, w.due = append(w.id, int64(one.Delivery)), append(w.tries, int64(l.tries)), append(w.due, due)
		w.status, w.started = append(w.status, int64(l.status)), append(w.started, l.started)
		w.reason, w.first = append(w.reason, pgText(l.reason)), append(w.first, bytesOrNil(l.first))
		s.marks = append(s.marks, mark{l.webhook, due})
	case one.State == delivery.Waiting:
		s.end(one.Delivery, held, ending{state: delivery.Cancelled, reason: reasonDeleted, ended: now})
	default:
		s.end(one.Delivery, held, ending{state: one.State, reason: one.Reason, ended: now})
	}
}

// noteHealth keeps what may change the health of a webhook: all that comes after the first settlement that does.
func (s *pgSettling) noteHealth(webhook uint32, place int) {
	if list := s.changed[webhook]; list != nil {
		s.changed[webhook] = append(list, place)
		return
	}
	health := s.health[webhook]
	health = health.Clone()
	changed, told := health.Note(&s.batch[place])
	if changed { // it is said again when the row is locked
		s.changed[webhook] = []int{place}
		return
	}
	s.told[place] = told
}

// attempt counts an attempt; the first stays with its delivery, later ones have rows of their own.
func (s *pgSettling) attempt(one *delivery.Settlement, l *lease) {
	attempt := *one.Attempt
	l.tries++
	attempt.Number = l.tries
	l.status, l.started = attempt.StatusCode, unixMilli(attempt.StartedAt)
	s.counts.attempt(one, l)
	body := appendAttempt(make([]byte, 0, 512), &attempt)
	if l.tries == 1 {
		l.first = body
		return
	}
	a := &s.attempts
	a.delivery, a.number, a.body = append(a.delivery, int64(one.Delivery)), append(a.number, int64(l.tries)), append(a.body, body)
}

// end notes the end of a delivery, after which the next in its line may be claimed, whenever that is.
func (s *pgSettling) end(id triggers.ID, held *heldLease, e ending) {
	s.counts.end(held.tenant, e)
	s.counts.open(held.tenant, -1)
	s.ended = append(s.ended, endedDelivery{id, held.lease, e})
	if held.inLine {
		s.marks = append(s.marks, mark{held.webhook, 0})
	}
}

// pgKnown is known for PostgreSQL's errors.
func pgKnown(err error) error {
	known := known(err)
	if failed, ok := known.(*delivery.CommitError); ok { //nolint:errorlint // that known has just made
		return pgCommitError(failed.Err)
	}
	return known
}
