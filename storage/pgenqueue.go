package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// pgFindIdentities looks each up by its whole key. Without OFFSET 0, and without statistics of a day that has just begun, PostgreSQL would read all
	// of the day for each batch.
	pgFindIdentities = `SELECT i.tenant, i.job, i.name, i.source, event, digest, matched
  FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[]) AS wanted (tenant, job, name, source)
  CROSS JOIN unnest($5::bigint[]) AS days (day)
  CROSS JOIN LATERAL (SELECT * FROM identity WHERE identity.day = days.day AND identity.tenant = wanted.tenant AND identity.job = wanted.job
    AND identity.name = wanted.name AND identity.source = wanted.source OFFSET 0) AS i`
	pgInsertIdentities = `INSERT INTO identity (day, tenant, job, name, source, event, digest, matched)
  SELECT $1, * FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::text[], $6::bigint[], $7::bytea[], $8::bigint[])`
	pgInsertEvents = `INSERT INTO event (id, tenant, uri, event_id, source, username, when_ms, accepted_ms, body, matches, heard_by)
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[],
    $10::bytea[], $11::text[])`
	pgInsertWork = `INSERT INTO work (id, tenant, webhook, event, members, revision, trigger, built_ms, due_ms, node, line,
    tries, fence, status_code, started_ms, reason)
  SELECT *, 0, CASE WHEN node IS NULL THEN 0 ELSE 1 END, 0, 0, ''
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[]) AS made (id, tenant, webhook, event, members, revision, trigger, built_ms, due_ms, node, line)`
	pgInsertMembers = `INSERT INTO member (event, webhook, until_ms, line, size, tenant, revision, trigger)
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])`
	pgHooksOf = `SELECT key, ordered FROM webhook WHERE key = ANY($1::bigint[])`
)

// Enqueue implements delivery.Queue. Calls that come at the same time share a transaction; one that fails or conflicts does not touch the
// others. The error is a *delivery.ConflictError, a *delivery.CommitError, ErrClosed or the context's.
func (p *Postgres) Enqueue(ctx context.Context, batch []delivery.Acceptance) ([]delivery.Receipt, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &enqueueRequest{batch: batch, receipts: make([]delivery.Receipt, len(batch)), answer: make(chan error, 1)}
	p.gate.RLock()
	if p.closed {
		p.gate.RUnlock()
		return nil, ErrClosed
	}
	p.accepting <- r
	p.gate.RUnlock()
	if err := <-r.answer; err != nil {
		return nil, err
	}
	return r.receipts, nil
}

// accept stores what is handed over until the store is closed: all that waits when it begins shares a transaction.
func (p *Postgres) accept() {
	for first := range p.accepting {
		group, rows := []*enqueueRequest{first}, first.rows()
		// Whoever was about to ask gets the processor once, and so into this group.
		runtime.Gosched()
		for rows < maxGroupRows {
			select {
			case r, ok := <-p.accepting:
				if ok {
					group, rows = append(group, r), rows+r.rows()
					continue
				}
			default:
			}
			break
		}
		p.acceptGroup(group)
	}
}

// acceptGroup stores the batches of a group together, or each alone when that fails, and answers their callers.
func (p *Postgres) acceptGroup(group []*enqueueRequest) {
	err := p.transactInside(context.Background(), func(t *pgTx) error {
		a := acceptor{pgTx: t, group: group}
		return a.store()
	})
	switch {
	case err == nil:
		for _, r := range group {
			r.answer <- r.refused
		}
	case len(group) == 1 || !mayBeOfOne(err):
		for _, r := range group {
			r.answer <- pgCommitError(err)
		}
	default:
		for i := range group {
			p.acceptGroup(group[i : i+1])
		}
	}
}

// mayBeOfOne reports whether an error may be that of one batch of a group. Where it is the database's, or time's, each would only wait for it again, one after the
// other.
func mayBeOfOne(err error) bool {
	if code := codeOfError(err); code != "" {
		switch code[:2] {
		case "08", "25", "53", "55", "57", "58": // connection, state of the transaction, resources, locks, operators, system
			return false
		}
		return true
	}
	_, wire := errors.AsType[net.Error](err)
	_, away := errors.AsType[*pgconn.ConnectError](err)
	return !wire && !away && !pgconn.Timeout(err) && !errors.Is(err, errSilent) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// acceptor stores one group.
type acceptor struct {
	*pgTx
	group   []*enqueueRequest
	known   knownEvents
	ordered map[uint32]bool // of the webhooks that exist
	today   int64           // the day of the numbers

	identities []namedEvent
	events     eventColumns
	work       workColumnsOf
	members    memberColumns
	ended      []endedDelivery
}

// namedEvent is an identity that is stored.
type namedEvent struct {
	name identity
	seen
}

type eventColumns struct {
	id, tenant, when, accepted []int64
	uri, source, username      []string
	eventID, heardBy           []*string
	body, matches              [][]byte
}

// workColumnsOf are rows of work that has not been tried.
type workColumnsOf struct {
	id, tenant, webhook, event, members, revision, trigger, built []int64
	due, node, line                                               []*int64
}

func (c *workColumnsOf) add(id triggers.ID, l *lease, due, node, line *int64) {
	c.id, c.tenant, c.webhook, c.event = append(c.id, int64(id)), append(c.tenant, int64(l.tenant)), append(c.webhook, int64(l.webhook)), append(c.event, int64(l.event))
	c.members, c.revision = append(c.members, int64(l.members)), append(c.revision, l.revision)
	c.trigger, c.built = append(c.trigger, int64(l.trigger)), append(c.built, l.built)
	c.due, c.node, c.line = append(c.due, due), append(c.node, node), append(c.line, line)
}

func (c *workColumnsOf) insert(q *queue) {
	if len(c.id) > 0 {
		q.add(pgInsertWork, c.id, c.tenant, c.webhook, c.event, c.members, c.revision, c.trigger, c.built, c.due, c.node, c.line)
	}
}

type memberColumns struct {
	event, webhook, until, size, tenant, revision, trigger []int64
	line                                                   []string
}

func (a *acceptor) store() error {
	if err := a.lookUp(); err != nil {
		return err
	}
	// How many numbers are needed is known when it is known what is new.
	need := 0
	for _, r := range a.group {
		r.refused = nil
		if at, ok := a.known.conflict(r.batch); ok {
			r.refused = &delivery.ConflictError{Index: at}
			continue
		}
		need += a.numbersOf(r.batch)
	}
	told := a.noticesTold()
	if need == 0 {
		a.answerKnown()
		if told.batch.Len() == 0 {
			return errPassedOver
		}
		return told.send(a.ctx, a.tx)
	}
	if err := told.send(a.ctx, a.tx); err != nil {
		return err
	}
	next, err := a.draw(need)
	if err != nil {
		return err
	}
	a.today = dayOf(next)
	for _, r := range a.group {
		if r.refused != nil {
			continue
		}
		for i := range r.batch {
			next = a.one(&r.batch[i], &r.receipts[i], next)
		}
	}
	return a.insert()
}

// noticesTold deletes the notices that the events tell.
func (a *acceptor) noticesTold() *queue {
	q := newQueue()
	var tenants []int64
	var names []string
	for _, r := range a.group {
		for i := range r.batch {
			if e := &r.batch[i]; r.refused == nil && e.Event.URI.Resource == triggers.Webhooks {
				tenants, names = append(tenants, int64(e.Tenant)), append(names, pgText(e.Event.EventID))
			}
		}
	}
	if len(tenants) > 0 {
		q.add(pgToldNotices, tenants, names)
	}
	return q
}

// numbersOf is how many numbers the events of a batch need that are new. It notes in known that they are about to be stored, so that each is
// counted once.
func (a *acceptor) numbersOf(batch []delivery.Acceptance) (n int) {
	for i := range batch {
		name := identityOf(&batch[i])
		if !name.IsZero() {
			before := a.known[name]
			if before.id != 0 || before.counted {
				continue
			}
			before.counted = true
			a.known[name] = before
		}
		n += 1 + len(batch[i].Planned)
	}
	return n
}

func (a *acceptor) answerKnown() {
	for _, r := range a.group {
		for i := range r.batch {
			if before := a.known[identityOf(&r.batch[i])]; r.refused == nil {
				r.receipts[i] = delivery.Receipt{ID: before.id, Matched: before.matched, Duplicate: true}
			}
		}
	}
}

// lookUp reads which of the webhooks that are planned for exist, and which of the identities are known.
func (a *acceptor) lookUp() error {
	a.known, a.ordered = make(knownEvents), make(map[uint32]bool)
	var hooks []int64
	var names []identity
	for _, r := range a.group {
		for i := range r.batch {
			if name := identityOf(&r.batch[i]); !name.IsZero() {
				names = append(names, name)
			}
			for k := range r.batch[i].Planned {
				hooks = append(hooks, int64(r.batch[i].Planned[k].Webhook))
			}
		}
	}
	slices.Sort(hooks)
	q := newQueue()
	if hooks = slices.Compact(hooks); len(hooks) > 0 {
		q.orderedOf(hooks, a.ordered)
	}
	if len(names) > 0 {
		asked := make(map[[3]string]identity, len(names)) // what is read back, to what was asked
		columns := identityColumnsOf(names)
		for i, name := range names {
			asked[[3]string{fmt.Sprint(name.tenant, columns.job[i]), columns.name[i], columns.source[i]}] = name
		}
		today := a.pgTx.store.today()
		q.rows(func(scan func(...any) error) error {
			var tenant, event, matched int64
			var job int32
			var text, source string
			var digest []byte
			if err := scan(&tenant, &job, &text, &source, &event, &digest, &matched); err != nil {
				return err
			}
			found := seen{id: triggers.ID(event), matched: int(matched)}
			copy(found.digest[:], digest)
			a.known[asked[[3]string{fmt.Sprint(uint32(tenant), job), text, source}]] = found //nolint:gosec // written from one
			return nil
		}, pgFindIdentities, columns.tenant, columns.job, columns.name, columns.source, []int64{today - 1, today, today + 1})
	}
	return q.send(a.ctx, a.tx)
}

// one collects the rows of an event with the next number, or finds it a duplicate, and gives the number after them.
func (a *acceptor) one(e *delivery.Acceptance, receipt *delivery.Receipt, next triggers.ID) triggers.ID {
	name := identityOf(e)
	if before := a.known[name]; before.id != 0 {
		*receipt = delivery.Receipt{ID: before.id, Matched: before.matched, Duplicate: true}
		return next
	}
	id := next
	*receipt = delivery.Receipt{ID: id, Matched: len(e.Planned)}
	if !name.IsZero() {
		stored := seen{digest: e.Digest, id: id, matched: len(e.Planned)}
		a.known[name] = stored
		a.identities = append(a.identities, namedEvent{name, stored})
	}
	accepted := e.AcceptedAt.UnixMilli()
	when := accepted
	if e.Event.HasWhen {
		when = e.Event.When
	}
	c := &a.events
	c.id, c.tenant = append(c.id, int64(id)), append(c.tenant, int64(e.Tenant))
	c.uri, c.source, c.username = append(c.uri, pgText(e.Event.URI.String())), append(c.source, pgText(e.Event.Source)), append(c.username, pgText(e.Event.Username))
	c.eventID, c.when, c.accepted = append(c.eventID, pgTextOrNull(e.Event.EventID)), append(c.when, when), append(c.accepted, accepted)
	c.body, c.matches = append(c.body, e.Body), append(c.matches, matchesOf(e.Planned))
	heard, _ := heardBy(e.Event).(string)
	c.heardBy = append(c.heardBy, pgTextOrNull(heard))

	hour := a.counts.tenantHour(e.Tenant, e.AcceptedAt.Unix())
	hour.Events++
	hour.Planned += int64(len(e.Planned))
	if len(e.Planned) == 0 {
		hour.Unmatched++
	}
	for i := range e.Planned {
		a.plan(e, id, i, accepted)
	}
	return id + triggers.ID(1+len(e.Planned))
}

// plan collects the row of one planned delivery.
func (a *acceptor) plan(e *delivery.Acceptance, event triggers.ID, i int, accepted int64) {
	p := &e.Planned[i]
	id, l := deliveryID(event, i), newLease(e.Tenant, p, event, accepted)
	ordered, exists := a.ordered[p.Webhook]
	switch fateOf(p, exists) {
	case fateSkipped:
		a.end(id, &l, ending{state: delivery.Skipped, ended: accepted})
	case fateCancelled:
		a.end(id, &l, ending{state: delivery.Cancelled, reason: reasonDeleted, ended: accepted})
	case fateMember:
		c := &a.members
		c.event, c.webhook, c.until = append(c.event, int64(event)), append(c.webhook, int64(p.Webhook)), append(c.until, unixMilli(p.Interval))
		c.line, c.size = append(c.line, pgText(delivery.TogetherOf(&e.Event.URI))), append(c.size, int64(len(e.Body)))
		c.tenant, c.revision, c.trigger = append(c.tenant, int64(e.Tenant)), append(c.revision, p.Revision), append(c.trigger, int64(p.Trigger))
	case fateLeased:
		a.work.add(id, &l, nil, &a.node, lineIf(ordered, e))
		a.leases = append(a.leases, doubtfulLease{id, l.fence})
		a.counts.open(e.Tenant, 1)
	case fateWaiting:
		a.work.add(id, &l, &accepted, nil, lineIf(ordered, e))
		a.counts.open(e.Tenant, 1)
		a.marks = append(a.marks, mark{p.Webhook, accepted})
	}
}

func (a *acceptor) end(id triggers.ID, l *lease, e ending) {
	a.counts.end(l.tenant, e)
	a.ended = append(a.ended, endedDelivery{id, *l, e})
}

// lineIf is the line of an event's deliveries to a webhook that is ordered.
func lineIf(ordered bool, e *delivery.Acceptance) *int64 {
	if !ordered {
		return nil
	}
	return lineNumber(delivery.LineOf(&e.Event.URI, e.Body))
}

func (a *acceptor) insert() error {
	q := newQueue()
	a.insertIdentities(q)
	c := &a.events
	q.add(pgInsertEvents, c.id, c.tenant, c.uri, c.eventID, c.source, c.username, c.when, c.accepted, c.body, c.matches, c.heardBy)
	a.work.insert(q)
	if m := &a.members; len(m.event) > 0 {
		q.add(pgInsertMembers, m.event, m.webhook, m.until, m.line, m.size, m.tenant, m.revision, m.trigger)
	}
	insertEnded(q, a.ended)
	return q.send(a.ctx, a.tx)
}
