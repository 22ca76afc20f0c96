package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	pgSumOfHours = `sum(attempts)::bigint, sum(succeeded)::bigint, sum(failed)::bigint, sum(exhausted)::bigint, sum(took_us)::bigint`
	// pgAskedHours counts the hours from the first to before the last; pgOfHourBegin and -End stand around the tenant whose rows of each
	// are read. OFFSET 0 keeps PostgreSQL from reading all hours first, as it would where it takes webhooks to be few, or hours many.
	pgAskedHours  = `generate_series(?1::bigint, ?2::bigint - 1) AS asked (n)`
	pgOfHourBegin = ` CROSS JOIN LATERAL (SELECT * FROM hour WHERE hour = n AND tenant = `
	pgOfHourEnd   = ` OFFSET 0) AS hour`
	pgHoursOfHook = `SELECT hour, attempts, succeeded, failed, exhausted, took_us, latency FROM ` + pgAskedHours + pgOfHourBegin + `?4 AND webhook = ?3` + pgOfHourEnd + `
  WHERE EXISTS (SELECT 1 FROM webhook WHERE key = ?3 AND tenant = ?4) ORDER BY n`
	// pgTotalsOfTenant reads what each hour has of the tenant, one row after the other, before it looks which webhooks there still are.
	pgTotalsOfTenant = `SELECT webhook, ` + pgSumOfHours + ` FROM ` + pgAskedHours + pgOfHourBegin + `?3` + pgOfHourEnd + `
  GROUP BY webhook HAVING (SELECT true FROM webhook WHERE key = hour.webhook) ORDER BY webhook`
	pgTotalsOfHooks = `SELECT webhook, ` + pgSumOfHours + ` FROM `
	pgTotalsGrouped = ` GROUP BY webhook`
	pgLastOfHooks   = `SELECT DISTINCT ON (webhook) webhook, last_ms, last_id, last_state, last_status FROM `
	pgLastOrdered   = ` ORDER BY webhook, last_ms DESC, last_id DESC`
	// pgHoursOfWanted looks every hour of every webhook wanted up; pgHoursOfNeighbours reads what each hour has of webhooks of their tenants from
	// the first to the last of them.
	pgHoursOfWanted = `unnest(?3::bigint[]) AS wanted (key) JOIN webhook AS w ON w.key = wanted.key CROSS JOIN ` + pgAskedHours +
		pgOfHourBegin + `w.tenant AND webhook = w.key` + pgOfHourEnd
	pgHoursOfNeighbours = `(SELECT DISTINCT tenant AS their FROM webhook WHERE key BETWEEN ?3::bigint AND ?4::bigint) AS tenants CROSS JOIN ` + pgAskedHours +
		pgOfHourBegin + `their AND webhook BETWEEN ?3::bigint AND ?4::bigint` + pgOfHourEnd
	pgTenantHours = `SELECT hour, events, unmatched, planned, skipped, cancelled, attempts, succeeded, failed, exhausted, took_us, latency
  FROM tenant_hour WHERE tenant = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour`
)

// lastSeenFirst is how far back the last attempt of a webhook is looked for first.
const lastSeenFirst = 2 * time.Hour

// Hourly lists the hours from the one of from until to in which a webhook of the tenant had attempts, the oldest first.
func (p *Postgres) Hourly(ctx context.Context, tenant, webhook uint32, from, to time.Time) ([]delivery.HourCounts, error) {
	first, after := hoursOf(from, to)
	var list []delivery.HourCounts
	err := p.eachPooled(ctx, pgHoursOfHook, func(scan func(...any) error) error {
		var c delivery.HourCounts
		var hour, took int64
		var latency []int64
		if err := scan(&hour, &c.Attempts, &c.Succeeded, &c.Failed, &c.Exhausted, &took, &latency); err != nil {
			return err
		}
		c.Hour, c.Took = time.Unix(hour*3600, 0).UTC(), microseconds(took)
		copy(c.Latency[:], latency)
		if n := len(list); n > 0 && list[n-1].Hour.Equal(c.Hour) { // of another writer
			list[n-1].Add(&c)
			return nil
		}
		list = append(list, c)
		return nil
	}, first, after, int64(webhook), int64(tenant))
	if err != nil {
		return nil, fmt.Errorf("counters of webhook %d: %w", webhook, err)
	}
	return list, nil
}

// TenantHours lists the hours from the one of from until to in which anything of the tenant was counted, the oldest first.
func (p *Postgres) TenantHours(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.TenantHour, error) {
	first, after := hoursOf(from, to)
	var list []delivery.TenantHour
	err := p.eachPooled(ctx, pgTenantHours, func(scan func(...any) error) error {
		var h delivery.TenantHour
		var hour, took int64
		var latency []int64
		err := scan(&hour, &h.Events, &h.Unmatched, &h.Planned, &h.Skipped, &h.Cancelled, &h.Attempts, &h.Succeeded, &h.Failed, &h.Exhausted,
			&took, &latency)
		if err != nil {
			return err
		}
		h.Hour, h.Took = time.Unix(hour*3600, 0).UTC(), microseconds(took)
		copy(h.Latency[:], latency)
		if n := len(list); n > 0 && list[n-1].Hour.Equal(h.Hour) {
			list[n-1].Add(&h)
			return nil
		}
		list = append(list, h)
		return nil
	}, int64(tenant), first, after)
	if err != nil {
		return nil, fmt.Errorf("counters of tenant %d: %w", tenant, err)
	}
	return list, nil
}

// WebhookTotals sums up the hours from the one of from until to for each of a tenant's webhooks that had attempts in them, in the order of
// their keys.
func (p *Postgres) WebhookTotals(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.WebhookTotal, error) {
	first, after := hoursOf(from, to)
	var list []delivery.WebhookTotal
	err := p.eachPooled(ctx, pgTotalsOfTenant, func(scan func(...any) error) error {
		total, err := scanTotal(scan)
		list = append(list, total)
		return err
	}, first, after, int64(tenant))
	if err != nil {
		return nil, fmt.Errorf("totals of tenant %d: %w", tenant, err)
	}
	return list, nil
}

// Summaries tells of webhooks, in the order of the keys given, what their attempts of the hours from that of since until now came to, and the
// attempt that ended last, which it looks for in the last hours and then day by day.
func (p *Postgres) Summaries(ctx context.Context, webhooks []uint32, since, now time.Time) ([]delivery.WebhookSummary, error) {
	list := make([]delivery.WebhookSummary, len(webhooks))
	places := make(map[int64]int, len(webhooks))
	for i, key := range webhooks {
		list[i].Webhook, places[int64(key)] = key, i
	}
	err := p.eachHour(ctx, pgTotalsOfHooks, pgTotalsGrouped, webhooks, since, now, func(scan func(...any) error) error {
		total, err := scanTotal(scan)
		if place, wanted := places[int64(total.Webhook)]; err == nil && wanted {
			list[place].Counts = total.HourCounts
		}
		return err
	})
	unseen := webhooks
	for to, span := now, lastSeenFirst; err == nil && len(unseen) > 0 && now.Sub(to) < lastSeen; to, span = to.Add(-span), oneDay {
		err = p.eachHour(ctx, pgLastOfHooks, pgLastOrdered, unseen, to.Add(-span), to, func(scan func(...any) error) error {
			var webhook, at, id, state int64
			last := new(delivery.LastAttempt)
			err := scan(&webhook, &at, &id, &state, &last.StatusCode)
			if place, wanted := places[webhook]; err == nil && wanted && at != 0 && list[place].Last == nil {
				last.At, last.Delivery, last.State = timeOf(at), triggers.ID(id), stateOf(state)
				list[place].Last = last
			}
			return err
		})
		unseen = slices.DeleteFunc(slices.Clone(unseen), func(key uint32) bool { return list[places[int64(key)]].Last != nil })
	}
	if err != nil {
		return nil, fmt.Errorf("summaries of webhooks: %w", err)
	}
	return list, nil
}

// eachHour runs a statement about the hours from the one of from until to of some webhooks. It may also tell of others, that lie between them.
func (p *Postgres) eachHour(ctx context.Context, begin, end string, webhooks []uint32, from, to time.Time, row func(scan func(...any) error) error) error {
	if len(webhooks) == 0 {
		return nil
	}
	first, after := hoursOf(from, to)
	least, most := int64(slices.Min(webhooks)), int64(slices.Max(webhooks))
	if most-least < maxNeighbours*int64(len(webhooks)) {
		return p.eachPooled(ctx, begin+pgHoursOfNeighbours+end, row, first, after, least, most)
	}
	keys := make([]int64, len(webhooks))
	for i, key := range webhooks {
		keys[i] = int64(key)
	}
	return p.eachPooled(ctx, begin+pgHoursOfWanted+end, row, first, after, keys)
}

// eachPooled calls row for every row of an answer, outside of transactions.
func (p *Postgres) eachPooled(ctx context.Context, text string, row func(scan func(...any) error) error, args ...any) error {
	rows, err := p.pool.Query(ctx, numbered(text), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
