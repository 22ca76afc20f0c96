package storage

import (
	"context"
	"fmt"
	"sync"

	"portalhook/delivery"
)

// counts is what a transaction adds to the counters.
type counts struct {
	opened  map[uint32]int64 // by tenant
	tenants map[hourKey]*delivery.TenantHour
	hours   map[webhookHour]*hourRow
}

// webhookHour names the counters of a webhook in an hour since 1970. The tenant stands with them, so that whoever asks for a tenant's reads its
// webhooks' and no others.
type webhookHour struct {
	hour            int64
	tenant, webhook uint32
}

func (c *counts) open(tenant uint32, n int64) {
	if c.opened == nil {
		c.opened = make(map[uint32]int64)
	}
	c.opened[tenant] += n
}

// tenantHour is what is added to a tenant's counters of the hour of a time in seconds since 1970.
func (c *counts) tenantHour(tenant uint32, at int64) *delivery.TenantHour {
	if c.tenants == nil {
		c.tenants = make(map[hourKey]*delivery.TenantHour)
	}
	key := hourKey{tenant, at / 3600}
	if c.tenants[key] == nil {
		c.tenants[key] = new(delivery.TenantHour)
	}
	return c.tenants[key]
}

// attempt adds a finished attempt.
func (c *counts) attempt(s *delivery.Settlement, l *lease) {
	at := s.Attempt.StartedAt.Add(s.Attempt.Total)
	countIn(&c.tenantHour(l.tenant, at.Unix()).HourCounts, s)
	if c.hours == nil {
		c.hours = make(map[webhookHour]*hourRow)
	}
	key := webhookHour{at.Unix() / 3600, l.tenant, l.webhook}
	row := c.hours[key]
	if row == nil {
		row = new(hourRow)
		c.hours[key] = row
	}
	countIn(&row.counts, s)
	if !at.Before(row.last.At) {
		row.last = delivery.LastAttempt{Delivery: s.Delivery, At: at, State: s.State, StatusCode: s.Attempt.StatusCode}
	}
}

// end adds the end of a delivery that no attempt ended; the others are counted with their attempt.
func (c *counts) end(tenant uint32, e ending) {
	switch e.state {
	case delivery.Skipped:
		c.tenantHour(tenant, e.ended/1000).Skipped++
	case delivery.Cancelled:
		c.tenantHour(tenant, e.ended/1000).Cancelled++
	case delivery.Waiting, delivery.Sending, delivery.Succeeded, delivery.Exhausted:
	}
}

const (
	addOpened = `INSERT INTO opened AS o (slot, tenant, n) SELECT $1, tenant, n FROM unnest($2::bigint[], $3::bigint[]) AS added (tenant, n)
  ON CONFLICT (slot, tenant) DO UPDATE SET n = o.n + excluded.n`
	pgHourSums = `attempts, succeeded, failed, exhausted, took_us, latency, last_ms, last_id, last_state, last_status`
	// sumLatency adds up two rows of classes, one by one.
	sumLatency = `(SELECT array_agg(a + b ORDER BY class) FROM unnest(h.latency, excluded.latency) WITH ORDINALITY AS pair (a, b, class))`
	// pgHourAdds and pgTenantHourAdds add to a row that is there already.
	pgHourAdds = `
  ON CONFLICT (hour, tenant, webhook, slot) DO UPDATE SET attempts = h.attempts + excluded.attempts, succeeded = h.succeeded + excluded.succeeded,
    failed = h.failed + excluded.failed, exhausted = h.exhausted + excluded.exhausted, took_us = h.took_us + excluded.took_us,
    latency = ` + sumLatency + `,
    last_id = CASE WHEN excluded.last_ms >= h.last_ms THEN excluded.last_id ELSE h.last_id END,
    last_state = CASE WHEN excluded.last_ms >= h.last_ms THEN excluded.last_state ELSE h.last_state END,
    last_status = CASE WHEN excluded.last_ms >= h.last_ms THEN excluded.last_status ELSE h.last_status END,
    last_ms = greatest(h.last_ms, excluded.last_ms)`
	pgTenantHourAdds = `
  ON CONFLICT (tenant, hour, slot) DO UPDATE SET events = h.events + excluded.events, unmatched = h.unmatched + excluded.unmatched,
    planned = h.planned + excluded.planned, skipped = h.skipped + excluded.skipped, cancelled = h.cancelled + excluded.cancelled,
    attempts = h.attempts + excluded.attempts, succeeded = h.succeeded + excluded.succeeded, failed = h.failed + excluded.failed,
    exhausted = h.exhausted + excluded.exhausted, took_us = h.took_us + excluded.took_us, latency = ` + sumLatency
)

var (
	addHours = `INSERT INTO hour AS h (slot, hour, tenant, webhook, ` + pgHourSums + `)
  SELECT $1, hour, tenant, webhook, attempts, succeeded, failed, exhausted, took_us, ` + pgClasses + `, last_ms, last_id, last_state, last_status
  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
    $12::bigint[], $13::bigint[]) WITH ORDINALITY
    AS added (hour, tenant, webhook, attempts, succeeded, failed, exhausted, took_us, last_ms, last_id, last_state, last_status, n),
    (SELECT $14::bigint[]) AS all_of (latency)` + pgHourAdds
	addTenantHours = `INSERT INTO tenant_hour AS h (slot, tenant, hour, ` + tenantHourColumns + `)
  SELECT $1, tenant, hour, events, unmatched, planned, skipped, cancelled, attempts, succeeded, failed, exhausted, took_us, ` + pgClasses + `
  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
    $12::bigint[], $13::bigint[]) WITH ORDINALITY
    AS added (tenant, hour, events, unmatched, planned, skipped, cancelled, attempts, succeeded, failed, exhausted, took_us, n),
    (SELECT $14::bigint[]) AS all_of (latency)` + pgTenantHourAdds
	// pgClasses is the classes of a row: those of all rows stand in one array, one row after the other.
	pgClasses = fmt.Sprintf(`latency[(n - 1) * %[1]d + 1 : n * %[1]d]`, len(delivery.LatencyBounds)+1)
)

// flushCounts writes what the transaction has added, into rows that no other transaction under way has to do with.
func (t *pgTx) flushCounts() error {
	c := &t.counts
	q := newQueue()
	var tenants, added []int64
	for tenant, n := range c.opened {
		if n != 0 {
			tenants, added = append(tenants, int64(tenant)), append(added, n)
		}
	}
	if len(tenants) > 0 {
		q.add(addOpened, t.slot, tenants, added)
	}
	if len(c.hours) > 0 {
		columns, latency := make([][]int64, 12), []int64(nil)
		for key, row := range c.hours {
			h := &row.counts
			addRow(columns, key.hour, int64(key.tenant), int64(key.webhook), h.Attempts, h.Succeeded, h.Failed, h.Exhausted, h.Took.Microseconds(),
				unixMilli(row.last.At), int64(row.last.Delivery), int64(codeOf(row.last.State)), int64(row.last.StatusCode))
			latency = append(latency, h.Latency[:]...)
		}
		q.add(addHours, arguments(t.slot, columns, latency)...)
	}
	if len(c.tenants) > 0 {
		columns, latency := make([][]int64, 12), []int64(nil)
		for key, h := range c.tenants {
			addRow(columns, int64(key.webhook), key.hour, h.Events, h.Unmatched, h.Planned, h.Skipped, h.Cancelled, h.Attempts, h.Succeeded,
				h.Failed, h.Exhausted, h.Took.Microseconds())
			latency = append(latency, h.Latency[:]...)
		}
		q.add(addTenantHours, arguments(t.slot, columns, latency)...)
	}
	return q.send(t.ctx, t.tx)
}

func addRow(columns [][]int64, values ...int64) {
	for i, value := range values {
		columns[i] = append(columns[i], value)
	}
}

func arguments(slot int64, columns [][]int64, latency []int64) []any {
	list := []any{slot}
	for _, column := range columns {
		list = append(list, column)
	}
	return append(list, latency)
}

// openCount is the number of open deliveries: what this node has added since it joined, exactly, and what others had when they were last asked.
type openCount struct {
	mu     sync.Mutex
	node   int64 // our number
	ours   int64
	others int64
}

// add takes note of what a transaction of ours has added. One that it began under another number was counted by whoever buried that.
func (o *openCount) add(node int64, c *counts) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if node != o.node {
		return
	}
	for _, n := range c.opened {
		o.ours += n
	}
}

// is says what this node has added, where that was in doubt.
func (o *openCount) is(ours int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ours = ours
}

// begin starts anew, for a node that has just joined.
func (o *openCount) begin(node int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.node, o.ours = node, 0
}

// Open is the number of deliveries that wait or are being sent, on all nodes; what others have made or ended counts a little later.
func (p *Postgres) Open() int {
	p.opened.mu.Lock()
	defer p.opened.mu.Unlock()
	return int(max(0, p.opened.ours+p.opened.others))
}

// pgOpened is what the writers of a node have added, and what all others have.
const pgOpened = `SELECT coalesce(sum(n) FILTER (WHERE slot BETWEEN $1 AND $2), 0)::bigint,
  coalesce(sum(n) FILTER (WHERE slot NOT BETWEEN $1 AND $2), 0)::bigint FROM opened`

func (p *Postgres) readOpened(ctx context.Context, q rowQuerier) (ours, others int64, err error) {
	first := p.node.Load()*writersAtOnce + 1
	err = q.QueryRow(ctx, pgOpened, first, first+writersAtOnce-1).Scan(&ours, &others)
	if err != nil {
		err = fmt.Errorf("count open deliveries: %w", err)
	}
	return ours, others, err
}

// countOthers asks for what other nodes have added.
func (p *Postgres) countOthers(ctx context.Context) error {
	_, others, err := p.readOpened(ctx, p.pool)
	if err != nil {
		return err
	}
	p.opened.mu.Lock()
	defer p.opened.mu.Unlock()
	p.opened.others = others
	return nil
}

// foldOpened adds up what a node that is gone has counted.
func (s pgStatements) foldOpened(node int64) error {
	first := node*writersAtOnce + 1
	_, err := s.tx.Exec(s.ctx, `WITH gone AS (DELETE FROM opened WHERE slot BETWEEN $1 AND $2 RETURNING tenant, n)
  INSERT INTO opened AS o (slot, tenant, n) SELECT 0, tenant, sum(n)::bigint FROM gone GROUP BY tenant HAVING sum(n) <> 0 ORDER BY tenant
  ON CONFLICT (slot, tenant) DO UPDATE SET n = o.n + excluded.n`, first, first+writersAtOnce-1)
	return err
}

// OpenWork tells of a tenant's deliveries that have not ended, without counting them all.
func (p *Postgres) OpenWork(ctx context.Context, tenant uint32) (delivery.OpenWork, error) {
	var open delivery.OpenWork
	err := p.view(ctx, func(tx querier) error {
		var all int64
		err := tx.QueryRowContext(ctx, `SELECT coalesce((SELECT sum(n) FROM opened WHERE tenant = ?1), 0)::bigint,
  (SELECT count(*) FROM work WHERE node IS NOT NULL AND tenant = ?1)`, tenant).Scan(&all, &open.Sending)
		if err != nil {
			return err
		}
		open.Waiting = all - open.Sending
		if all == 0 {
			return nil
		}
		id, err := p.oldest(ctx, tx, tenant)
		if id != 0 {
			open.Oldest = id.Time()
		}
		return err
	})
	if err != nil {
		return delivery.OpenWork{}, fmt.Errorf("open work of tenant %d: %w", tenant, err)
	}
	return open, nil
}
