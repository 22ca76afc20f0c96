package web_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/router"
	"portalhook/triggers"
)

// memory stands in for all that the edge calls: a directory, a dispatcher and a history that hold what they are told in plain maps.
type memory struct {
	mu       sync.Mutex
	keys     []triggers.APIKey
	tenants  []triggers.Tenant
	audit    []delivery.Change
	uses     map[string]time.Time
	webhooks map[uint32]*triggers.Webhook
	nextKey  uint32
	limit    int
	owned    int // how many webhooks of user level an owner may have
	table    *router.Table

	events     map[triggers.ID]*delivery.EventRecord
	byName     map[string]delivery.Receipt
	records    []delivery.Record
	hours      []delivery.HourCounts
	recoveries []*delivery.Recovery
	health     map[uint32]delivery.Health
	// What the overview shows.
	tenantHours []delivery.TenantHour
	totals      []delivery.WebhookTotal
	open        delivery.OpenWork
	breakers    []delivery.Breaker
	last        map[uint32]*delivery.LastAttempt
	nextID      triggers.ID
	calls       int
	looks       int // how many deliveries a page looks at before it stops; zero: all
	copyClosed  chan struct{}
	failure     error    // what Dispatch and Resend answer, when not nil
	reached     []string // the URLs of receivers that were asked for an answer
	proved      []string // the URLs of those that were challenged
	reach       error    // what they come to
	prove       error
}

const (
	adminKey    = "admin-key"
	emitterKey  = "emitter-key"
	viewerKey   = "viewer-key"
	userKey     = "user-key"
	otherKey    = "other-tenant-key"
	expiredKey  = "expired-key"
	revokedKey  = "revoked-key"
	operatorKey = "operator-key"
)

func newMemory() *memory {
	key := func(text string, tenant uint32, role triggers.Role) triggers.APIKey {
		return triggers.APIKey{ID: text, Hash: sha256.Sum256([]byte(text)), Tenant: tenant, Role: role, UserID: "u-" + text}
	}
	m := &memory{
		webhooks: map[uint32]*triggers.Webhook{}, limit: 100, owned: 150, table: router.NewTable(),
		events: map[triggers.ID]*delivery.EventRecord{}, byName: map[string]delivery.Receipt{},
		nextID: triggers.ID(1763848800000 << triggers.IDSequenceBits),
		keys: []triggers.APIKey{
			key(adminKey, 1, triggers.RoleAdmin), key(emitterKey, 1, triggers.RoleEmitter), key(viewerKey, 1, triggers.RoleViewer),
			key(userKey, 1, triggers.RoleUser), key(otherKey, 2, triggers.RoleAdmin),
			key(expiredKey, 1, triggers.RoleAdmin), key(revokedKey, 1, triggers.RoleAdmin),
			key(operatorKey, 1, triggers.RoleAdmin),
		},
	}
	m.keys[5].Expires = time.Unix(1, 0)
	m.keys[6].Revoked = true
	m.keys[7].Operator = true
	m.tenants = []triggers.Tenant{
		{Key: 1, Name: "default", PortalID: "0123456789ABCDEF", PortalURL: "https://portal.example.com/"},
		{Key: 2, Name: "other", PortalID: "FEDCBA9876543210", PortalURL: "https://other.example.com/"},
	}
	return m
}

func (m *memory) APIKeys(context.Context) ([]triggers.APIKey, error) { return m.keys, nil }

func (m *memory) AddAPIKey(ctx context.Context, k triggers.APIKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = append(m.keys, k)
	m.note(ctx, k.Tenant)
	return nil
}

func (m *memory) RevokeAPIKey(ctx context.Context, tenant uint32, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.keys {
		if m.keys[i].ID == id && m.keys[i].Tenant == tenant {
			m.keys[i].Revoked = true
			m.note(ctx, tenant)
			return nil
		}
	}
	return triggers.ErrNotFound
}

func (m *memory) NoteKeyUse(_ context.Context, used map[string]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses = used
	return nil
}

// note keeps the change that ctx carries.
func (m *memory) note(ctx context.Context, tenant uint32) {
	if change := delivery.ChangeIn(ctx); change != nil {
		row := *change
		m.nextID++
		row.ID, row.Tenant = m.nextID, tenant
		m.audit = append(m.audit, row)
	}
}

func (m *memory) Changes(_ context.Context, q delivery.ChangeQuery) ([]delivery.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []delivery.Change
	for _, c := range m.audit {
		after := q.After == 0 || (q.OldestFirst && c.ID > q.After) || (!q.OldestFirst && c.ID < q.After)
		if c.Tenant == q.Tenant && after && (q.Action == "" || q.Action == c.Action) && (q.Object == "" || q.Object == c.Object) &&
			(q.ObjectID == "" || q.ObjectID == c.ObjectID) {
			found = append(found, c)
		}
	}
	if !q.OldestFirst {
		slices.Reverse(found)
	}
	return found[:min(q.Limit, len(found))], nil
}

func (m *memory) AddChange(ctx context.Context, change *delivery.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(delivery.Audited(ctx, change), change.Tenant)
	return nil
}

func (m *memory) Tenants() []triggers.Tenant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.tenants)
}

func (m *memory) Tenant(key uint32) triggers.Tenant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tenants[key-1]
}

func (m *memory) SaveTenant(ctx context.Context, tenant *triggers.Tenant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if tenant.Key == 0 {
		tenant.Key = uint32(len(m.tenants) + 1)
		m.tenants = append(m.tenants, *tenant)
	}
	m.tenants[tenant.Key-1] = *tenant
	m.note(ctx, tenant.Key)
	return nil
}

func (m *memory) Create(ctx context.Context, w *triggers.Webhook) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.webhooks) >= m.limit {
		return triggers.ErrLimit
	}
	if m.ownersWebhooks(w) >= m.owned {
		return triggers.ErrOwnerLimit
	}
	m.nextKey++
	w.Key = m.nextKey
	m.put(w)
	m.note(ctx, w.Tenant)
	return nil
}

// ownersWebhooks counts those of w's owner.
func (m *memory) ownersWebhooks(w *triggers.Webhook) int {
	count := 0
	for _, other := range m.webhooks {
		if w.Level == triggers.UserLevel && other.Level == w.Level && other.Tenant == w.Tenant && other.OwnerID == w.OwnerID {
			count++
		}
	}
	return count
}

func (m *memory) put(w *triggers.Webhook) {
	stored := *w
	m.webhooks[w.Key] = &stored
	if w.Enabled {
		m.table.Put(w.Tenant, w.Key, w.Triggers)
	} else {
		m.table.Remove(w.Tenant, w.Key)
	}
}

func (m *memory) Update(ctx context.Context, tenant uint32, id triggers.WebhookID, change func(*triggers.Webhook) error) (*triggers.Webhook, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stored, err := m.byID(tenant, id)
	if err != nil {
		return nil, err
	}
	w := *stored
	if err := change(&w); err != nil {
		return nil, err
	}
	if w.OwnerID != stored.OwnerID && m.ownersWebhooks(&w) >= m.owned {
		return nil, triggers.ErrOwnerLimit
	}
	m.put(&w)
	m.note(ctx, tenant)
	return &w, nil
}

func (m *memory) Delete(ctx context.Context, tenant uint32, id triggers.WebhookID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, err := m.byID(tenant, id)
	if err != nil {
		return err
	}
	delete(m.webhooks, w.Key)
	m.table.Remove(tenant, w.Key)
	m.note(ctx, tenant)
	return nil
}

func (m *memory) Get(key uint32) *triggers.Webhook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.webhooks[key]
}

func (m *memory) ByID(tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byID(tenant, id)
}

func (m *memory) byID(tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error) {
	for _, w := range m.webhooks {
		if w.Tenant == tenant && w.ID == id {
			return w, nil
		}
	}
	return nil, triggers.ErrNotFound
}

func (m *memory) all(tenant uint32) []*triggers.Webhook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Values(m.webhooks)), func(w *triggers.Webhook) bool { return w.Tenant != tenant })
}

func (m *memory) AllWebhooks(tenant uint32) iter.Seq[*triggers.Webhook] {
	return slices.Values(m.all(tenant))
}

func (m *memory) Dispatch(_ context.Context, tenant uint32, events []*triggers.Event) ([]delivery.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.failure != nil {
		return nil, m.failure
	}
	at := time.UnixMilli(1763848800000)
	bodies := make([][]byte, len(events))
	for i, ev := range events {
		var err error
		if bodies[i], err = payload.Render(ev, at); err != nil {
			if f, ok := errors.AsType[*triggers.FieldError](err); ok {
				f.Index = i
			}
			return nil, err
		}
	}
	var receipts []delivery.Receipt
	for i, ev := range events {
		if old, ok := m.byName[ev.EventID]; ok && ev.EventID != "" {
			old.Duplicate = true
			receipts = append(receipts, old)
			continue
		}
		hits := m.table.Match(tenant, &ev.URI, nil)
		m.nextID++
		record := &delivery.EventRecord{
			ID: m.nextID, Tenant: tenant, EventID: ev.EventID, Source: ev.Source, URI: ev.URI.String(), Username: ev.Username,
			When: time.UnixMilli(ev.When), AcceptedAt: at, Body: bodies[i],
		}
		for _, hit := range hits {
			w := m.webhooks[hit.Webhook]
			m.nextID++
			r := delivery.Record{
				ID: m.nextID, Tenant: tenant, Webhook: w.Key, WebhookID: w.ID, EventID: record.ID, URI: record.URI,
				Trigger: w.Triggers[hit.Trigger].Text, State: delivery.Waiting, CreatedAt: at, DueAt: at,
			}
			record.Matches = append(record.Matches, delivery.Match{Place: len(record.Matches) + 1, WebhookID: w.ID, WebhookName: w.Name, Trigger: r.Trigger, Delivery: r})
			m.records = append(m.records, r)
		}
		m.events[record.ID] = record
		receipt := delivery.Receipt{ID: record.ID, Matched: len(hits)}
		m.byName[ev.EventID] = receipt
		receipts = append(receipts, receipt)
	}
	return receipts, nil
}

func (m *memory) Resend(_ context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return nil, m.failure
	}
	for _, r := range m.records {
		if r.ID == id && r.Tenant == tenant {
			m.nextID++
			r.ID = m.nextID
			m.records = append(m.records, r)
			return &r, nil
		}
	}
	return nil, triggers.ErrNotFound
}

// Test reaches nobody: every test ends as one whose certificate is not trusted.
func (m *memory) Reach(_ context.Context, w *triggers.Webhook) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reached = append(m.reached, w.URL)
	return m.reach
}

func (m *memory) Challenge(_ context.Context, w *triggers.Webhook) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proved = append(m.proved, w.URL)
	return m.prove
}

func (m *memory) Test(_ context.Context, tenant uint32, webhook triggers.WebhookID, event *triggers.Event) (*delivery.Trial, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, err := m.byID(tenant, webhook)
	if err != nil {
		return nil, err
	}
	return m.tried(w, event)
}

func (m *memory) TestDraft(_ context.Context, draft *triggers.Webhook, event *triggers.Event) (*delivery.Trial, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tried(draft, event)
}

func (m *memory) tried(w *triggers.Webhook, event *triggers.Event) (*delivery.Trial, error) {
	at := time.UnixMilli(1763848800000)
	body, err := payload.Render(event, at)
	if err != nil {
		return nil, err
	}
	return &delivery.Trial{
		ID: "test_memory", Revision: delivery.RevisionOf(w, &m.tenants[w.Tenant-1], false), BuiltAt: at,
		Events: []payload.Event{{EventID: "test_memory", URI: event.URI, Body: body}},
		Attempt: delivery.Attempt{
			Number: 1, StartedAt: at, DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, Total: 3 * time.Millisecond,
			Outcome: delivery.TLSFailed, Error: "the certificate is signed by an unknown authority",
		},
	}, nil
}

func (m *memory) Event(_ context.Context, tenant uint32, id triggers.ID) (*delivery.EventRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ev, ok := m.events[id]; ok && ev.Tenant == tenant {
		return ev, nil
	}
	return nil, triggers.ErrNotFound
}

func (m *memory) Delivery(_ context.Context, tenant uint32, id triggers.ID) (*delivery.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if r.ID == id && r.Tenant == tenant {
			return &r, nil
		}
	}
	return nil, triggers.ErrNotFound
}

func (m *memory) Deliveries(_ context.Context, q delivery.HistoryQuery) (*delivery.HistoryPage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := &delivery.HistoryPage{}
	var found []delivery.Record
	for _, r := range m.records {
		after := q.After == 0 || (q.OldestFirst && r.ID > q.After) || (!q.OldestFirst && r.ID < q.After)
		if r.Webhook == q.Webhook && r.Tenant == q.Tenant && after && (len(q.States) == 0 || slices.Contains(q.States, r.State)) &&
			(!q.FinishedOnly || r.Tries > 0) && !r.CreatedAt.Before(q.From) && (q.To.IsZero() || r.CreatedAt.Before(q.To)) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b delivery.Record) int {
		if q.OldestFirst {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Compare(b.ID, a.ID)
	})
	for looked, r := range found {
		uri, err := triggers.Default().ParseURI(r.URI)
		if err != nil {
			return nil, err
		}
		if q.EventType == "" || q.EventType == r.Trigger || q.EventType == uri.AnyForm() {
			page.Deliveries = append(page.Deliveries, r)
		}
		if len(page.Deliveries) == q.Limit {
			break
		}
		if looked+1 == m.looks {
			page.Stopped = r.ID
			break
		}
	}
	return page, nil
}

func (m *memory) Events(_ context.Context, q delivery.EventQuery) (*delivery.EventPage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page := &delivery.EventPage{}
	for _, ev := range m.events {
		after := q.After == 0 || (q.OldestFirst && ev.ID > q.After) || (!q.OldestFirst && ev.ID < q.After)
		uri, err := triggers.Default().ParseURI(ev.URI)
		if err == nil && ev.Tenant == q.Tenant && after && q.Hears(&uri) && (q.EventID == "" || q.EventID == ev.EventID) &&
			(q.Username == "" || strings.EqualFold(q.Username, ev.Username)) && (q.Outcome == "" || delivery.Summarize(ev).Has(q.Outcome)) &&
			!ev.AcceptedAt.Before(q.From) && (q.To.IsZero() || ev.AcceptedAt.Before(q.To)) {
			page.Events = append(page.Events, *delivery.Summarize(ev))
		}
	}
	slices.SortFunc(page.Events, func(a, b delivery.EventSummary) int {
		if q.OldestFirst {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Compare(b.ID, a.ID)
	})
	page.Events = page.Events[:min(q.Limit, len(page.Events))]
	return page, nil
}

func (m *memory) Hourly(_ context.Context, _, _ uint32, from, to time.Time) (found []delivery.HourCounts, err error) {
	for _, h := range m.hours {
		if h.Hour.Add(time.Hour).After(from) && h.Hour.Before(to) {
			found = append(found, h)
		}
	}
	return found, nil
}

func (m *memory) Health(_ context.Context, webhooks ...uint32) (map[uint32]delivery.Health, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[uint32]delivery.Health{}
	for _, key := range webhooks {
		if health, ok := m.health[key]; ok {
			found[key] = health
		}
	}
	return found, nil
}

func has(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// stored counts what is kept: webhooks and events.
func (m *memory) stored() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.webhooks) + len(m.events)
}

// directory gives memory the directory's methods where their names meet the history's.
type directory struct{ *memory }

func (d directory) Webhooks(tenant uint32) iter.Seq[*triggers.Webhook] { return d.AllWebhooks(tenant) }

// only is the one webhook there is.
func (e *edge) only(tb testing.TB) *triggers.Webhook {
	tb.Helper()
	all := e.all(1)
	require.Len(tb, all, 1)
	return all[0]
}
