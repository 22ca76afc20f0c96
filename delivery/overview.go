package delivery

import (
	"cmp"
	"slices"
	"time"

	"portalhook/triggers"
)

// TenantHour is what a tenant's events and deliveries of one hour came to: an event counts in the hour of its acceptance, an attempt and
// the end of a delivery in the hour in which they ended.
type TenantHour struct {
	HourCounts       // of all its webhooks together
	Events     int64 // accepted; repetitions are not counted again
	Unmatched  int64 // of them, those that no webhook wanted
	Planned    int64 // deliveries that they led to, skipped ones included
	Skipped    int64 // deliveries, for the server had switched their webhook off
	Cancelled  int64 // deliveries, for their webhook was deleted
}

// Add adds the counts of another hour; Hour stays.
func (h *TenantHour) Add(other *TenantHour) {
	h.HourCounts.Add(&other.HourCounts)
	h.Events += other.Events
	h.Unmatched += other.Unmatched
	h.Planned += other.Planned
	h.Skipped += other.Skipped
	h.Cancelled += other.Cancelled
}

// OpenWork is a tenant's deliveries that have not ended.
type OpenWork struct {
	Waiting, Sending int64
	Oldest           time.Time // when the oldest of them was made; zero: there is none
}

// WebhookTotal is what a webhook's attempts of some hours came to; without Hour and Latency.
type WebhookTotal struct {
	Webhook uint32
	HourCounts
}

// Slowest are the n webhooks whose attempts took longest in the mean, the slowest first; equal ones by key. Totals is sorted in place.
func Slowest(totals []WebhookTotal, n int) []WebhookTotal {
	slices.SortFunc(totals, func(a, b WebhookTotal) int {
		return cmp.Or(cmp.Compare(b.Mean(), a.Mean()), cmp.Compare(a.Webhook, b.Webhook))
	})
	return slices.Clone(totals[:min(n, len(totals))])
}

// MostFailing are the n webhooks with the most failed attempts, those first whose attempts failed most; webhooks without one are left out.
// Equal ones stand by their exhausted deliveries, then by key. Totals is sorted in place.
func MostFailing(totals []WebhookTotal, n int) []WebhookTotal {
	slices.SortFunc(totals, func(a, b WebhookTotal) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(b.Exhausted, a.Exhausted), cmp.Compare(a.Webhook, b.Webhook))
	})
	top := totals[:min(n, len(totals))]
	if end := slices.IndexFunc(top, func(t WebhookTotal) bool { return t.Failed == 0 }); end >= 0 {
		top = top[:end]
	}
	return slices.Clone(top)
}

// WebhookSummary is how a webhook has done, as lists show it.
type WebhookSummary struct {
	Webhook uint32
	Counts  HourCounts // of the span that was asked for; without Hour and Latency
	// Last is the attempt that ended last; nil when none did within a week.
	Last *LastAttempt
}

// LastAttempt is the attempt at a webhook's deliveries that ended last.
type LastAttempt struct {
	Delivery   triggers.ID
	At         time.Time // when it ended
	State      State     // of the delivery, by this attempt
	StatusCode int       // 0 without an answer
}

// Breaker is a host that is given a rest, since attempts to it fail.
type Breaker struct {
	Host     string    // scheme://name:port
	Until    time.Time // when it is tried again
	Webhooks int       // of the tenant that asks, on this host
}

// Breakers are the open breakers of hosts that a tenant's webhooks are on, by host.
func (d *Dispatcher) Breakers(tenant uint32) []Breaker {
	open := d.openHosts()
	if len(open) == 0 {
		return nil
	}
	for w := range d.directory.Webhooks(tenant) {
		e := d.directory.byKey.get(w.Key)
		if e == nil {
			continue
		}
		if b := open[d.directory.targetOf(e).host]; b != nil {
			b.Webhooks++
		}
	}
	var list []Breaker
	for _, b := range open {
		if b.Webhooks > 0 {
			list = append(list, *b)
		}
	}
	slices.SortFunc(list, func(a, b Breaker) int { return cmp.Compare(a.Host, b.Host) })
	return list
}

func (d *Dispatcher) openHosts() map[string]*Breaker {
	d.mu.Lock()
	defer d.mu.Unlock()
	open := make(map[string]*Breaker)
	for name, h := range d.shares.hosts {
		if h.breaker.open {
			open[name] = &Breaker{Host: name, Until: h.breaker.until}
		}
	}
	return open
}
