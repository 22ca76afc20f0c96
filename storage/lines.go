package storage

import (
	"cmp"
	"container/heap"
	"database/sql/driver"
	"fmt"
	"slices"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// orderedWebhooks need no index: they are looked for once, at the start.
	orderedWebhooks = `SELECT key FROM webhook WHERE json_extract(settings, '$.ordered')`
	waitingWork     = `SELECT id, event, members, due_ms FROM work WHERE webhook = ? AND due_ms IS NOT NULL`
	// thingOfEvent leaves out the body where the URI says all.
	thingOfEvent = `SELECT uri, CASE WHEN uri LIKE '/%' THEN NULL ELSE body END FROM event_$day WHERE id = ?`
	oneWork      = `SELECT ` + workColumns + ` FROM work WHERE id = ?`
)

// lines is the open work of an ordered webhook, in memory only: it is made from the tables at the start and when the webhook becomes
// ordered, so that work of other webhooks need not say where it would stand.
type lines struct {
	byName map[string]*line
	// leased is where each leased delivery stands.
	leased map[triggers.ID]*line
	// heads are the lines whose first delivery waits, that which falls due first on top.
	heads byHead
}

// line is a line of deliveries, of which only the first may be leased by a claim.
type line struct {
	name  string
	open  []standing // by their ids; never empty
	index int        // in heads; -1 when the first is leased
}

// standing is an open delivery in its line.
type standing struct {
	id  triggers.ID
	due int64 // in milliseconds since 1970; notDue while it is leased
}

const notDue = int64(-1)

func newLines() *lines {
	return &lines{byName: make(map[string]*line), leased: make(map[triggers.ID]*line)}
}

// add puts a delivery into its line; due is notDue when it is leased.
func (o *lines) add(name string, id triggers.ID, due int64) {
	l := o.byName[name]
	if l == nil {
		l = &line{name: name, index: -1}
		o.byName[name] = l
	}
	at, _ := l.find(id)
	l.open = slices.Insert(l.open, at, standing{id, due})
	if due == notDue {
		o.leased[id] = l
	}
	o.fix(l)
}

func (l *line) find(id triggers.ID) (at int, found bool) {
	return slices.BinarySearchFunc(l.open, id, func(s standing, id triggers.ID) int { return cmp.Compare(s.id, id) })
}

// fix puts a line where it belongs among the heads after its first delivery may have changed.
func (o *lines) fix(l *line) {
	waits := len(l.open) > 0 && l.open[0].due != notDue
	switch {
	case waits && l.index >= 0:
		heap.Fix(&o.heads, l.index)
	case waits:
		heap.Push(&o.heads, l)
	case l.index >= 0:
		heap.Remove(&o.heads, l.index)
	}
	if len(l.open) == 0 {
		delete(o.byName, l.name)
	}
}

// next is the delivery that falls due first of those that may be leased; false when none may.
func (o *lines) next() (standing, bool) {
	if len(o.heads) == 0 {
		return standing{}, false
	}
	return o.heads[0].open[0], true
}

// lease takes the delivery that next gives.
func (o *lines) lease() {
	l := o.heads[0]
	l.open[0].due = notDue
	o.leased[l.open[0].id] = l
	o.fix(l)
}

// settle ends the lease of a delivery: it waits until due, or has ended.
func (o *lines) settle(id triggers.ID, waits bool, due int64) {
	l := o.leased[id]
	if l == nil {
		return
	}
	delete(o.leased, id)
	at, _ := l.find(id)
	switch {
	case waits:
		l.open[at].due = due
	case at == 0:
		l.open = l.open[1:]
	default:
		l.open = slices.Delete(l.open, at, at+1)
	}
	o.fix(l)
}

// shift moves all due dates; none falls below 1.
func (o *lines) shift(by int64) {
	for _, l := range o.byName {
		for i := range l.open {
			if l.open[i].due != notDue {
				l.open[i].due = max(1, l.open[i].due+by)
			}
		}
	}
	heap.Init(&o.heads)
}

// byHead is a heap of lines, that whose first delivery falls due first on top, of equal ones the oldest.
type byHead []*line

func (h byHead) Len() int { return len(h) }

func (h byHead) Less(i, j int) bool {
	a, b := h[i].open[0], h[j].open[0]
	return a.due < b.due || a.due == b.due && a.id < b.id
}

func (h byHead) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byHead) Push(x any) {
	l, _ := x.(*line)
	l.index = len(*h)
	*h = append(*h, l)
}

func (h *byHead) Pop() any {
	old := *h
	l := old[len(old)-1]
	*h = old[:len(old)-1]
	l.index = -1
	return l
}

// loadLines makes the lines of all ordered webhooks.
func (w *writer) loadLines() error {
	var ordered []uint32
	err := w.db.each(orderedWebhooks, "", 1, func(row []driver.Value) error {
		ordered = append(ordered, uint32(integer(row[0]))) //nolint:gosec // a key
		return nil
	})
	if err != nil {
		return err
	}
	for _, webhook := range ordered {
		if w.ordered[webhook], err = w.linesOf(webhook); err != nil {
			return fmt.Errorf("webhook %d: %w", webhook, err)
		}
	}
	return nil
}

// linesOf reads the lines of a webhook's open work from the tables and the leases.
func (w *writer) linesOf(webhook uint32) (*lines, error) {
	type found struct {
		standing
		event   triggers.ID
		members int
	}
	var open []found
	err := w.db.each(waitingWork, "", 4, func(row []driver.Value) error {
		open = append(open, found{
			standing{triggers.ID(integer(row[0])), integer(row[3])}, triggers.ID(integer(row[1])), int(integer(row[2])),
		})
		return nil
	}, int64(webhook))
	if err != nil {
		return nil, err
	}
	for id := range w.leases {
		if l := w.leases[id]; l.webhook == webhook {
			open = append(open, found{standing{id, notDue}, l.event, l.members})
		}
	}
	slices.SortFunc(open, func(a, b found) int { return cmp.Compare(a.id, b.id) })
	o := newLines()
	for _, one := range open {
		name, err := w.lineOf(one.event, one.members)
		if err != nil {
			return nil, err
		}
		o.add(name, one.id, one.due)
	}
	return o, nil
}

// lineOf names the line of a delivery by its first event, and how many rows name its events.
func (e *editor) lineOf(event triggers.ID, members int) (name string, err error) {
	err = e.db.each(thingOfEvent, e.tables.suffix(event), 2, func(row []driver.Value) error {
		uri := e.uri(textOf(row[0]))
		if members > 0 {
			name = delivery.TogetherOf(&uri)
			return nil
		}
		name = delivery.LineOf(&uri, bytesOf(row[1]))
		return nil
	}, int64(event))
	return name, err
}

// reorder prepares, within a transaction, for a webhook to be ordered or not any more; what it returns is run after the commit.
func (w *writer) reorder(webhook uint32, ordered bool) (after func(), err error) {
	_, was := w.ordered[webhook]
	switch {
	case ordered == was:
		return func() {}, nil
	case ordered:
		o, err := w.linesOf(webhook)
		return func() {
			w.ordered[webhook] = o
			w.turns.forget(webhook) // what fell due first may not be the first of its line
			w.markFirst(webhook)
		}, err
	}
	due, waits, err := w.earliest(webhook)
	return func() {
		delete(w.ordered, webhook)
		if waits {
			w.turns.mark(webhook, due)
		}
	}, err
}

// markFirst notes the first delivery of an ordered webhook that may be leased, if there is one.
func (w *writer) markFirst(webhook uint32) {
	if first, ok := w.ordered[webhook].next(); ok {
		w.turns.mark(webhook, first.due)
	}
}

// leaseHeads takes up to room deliveries of an ordered webhook that are due, each the first of its line.
func (w *writer) leaseHeads(o *lines, webhook uint32, now int64, room int, taken *[]leased) error {
	for ; room > 0; room-- {
		first, ok := o.next()
		if !ok || first.due > now {
			return nil
		}
		o.lease()
		before := len(*taken)
		if err := w.db.each(oneWork, "", workColumnCount, readWork(webhook, taken), int64(first.id)); err != nil {
			// Not among those taken yet: whoever rolls back would not find it.
			o.settle(first.id, true, first.due)
			return err
		}
		if len(*taken) == before {
			o.settle(first.id, false, 0)
			return fmt.Errorf("delivery %s stands in its line and not in the table", first.id.Delivery())
		}
		if err := w.db.run(leaseWork, int64((*taken)[before].lease.fence), int64(first.id)); err != nil {
			return err
		}
	}
	return nil
}

// lineUp puts a new delivery of an event into its line when its webhook is ordered, else it reports false. Due is notDue when it is leased.
func (w *writer) lineUp(webhook uint32, a *delivery.Acceptance, id triggers.ID, due int64) bool {
	o := w.ordered[webhook]
	if o == nil {
		return false
	}
	o.add(delivery.LineOf(&a.Event.URI, a.Body), id, due)
	w.markFirst(webhook)
	return true
}

// putBack undoes the leases of ordered deliveries whose transaction has failed.
func (w *writer) putBack(taken []leased) {
	for i := range taken {
		if o := w.ordered[taken[i].lease.webhook]; o != nil {
			o.settle(taken[i].id, true, taken[i].due)
		}
	}
}
