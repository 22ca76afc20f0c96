package main

import (
	"context"
	"slices"
	"sync"
)

// inbox keeps what arrives until it is asked for.
type inbox struct {
	mu      sync.Mutex
	waiting []arrival
	changed chan struct{} // nudged by an arrival
}

func newInbox() *inbox { return &inbox{changed: make(chan struct{}, 1)} }

func (b *inbox) add(a arrival) {
	b.mu.Lock()
	b.waiting = append(b.waiting, a)
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// await waits until something has arrived at each path, and takes all that has arrived at them. False when ctx ended first.
func (b *inbox) await(ctx context.Context, paths []string) (map[string][]arrival, bool) {
	got := make(map[string][]arrival)
	for {
		b.take(paths, got)
		if len(got) == len(paths) {
			return got, true
		}
		select {
		case <-b.changed:
		case <-ctx.Done():
			return got, false
		}
	}
}

func (b *inbox) take(paths []string, into map[string][]arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = slices.DeleteFunc(b.waiting, func(a arrival) bool {
		wanted := slices.Contains(paths, a.path)
		if wanted {
			into[a.path] = append(into[a.path], a)
		}
		return wanted
	})
}

// next waits for an arrival; false when ctx ended first.
func (b *inbox) next(ctx context.Context) (arrival, bool) {
	for {
		b.mu.Lock()
		if len(b.waiting) > 0 {
			a := b.waiting[0]
			b.waiting = b.waiting[1:]
			b.mu.Unlock()
			return a, true
		}
		b.mu.Unlock()
		select {
		case <-b.changed:
		case <-ctx.Done():
			return arrival{}, false
		}
	}
}

// strays takes all that nobody has asked for.
func (b *inbox) strays() []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	strays := b.waiting
	b.waiting = nil
	return strays
}
