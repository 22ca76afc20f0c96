package storage

import (
	"container/heap"
	"slices"
)

// turns says whose turn it is: every webhook with waiting work stands either in a queue, when it may have work due, or in a heap by
// when its earliest work falls due. Both are made from the database when it is opened, and kept by the writer.
type turns struct {
	ready  []uint32 // webhooks, the next first
	later  byDue
	places map[uint32]*place
	woken  int64 // the latest time that wake was told
}

// place is a webhook's standing. Due is never later than its earliest waiting work.
type place struct {
	webhook uint32
	due     int64 // in milliseconds since 1970
	index   int   // in later; -1 when ready
}

func newTurns() turns { return turns{places: make(map[uint32]*place)} }

// mark notes waiting work of a webhook.
func (t *turns) mark(webhook uint32, due int64) {
	p := t.places[webhook]
	switch {
	case p == nil:
		p = &place{webhook: webhook, due: due}
		t.places[webhook] = p
		heap.Push(&t.later, p)
	case due < p.due:
		p.due = due
		if p.index >= 0 {
			heap.Fix(&t.later, p.index)
		}
	}
}

// due is a time before which a webhook in turn has no waiting work due.
func (t *turns) due(webhook uint32) int64 { return t.places[webhook].due }

// wake lines up the webhooks whose work falls due until now.
func (t *turns) wake(now int64) {
	if now < t.woken { // the clock was set back
		t.ready = slices.DeleteFunc(t.ready, func(webhook uint32) bool {
			p := t.places[webhook]
			if p.due > now {
				heap.Push(&t.later, p)
			}
			return p.due > now
		})
	}
	t.woken = now
	for len(t.later) > 0 && t.later[0].due <= now {
		p, _ := heap.Pop(&t.later).(*place)
		p.index = -1
		t.ready = append(t.ready, p.webhook)
	}
}

// next is when the first of the webhooks that are not ready has work due; false when there is none.
func (t *turns) next() (int64, bool) {
	if len(t.later) == 0 {
		return 0, false
	}
	return t.later[0].due, true
}

// turn is what became of a ready webhook in a claim.
type turn struct {
	webhook uint32
	left    bool  // it has waiting work left
	due     int64 // the earliest of that
}

// taken ends a claim at now: the turns are those of the first of the ready, in their order. Who still has work due goes to the end.
func (t *turns) taken(list []turn, now int64) {
	t.ready = t.ready[:copy(t.ready, t.ready[len(list):])]
	for _, had := range list {
		switch {
		case had.left && had.due <= now:
			t.places[had.webhook].due = had.due
			t.ready = append(t.ready, had.webhook)
		default:
			delete(t.places, had.webhook)
			if had.left {
				t.mark(had.webhook, had.due)
			}
		}
	}
}

// forget takes a webhook out that has no work any more.
func (t *turns) forget(webhook uint32) {
	p := t.places[webhook]
	switch {
	case p == nil:
		return
	case p.index >= 0:
		heap.Remove(&t.later, p.index)
	default:
		t.ready = slices.DeleteFunc(t.ready, func(ready uint32) bool { return ready == webhook })
	}
	delete(t.places, webhook)
}

// byDue is a heap of places, the earliest first.
type byDue []*place

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due < h[j].due }
func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byDue) Push(x any) {
	p, _ := x.(*place)
	p.index = len(*h)
	*h = append(*h, p)
}

func (h *byDue) Pop() any {
	old := *h
	p := old[len(old)-1]
	*h = old[:len(old)-1]
	return p
}
