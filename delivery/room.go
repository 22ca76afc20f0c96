package delivery

import (
	"errors"
	"sync/atomic"
	"time"
)

// room remembers that a commit lately failed for want of room. The gauge does not see every way in which a disk is full: a quota, inodes,
// or what others wrote since it was looked at.
type room struct {
	clock *Clock
	until atomic.Int64 // nanoseconds of the steady clock; 0: not lately
}

// failed takes note of a commit's error; one of another kind says nothing about room.
func (r *room) failed(err error) (full bool) {
	commit, ok := errors.AsType[*CommitError](err)
	if full = ok && commit.Full; full {
		r.until.Store(r.clock.Steady().Add(diskFullPause).UnixNano())
	}
	return full
}

// accepted says that events were stored, for which there must have been room.
func (r *room) accepted() {
	if r.until.Load() != 0 {
		r.until.Store(0)
	}
}

// lacking reports whether a commit failed for want of room within the time that senders are asked to wait for, and no event has been
// stored since. After that time it takes an event to find out: one that is sent nothing is not kept from being ready for ever.
func (r *room) lacking() bool {
	until := r.until.Load()
	return until != 0 && r.clock.Steady().Before(time.Unix(0, until))
}
