package delivery

import "time"

// BuiltIn is a built-in receiver as a store keeps it where several servers share one.
type BuiltIn struct {
	Token      string
	Tenant     uint32
	Made, Used time.Time // Used: when something last arrived or was looked at
	Received   int64     // how many arrived; the number of the last
	Kept       int       // how many of them are kept
	Body       []byte    // what its server knows of it beside that; a secret may be in it
}

// Arrived is what arrived at a built-in receiver, as a store keeps it.
type Arrived struct {
	Number int64
	Size   int    // of what is bounded, in bytes
	Body   []byte // as it is shown
}

// BuiltInLimits bounds built-in receivers.
type BuiltInLimits struct {
	Tenant, All int       // how many there may be
	Since       time.Time // those that were used last before are gone
}

// ArrivedLimits bounds what is kept of one receiver: the newest, so many, and one at least of so many bytes.
type ArrivedLimits struct{ Count, Bytes int }

// Keeps says how many of what arrived, given from the newest on, are to be kept.
func (l ArrivedLimits) Keeps(sizes []int) (keep int) {
	bytes := 0
	for i, size := range sizes {
		if bytes += size; i == l.Count || i > 0 && bytes > l.Bytes {
			return i
		}
	}
	return len(sizes)
}
