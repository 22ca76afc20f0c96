package web

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
)

// receiversHere are BuiltIns in the memory of one server: it ends with the process.
type receiversHere struct {
	mu      sync.Mutex
	byToken map[string]*receiverHere
}

type receiverHere struct {
	delivery.BuiltIn

	arrived []delivery.Arrived // the newest last
}

func newReceiversHere() *receiversHere {
	return &receiversHere{byToken: make(map[string]*receiverHere)}
}

func (h *receiversHere) AddReceiver(_ context.Context, r *delivery.BuiltIn, limits delivery.BuiltInLimits) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := 0
	for token, other := range h.byToken {
		switch {
		case !other.Used.After(limits.Since):
			delete(h.byToken, token)
		case other.Tenant == r.Tenant:
			own++
		}
	}
	if own >= limits.Tenant || len(h.byToken) >= limits.All {
		return false, nil
	}
	h.byToken[r.Token] = &receiverHere{BuiltIn: *r}
	return true, nil
}

// find is the receiver with the token, used since. The lock is held.
func (h *receiversHere) find(token string, since time.Time) (*receiverHere, error) {
	r := h.byToken[token]
	if r == nil || !r.Used.After(since) {
		return nil, triggers.ErrNotFound
	}
	r.Kept = len(r.arrived)
	return r, nil
}

func (h *receiversHere) Receiver(_ context.Context, token string, since time.Time) (delivery.BuiltIn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.find(token, since)
	if err != nil {
		return delivery.BuiltIn{}, err
	}
	return r.BuiltIn, nil
}

func (h *receiversHere) Receivers(_ context.Context, tenant uint32, since time.Time) (list []delivery.BuiltIn, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for token := range h.byToken {
		if r, err := h.find(token, since); err == nil && r.Tenant == tenant {
			list = append(list, r.BuiltIn)
		}
	}
	slices.SortFunc(list, func(a, b delivery.BuiltIn) int { return cmp.Or(a.Made.Compare(b.Made), cmp.Compare(a.Token, b.Token)) })
	return list, nil
}

func (h *receiversHere) ChangeReceiver(
	_ context.Context, token string, since time.Time, limits delivery.ArrivedLimits, change func(*delivery.BuiltIn) (*delivery.Arrived, error),
) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.find(token, since)
	if err != nil {
		return err
	}
	changed := r.BuiltIn
	arrived, err := change(&changed)
	if err != nil {
		return err
	}
	if r.BuiltIn = changed; arrived == nil {
		return nil
	}
	r.arrived = append(r.arrived, *arrived)
	sizes := make([]int, 0, len(r.arrived))
	for _, a := range slices.Backward(r.arrived) {
		sizes = append(sizes, a.Size)
	}
	r.arrived = slices.Delete(r.arrived, 0, len(r.arrived)-limits.Keeps(sizes))
	return nil
}

func (h *receiversHere) RemoveReceiver(_ context.Context, token string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byToken, token)
	return nil
}

func (h *receiversHere) Arrivals(_ context.Context, token string, after int64) (list []delivery.Arrived, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.byToken[token]
	if r == nil {
		return nil, nil
	}
	for _, a := range slices.Backward(r.arrived) {
		if a.Number > after {
			list = append(list, a)
		}
	}
	return list, nil
}
