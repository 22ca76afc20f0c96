package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// followInterval is how often changes are asked for that no notice came of: a connection that broke may have missed some.
	followInterval = 500 * time.Millisecond
	// followPause is between two tries to listen.
	followPause = time.Second
	// othersChannel is where nodes tell each other what passes.
	othersChannel = "portalhook_others"
)

// pgVersion is the version of the store: that of the last change that was committed, since changes are made one after another.
const pgVersion = `SELECT greatest(1, (SELECT max(version) FROM webhook), (SELECT max(version) FROM webhook_gone), (SELECT max(version) FROM tenant),
  (SELECT max(version) FROM api_key))`

// ChangesSince implements delivery.SharedStore.
func (p *Postgres) ChangesSince(ctx context.Context, version int64) (delivery.Changes, error) {
	var changes delivery.Changes
	err := p.view(ctx, func(tx querier) error {
		if err := tx.QueryRowContext(ctx, pgVersion).Scan(&changes.Version); err != nil || version == 0 || changes.Version == version {
			return err
		}
		return p.changesSince(ctx, tx, version, &changes)
	})
	if err != nil {
		return delivery.Changes{}, fmt.Errorf("what has changed: %w", err)
	}
	return changes, nil
}

func (p *Postgres) changesSince(ctx context.Context, tx querier, version int64, changes *delivery.Changes) error {
	var tenants bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM tenant WHERE version > ?1), EXISTS (SELECT 1 FROM api_key WHERE version > ?1)`, version).
		Scan(&tenants, &changes.Keys)
	if err != nil {
		return err
	}
	if tenants {
		if changes.Tenants, err = p.Tenants(ctx); err != nil {
			return err
		}
	}
	const named = `SELECT tenant, id FROM webhook WHERE version > ?1 UNION ALL SELECT tenant, id FROM webhook_gone WHERE version > ?1`
	rows, err := tx.QueryContext(ctx, named, version)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name delivery.WebhookName
		var id []byte
		if err := rows.Scan(&name.Tenant, &id); err != nil {
			return err
		}
		name.ID = triggers.WebhookID(id)
		changes.Webhooks = append(changes.Webhooks, name)
	}
	return rows.Err()
}

// pgTell hands texts to all that listen, each with the name of the process before it that it is of.
const pgTell = `SELECT pg_notify('portalhook_others', $1 || ' ' || told.text) FROM unnest($2::text[]) AS told (text)`

// Tell implements delivery.Others: the texts come to what other nodes have given to Follow.
func (p *Postgres) Tell(ctx context.Context, texts []string) error {
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := p.pool.Exec(ctx, pgTell, p.voice, texts); err != nil {
		return fmt.Errorf("tell other nodes: %w", err)
	}
	return nil
}

// Follow calls apply with what has changed after a version, as soon as it is committed, until ctx ends. What apply fails at is told again. Hear is
// called with what other nodes Tell, while there is a connection that listens.
func (p *Postgres) Follow(ctx context.Context, version int64, apply func(context.Context, *delivery.Changes) error, hear func(text string)) {
	var listening *pgx.Conn
	defer func() {
		if listening != nil {
			_ = listening.Close(context.WithoutCancel(ctx)) // nobody listens any more
		}
	}()
	failing, retryAt := false, time.Time{}
	for ctx.Err() == nil {
		if listening == nil && !time.Now().Before(retryAt) {
			var err error
			if listening, err = p.listen(ctx); err != nil {
				retryAt = time.Now().Add(followPause)
			}
		}
		changes, err := p.ChangesSince(ctx, version)
		if err == nil && changes.Version != version {
			err = apply(ctx, &changes)
		}
		if err == nil {
			version = changes.Version
		}
		if err != nil && !failing && ctx.Err() == nil {
			p.log.Error("changes of other nodes are not known; trying again", "err", err)
		}
		failing = err != nil
		if listening = p.await(ctx, listening, hear); ctx.Err() != nil {
			return
		}
	}
}

// listen opens a connection that is told of changes.
func (p *Postgres) listen(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, p.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `LISTEN portalhook_change; LISTEN portalhook_others`); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// await returns when something has changed, or after a while. It gives the connection back, nil when it is broken.
func (p *Postgres) await(ctx context.Context, listening *pgx.Conn, hear func(text string)) *pgx.Conn {
	if listening == nil {
		pause := time.NewTimer(followInterval)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, followInterval)
	defer cancel()
	for {
		told, err := listening.WaitForNotification(waiting)
		switch {
		case err != nil && listening.IsClosed():
			return nil
		case err != nil || told.Channel != othersChannel:
			return listening
		}
		if voice, text, _ := strings.Cut(told.Payload, " "); voice != p.voice {
			hear(text)
		}
	}
}

// Alone runs do while no other node does: for what is made once for all of them.
func (p *Postgres) Alone(ctx context.Context, do func(context.Context) error) (err error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, lockKind, lockFounding); err != nil {
		return err
	}
	defer func() {
		_, unlocked := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1, $2)`, lockKind, lockFounding)
		err = errors.Join(err, unlocked)
	}()
	return do(ctx)
}

// Backup cannot be made here: it says what can.
func (p *Postgres) Backup(context.Context) (*delivery.Backup, error) {
	return nil, &delivery.BackupError{
		Why: "a store on PostgreSQL is not copied by Portalhook: use PostgreSQL's own means, such as pg_dump, or a base backup with its log; keep the key file apart",
	}
}
