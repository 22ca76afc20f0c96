package delivery

import (
	"io"
	"time"
)

// Backup is a consistent copy of a store, to be read once and closed.
type Backup struct {
	io.ReadCloser
	Size    int64     // bytes
	TakenAt time.Time // everything acknowledged before is in it
}

// BackupError says why a store cannot be copied now.
type BackupError struct {
	Why        string        // a sentence for people
	RetryAfter time.Duration // 0: no time is known
}

func (e *BackupError) Error() string { return e.Why }
