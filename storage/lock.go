package storage

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrLocked says that another process has the database open.
var ErrLocked = errors.New("in use by another process")

// lock is the hold of one process on a database file.
type lock struct{ file *os.File }

// takeLock locks path with .lock appended, which stays there; the lock falls with the process. It is ErrLocked when another holds it.
// The database file itself is not locked: closing any descriptor of it would drop SQLite's own locks.
func takeLock(path string) (*lock, error) {
	name := path + ".lock"
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("%s: %w (%s is locked)", path, ErrLocked, name)
	case err != nil:
		err = fmt.Errorf("lock %s: %w", name, err)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &lock{file}, nil
}

func (l *lock) release() error { return l.file.Close() }
