package delivery

import (
	"sync/atomic"
	"time"
)

// clockTolerance is how far the wall clock may stray from the monotonic one before it counts as set anew.
const clockTolerance = 30 * time.Second

// Clock tells the date by the monotonic clock from an anchor in the wall clock, so that waits last as long as they should while
// somebody sets the time. A small adjustment is not followed at all; a step beyond 30 s moves the anchor.
type Clock struct {
	wall   func() time.Time     // the date as the machine has it
	mono   func() time.Duration // time that nobody sets, from any beginning
	anchor atomic.Int64         // the date at mono 0, in nanoseconds since 1970
}

// NewClock is a clock on the system's.
func NewClock() *Clock {
	began := time.Now()
	return newClock(func() time.Time { return time.Now().Round(0) }, func() time.Duration { return time.Since(began) })
}

// NewClockOf is a clock on another wall clock, such as one that several machines agree on.
func NewClockOf(wall func() time.Time) *Clock {
	began := time.Now()
	return newClock(wall, func() time.Duration { return time.Since(began) })
}

func newClock(wall func() time.Time, mono func() time.Duration) *Clock {
	c := &Clock{wall: wall, mono: mono}
	c.anchor.Store(wall().UnixNano() - int64(mono()))
	return c
}

// Now is the date, without a monotonic reading, since it may be stored.
func (c *Clock) Now() time.Time { return time.Unix(0, c.anchor.Load()+int64(c.mono())) }

// Check moves the anchor when the wall clock was set by more than 30 s, and returns by how much; else 0. What is due is due by the
// old anchor: whoever holds such dates must move them by the same.
func (c *Clock) Check() time.Duration {
	step := c.wall().Sub(c.Now())
	if step.Abs() <= clockTolerance {
		return 0
	}
	c.anchor.Add(int64(step))
	return step
}
