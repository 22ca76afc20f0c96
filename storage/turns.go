package storage

import "container/heap"

// turns says whose turn it is: every webhook with waiting work stands either in a queue, when it may have work due, or in a heap by
// when its earliest work falls due. Both are made from the database when it is opened, and kept by the writer.
type turns struct {
	ready  []uint32 // webhooks, the next first
	later  byDue
	places map[uint32]*place
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
	case p.index >= 0 && due < p.due:
		p.due = due
		heap.Fix(&t.later, p.index)
	}
}

// wake lines up the webhooks whose work falls due until now.
func (t *turns) wake(now int64) {
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
			t.ready = append(t.ready, had.webhook)
		default:
			delete(t.places, had.webhook)
			if had.left {
				t.mark(had.webhook, had.due)
			}
		}
	}
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
