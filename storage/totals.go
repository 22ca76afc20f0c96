package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	askedHours = `WITH RECURSIVE asked (n) AS (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT n + 1 FROM asked WHERE n + 1 < ?2)
  `
	sumOfHours = `sum(attempts), sum(succeeded), sum(failed), sum(exhausted), sum(took_us)`
	// totalsOfTenant looks every hour of every webhook of the tenant up, so that other tenants' webhooks cost nothing. The hours come first, as
	// they do in the table.
	totalsOfTenant = askedHours + `SELECT key, ` + sumOfHours + ` FROM asked CROSS JOIN webhook CROSS JOIN hour ON hour = n AND webhook = key
  WHERE webhook.tenant = ?3 GROUP BY key`
	// hoursOfWebhooks looks every hour of every webhook wanted up; hoursOfNeighbours reads what each hour has of webhooks between the first and the
	// last of them, which is quicker where most of those are wanted, and costs nothing where an hour has none.
	hoursOfWebhooks   = ` FROM asked CROSS JOIN json_each(?3) AS wanted CROSS JOIN hour ON hour = n AND webhook = wanted.value GROUP BY webhook`
	hoursOfNeighbours = ` FROM asked CROSS JOIN hour ON hour = n AND webhook BETWEEN ?4 AND ?5
  WHERE webhook IN (SELECT value FROM json_each(?3)) GROUP BY webhook`
	totalsOfHours = askedHours + `SELECT webhook, ` + sumOfHours
	// lastOfHours gives of each webhook the row in which the last attempt is latest: SQLite takes the other columns from the row of the max.
	lastOfHours = askedHours + `SELECT webhook, max(last_ms), last_id, last_state, last_status`
)

// WebhookTotals sums up the hours from the one of from until to for each of a tenant's webhooks that had attempts in them, in the order of
// their keys. Each webhook costs a look-up for every hour.
func (s *Store) WebhookTotals(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.WebhookTotal, error) {
	var list []delivery.WebhookTotal
	first, after := hoursOf(from, to)
	err := s.view(ctx, func(tx querier) error {
		return each(ctx, tx, totalsOfTenant, []any{first, after, tenant}, func(rows *sql.Rows) error {
			total, err := scanTotal(rows.Scan)
			list = append(list, total)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("totals of tenant %d: %w", tenant, err)
	}
	return list, nil
}

func scanTotal(scan func(...any) error) (delivery.WebhookTotal, error) {
	var t delivery.WebhookTotal
	var took int64
	err := scan(&t.Webhook, &t.Attempts, &t.Succeeded, &t.Failed, &t.Exhausted, &took)
	t.Took = microseconds(took)
	return t, err
}

// lastSeen is how far back the last attempt of a webhook is looked for, day by day.
const (
	lastSeen      = 7 * oneDay
	oneDay        = 24 * time.Hour
	maxNeighbours = 8 // between the webhooks wanted may lie so many for each of them that are not
)

// Summaries tells of webhooks, in the order of the keys given, what their attempts of the hours from that of since until now came to, and the
// attempt that ended last. Of webhooks that lie together it reads the hours in which they did anything; each of others costs a look-up for
// every hour, of a week where it has not been heard of since.
func (s *Store) Summaries(ctx context.Context, webhooks []uint32, since, now time.Time) ([]delivery.WebhookSummary, error) {
	list := make([]delivery.WebhookSummary, len(webhooks))
	places := make(map[uint32]int, len(webhooks))
	for i, key := range webhooks {
		list[i].Webhook, places[key] = key, i
	}
	err := s.view(ctx, func(tx querier) error {
		err := eachHour(ctx, tx, totalsOfHours, webhooks, since, now, func(rows *sql.Rows) error {
			total, err := scanTotal(rows.Scan)
			list[places[total.Webhook]].Counts = total.HourCounts
			return err
		})
		unseen := webhooks
		for to := now; err == nil && len(unseen) > 0 && now.Sub(to) < lastSeen; to = to.Add(-oneDay) {
			err = eachHour(ctx, tx, lastOfHours, unseen, to.Add(-oneDay), to, func(rows *sql.Rows) error {
				var webhook uint32
				var at, id, state int64
				last := new(delivery.LastAttempt)
				if err := rows.Scan(&webhook, &at, &id, &state, &last.StatusCode); err != nil || at == 0 {
					return err
				}
				last.At, last.Delivery, last.State = timeOf(at), triggers.ID(id), stateOf(state)
				list[places[webhook]].Last = last
				return nil
			})
			unseen = slices.DeleteFunc(slices.Clone(unseen), func(key uint32) bool { return list[places[key]].Last != nil })
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("summaries of webhooks: %w", err)
	}
	return list, nil
}

// eachHour runs a statement about the hours from the one of from until to of some webhooks.
func eachHour(ctx context.Context, tx querier, statement string, webhooks []uint32, from, to time.Time, row func(rows *sql.Rows) error) error {
	if len(webhooks) == 0 {
		return nil
	}
	keys, err := json.Marshal(webhooks)
	if err != nil {
		return err
	}
	first, after := hoursOf(from, to)
	args := []any{first, after, string(keys)}
	least, most := slices.Min(webhooks), slices.Max(webhooks)
	if int64(most)-int64(least) < maxNeighbours*int64(len(webhooks)) {
		return each(ctx, tx, statement+hoursOfNeighbours, append(args, least, most), row)
	}
	return each(ctx, tx, statement+hoursOfWebhooks, args, row)
}
