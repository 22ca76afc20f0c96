package delivery

import (
	"context"
	"time"
)

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

// BuiltIns keeps the built-in receivers. Its errors are triggers.ErrNotFound for one that is not there or was used last before since, and what kept it
// from answering.
type BuiltIns interface {
	// AddReceiver forgets those that were not used since, and keeps another; false when there are as many as there may be.
	AddReceiver(ctx context.Context, r *BuiltIn, limits BuiltInLimits) (bool, error)
	Receiver(ctx context.Context, token string, since time.Time) (BuiltIn, error)
	// Receivers are a tenant's, the oldest first.
	Receivers(ctx context.Context, tenant uint32, since time.Time) ([]BuiltIn, error)
	// ChangeReceiver has change look at a receiver, and change it, while nobody else does, and keeps what it gives as arrived; nil is nothing. An error of
	// change comes back, and nothing has changed.
	ChangeReceiver(
		ctx context.Context, token string, since time.Time, limits ArrivedLimits, change func(*BuiltIn) (*Arrived, error),
	) error
	RemoveReceiver(ctx context.Context, token string) error
	// Arrivals are what arrived at a receiver after the one of a number, the newest first.
	Arrivals(ctx context.Context, token string, after int64) ([]Arrived, error)
}

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
