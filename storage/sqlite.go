package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// readerCount is how many connections read at the same time.
	readerCount = 4
	// readerStatements is how many prepared statements each of them keeps.
	readerStatements = 64
	// checkpointPages is after how many pages, of 4 KiB, the log is taken into the database. SQLite's own 1000 is soon full where
	// indexes are written all over: then the same pages go to disk again and again.
	checkpointPages = 4000
	// requestQueue is how many requests may stand before the writer without their callers waiting to be seen.
	requestQueue = 1024
)

const (
	// The writer is one goroutine, so SQLite need not lock for it. FULL: a commit is on disk when it returns. Busy:
	// another process may be making a backup. The caches are in KiB.
	writerPragmas = "_mutex=no&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_cache_size=-16384&_busy_timeout=" + busyWait
	readerPragmas = "mode=ro&_query_only=on&_cache_size=-4096&_busy_timeout=" + busyWait
)

// dataSource is the driver's name of a file, in which ? and % would have a meaning of their own.
func dataSource(path, pragmas string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas
}

func readerSource(path string) string {
	return dataSource(path, readerPragmas+"&_stmt_cache_size="+strconv.Itoa(readerStatements))
}

// OpenSQLite opens the database, making it when there is none, and brings its tables up to date. Leases of a process before are
// free: their work waits again. The error is ErrLocked when another process has it open, and ErrSecrets when it holds secrets that
// the key file does not open.
func OpenSQLite(ctx context.Context, config Config) (*Store, error) {
	config = config.withDefaults()
	path, err := filepath.Abs(config.Path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	held, err := takeLock(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := newStore(config, path)
	s.lock = held
	if err := s.open(ctx, config); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.abandon())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, config Config) error {
	if err := removeIfThere(s.path + copySuffix); err != nil { // of a backup that a crash cut off
		return err
	}
	if err := migrate(ctx, s.path); err != nil {
		return err
	}
	var err error
	if s.readers, err = sql.Open("sqlite3", readerSource(s.path)); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(readerCount)
	s.readers.SetMaxIdleConns(readerCount)
	if err := s.refuseUnfinished(ctx); err != nil {
		return err
	}
	if s.ring, err = s.keyRing(ctx, config); err != nil {
		return err
	}
	db, err := openConn(dataSource(s.path, writerPragmas))
	if err != nil {
		return err
	}
	w := newWriter(s, db)
	if err := w.start(); err != nil {
		return errors.Join(err, db.close())
	}
	s.writer = w
	s.running.Go(w.run)
	return s.checkSecrets(ctx, config, s.UpdateWebhook)
}

// migrateInAnyOrder takes migrations of lower numbers than the store has: those that are written side by side come together in any order.
// A test holds them to the same tables whichever comes last.
var migrateInAnyOrder = goose.WithAllowOutofOrder(true)

// migrate brings the fixed tables up to date.
func migrate(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", dataSource(path, writerPragmas))
	if err != nil {
		return err
	}
	err = func() error {
		files, err := fs.Sub(migrations, "migrations")
		if err != nil {
			return err
		}
		provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, migrateInAnyOrder)
		if err != nil {
			return err
		}
		_, err = provider.Up(ctx)
		return err
	}()
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	// Others need not read what was sent where.
	return os.Chmod(path, 0o600)
}

// keyRing opens the key file, or makes it for a store without secrets.
func (s *Store) keyRing(ctx context.Context, config Config) (*keyRing, error) {
	path := config.KeyFile
	if path == "" {
		path = strings.TrimSuffix(s.path, filepath.Ext(s.path)) + ".key"
	}
	ring, err := openKeyRing(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	var secrets int
	if err := s.direct().QueryRowContext(ctx, `SELECT count(*) FROM webhook WHERE secrets IS NOT NULL`).Scan(&secrets); err != nil {
		return nil, err
	}
	if secrets > 0 && !config.ForgetSecrets {
		return nil, fmt.Errorf("%w: %s is missing, and %d webhooks have secrets sealed under it", ErrSecrets, path, secrets)
	}
	return makeKeyRing(path)
}

// start reads into memory what the writer knows without asking.
func (w *writer) start() error {
	if err := w.db.script(fmt.Sprintf("PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = %d", checkpointPages)); err != nil {
		return err
	}
	if err := w.loadDays(); err != nil {
		return err
	}
	if err := w.reformDays(); err != nil {
		return fmt.Errorf("bring the tables by day up to date: %w", err)
	}
	last, err := w.newest()
	if err != nil {
		return fmt.Errorf("find the newest id: %w", err)
	}
	w.ids.last = last
	if err := w.loadSearch(); err != nil {
		return fmt.Errorf("load the search index: %w", err)
	}
	if err := w.loadWebhooks(); err != nil {
		return fmt.Errorf("load webhooks: %w", err)
	}
	if err := w.db.transaction(func() error {
		now := w.store.now().UnixMilli()
		if err := w.db.run(waitAnew, now, setBack); err != nil {
			return err
		}
		return w.db.run(`UPDATE work SET due_ms = ? WHERE due_ms IS NULL`, now)
	}); err != nil {
		return fmt.Errorf("free leases: %w", err)
	}
	if err := w.loadLines(); err != nil {
		return fmt.Errorf("load ordered work: %w", err)
	}
	if err := w.loadTurns(); err != nil {
		return fmt.Errorf("load work: %w", err)
	}
	if err := w.loadHealth(); err != nil {
		return fmt.Errorf("load the webhooks' health: %w", err)
	}
	return w.cancelOrphans()
}
