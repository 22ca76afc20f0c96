package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"portalhook/delivery"
	"portalhook/triggers"
)

//go:embed migrations/postgres/*.sql
var postgresMigrations embed.FS

// Postgres is a store on PostgreSQL. Any number of processes, called nodes, may have the same database open. All its methods may be
// called at the same time.
type Postgres struct {
	base
	pool  *pgxpool.Pool // of what writes
	draws *pgxpool.Pool // of what draws numbers, while a connection of pool is held
	clock serverClock
	// connections are those of both, and of who listens.
	connections pgConnections
	doubts      doubts

	voice string       // names this process to others, whatever becomes of its row
	node  atomic.Int64 // our row in the table node; another one after we have been taken for dead
	joins sync.Mutex   // held while the row is made
	leads atomic.Bool  // it is the oldest node that is alive
	alive atomic.Int32 // how many nodes are, as far as it has heard
	slots slots        // of those who write: each has counters of its own, and there are so many at the same time
	// legacyCloud is that of the revisions that are made.
	legacyCloud atomic.Bool
	days        knownDays
	lastDay     atomic.Int64 // of the number that was drawn last
	accepting   chan *enqueueRequest
	turns       sharedTurns
	opened      openCount
	folds       folds

	closing chan struct{} // closed when Close begins
	gate    sync.RWMutex  // held for reading while a call uses the pools
	closed  bool
	running sync.WaitGroup
}

var (
	_ delivery.Queue         = (*Postgres)(nil)
	_ delivery.WebhookStore  = (*Postgres)(nil)
	_ delivery.RecoveryStore = (*Postgres)(nil)
	_ delivery.Shifter       = (*Postgres)(nil)
	_ delivery.SharedStore   = (*Postgres)(nil)
	_ delivery.Sharing       = (*Postgres)(nil)
	_ delivery.Others        = (*Postgres)(nil)
)

const (
	// writersAtOnce is how many transactions of a node write at the same time.
	writersAtOnce = 8
	// acceptersAtOnce is how many of them accept events: one gathers what comes while another commits.
	acceptersAtOnce = 3
	// keepersAtOnce is how many connections are left to what keeps the node alive, however many people read and write.
	keepersAtOnce = 3
	// postgresConnections bounds the connections of a node, where the URL does not say pool_max_conns.
	postgresConnections = 24
)

// OpenPostgres opens the database at Config.URL, making its tables when there are none, and brings them up to date, while other nodes have
// it open. Config.KeyFile must be named, and be the same for every node. The error is ErrSecrets when the database holds secrets that the
// key file does not open.
func OpenPostgres(ctx context.Context, config Config) (*Postgres, error) {
	p := &Postgres{
		accepting: make(chan *enqueueRequest, requestQueue), closing: make(chan struct{}), slots: newSlots(writersAtOnce), voice: rand.Text(),
		connections: pgConnections{open: make(map[*pgSocket]bool)}, doubts: doubts{wake: make(chan struct{}, 1)},
	}
	if config.Now == nil {
		config.Now = p.clock.Now
	}
	config = config.withDefaults()
	p.init(config)
	p.bind, p.tables, p.newTail, p.edit = numbered, &p.days, p.readTail, p.editAlone
	p.isolation, p.sorts = sql.LevelRepeatableRead, pgSortColumns
	p.turns.turns = newTurns()
	if err := p.open(ctx, config); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), p.abandon())
	}
	return p, nil
}

func (p *Postgres) open(ctx context.Context, config Config) error {
	if err := migratePostgres(ctx, config.URL); err != nil {
		return err
	}
	var err error
	if p.pool, err = p.openPool(ctx, config.URL, postgresConnections, neverAsynchronous, config.observe); err != nil {
		return err
	}
	if p.draws, err = p.openPool(ctx, config.URL, acceptersAtOnce, asynchronous, nil); err != nil {
		return err
	}
	p.readers = stdlib.OpenDBFromPool(p.pool)
	p.readers.SetMaxOpenConns(max(2, int(p.pool.Config().MaxConns)-writersAtOnce-keepersAtOnce))
	if err := p.clock.set(ctx, p.pool); err != nil {
		return err
	}
	if err := p.plain(ctx, pgStatements.refuseTransfer); err != nil {
		return err
	}
	if err := p.openKeyRing(ctx, config); err != nil {
		return err
	}
	if err := p.join(ctx, 0); err != nil {
		return err
	}
	if err := p.days.load(ctx, p.pool); err != nil {
		return err
	}
	if err := p.buryDead(ctx); err != nil {
		return err
	}
	if err := p.cancelOrphans(ctx); err != nil {
		return err
	}
	if err := p.waitAnew(ctx); err != nil {
		return err
	}
	for range acceptersAtOnce {
		p.running.Go(p.accept)
	}
	p.running.Go(p.keepAlive)
	p.running.Go(func() { p.repeat(p.sealDue) }) // apart: whoever reads many events must not be taken for dead
	p.running.Go(func() { p.repeat(p.foldDue) })
	p.running.Go(p.dispelDoubts)
	asking, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		return errURL
	}
	p.running.Go(func() { p.askForAnswers(asking.ConnConfig) })
	return p.checkSecrets(ctx, config, p.UpdateWebhook)
}

// Close ends what is asked of the store already, frees this node's leases and leaves. Calls that come later get ErrClosed, and so does a
// second Close.
func (p *Postgres) Close() error {
	p.gate.Lock()
	if p.closed {
		p.gate.Unlock()
		return ErrClosed
	}
	p.closed = true
	close(p.closing)
	close(p.accepting)
	p.gate.Unlock()
	p.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), transactionTime)
	defer cancel()
	err := p.leave(ctx)
	if err = errors.Join(err, p.abandon()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// abandon gives up all that is open, however far opening came.
func (p *Postgres) abandon() error {
	var err error
	if !p.closed {
		p.closed = true
		close(p.closing)
		close(p.accepting)
		p.running.Wait()
	}
	if p.readers != nil {
		err = p.readers.Close()
	}
	if p.draws != nil {
		p.draws.Close()
	}
	if p.pool != nil {
		p.pool.Close()
	}
	return err
}

// enter lets a call begin that uses the pools, until leave is called.
func (p *Postgres) enter() (leave func(), err error) {
	p.gate.RLock()
	if p.closed {
		p.gate.RUnlock()
		return nil, ErrClosed
	}
	p.running.Add(1)
	p.gate.RUnlock()
	return p.running.Done, nil
}

// openPool opens connections on which every statement is planned once, by its indexes: what the tables looked like when it was planned, empty
// perhaps, must not outweigh them. Begin is called with each that is new.
func (p *Postgres) openPool(
	ctx context.Context, url string, most int32, begin func(context.Context, *pgx.Conn) error, observe func(statement string),
) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if config.MaxConns = max(config.MaxConns, most); hasParameter(url, "pool_max_conns") {
		config.MaxConns = max(config.MaxConns, minConnections)
	}
	maps.Copy(config.ConnConfig.RuntimeParams, pgKeepAlives)
	maps.Copy(config.ConnConfig.RuntimeParams, map[string]string{
		"application_name": "portalhook", "timezone": "UTC", "jit": "off",
		"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_bitmapscan": "off",
		"enable_sort": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
		"idle_in_transaction_session_timeout": fmt.Sprint(transactionTime.Milliseconds()),
		"statement_timeout":                   fmt.Sprint(transactionTime.Milliseconds()),
	})
	if observe != nil {
		config.ConnConfig.Tracer = tracer{observe}
	}
	config.AfterConnect = begin
	p.connections.apply(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// pgKeepAlives have the database end connections of a node that has vanished without a word within half a minute, and not within hours: what they have locked, and their
// places, are free then.
var pgKeepAlives = map[string]string{"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4"}

// minConnections is the least that a node can do with: those who write, some who read, the keeper.
const minConnections = writersAtOnce + 4

// Ping reports whether the store can be written and read.
func (p *Postgres) Ping(ctx context.Context) error {
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	var readOnly bool
	if err := p.pool.QueryRow(ctx, `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean`).Scan(&readOnly); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	if readOnly {
		return errors.New("ping: the database can only be read")
	}
	return nil
}

// Leads reports whether this is the node that does what one does for all: the oldest that is alive, as far as it has heard.
func (p *Postgres) Leads() bool { return p.leads.Load() }

// Nodes is how many nodes are alive, this one included, as far as it has heard: a beat late, and of one that died later still.
func (p *Postgres) Nodes() int { return max(int(p.alive.Load()), 1) }

// FreeBytes is without bound: what room PostgreSQL has is not known here. When there is none, commits fail and say so.
func (p *Postgres) FreeBytes() (uint64, error) { return math.MaxUint64, nil }

// Now is the date as the database has it: nodes agree on it whatever their own clocks say.
func (p *Postgres) Now() time.Time { return p.now() }

// serverClock tells the date of the database's clock, by our monotonic clock from when it was last asked for.
type serverClock struct {
	anchor atomic.Pointer[clockAnchor]
}

type clockAnchor struct{ server, local time.Time }

// Now is the date; before it was first asked for, this machine's.
func (c *serverClock) Now() time.Time {
	a := c.anchor.Load()
	if a == nil {
		return time.Now()
	}
	return a.server.Add(time.Since(a.local))
}

// set asks for the date. It is taken to be that of half way.
func (c *serverClock) set(ctx context.Context, pool *pgxpool.Pool) error {
	began := time.Now()
	var now time.Time
	if err := pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return fmt.Errorf("ask for the time: %w", err)
	}
	c.anchor.Store(&clockAnchor{now.UTC(), began.Add(time.Since(began) / 2)})
	return nil
}

// numberOf is the lowest id that a time in milliseconds since 1970 may give.
func numberOf(ms int64) int64 { return int64(firstID(ms)) }

// draw takes n consecutive numbers that lie in one day, and gives the first: above all that any node has drawn before. It is a transaction of
// its own, since what is drawn is never given back: nobody waits for another's commit. It need not be on disk before what is made with it.
// Where the day has no tables yet, the transaction is given up, they are made, and it begins anew.
func (t *pgTx) draw(n int) (triggers.ID, error) {
	p := t.store
	if today := p.today(); !p.days.has(today) {
		return 0, noDayError(today) // no number is lost then
	}
	var last int64
	err := p.draws.QueryRow(t.ctx, drawNumbers, numberOf(p.now().UnixMilli()), int64(n), daySpan, lockKind, lockDrawing).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("draw numbers: %w", err)
	}
	day := dayOf(triggers.ID(last))
	p.lastDay.Store(day)
	if !p.days.has(day) {
		return 0, noDayError(day)
	}
	return triggers.ID(last - int64(n) + 1), nil
}

// noDayError says that a day has no tables yet.
type noDayError int64

func (e noDayError) Error() string { return "no tables of " + suffixOf(int64(e)) }

// today is the day of the numbers that are drawn now, or later than that by nobody's clock.
func (p *Postgres) today() int64 { return max(p.lastDay.Load(), p.now().UnixMilli()/dayLength) }

// daySpan is how many numbers a day has.
const daySpan = dayLength << triggers.IDSequenceBits

// drawNumbers begins at the next day when the numbers would lie in two.
const drawNumbers = `SELECT draw($1, $2, $3, $4, $5)`

// next is the lowest number that draw may give now.
func (p *Postgres) next(ctx context.Context, q rowQuerier) (triggers.ID, error) {
	var last int64
	err := q.QueryRow(ctx, `SELECT last_value FROM drawn`).Scan(&last)
	return max(triggers.ID(last)+1, firstID(p.now().UnixMilli())), err
}

// migrationFiles are those of PostgreSQL.
func migrationFiles() (fs.FS, error) { return fs.Sub(postgresMigrations, "migrations/postgres") }
