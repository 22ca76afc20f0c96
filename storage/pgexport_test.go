package storage

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// MigratePostgres makes the fixed tables of a database.
var MigratePostgres = migratePostgres

// Observed is a configuration whose statements seen is told of.
func Observed(config Config, seen func(statement string)) Config {
	config.observe = seen
	return config
}

// Beat does at once what a node does every few seconds.
func (p *Postgres) Beat(t *testing.T) {
	t.Helper()
	require.NoError(t, p.beat(t.Context()))
}

// Tidy does at once what a node does every minute.
func (p *Postgres) Tidy(t *testing.T) {
	t.Helper()
	require.NoError(t, p.tidy(t.Context()))
}

// Look has the database be asked for waiting work before the next claim.
func (p *Postgres) Look() { p.turns.forget() }

// Node is this node's number.
func (p *Postgres) Node() int64 { return p.node.Load() }

// Die ends a node without good-bye: its leases stay, until others find that it is not heard of.
func (p *Postgres) Die(t *testing.T) {
	t.Helper()
	p.node.Store(0)
	require.NoError(t, p.Close())
}

// Seal writes a segment of what is in none yet, however little.
func (p *Postgres) Seal(t *testing.T) {
	t.Helper()
	for sealed := true; sealed; {
		var err error
		sealed, err = p.sealOnce(t.Context(), 1)
		require.NoError(t, err)
	}
}

// Fold adds up what several writers have counted, also in hours that are not over.
func (p *Postgres) Fold(t *testing.T) {
	t.Helper()
	over := p.now().Add(time.Hour).Unix()/3600 + 1
	next, err := p.foldHours(t.Context(), 0, over)
	require.NoError(t, err)
	require.Equal(t, over, next)
}

// FoldDue does at once what a node does every few seconds.
func (p *Postgres) FoldDue(t *testing.T) {
	t.Helper()
	require.NoError(t, p.foldDue(t.Context()))
}

// Exec does to the tables what no method does.
func (p *Postgres) Exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	_, err := p.pool.Exec(context.WithoutCancel(t.Context()), statement, args...)
	require.NoError(t, err)
}

// Script does to the tables what no method does, in several statements.
func (p *Postgres) Script(t *testing.T, statements string) {
	t.Helper()
	_, err := p.pool.Exec(context.WithoutCancel(t.Context()), statements, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
}

// Number is the one number that a statement gives.
func (p *Postgres) Number(t *testing.T, statement string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, p.pool.QueryRow(t.Context(), statement, args...).Scan(&n))
	return n
}

// Explain gives the plan of a statement, in JSON, as the store's connections have it planned.
func (p *Postgres) Explain(t *testing.T, statement string, value func(kind string) string) string {
	t.Helper()
	conn, err := p.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	// What retention puts aside lies in tables of its transaction.
	_, err = conn.Exec(t.Context(), `CREATE TEMP TABLE IF NOT EXISTS put_aside AS SELECT * FROM event WHERE false;
CREATE TEMP TABLE IF NOT EXISTS attempts_aside AS SELECT * FROM attempt WHERE false`, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "PREPARE explained AS "+statement)
	require.NoError(t, err, statement)
	defer func() {
		_, err := conn.Exec(t.Context(), "DEALLOCATE explained")
		require.NoError(t, err)
	}()
	var kinds []string
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'explained'`).Scan(&kinds))
	execute := "EXECUTE explained"
	for i, kind := range kinds {
		execute += []string{", ", " ("}[flag(i == 0)] + "'" + value(kind) + "'::" + kind
	}
	if len(kinds) > 0 {
		execute += ")"
	}
	var plan string
	require.NoError(t, conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+execute).Scan(&plan), statement)
	return plan
}

// IsSilent reports whether an error says that the database does not answer.
func IsSilent(err error) bool { return errors.Is(err, errSilent) }

// ChangesOfWork are the statements that change many rows of work.
var ChangesOfWork = []string{pgWaitAgain, pgLineUp, pgFreeDoubtful, pgLeasedWork, pgDeleteWork}
