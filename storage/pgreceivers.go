package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"portalhook/delivery"
	"portalhook/triggers"
)

// The built-in receivers of all nodes. What they hold is sealed: it may be a webhook's secret, and headers that only receivers see.

const (
	pgReceiverColumns = `receiver.token, tenant, made_ms, used_ms, received, receiver.body, (SELECT count(*) FROM arrival WHERE arrival.token = receiver.token)`
	pgReceiver        = `SELECT ` + pgReceiverColumns + ` FROM receiver WHERE token = $1 AND used_ms > $2`
	pgReceivers       = `SELECT ` + pgReceiverColumns + ` FROM receiver WHERE tenant = $1 AND used_ms > $2 ORDER BY made_ms, token`
	pgCountReceivers  = `SELECT count(*), count(*) FILTER (WHERE tenant = $1) FROM receiver`
	pgUnusedReceivers = `DELETE FROM receiver WHERE used_ms <= $1`
	pgAddReceiver     = `INSERT INTO receiver (token, tenant, made_ms, used_ms, received, body) VALUES ($1, $2, $3, $4, 0, $5)`
	pgChangeReceiver  = `UPDATE receiver SET used_ms = $2, received = $3, body = $4 WHERE token = $1`
	pgRemoveReceiver  = `DELETE FROM receiver WHERE token = $1`
	pgArrivals        = `SELECT number, size, body FROM arrival WHERE token = $1 AND number > $2 ORDER BY number DESC`
	pgArrivalSizes    = `SELECT number, size FROM arrival WHERE token = $1 ORDER BY number DESC`
	pgAddArrival      = `INSERT INTO arrival (token, number, size, body) VALUES ($1, $2, $3, $4)`
	pgOldArrivals     = `DELETE FROM arrival WHERE token = $1 AND number <= $2`
)

// sealed is a text as it is kept of a receiver.
func (p *Postgres) sealed(text []byte, token string) string {
	return p.ring.seal(triggers.NewSecret(string(text)), sealPlace{field: "receiver " + token})
}

func (p *Postgres) unsealed(text, token string) ([]byte, error) {
	opened, err := p.ring.open(text, sealPlace{field: "receiver " + token})
	return []byte(opened.Reveal()), err
}

func (p *Postgres) scanReceiver(row pgx.CollectableRow) (r delivery.BuiltIn, err error) {
	var tenant, made, used, kept int64
	var body string
	if err := row.Scan(&r.Token, &tenant, &made, &used, &r.Received, &body, &kept); err != nil {
		return r, err
	}
	r.Tenant, r.Made, r.Used, r.Kept = uint32(tenant), timeOf(made), timeOf(used), int(kept) //nolint:gosec // written from one
	r.Body, err = p.unsealed(body, r.Token)
	return r, err
}

// AddReceiver keeps a new receiver; false when there are as many as there may be.
func (p *Postgres) AddReceiver(ctx context.Context, r *delivery.BuiltIn, limits delivery.BuiltInLimits) (added bool, err error) {
	leave, err := p.enter()
	if err != nil {
		return false, err
	}
	defer leave()
	err = p.plain(ctx, func(tx pgStatements) error {
		if err := tx.lock(lockReceivers, false); err != nil {
			return err
		}
		if _, err := tx.tx.Exec(ctx, pgUnusedReceivers, unixMilli(limits.Since)); err != nil {
			return err
		}
		var all, own int
		if err := tx.tx.QueryRow(ctx, pgCountReceivers, int64(r.Tenant)).Scan(&all, &own); err != nil {
			return err
		}
		if added = all < limits.All && own < limits.Tenant; !added {
			return nil
		}
		_, err := tx.tx.Exec(ctx, pgAddReceiver, r.Token, int64(r.Tenant), unixMilli(r.Made), unixMilli(r.Used), p.sealed(r.Body, r.Token))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("add receiver: %w", pgCommitError(err))
	}
	return added, nil
}

// Receiver is the receiver with the token, triggers.ErrNotFound when there is none, or it was used last before a date.
func (p *Postgres) Receiver(ctx context.Context, token string, since time.Time) (delivery.BuiltIn, error) {
	leave, err := p.enter()
	if err != nil {
		return delivery.BuiltIn{}, err
	}
	defer leave()
	rows, err := p.pool.Query(ctx, pgReceiver, pgText(token), unixMilli(since))
	return p.oneReceiver(rows, err)
}

func (p *Postgres) oneReceiver(rows pgx.Rows, err error) (r delivery.BuiltIn, _ error) {
	if err == nil {
		r, err = pgx.CollectExactlyOneRow(rows, p.scanReceiver)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = triggers.ErrNotFound
	}
	if err != nil {
		return r, fmt.Errorf("receiver: %w", err)
	}
	return r, nil
}

// Receivers are those of a tenant that were used since, the oldest first.
func (p *Postgres) Receivers(ctx context.Context, tenant uint32, since time.Time) ([]delivery.BuiltIn, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := p.pool.Query(ctx, pgReceivers, int64(tenant), unixMilli(since))
	if err != nil {
		return nil, fmt.Errorf("receivers: %w", err)
	}
	return pgx.CollectRows(rows, p.scanReceiver)
}

// ChangeReceiver has change look at a receiver, and change it, while nobody else does, and keeps what it gives as arrived; nil is nothing. An error of change
// comes back, and nothing has changed.
func (p *Postgres) ChangeReceiver(
	ctx context.Context, token string, since time.Time, limits delivery.ArrivedLimits, change func(*delivery.BuiltIn) (*delivery.Arrived, error),
) error {
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	var refused error // by change
	err = p.plain(ctx, func(tx pgStatements) error {
		rows, err := tx.tx.Query(ctx, pgReceiver+` FOR UPDATE`, pgText(token), unixMilli(since))
		r, err := p.oneReceiver(rows, err)
		if err != nil {
			return err
		}
		arrived, err := change(&r)
		if err != nil {
			refused = err
			return err
		}
		if _, err := tx.tx.Exec(ctx, pgChangeReceiver, token, unixMilli(r.Used), r.Received, p.sealed(r.Body, token)); err != nil || arrived == nil {
			return err
		}
		if _, err := tx.tx.Exec(ctx, pgAddArrival, token, arrived.Number, int64(arrived.Size), p.sealed(arrived.Body, token)); err != nil {
			return err
		}
		return tx.dropArrivals(token, limits)
	})
	switch {
	case refused != nil:
		return refused
	case errors.Is(err, triggers.ErrNotFound):
		return err
	}
	return pgCommitError(err)
}

// dropArrivals forgets what is beyond the limits.
func (s pgStatements) dropArrivals(token string, limits delivery.ArrivedLimits) error {
	rows, err := s.tx.Query(s.ctx, pgArrivalSizes, token)
	if err != nil {
		return err
	}
	var numbers []int64
	var sizes []int
	var number int64
	var size int
	_, err = pgx.ForEachRow(rows, []any{&number, &size}, func() error {
		numbers, sizes = append(numbers, number), append(sizes, size)
		return nil
	})
	if err != nil {
		return err
	}
	keep := limits.Keeps(sizes)
	if keep == len(sizes) {
		return nil
	}
	_, err = s.tx.Exec(s.ctx, pgOldArrivals, token, numbers[keep])
	return err
}

// RemoveReceiver forgets a receiver with all that arrived.
func (p *Postgres) RemoveReceiver(ctx context.Context, token string) error {
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := p.pool.Exec(ctx, pgRemoveReceiver, pgText(token)); err != nil {
		return fmt.Errorf("remove receiver: %w", pgCommitError(err))
	}
	return nil
}

// Arrivals are what arrived at a receiver after a number, the newest first.
func (p *Postgres) Arrivals(ctx context.Context, token string, after int64) ([]delivery.Arrived, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := p.pool.Query(ctx, pgArrivals, pgText(token), after)
	if err != nil {
		return nil, fmt.Errorf("arrivals: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a delivery.Arrived, err error) {
		var body string
		if err := row.Scan(&a.Number, &a.Size, &body); err != nil {
			return a, err
		}
		a.Body, err = p.unsealed(body, token)
		return a, err
	})
}
