package delivery

import (
	"sync"
	"sync/atomic"
	"time"
)

// clockTolerance is how far the wall clock may stray from the monotonic one before it counts as set anew.
const clockTolerance = 30 * time.Second

// Clock tells the date by the monotonic clock from an anchor in the wall clock, so that waits last as long as they should while
// somebody sets the time. A small adjustment is not followed at all; a step beyond 30 s moves the anchor.
//
// What waits in memory only is dated by Steady, which no step moves. A date that goes to the store is one of Now, and whoever works it out
// holds the clock, or keeps how far it was set so that the date can be moved before it is stored.
type Clock struct {
	wall   func() time.Time     // the date as the machine has it
	mono   func() time.Duration // time that nobody sets, from any beginning
	anchor atomic.Int64         // the date at mono 0, in nanoseconds since 1970
	first  int64                // the anchor at the beginning

	holding sync.RWMutex // held to read while a date is worked out and stored, to write while the anchor is moved
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
	c.first = wall().UnixNano() - int64(mono())
	c.anchor.Store(c.first)
	return c
}

// Now is the date, without a monotonic reading, since it may be stored.
func (c *Clock) Now() time.Time { return time.Unix(0, c.anchor.Load()+int64(c.mono())) }

// Read is Now, and how far the clock had been set for it.
func (c *Clock) Read() (now time.Time, shift time.Duration) {
	anchor := c.anchor.Load()
	return time.Unix(0, anchor+int64(c.mono())), time.Duration(anchor - c.first)
}

// Steady is a date that is as far from another of its kind as time has passed between them. It is the date as long as nobody sets the clock.
func (c *Clock) Steady() time.Time { return time.Unix(0, c.first+int64(c.mono())) }

// Shift is how far the clock has been set since the beginning: what Now is ahead of Steady.
func (c *Clock) Shift() time.Duration { return time.Duration(c.anchor.Load() - c.first) }

// Hold keeps the clock from being set until release is called.
func (c *Clock) Hold() (release func()) {
	c.holding.RLock()
	return c.holding.RUnlock
}

// Follow moves the anchor when the wall clock was set by more than 30 s, and returns by how much; else 0. Before, move is to move what is
// stored by the same; when it fails, the clock stays as it was until the next call.
func (c *Clock) Follow(move func(step time.Duration) error) (step time.Duration, err error) {
	if c.step() == 0 {
		return 0, nil
	}
	c.holding.Lock()
	defer c.holding.Unlock()
	step = c.step()
	if step == 0 {
		return 0, nil
	}
	if err := move(step); err != nil {
		return step, err
	}
	c.anchor.Add(int64(step))
	return step, nil
}

func (c *Clock) step() time.Duration {
	step := c.wall().Sub(c.Now())
	if step.Abs() <= clockTolerance {
		return 0
	}
	return step
}
