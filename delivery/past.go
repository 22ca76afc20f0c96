package delivery

import (
	"context"
	"fmt"
	"time"

	"portalhook/payload"
	"portalhook/router"
	"portalhook/triggers"
)

// PastEvent is a stored event with what it takes to match it again.
type PastEvent struct {
	ID         triggers.ID
	EventID    string
	URI        triggers.URI
	Source     string
	Username   string
	HeardBy    []string // its owner and its audience
	AcceptedAt time.Time
	Body       []byte // payload.Render's
}

// PastQuery asks for a tenant's events that triggers may hear, the newest first.
type PastQuery struct {
	Tenant   uint32
	Triggers []triggers.Trigger
	From, To time.Time // of acceptance, To excluded
	Most     int       // events looked at
}

// PastStore finds stored events by the triggers that may hear them.
type PastStore interface {
	// EachPast calls visit with the events that an index proposes for the query, the newest first: all that one of the triggers hears,
	// and more. An event is good until visit returns. When Most have been looked at it says how far it came; zero: to the end.
	EachPast(ctx context.Context, q PastQuery, visit func(*PastEvent)) (stopped triggers.ID, err error)
}

// hearing judges stored events for a webhook: by its triggers, its level and its filter, whether it is on or off.
type hearing struct {
	catalog *triggers.Catalog
	webhook triggers.Webhook
	table   *router.Table
	hits    []router.Hit
}

func newHearing(catalog *triggers.Catalog, w *triggers.Webhook) *hearing {
	h := &hearing{catalog: catalog, webhook: *w, table: router.NewTable()}
	h.webhook.Enabled = true
	h.table.Load(w.Tenant, func(yield func(uint32, []triggers.Trigger) bool) { yield(w.Key, w.Triggers) })
	return h
}

// wants gives the first trigger that hears the event, and whether the webhook would get it.
func (h *hearing) wants(past *PastEvent) (trigger uint8, wanted bool) {
	h.hits = h.table.Match(h.webhook.Tenant, &past.URI, h.hits[:0])
	if len(h.hits) == 0 {
		return 0, false
	}
	trigger = h.hits[0].Trigger
	if h.webhook.Level != triggers.UserLevel && h.webhook.Conditions.IsZero() {
		return trigger, true
	}
	event := &triggers.Event{
		URI: past.URI, EventID: past.EventID, Source: past.Source, Username: past.Username, Audience: past.HeardBy,
		Kind: triggers.CloudKind{UserLevel: h.catalog.UserLevel(&past.URI)},
	}
	var properties []byte
	if !h.webhook.Conditions.IsZero() {
		if past.URI.Resource == triggers.CloudTypes {
			event.Extensions, event.Data = payload.CloudPartsOf(past.Body)
		} else {
			properties = payload.PropertiesOf(past.Body)
		}
	}
	return trigger, h.webhook.Admit(event, properties) == triggers.Admitted
}

const (
	// MaxPast is how many stored events one question about a draft looks at.
	MaxPast        = 50_000
	maxPastSamples = 10
)

// PastCatch is what a draft would have caught.
type PastCatch struct {
	From, To time.Time // the span that was looked at
	Looked   int       // events that were looked at: those that the draft's triggers may hear
	Caught   int
	Complete bool // the span is the one that was asked for
	Samples  []PastSample
}

// PastSample is one of the newest events that a draft would have caught.
type PastSample struct {
	Event   PastEvent // without its body
	Trigger string
}

// Past says which of a tenant's stored events a webhook that does not exist yet would have got, had it been there. Where the triggers
// are wide it looks at the newest of the span only, at most so many and MaxPast, and says so.
func (r *Recoverer) Past(ctx context.Context, draft *triggers.Webhook, span Span, most int) (*PastCatch, error) {
	catch := &PastCatch{From: span.From, To: span.To}
	if len(draft.Triggers) == 0 {
		catch.Complete = true
		return catch, nil
	}
	h := newHearing(r.catalog, draft)
	q := PastQuery{Tenant: draft.Tenant, Triggers: draft.Triggers, From: span.From, To: span.To, Most: min(most, MaxPast)}
	stopped, err := r.store.EachPast(ctx, q, func(past *PastEvent) {
		catch.Looked++
		trigger, wanted := h.wants(past)
		if !wanted {
			return
		}
		catch.Caught++
		if len(catch.Samples) < maxPastSamples {
			sample := PastSample{Event: *past, Trigger: draft.Triggers[trigger].Text}
			sample.Event.Body = nil
			catch.Samples = append(catch.Samples, sample)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("look at past events: %w", err)
	}
	if catch.Complete = stopped == 0; !catch.Complete {
		catch.From = stopped.Time().UTC()
	}
	return catch, nil
}
