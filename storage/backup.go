package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"

	"portalhook/delivery"
)

const (
	// copySuffix is put after the database's name for a copy that is being made beside it.
	copySuffix = ".backup"
	// copyPages is how many pages, of 4 KiB, are copied at once.
	copyPages = 256
	// copyRoom is what a copy leaves free on the disk: twice what events need to be accepted, as the log grows while it is made.
	copyRoom = 512 << 20
	// copyBusy is when to come again while another copy is made.
	copyBusy = 10 * time.Second
)

// Backup copies the store as it is at one moment, while others write: what was acknowledged before is in it, secrets are sealed as they
// were, and the key file is not. The copy is made beside the database, whose folder must have the room, one at a time, and is gone when
// it is closed. Meanwhile the log beside the database grows by what is written. The error is a *delivery.BackupError when it cannot
// be made now.
func (s *Store) Backup(ctx context.Context) (*delivery.Backup, error) {
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return nil, ErrClosed
	}
	s.running.Add(1) // Close waits for it
	s.gate.RUnlock()
	defer s.running.Done()

	if !s.copying.TryLock() {
		return nil, &delivery.BackupError{Why: "another backup is under way", RetryAfter: copyBusy}
	}
	made, err := s.backup(ctx)
	if err != nil {
		s.copying.Unlock()
		return nil, err
	}
	return made, nil
}

func (s *Store) backup(ctx context.Context) (*delivery.Backup, error) {
	path := s.path + copySuffix
	if err := removeIfThere(path); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // beside the database
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	c := copier{from: s.path, pragmas: readerPragmas, to: path, free: s.FreeBytes, stop: s.closing, gently: true}
	takenAt := s.now()
	err = c.run(ctx)
	// Nobody else needs the name, and after a crash nothing is left.
	if err = errors.Join(err, os.Remove(path)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("backup: %w", err), file.Close())
	}
	return &delivery.Backup{ReadCloser: &copied{file, s}, Size: info.Size(), TakenAt: takenAt}, nil
}

// copied is a copy that others wait for until it is closed.
type copied struct {
	*os.File
	store *Store
}

// Close gives the room back.
func (c *copied) Close() error {
	err := c.File.Close()
	if !errors.Is(err, os.ErrClosed) {
		c.store.copying.Unlock()
	}
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// CopySQLite copies a database that no server has open to an empty file, and returns when it is on disk. The error is ErrLocked when a
// server has it.
func CopySQLite(ctx context.Context, from string, to *os.File) (err error) {
	from, err = filepath.Abs(from)
	if err != nil {
		return err
	}
	if _, err := os.Stat(from); err != nil {
		return err
	}
	held, err := takeLock(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.release()) }()
	// What a crash has left in the log is taken into account, for which it must be written to.
	c := copier{from: from, pragmas: "mode=rw&_busy_timeout=10000", to: to.Name()}
	if err := c.run(ctx); err != nil {
		return err
	}
	return to.Sync()
}

// copier copies a database by SQLite's online backup.
type copier struct {
	from, pragmas string
	to            string // an empty file
	free          func() (uint64, error)
	stop          <-chan struct{} // closed: it is given up
	// gently leaves the processor and the disk to others half the time.
	gently bool
}

// run copies from within one read transaction. So every step sees the same moment; without it, SQLite would begin anew after each
// commit of another connection.
func (c *copier) run(ctx context.Context) (err error) {
	source, err := openConn(dataSource(c.from, c.pragmas))
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, source.close()) }()
	if err := source.script(`BEGIN`); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if _, err := source.integerOnce(`SELECT count(*) FROM goose_db_version`); err != nil {
		return fmt.Errorf("backup: %s is no store: %w", c.from, err)
	}
	if err := c.room(source); err != nil {
		return err
	}
	// Durability is the business of whoever gets the copy, and a copy that is not finished is thrown away.
	target, err := openConn(dataSource(c.to, "_mutex=no&_journal_mode=OFF&_synchronous=OFF"))
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, target.close()) }()
	backup, err := target.db.Backup("main", source.db, "main")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err = c.steps(ctx, backup)
	if err = errors.Join(err, backup.Close()); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// room sees to it that the copy fits.
func (c *copier) room(source *conn) error {
	if c.free == nil {
		return nil
	}
	pages, err := source.integerOnce(`PRAGMA page_count`)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	size, err := source.integerOnce(`PRAGMA page_size`)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	free, err := c.free()
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if need := uint64(pages*size) + copyRoom; free < need { //nolint:gosec // a size
		return &delivery.BackupError{Why: fmt.Sprintf("a backup needs %d MiB free beside the store, and there are %d", need>>20, free>>20)}
	}
	return nil
}

func (c *copier) steps(ctx context.Context, backup *sqlite3.SQLiteBackup) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-c.stop:
			return ErrClosed
		case <-rest.C:
		}
		if ctx.Err() != nil { // of a select with several ways, any is taken
			return context.Cause(ctx)
		}
		began := time.Now()
		done, err := backup.Step(copyPages)
		if err != nil || done {
			return err
		}
		pause := time.Duration(0)
		if c.gently {
			pause = time.Since(began)
		}
		rest.Reset(pause)
	}
}
