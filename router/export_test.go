package router

import "runtime"

// NewMergingTable gives a table whose layers are merged by other rules, so that a test need not save a million webhooks to see it.
func NewMergingTable(fanOut, smallMerge, manyLayers int) *Table {
	return &Table{policy: policy{fanOut: fanOut, smallMerge: smallMerge, manyLayers: manyLayers, largeMerge: 8 * smallMerge}}
}

// AwaitMerge returns when a merge of the tenant's layers is under way, or when none is due any more.
func (t *Table) AwaitMerge(tenant uint32) {
	tn := t.tenant(tenant)
	merging := func() bool {
		tn.mu.Lock()
		defer tn.mu.Unlock()
		return tn.merging > 0
	}
	running := func() bool {
		t.merges.mu.Lock()
		defer t.merges.mu.Unlock()
		return t.merges.running
	}
	for running() && !merging() {
		runtime.Gosched()
	}
}
