package router

import (
	"iter"
	"maps"
	"sync"
	"sync/atomic"

	"portalhook/triggers"
)

// Table holds the triggers of every tenant. Match takes no lock and may be called while Load, Put and Remove are; what these did is
// heard by every Match that begins after they have returned.
type Table struct {
	shards [shardCount]shard
	merges merges
	policy policy
}

// shardCount spreads the tenants, so that a new one copies a small map only.
const shardCount = 256

type shard struct {
	mu      sync.Mutex // held while a tenant is added
	tenants atomic.Pointer[map[uint32]*tenant]
}

// NewTable gives an empty table.
func NewTable() *Table { return &Table{policy: defaultPolicy} }

// Match appends to dst a hit for every webhook of the tenant that wants the event, rising by webhook, each webhook once and with the
// lowest of its triggers that matched. It allocates nothing but what dst needs to grow.
func (t *Table) Match(tenant uint32, uri *triggers.URI, dst []Hit) []Hit {
	tn := t.known(tenant)
	if tn == nil {
		return dst
	}
	layers := tn.layers()
	g := gathering{hits: dst, from: len(dst), op: uri.Operation}
	for i, l := range layers {
		if x := l.resources[uri.Resource]; x != nil && x.patterns != nil {
			g.newer = layers[i+1:]
			x.patterns.scatter(uri, &g)
		}
	}
	if len(g.hits) > g.from+1 {
		g.settle()
	}
	for i, l := range layers {
		g.newer = layers[i+1:]
		l.gather(uri, &g)
	}
	return g.hits
}

// Load replaces all that the table holds of a tenant: webhooks by number, each once.
func (t *Table) Load(tenant uint32, webhooks iter.Seq2[uint32, []triggers.Trigger]) {
	tn := t.tenant(tenant)
	tn.mu.Lock()
	defer tn.mu.Unlock()
	b := newBuilder(true)
	for key, ts := range webhooks {
		b.webhook(key, ts)
	}
	tn.set([]*layer{b.build()})
}

// Put replaces the triggers of a webhook, or adds the webhook. A Match beside it sees the old triggers or the new ones, never a mixture
// and never neither.
func (t *Table) Put(tenant, webhook uint32, ts []triggers.Trigger) {
	b := newBuilder(false)
	b.webhook(webhook, ts)
	tn := t.tenant(tenant)
	if tn.push(b.build(), t.policy) {
		t.merges.want(tn, t.policy)
	}
}

// Remove forgets a webhook. Nothing happens when there is none of that number.
func (t *Table) Remove(tenant, webhook uint32) {
	if t.known(tenant) != nil {
		t.Put(tenant, webhook, nil)
	}
}

// Settle waits until no merge is under way and none is due. Matching does not need it: it only makes memory and speed repeatable.
func (t *Table) Settle() { t.merges.wait() }

// known gives the tenant, nil when the table holds nothing of it.
func (t *Table) known(key uint32) *tenant {
	if m := t.shards[key%shardCount].tenants.Load(); m != nil {
		return (*m)[key]
	}
	return nil
}

// tenant gives the tenant, made when it is new.
func (t *Table) tenant(key uint32) *tenant {
	if tn := t.known(key); tn != nil {
		return tn
	}
	s := &t.shards[key%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	if tn := t.known(key); tn != nil {
		return tn
	}
	grown := map[uint32]*tenant{key: {}}
	if m := s.tenants.Load(); m != nil {
		maps.Copy(grown, *m)
	}
	s.tenants.Store(&grown)
	return grown[key]
}
