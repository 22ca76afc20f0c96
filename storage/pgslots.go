package storage

import (
	"math/bits"
	"sync"
)

// slots are places for those who write at the same time. The lowest that is free is taken, so that no more are ever used than are needed: each has
// rows of counters.
type slots struct {
	free chan struct{} // one for each that is free
	mu   *sync.Mutex
	set  *uint64 // of those that are free
}

func newSlots(n int) slots {
	s := slots{free: make(chan struct{}, n), mu: new(sync.Mutex), set: new(uint64)}
	*s.set = 1<<n - 1
	for range n {
		s.free <- struct{}{}
	}
	return s
}

// take waits for a slot.
func (s slots) take() int {
	<-s.free
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := bits.TrailingZeros64(*s.set)
	*s.set &^= 1 << slot
	return slot
}

func (s slots) give(slot int) {
	s.mu.Lock()
	*s.set |= 1 << slot
	s.mu.Unlock()
	s.free <- struct{}{}
}
