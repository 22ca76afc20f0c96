package storage

import (
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// A webhook's rateLimit is kept for all nodes together: what a claim takes of such a webhook it takes out of a bucket in the table rate, in the
// transaction of its leases. So whichever node has work to send may use all of the limit, and what no node uses is nobody's.

const (
	pgHooksToClaim = `SELECT key, ordered, CASE WHEN strpos(settings, '"rateLimit":') > 0 THEN (settings::json ->> 'rateLimit')::bigint END
  FROM webhook WHERE key = ANY($1::bigint[])`
	// pgLockRates leaves out those of which another node takes at the moment: nobody waits for anybody.
	pgLockRates = `SELECT webhook, tokens, filled_ms FROM rate WHERE webhook = ANY($1::bigint[]) ORDER BY webhook FOR UPDATE SKIP LOCKED`
	pgMakeRates = `INSERT INTO rate (webhook, tokens, filled_ms)
  SELECT webhook, tokens, $3 FROM unnest($1::bigint[], $2::double precision[]) AS made (webhook, tokens) ORDER BY webhook
  ON CONFLICT (webhook) DO NOTHING RETURNING webhook`
	pgSpendRates = `UPDATE rate SET tokens = spent.tokens, filled_ms = $3 FROM unnest($1::bigint[], $2::double precision[]) AS spent (webhook, tokens)
  WHERE rate.webhook = spent.webhook`
	// pgFullRates are buckets that are as good as new ones.
	pgFullRates = `DELETE FROM rate WHERE filled_ms < $1`
)

const (
	// rateIdle is after how long any bucket is full: the least that fills one is an attempt a minute.
	rateIdle = 2 * time.Minute
	// rateAhead is by how much a bucket may have been filled later than now: the clocks of nodes agree on less. What is more is the date of a clock
	// that was set.
	rateAhead = time.Second
)

// rateBucket is what is left of a webhook's limit.
type rateBucket struct {
	limit  int64 // attempts a minute
	tokens float64
	filled int64 // milliseconds since 1970
	spent  bool  // since it was read, or it has to be written for another reason
}

// most is what a bucket holds: what falls due in a second, and at least one.
func (b *rateBucket) most() float64 { return max(float64(b.limit)/60, 1) }

// fill brings the bucket up to the time, and says how many attempts may be made.
func (b *rateBucket) fill(now int64) int {
	switch passed := now - b.filled; {
	case passed > 0:
		b.tokens += float64(passed) / float64(time.Minute.Milliseconds()) * float64(b.limit)
		b.filled = now
	case -passed > rateAhead.Milliseconds():
		b.filled, b.spent = now, true
	}
	b.tokens = min(b.tokens, b.most())
	return int(math.Floor(b.tokens))
}

// hooksOf says which of the webhooks exist, whether they are ordered, and opens the buckets of those that have a limit and that no other node takes of
// at the moment.
func (c *claimer) hooksOf(tx *pgTx, keys []int64) (ordered map[uint32]bool, err error) {
	ordered, c.rates = make(map[uint32]bool, len(keys)), nil
	var limited []int64
	q := newQueue()
	q.rows(func(scan func(...any) error) error {
		var key, is int64
		var limit *int64
		if err := scan(&key, &is, &limit); err != nil {
			return err
		}
		webhook := uint32(key) //nolint:gosec // a key
		ordered[webhook] = is != 0
		if limit != nil && *limit > 0 {
			if c.rates == nil {
				c.rates = make(map[uint32]*rateBucket)
			}
			c.rates[webhook] = &rateBucket{limit: *limit}
			limited = append(limited, key)
		}
		return nil
	}, pgHooksToClaim, keys)
	if err := q.send(tx.ctx, tx.tx); err != nil || len(limited) == 0 {
		return ordered, err
	}
	return ordered, c.openRates(tx, limited)
}

func (c *claimer) openRates(tx *pgTx, webhooks []int64) error {
	rows, err := tx.tx.Query(tx.ctx, pgLockRates, webhooks)
	if err != nil {
		return err
	}
	var webhook, filled int64
	var tokens float64
	_, err = pgx.ForEachRow(rows, []any{&webhook, &tokens, &filled}, func() error {
		b := c.rates[uint32(webhook)] //nolint:gosec // a key
		b.tokens, b.filled = tokens, filled
		return nil
	})
	if err != nil {
		return err
	}
	var missing []int64
	var full []float64
	for _, webhook := range webhooks {
		if b := c.rates[uint32(webhook)]; b.filled == 0 { //nolint:gosec // a key
			missing, full = append(missing, webhook), append(full, b.most())
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err = tx.tx.Query(tx.ctx, pgMakeRates, missing, full, c.now)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&webhook}, func() error {
		b := c.rates[uint32(webhook)] //nolint:gosec // a key
		b.tokens, b.filled = b.most(), c.now
		return nil
	})
	return err // those that were not made have no tokens: another node is taking of them
}

// allowed is how much of a webhook its limit lets be claimed now, of n.
func (c *claimer) allowed(webhook uint32, n int) int {
	b := c.rates[webhook]
	if b == nil || n <= 0 {
		return n
	}
	if b.filled == 0 {
		return 0
	}
	return min(n, b.fill(c.now))
}

// spend writes what was taken since the buckets were opened.
func (c *claimer) spend(tx *pgTx, taken []leased) error {
	if c.rates == nil {
		return nil
	}
	for i := range taken {
		if b := c.rates[taken[i].lease.webhook]; b != nil {
			b.tokens, b.spent = b.tokens-1, true
		}
	}
	var webhooks []int64
	var tokens []float64
	for webhook, b := range c.rates {
		if b.spent {
			webhooks, tokens = append(webhooks, int64(webhook)), append(tokens, b.tokens)
		}
	}
	if len(webhooks) == 0 {
		return nil
	}
	if _, err := tx.tx.Exec(tx.ctx, pgSpendRates, webhooks, tokens, c.now); err != nil {
		return fmt.Errorf("rates: %w", err)
	}
	return nil
}
