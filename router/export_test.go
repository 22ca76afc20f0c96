package router

// NewMergingTable gives a table whose layers are merged by other rules, so that a test need not save a million webhooks to see it.
func NewMergingTable(fanOut, smallMerge, manyLayers int) *Table {
	return &Table{policy: policy{fanOut: fanOut, smallMerge: smallMerge, manyLayers: manyLayers}}
}
