package router

import (
	"slices"
	"sync"
	"sync/atomic"
)

// tenant holds a tenant's triggers in layers, the oldest first. A save adds a layer of one webhook on top. So that there are few of
// them, every layer outweighs all newer ones together policy.fanOut times; where that fails, the layers from there up become one. A small
// merge is done by the save itself, a large one behind the scenes.
type tenant struct {
	mu      sync.Mutex // held while layers change
	current atomic.Pointer[[]*layer]
	// merging is how many of the oldest layers the background merge has in hand: saves leave them alone.
	merging int
}

// policy says when layers are merged.
type policy struct {
	// fanOut weighs the reader's cost, a look into each layer, against the writer's, who merges a trigger about fanOut times for
	// each layer it sinks through.
	fanOut int
	// smallMerge is the weight up to which a save merges by itself.
	smallMerge int
	// Above manyLayers saves are arriving faster than the background merge can follow, and a save merges up to largeMerge.
	manyLayers, largeMerge int
}

// defaultPolicy lets a save merge for some 100 microseconds, a millisecond now and then in a storm of saves, and keeps a million
// triggers at rest in at most seven layers.
var defaultPolicy = policy{fanOut: 8, smallMerge: 256, manyLayers: 32, largeMerge: 4096}

// layers gives the layers in force, which never change.
func (tn *tenant) layers() []*layer {
	if p := tn.current.Load(); p != nil {
		return *p
	}
	return nil
}

// set puts layers in force. The caller holds the lock.
func (tn *tenant) set(layers []*layer) { tn.current.Store(&layers) }

// push puts a layer on top, heard when it returns, and says whether a merge in the background is due.
func (tn *tenant) push(l *layer, p policy) bool {
	tn.mu.Lock()
	defer tn.mu.Unlock()
	layers := append(slices.Clip(tn.layers()), l)
	free := min(tn.merging, len(layers))
	most := p.smallMerge
	if len(layers)-free > p.manyLayers {
		most = p.largeMerge
	}
	from := free + p.unbalanced(layers[free:])
	// Of the merges that are due, do the largest that is small.
	for from < len(layers)-1 && weight(layers[from:]) > most {
		from++
		from += p.unbalanced(layers[from:])
	}
	if from < len(layers)-1 {
		layers = append(layers[:from:from], merge(layers[from:], from == 0))
	}
	tn.set(layers)
	return tn.merging == 0 && p.unbalanced(layers) < len(layers)
}

// compact does the largest merge that is due and says whether there was one. At most one compact runs for a tenant at a time.
func (tn *tenant) compact(p policy) bool {
	tn.mu.Lock()
	before := tn.layers()
	from := p.unbalanced(before)
	tn.merging = len(before)
	if from == len(before) {
		tn.merging = 0
	}
	tn.mu.Unlock()
	if from == len(before) {
		return false
	}
	merged := merge(before[from:], from == 0)

	tn.mu.Lock()
	defer tn.mu.Unlock()
	tn.merging = 0
	now := tn.layers()
	// A Load in the meantime has replaced everything: then this merge is of the past.
	if len(now) >= len(before) && slices.Equal(now[:len(before)], before) {
		tn.set(slices.Concat(before[:from], []*layer{merged}, now[len(before):]))
	}
	return true
}

// unbalanced is the position of the oldest layer that does not outweigh the newer ones, len(layers) when all do.
func (p policy) unbalanced(layers []*layer) int {
	newer, at := 0, len(layers)
	for i, l := range slices.Backward(layers) {
		if newer > 0 && l.weight <= p.fanOut*newer {
			at = i
		}
		newer += l.weight
	}
	return at
}

func weight(layers []*layer) int {
	sum := 0
	for _, l := range layers {
		sum += l.weight
	}
	return sum
}

// merge makes one layer of several. The oldest of a tenant need not remember what it overrules.
func merge(layers []*layer, oldest bool) *layer {
	b := newBuilder(oldest)
	for i, l := range layers {
		b.layer(l, layers[i+1:])
	}
	return b.build()
}

// merges does the background merges of all tenants, one after the other, in a goroutine that lives while there are any.
type merges struct {
	mu      sync.Mutex
	due     []*tenant
	running bool
	idle    *sync.Cond // made by the first who waits
}

// want asks for the merges of a tenant.
func (m *merges) want(tn *tenant, p policy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.due, tn) {
		m.due = append(m.due, tn)
	}
	if !m.running {
		m.running = true
		go m.run(p)
	}
}

func (m *merges) run(p policy) {
	for {
		m.mu.Lock()
		if len(m.due) == 0 {
			m.running = false
			if m.idle != nil {
				m.idle.Broadcast()
			}
			m.mu.Unlock()
			return
		}
		tn := m.due[0]
		m.due = m.due[1:]
		m.mu.Unlock()
		for tn.compact(p) {
		}
	}
}

// wait returns when nothing is due.
func (m *merges) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.idle == nil {
		m.idle = sync.NewCond(&m.mu)
	}
	for m.running {
		m.idle.Wait()
	}
}
