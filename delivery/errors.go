package delivery

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrTooMany says that a batch of events would lead to more than 50,000 deliveries. Nothing of it has been stored.
var ErrTooMany = errors.New("more than 50000 deliveries would come of this; send fewer events at a time")

// Overload says that events cannot be taken now. The sender may try again after RetryAfter.
type Overload struct {
	Status     int // 429: too much is waiting; 503: the disk is full, the commit failed, or the server stops
	RetryAfter time.Duration
	// Unknown is true when the events may have been stored all the same: they can be sent again with the same eventId.
	Unknown bool
	Err     error // what went wrong; never nil
}

func (e *Overload) Error() string {
	if e.Unknown {
		return fmt.Sprintf("it is not known whether the events were stored: %v", e.Err)
	}
	return fmt.Sprintf("no events are taken now: %v", e.Err)
}

func (e *Overload) Unwrap() error { return e.Err }

// How long a sender is asked to wait.
const (
	queueFullPause = 5 * time.Second
	diskFullPause  = 30 * time.Second
	failurePause   = 2 * time.Second
)

var (
	errQueueFull = errors.New("too many deliveries are waiting")
	errDiskFull  = errors.New("the disk is nearly full")
	errNoRoom    = errors.New("a commit has found no room on the disk")
)

func overload(status int, pause time.Duration, err error) *Overload {
	return &Overload{Status: status, RetryAfter: pause, Err: err}
}

// stopping is the answer while the server shuts down.
func stopping() *Overload { return overload(http.StatusServiceUnavailable, failurePause, errShutDown) }
