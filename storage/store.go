package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Store is one database. All its methods may be called at the same time.
type Store struct {
	base
	path     string
	lock     *lock
	calendar calendar
	search   searchTail
	openWork atomic.Int64
	health   healthBook

	copying sync.Mutex    // held while a copy of the store is made and read
	closing chan struct{} // closed when Close begins

	// gate is held for reading while a request is handed over, so that none is after the channel has been closed.
	gate     sync.RWMutex
	closed   bool
	requests chan request
	writer   *writer
	running  sync.WaitGroup
}

var (
	_ delivery.Queue        = (*Store)(nil)
	_ delivery.WebhookStore = (*Store)(nil)
	_ delivery.Shifter      = (*Store)(nil)
)

// Config is what a store is opened with.
type Config struct {
	// Path is the database file; beside it SQLite keeps files ending in -wal and -shm, and we one ending in .lock.
	Path string
	// URL is the database of OpenPostgres: postgres://user:password@host:port/database. Parameters behind ? are those of libpq.
	URL string
	// KeyFile holds the keys that secrets are sealed under; empty: beside the database, its name ending in .key. It is made for a
	// store without secrets.
	KeyFile string
	// ForgetSecrets opens a store whose secrets the key file does not open: the webhooks that have them are switched off, and say
	// why. Without it such a store is refused.
	ForgetSecrets bool
	Catalog       *triggers.Catalog // nil: triggers.Default()
	Now           func() time.Time  // nil: time.Now
	Log           *slog.Logger      // nil: silent
	// Own tells the audit of webhooks that are switched off as the store opens; nil: the audit has no such rows.
	Own delivery.Teller

	observe func(statement string) // told every statement that goes to PostgreSQL; nil: nobody is
}

func (c Config) withDefaults() Config {
	if c.Catalog == nil {
		c.Catalog = triggers.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func newStore(config Config, path string) *Store {
	s := &Store{path: path, requests: make(chan request, requestQueue), closing: make(chan struct{})}
	s.init(config)
	s.bind = func(text string) string { return text }
	s.tables, s.newTail, s.edit, s.sorts = &s.calendar, s.readTail, s.editAlone, sortColumns
	s.health.byWebhook = make(map[uint32]delivery.Health)
	return s
}

// Close ends what is asked of the store already and closes the file. Calls that come later get ErrClosed, and so does a second Close.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		return ErrClosed
	}
	s.closed = true
	close(s.closing)
	close(s.requests)
	s.gate.Unlock()
	s.running.Wait()
	if err := s.abandon(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// abandon gives up all that is open, however far opening came. The writer's connection is closed last, since the last one
// takes the log into the database.
func (s *Store) abandon() error {
	var err error
	if s.writer != nil && !s.closed {
		s.closed = true
		close(s.requests)
		s.running.Wait()
	}
	if s.readers != nil {
		err = s.readers.Close()
	}
	if s.writer != nil {
		err = errors.Join(err, s.writer.db.close())
	}
	return errors.Join(err, s.lock.release())
}

// Ping reports whether the store can be written and read.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.write(ctx, func(w *writer) error { return w.db.run(`SELECT 1`) }); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	if err := s.readers.PingContext(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Open is the number of deliveries that wait or are being sent.
func (s *Store) Open() int { return int(s.openWork.Load()) }

// FreeBytes is the room that the database's file system has left for us.
func (s *Store) FreeBytes() (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(s.path), &stat); err != nil {
		return 0, fmt.Errorf("free room beside %s: %w", s.path, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil //nolint:gosec // a size
}

// Limit bounds the database file from now on until the store is closed, as a quota of the file system would: what needs more room fails
// with a delivery.CommitError that says Full. 0 bytes are no bound. The file does not shrink, and the log beside it is not counted. So
// a full disk can be rehearsed.
func (s *Store) Limit(ctx context.Context, bytes int64) error {
	const unbounded = 1<<32 - 2 // pages; SQLite's own bound
	return s.write(ctx, func(w *writer) error {
		size, err := w.db.integerOnce(`PRAGMA page_size`)
		if err != nil {
			return fmt.Errorf("limit: %w", err)
		}
		pages := int64(unbounded)
		if bytes > 0 {
			pages = max(1, bytes/size)
		}
		if _, err := w.db.integerOnce(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
			return fmt.Errorf("limit: %w", err)
		}
		return nil
	})
}

// ShiftDue implements delivery.Shifter.
func (s *Store) ShiftDue(ctx context.Context, by time.Duration) error {
	return s.write(ctx, func(w *writer) error {
		err := w.db.transaction(func() error {
			if err := w.shiftHealth(by); err != nil {
				return err
			}
			if err := w.db.run(`UPDATE member SET until_ms = max(1, until_ms + ?)`, by.Milliseconds()); err != nil {
				return err
			}
			return w.db.run(`UPDATE work SET due_ms = max(1, due_ms + ?) WHERE due_ms IS NOT NULL`, by.Milliseconds())
		})
		w.healthWritten(err == nil)
		if err == nil {
			for _, o := range w.ordered {
				o.shift(by.Milliseconds())
			}
			err = w.loadTurns()
		}
		if err != nil {
			return fmt.Errorf("shift due dates: %w", commitError(err))
		}
		return nil
	})
}
