package storage

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"portalhook/delivery"
	"portalhook/triggers"
)

// ErrNodesAlive says that servers have the database open.
var ErrNodesAlive = errors.New("servers have the database open, or had a few seconds ago: stop them all first")

const (
	pgHoldTransfer = `SELECT pg_try_advisory_lock($1, $2)`
	pgMayJoin      = `SELECT pg_try_advisory_xact_lock_shared($1, $2)`
	pgNodesAlive   = `SELECT EXISTS (SELECT 1 FROM node WHERE seen_at >= clock_timestamp() - make_interval(secs => $1))`
	pgHoldDead     = `SELECT pg_advisory_lock($1, id::bit(32)::integer) FROM node`
	pgIsOrdered    = `SELECT key FROM webhook WHERE (settings::json ->> 'ordered')::boolean ORDER BY key`
	pgCountOpen    = `INSERT INTO opened (slot, tenant, n) SELECT 0, tenant, count(*) FROM work GROUP BY tenant`
	pgLastNumber   = `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM `
	pgSetNumber    = `SELECT setval(pg_get_serial_sequence($1, $2), $3)`
	pgSetNotice    = `SELECT setval(pg_get_serial_sequence('notice', 'id'), max(id)) FROM notice HAVING max(id) > 0`
	pgSetDrawn     = `SELECT setval('drawn', greatest(last_value, $1)) FROM drawn`
)

// postgresSide is a database that a transfer has open.
type postgresSide struct {
	base
	conn *pgx.Conn // holds the lock, writes
	read *pgx.Conn
	wait int64
}

// openPostgresSide keeps servers out of a database and brings its tables up to date. The key file must be that of its nodes, and open the
// secrets of a source.
func openPostgresSide(ctx context.Context, config Config, source bool) (_ *postgresSide, err error) {
	config = config.withDefaults()
	side := &postgresSide{}
	side.init(config)
	side.bind = numbered
	if err := side.open(ctx, config, source); err != nil {
		return nil, errors.Join(err, side.close())
	}
	return side, nil
}

func (s *postgresSide) open(ctx context.Context, config Config, source bool) error {
	if err := migratePostgres(ctx, config.URL); err != nil {
		return err
	}
	parsed, err := pgx.ParseConfig(config.URL)
	if err != nil {
		return errURL
	}
	maps.Copy(parsed.RuntimeParams, map[string]string{"application_name": "portalhook migrate", "timezone": "UTC", "jit": "off", "statement_timeout": "0"})
	if s.conn, err = pgx.ConnectConfig(ctx, parsed); err != nil {
		return err
	}
	if err := neverAsynchronous(ctx, s.conn); err != nil {
		return err
	}
	if s.read, err = pgx.ConnectConfig(ctx, parsed.Copy()); err != nil {
		return err
	}
	if err := s.keepOut(ctx); err != nil {
		return err
	}
	if s.ring, err = openKeyRing(config.KeyFile); err != nil {
		return err
	}
	known, err := s.note(ctx, noteKeys)
	if err != nil {
		return err
	}
	shared := slices.ContainsFunc(s.ring.fingerprints(), func(one string) bool { return slices.Contains(strings.Fields(known), one) })
	if known != "" && !shared {
		return fmt.Errorf("%w: %s holds none of the keys that the database's nodes have", ErrSecrets, config.KeyFile)
	}
	if !source {
		return nil
	}
	readers := stdlib.OpenDB(*parsed.Copy())
	s.readers = readers
	config.ForgetSecrets = false
	return errors.Join(s.checkSecrets(ctx, config, nil), readers.Close())
}

// keepOut has the database for the transfer alone, as long as it is connected: nobody joins any more, and nobody is there.
func (s *postgresSide) keepOut(ctx context.Context) error {
	var alone, alive bool
	if err := s.conn.QueryRow(ctx, pgHoldTransfer, lockKind, lockTransfer).Scan(&alone); err != nil {
		return err
	}
	if !alone {
		return fmt.Errorf("%w: another transfer has it open", ErrLocked)
	}
	if err := s.conn.QueryRow(ctx, pgNodesAlive, nodeSilence.Seconds()).Scan(&alive); err != nil {
		return err
	}
	if alive {
		return ErrNodesAlive
	}
	// One that is taken for dead may come back to itself: its transactions wait for this lock, and then for too long.
	_, err := s.conn.Exec(ctx, pgHoldDead, nodeKind)
	return err
}

// refuseTransfer refuses a database that a transfer has open, or has left in the middle. Until the transaction ends none begins.
func (s pgStatements) refuseTransfer() error {
	var alone bool
	if err := s.tx.QueryRow(s.ctx, pgMayJoin, lockKind, lockTransfer).Scan(&alone); err != nil {
		return err
	}
	if !alone {
		return fmt.Errorf("%w: a transfer has the database open", ErrLocked)
	}
	var text string
	err := s.tx.QueryRow(s.ctx, numbered(readNote), noteTransfer).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return unfinished(text)
}

func (s *postgresSide) close() error {
	var err error
	for _, conn := range []*pgx.Conn{s.read, s.conn} {
		if conn != nil {
			err = errors.Join(err, conn.Close(context.Background()))
		}
	}
	return err
}

func (s *postgresSide) transaction(ctx context.Context, do func(pgStatements) error) error {
	return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error { return do(pgStatements{ctx, tx}) })
}

func (s *postgresSide) days(ctx context.Context) ([]int64, error) {
	rows, err := s.conn.Query(ctx, `SELECT day FROM day ORDER BY day`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func (s *postgresSide) freed(ms int64) { s.wait = ms }

func (s *postgresSide) newest(ctx context.Context) (triggers.ID, error) {
	var last int64
	err := s.conn.QueryRow(ctx, `SELECT last_value FROM drawn`).Scan(&last)
	return triggers.ID(last), err
}

func (s *postgresSide) note(ctx context.Context, name string) (value string, err error) {
	err = s.conn.QueryRow(ctx, numbered(readNote), name).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return value, err
}

func (s *postgresSide) setNote(ctx context.Context, name, value string) error {
	_, err := s.conn.Exec(ctx, numbered(setNote), name, value)
	return err
}

// from is what a part is read from: a table, or a statement that gives what the counters of all writers come to.
func (s *postgresSide) from(p part) (string, error) {
	switch p.name {
	case tableIdentity:
		// In its first seconds a day has its names in the day before as well.
		_, first, last, err := p.day()
		return fmt.Sprintf(`(SELECT event, tenant, job, name, source, CASE job WHEN 1 THEN ''::bytea ELSE digest END AS digest, matched
  FROM %s WHERE event BETWEEN %d AND %d) AS of_day`, p, first, last), err
	case tableNumber:
		var each []string
		for _, n := range numberedTables {
			each = append(each, fmt.Sprintf(`SELECT '%[1]s' COLLATE "C" AS name, (%[3]s %[1]s_%[2]s_seq) AS last`, n.table, n.column, pgLastNumber))
		}
		return "(" + strings.Join(each, " UNION ALL ") + ") AS numbers", nil
	case tableHour, tableTenantHour:
		return fmt.Sprintf("(SELECT %s, %s FROM %s GROUP BY %[1]s) AS added", p.key(), sumsOf(p.columns[p.keys:]), p), nil
	}
	return p.String(), nil
}

func (s *postgresSide) count(ctx context.Context, p part) (n int64, err error) {
	from, err := s.from(p)
	if err != nil {
		return 0, err
	}
	err = s.read.QueryRow(ctx, `SELECT count(*) FROM `+from).Scan(&n)
	return n, err
}

func (s *postgresSide) rows(ctx context.Context, p part, after []any) rowSeq {
	columns := slices.Clone(p.columns)
	if p.name == tableWork {
		columns[slices.Index(columns, "due_ms")] = fmt.Sprintf(`coalesce(due_ms, %d)`, s.wait)
	}
	latency := p.latencyColumn()
	return func(yield func([]any, error) bool) {
		from, err := s.from(p)
		if err != nil {
			yield(nil, err)
			return
		}
		bytewise := ""
		if p.textKey {
			bytewise = ` COLLATE "C"`
		}
		text := fmt.Sprintf(`SELECT %s FROM %s WHERE %s ORDER BY %s`, strings.Join(columns, ", "), from,
			p.after(after != nil, func(n int) string { return fmt.Sprint("$", n) + bytewise }), p.key()+bytewise)
		rows, err := s.read.Query(ctx, text, after...)
		if err != nil {
			yield(nil, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			row, err := rows.Values()
			for i, value := range row {
				row[i] = asSQLite(value)
			}
			if err == nil && latency >= 0 {
				row[latency], err = latencyOfArray(row[latency])
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}

func latencyOfArray(value any) ([]byte, error) {
	list, ok := value.([]any)
	var classes [len(delivery.LatencyBounds) + 1]int64
	if !ok || len(list) != len(classes) {
		return nil, fmt.Errorf("%T is no row of %d classes", value, len(classes))
	}
	for i := range classes {
		classes[i] = integer(list[i])
	}
	return latencyOf(classes), nil
}

func (s *postgresSide) makeDays(ctx context.Context, days []int64) error {
	for _, day := range days {
		err := s.transaction(ctx, func(tx pgStatements) error {
			for i := range dayPartitions {
				if err := tx.makePartition(i, day); err != nil {
					return err
				}
			}
			return tx.run(insertDay, day)
		})
		if err != nil {
			return fmt.Errorf("make the tables of %s: %w", suffixOf(day), err)
		}
	}
	return nil
}

func (s *postgresSide) write(ctx context.Context, p part, rows [][]any, name, value string) error {
	return s.transaction(ctx, func(tx pgStatements) error {
		add := tx.addRows
		if p.name == tableNumber {
			add = tx.addNumbers
		}
		if err := add(p, rows); err != nil {
			return err
		}
		return tx.run(setNote, name, value)
	})
}

func (s pgStatements) addRows(p part, rows [][]any) error {
	columns, more := p.columns, []any(nil)
	latency := p.latencyColumn()
	if p.name == tableHour {
		var err error
		if rows, err = s.withTenants(rows); err != nil {
			return err
		}
		columns = append(slices.Clone(columns), "tenant")
	}
	switch {
	case latency >= 0:
		columns, more = append(slices.Clone(columns), "slot"), []any{int64(0)} // that of no writer
	case p.name == tableIdentity:
		day, _, _, err := p.day()
		if err != nil {
			return err
		}
		columns, more = append(slices.Clone(columns), "day"), []any{day}
	}
	_, err := s.tx.CopyFrom(s.ctx, pgx.Identifier{p.name}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		row := append(slices.Clip(rows[i]), more...)
		if latency >= 0 {
			classes := parseLatency(bytesOf(row[latency]))
			row[latency] = classes[:]
		}
		return row, nil
	}))
	return err
}

// withTenants gives rows of the table hour with the tenant of their webhook, 0 where that is gone.
func (s pgStatements) withTenants(rows [][]any) ([][]any, error) {
	webhooks, tenants := make([]int64, len(rows)), make(map[int64]int64)
	for i, row := range rows {
		webhooks[i] = integer(row[1])
	}
	err := s.each(`SELECT key, tenant FROM webhook WHERE key = ANY($1)`, "", 2, func(row []driver.Value) error {
		tenants[integer(row[0])] = integer(row[1])
		return nil
	}, webhooks)
	longer := make([][]any, len(rows))
	for i, row := range rows {
		longer[i] = append(slices.Clip(row), tenants[webhooks[i]])
	}
	return longer, err
}

func (s pgStatements) addNumbers(_ part, rows [][]any) error {
	for _, row := range rows {
		for _, n := range numberedTables {
			if n.table != row[0] || integer(row[1]) == 0 {
				continue
			}
			if _, err := s.tx.Exec(s.ctx, pgSetNumber, n.table, n.column, row[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// derive makes what SQLite has in memory: the lines of ordered webhooks, how much is open, and where numbers go on. And it notes whose secrets these
// are.
func (s *postgresSide) derive(ctx context.Context, newest triggers.ID) error {
	rows, err := s.conn.Query(ctx, pgIsOrdered)
	if err != nil {
		return err
	}
	ordered, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, webhook := range ordered {
		err := s.transaction(ctx, func(tx pgStatements) error {
			if _, err := tx.tx.Exec(ctx, pgOrdered, int64(1), webhook); err != nil {
				return err
			}
			return tx.lineUp(&s.base, webhook)
		})
		if err != nil {
			return fmt.Errorf("line up webhook %d: %w", webhook, err)
		}
	}
	return s.transaction(ctx, func(tx pgStatements) error {
		q := newQueue()
		q.add(`DELETE FROM opened`)
		q.add(pgCountOpen)
		q.add(pgSetNotice)
		q.add(pgSetDrawn, int64(newest))
		if err := q.send(ctx, tx.tx); err != nil {
			return err
		}
		return tx.run(setNote, noteKeys, strings.Join(s.ring.fingerprints(), " "))
	})
}

func (s *postgresSide) finish(ctx context.Context) error {
	_, err := s.conn.Exec(ctx, forgetNotes)
	return err
}
