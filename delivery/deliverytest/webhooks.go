package deliverytest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// WebhookDeleted is the reason of a delivery that was cancelled because its webhook was deleted.
const WebhookDeleted = "the webhook was deleted"

// Tenants lists the tenants.
func (q *Queue) Tenants(context.Context) ([]triggers.Tenant, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.tenants), nil
}

// SaveTenant adds a tenant, drawing its Key, or changes the one with its Key; what payloads say of it gives its webhooks new revisions when it changes.
func (q *Queue) SaveTenant(_ context.Context, tenant *triggers.Tenant) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if tenant.Key == 0 {
		tenant.Key = uint32(len(q.tenants)) + 1 //nolint:gosec // tests have few
		q.tenants = append(q.tenants, *tenant)
		return nil
	}
	old, err := q.tenant(tenant.Key)
	if err != nil {
		return err
	}
	revised := delivery.TellsOtherwise(old, tenant)
	*old = *tenant
	for _, key := range slices.Sorted(maps.Keys(q.webhooks)) {
		if w := *q.webhooks[key]; revised && w.Tenant == tenant.Key {
			q.revise(&w, old)
			q.webhooks[key] = &w
		}
	}
	return nil
}

func (q *Queue) tenant(key uint32) (*triggers.Tenant, error) {
	for i := range q.tenants {
		if q.tenants[i].Key == key {
			return &q.tenants[i], nil
		}
	}
	return nil, fmt.Errorf("tenant %d: %w", key, triggers.ErrNotFound)
}

// revise gives the webhook a new revision.
func (q *Queue) revise(w *triggers.Webhook, tenant *triggers.Tenant) {
	w.Revision = int64(len(q.revisions)) + 1
	revision := delivery.RevisionOf(w, tenant, q.legacyCloud)
	if len(revision.Headers) == 0 {
		revision.Headers = nil // as it is read back from a database
	}
	q.revisions = append(q.revisions, revision)
}

// ReviseWebhooks gives webhooks a new revision whose present one differs from what it would be now.
func (q *Queue) ReviseWebhooks(_ context.Context, legacyCloud bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.legacyCloud = legacyCloud
	for _, key := range slices.Sorted(maps.Keys(q.webhooks)) {
		w := *q.webhooks[key]
		tenant, err := q.tenant(w.Tenant)
		if err != nil {
			return err
		}
		if present := delivery.RevisionOf(&w, tenant, legacyCloud); !present.Equal(&q.revisions[w.Revision-1]) {
			q.revise(&w, tenant)
			q.webhooks[key] = &w
		}
	}
	return nil
}

// EachWebhook calls each with every webhook, in the order of their keys.
func (q *Queue) EachWebhook(_ context.Context, each func(*triggers.Webhook) error) error {
	q.mu.Lock()
	all := slices.SortedFunc(maps.Values(q.webhooks), func(a, b *triggers.Webhook) int { return cmp.Compare(a.Key, b.Key) })
	q.mu.Unlock()
	for _, w := range all {
		if err := each(w); err != nil {
			return err
		}
	}
	return nil
}

// CreateWebhook stores a copy and sets Key and Revision; triggers.ErrLimit or triggers.ErrOwnerLimit past the limits.
func (q *Queue) CreateWebhook(_ context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	tenant, err := q.tenant(w.Tenant)
	if err != nil {
		return err
	}
	count := 0
	for _, other := range q.webhooks {
		if other.Tenant == w.Tenant {
			count++
		}
	}
	if limits.Tenant > 0 && count >= limits.Tenant {
		return fmt.Errorf("webhooks: %w", triggers.ErrLimit)
	}
	if limits.Owner > 0 && q.owned(w) >= limits.Owner {
		return fmt.Errorf("webhooks: %w", triggers.ErrOwnerLimit)
	}
	q.keys++
	w.Key = q.keys
	q.revise(w, tenant)
	stored := *w
	q.webhooks[w.Key] = &stored
	return nil
}

// owned is how many webhooks the owner of w has, when w is of user level.
func (q *Queue) owned(w *triggers.Webhook) int {
	count := 0
	for _, other := range q.webhooks {
		if w.Level == triggers.UserLevel && other.Level == w.Level && other.Tenant == w.Tenant && other.OwnerID == w.OwnerID {
			count++
		}
	}
	return count
}

// UpdateWebhook replaces the webhook with this Tenant and ID and sets Key and Revision; triggers.ErrNotFound when there is none,
// triggers.ErrOwnerLimit when it becomes one too many of another owner.
func (q *Queue) UpdateWebhook(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	old, err := q.find(w.Tenant, w.ID)
	if err != nil {
		return err
	}
	tenant, err := q.tenant(w.Tenant)
	if err != nil {
		return err
	}
	same := old.Level == w.Level && old.OwnerID == w.OwnerID
	if limits.Owner > 0 && !same && q.owned(w) >= limits.Owner {
		return fmt.Errorf("webhooks: %w", triggers.ErrOwnerLimit)
	}
	if w.Enabled && !old.Enabled {
		delete(q.health, old.Key)
	}
	q.keepNotice(delivery.NoticeIn(ctx))
	w.Key = old.Key
	q.revise(w, tenant)
	stored := *w
	q.webhooks[w.Key] = &stored
	return nil
}

// DeleteWebhook removes the webhook and cancels what waits for it; triggers.ErrNotFound when there is none.
func (q *Queue) DeleteWebhook(_ context.Context, tenant uint32, id triggers.WebhookID) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	w, err := q.find(tenant, id)
	if err != nil {
		return err
	}
	delete(q.webhooks, w.Key)
	delete(q.health, w.Key)
	for _, d := range q.deliveries {
		if d.Webhook == w.Key && d.State == delivery.Waiting {
			q.cancel(d)
		}
	}
	q.members = slices.DeleteFunc(q.members, func(m member) bool { return m.webhook == w.Key })
	return nil
}

// Webhook is a tenant's webhook; triggers.ErrNotFound when there is none.
func (q *Queue) Webhook(_ context.Context, tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w, err := q.find(tenant, id)
	if err != nil {
		return nil, err
	}
	found := *w
	return &found, nil
}

func (q *Queue) find(tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error) {
	for _, w := range q.webhooks {
		if w.Tenant == tenant && w.ID == id {
			return w, nil
		}
	}
	return nil, fmt.Errorf("webhook %s: %w", id, triggers.ErrNotFound)
}

// Delivery is a tenant's delivery with its events and attempts; triggers.ErrNotFound when there is none.
func (q *Queue) Delivery(_ context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.deliveries[id]
	if d == nil || d.Tenant != tenant {
		return nil, fmt.Errorf("delivery %s: %w", id.Delivery(), triggers.ErrNotFound)
	}
	record := d.Record
	record.Events, record.Attempts = q.payloadEvents(d.events), slices.Clone(d.Attempts)
	return &record, nil
}

// Event is a tenant's event with its matches; triggers.ErrNotFound when there is none.
func (q *Queue) Event(_ context.Context, tenant uint32, id triggers.ID) (*delivery.EventRecord, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.events[id]
	if e == nil || e.Tenant != tenant {
		return nil, fmt.Errorf("event %s: %w", id.Event(), triggers.ErrNotFound)
	}
	record := &delivery.EventRecord{
		ID: id, Tenant: tenant, EventID: e.Event.EventID, Source: e.Event.Source, URI: e.Event.URI.String(), Username: e.Event.Username,
		When: time.UnixMilli(e.Event.When).UTC(), AcceptedAt: milliseconds(e.AcceptedAt), Body: e.Body,
	}
	if !e.Event.HasWhen {
		record.When = record.AcceptedAt
	}
	for i, planned := range e.Planned {
		revision := q.revisions[planned.Revision-1]
		record.Matches = append(record.Matches, delivery.Match{
			Place: i + 1, WebhookID: revision.WebhookID, WebhookName: revision.WebhookName, Trigger: revision.Triggers[planned.Trigger],
			Delivery: q.outcome(e, i, planned),
		})
	}
	return record, nil
}

// outcome is the delivery of the event's match at place i: its own, that of its interval, or one that waits for the interval's end.
func (q *Queue) outcome(e *event, i int, planned delivery.Planned) delivery.Record {
	d := q.deliveries[e.id+1+triggers.ID(i)]
	if !planned.Interval.IsZero() {
		for _, candidate := range q.deliveries {
			if candidate.Webhook == planned.Webhook && slices.Contains(candidate.events, e.id) && (d == nil || candidate.ID < d.ID) {
				d = candidate
			}
		}
	}
	if d == nil {
		waits := delivery.Record{Tenant: e.Tenant, Webhook: planned.Webhook, EventID: e.id, URI: e.Event.URI.String(), State: delivery.Waiting}
		at := slices.IndexFunc(q.members, func(m member) bool { return m.event == e.id && m.webhook == planned.Webhook })
		if at < 0 {
			waits.State, waits.Reason = delivery.Cancelled, WebhookDeleted
			return waits
		}
		waits.DueAt = time.UnixMilli(q.members[at].interval).UTC()
		return waits
	}
	record := d.Record
	record.Revision, record.BuiltAt, record.Attempts = payload.Revision{}, time.Time{}, nil
	return record
}

// Open is the number of deliveries that wait or are being sent.
func (q *Queue) Open() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	open := 0
	for _, d := range q.deliveries {
		if d.open() {
			open++
		}
	}
	return open
}

// FreeBytes answers as an empty disk would.
func (q *Queue) FreeBytes() (uint64, error) { return 1 << 40, nil }
