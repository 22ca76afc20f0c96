package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portalhook/router"
	"portalhook/triggers"
)

// WebhookStore keeps webhooks and tenants. A webhook given to it is complete and valid.
type WebhookStore interface {
	Tenants(ctx context.Context) ([]triggers.Tenant, error)
	// SaveTenant adds a tenant, drawing its Key, or changes it; see TellsOtherwise for when its webhooks have new revisions.
	SaveTenant(ctx context.Context, tenant *triggers.Tenant) error
	// ReviseWebhooks gives every webhook whose revision is not what RevisionOf says a new one: those of an older builder among them.
	// LegacyCloud is what RevisionOf is told, now and whenever a webhook or a tenant is saved later.
	ReviseWebhooks(ctx context.Context, legacyCloud bool) error
	EachWebhook(ctx context.Context, each func(*triggers.Webhook) error) error
	Webhook(ctx context.Context, tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error)
	// CreateWebhook draws Key and Revision and sets them; triggers.ErrLimit or triggers.ErrOwnerLimit past the limits, which are judged
	// in the transaction that stores it.
	CreateWebhook(ctx context.Context, w *triggers.Webhook, limits WebhookLimits) error
	// UpdateWebhook changes the webhook with this Tenant and ID and sets Revision, and stores the Notice that ctx carries with it; triggers.ErrNotFound when there is none, and
	// triggers.ErrOwnerLimit when it becomes the webhook of an owner who has as many as he may: one that is his already is never over.
	UpdateWebhook(ctx context.Context, w *triggers.Webhook, limits WebhookLimits) error
	// DeleteWebhook cancels what waits for the webhook; triggers.ErrNotFound when there is none.
	DeleteWebhook(ctx context.Context, tenant uint32, id triggers.WebhookID) error
}

// WebhookLimits bounds how many webhooks there may be; 0 is no bound.
type WebhookLimits struct {
	Tenant int // of one tenant, whatever their level
	Owner  int // of user level, of one owner in one tenant
}

// Directory holds every webhook and tenant in memory, in step with the store and with the table that events are matched against:
// when a save returns, the next event is matched by it. Reading takes no lock.
type Directory struct {
	store  WebhookStore
	table  *router.Table
	limits WebhookLimits
	// legacyCloud is what every revision says of cloud types.
	legacyCloud bool
	own         Teller

	// tenancy is held for reading by every save of a webhook, and whole by a save of a tenant, which touches all its webhooks.
	tenancy sync.RWMutex
	saving  [64]sync.Mutex // of one webhook each, by its id: saves of one webhook are serialised
	byKey   pages
	byID    sync.Map // webhookName to *entry
	tenants sync.Map // uint32 to *triggers.Tenant

	version int64 // of a store that others change: as of which everything was loaded

	// announce says what is to be told of a change; set by the dispatcher before it starts.
	announce func(before, after *triggers.Webhook) *Notice
	// changed is called after a webhook has changed, with what it was before, which is nil when it was changed elsewhere; removed after it has
	// gone; set by the dispatcher before it starts.
	changed func(e *entry, before *triggers.Webhook)
	removed func(*entry)
}

type webhookName struct {
	tenant uint32
	id     triggers.WebhookID
}

// entry is one webhook in the directory, from its creation to its end.
type entry struct {
	webhook atomic.Pointer[triggers.Webhook]
	target  atomic.Pointer[target] // of the webhook, made when first asked for
	gone    atomic.Bool
	lane    *lane // the dispatcher's, guarded by its lock
	warned  int   // the last step on its way to being switched off that the log was told of; the judge's
}

// DirectoryConfig is what a Directory is made from.
type DirectoryConfig struct {
	Store WebhookStore  // needed
	Table *router.Table // needed
	// MaxWebhooks is how many webhooks a tenant may have, MaxWebhooksPerOwner how many of user level one owner; 0 is no bound.
	MaxWebhooks, MaxWebhooksPerOwner int
	// LegacyCloud sends cloud types in their legacy form where the hybrid one would be sent otherwise: to webhooks without CloudEvents.
	LegacyCloud bool
	// Own tells the audit of webhooks that the server itself changes; nil: the audit has no such rows.
	Own Teller
}

// NewDirectory brings the revisions of webhooks up to date, and loads all tenants and webhooks.
func NewDirectory(ctx context.Context, config DirectoryConfig) (*Directory, error) {
	d := &Directory{
		store: config.Store, table: config.Table, legacyCloud: config.LegacyCloud, own: config.Own,
		limits:   WebhookLimits{Tenant: config.MaxWebhooks, Owner: config.MaxWebhooksPerOwner},
		announce: nobody, changed: func(*entry, *triggers.Webhook) {}, removed: func(*entry) {},
	}
	if err := d.store.ReviseWebhooks(ctx, d.legacyCloud); err != nil {
		return nil, fmt.Errorf("bring webhooks up to date: %w", err)
	}
	if shared, ok := d.store.(SharedStore); ok {
		now, err := shared.ChangesSince(ctx, 0)
		if err != nil {
			return nil, fmt.Errorf("load webhooks: %w", err)
		}
		d.version = now.Version
	}
	tenants, err := d.store.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("load tenants: %w", err)
	}
	for i := range tenants {
		d.tenants.Store(tenants[i].Key, &tenants[i])
	}
	listening := make(map[uint32][]*triggers.Webhook)
	err = d.store.EachWebhook(ctx, func(w *triggers.Webhook) error {
		d.add(w)
		if listens(w) {
			listening[w.Tenant] = append(listening[w.Tenant], w)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load webhooks: %w", err)
	}
	for tenant, webhooks := range listening {
		d.table.Load(tenant, func(yield func(uint32, []triggers.Trigger) bool) {
			for _, w := range webhooks {
				if !yield(w.Key, w.Triggers) {
					return
				}
			}
		})
	}
	return d, nil
}

// listens reports whether events are matched for the webhook. One that the server switched off goes on listening: what it would have
// got is kept as skipped.
func listens(w *triggers.Webhook) bool { return w.Enabled || switchedOff(w) }

// switchedOff reports whether the server itself switched the webhook off.
func switchedOff(w *triggers.Webhook) bool { return !w.Enabled && w.DisabledReasonCode != "" }

// Get is the webhook with the store's number, nil when there is none. It must not be changed.
func (d *Directory) Get(key uint32) *triggers.Webhook {
	if e := d.byKey.get(key); e != nil {
		return e.webhook.Load()
	}
	return nil
}

// ByID is a tenant's webhook, triggers.ErrNotFound when there is none. It must not be changed.
func (d *Directory) ByID(tenant uint32, id triggers.WebhookID) (*triggers.Webhook, error) {
	e, err := d.find(tenant, id)
	if err != nil {
		return nil, err
	}
	return e.webhook.Load(), nil
}

// Webhooks are a tenant's, in no order.
func (d *Directory) Webhooks(tenant uint32) iter.Seq[*triggers.Webhook] {
	return func(yield func(*triggers.Webhook) bool) {
		d.byID.Range(func(name, found any) bool {
			return name.(webhookName).tenant != tenant || yield(found.(*entry).webhook.Load())
		})
	}
}

// Tenant is the tenant with the store's number, the zero value when there is none.
func (d *Directory) Tenant(key uint32) triggers.Tenant {
	if tenant, ok := d.tenants.Load(key); ok {
		return *tenant.(*triggers.Tenant)
	}
	return triggers.Tenant{}
}

// Tenants are all tenants, in the order of their keys.
func (d *Directory) Tenants() []triggers.Tenant {
	var list []triggers.Tenant
	d.tenants.Range(func(_, found any) bool {
		list = append(list, *found.(*triggers.Tenant))
		return true
	})
	slices.SortFunc(list, func(a, b triggers.Tenant) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// Create stores a new webhook and sets its Key and Revision. The next event hears it.
func (d *Directory) Create(ctx context.Context, w *triggers.Webhook) error {
	d.tenancy.RLock()
	defer d.tenancy.RUnlock()
	lock := d.lockOf(w.ID)
	lock.Lock()
	defer lock.Unlock()
	stored := *w
	if err := d.store.CreateWebhook(ctx, &stored, d.limits); err != nil {
		return err
	}
	*w = stored
	d.add(&stored)
	if listens(&stored) {
		d.table.Put(stored.Tenant, stored.Key, stored.Triggers)
	}
	return nil
}

// Update changes a webhook and returns it as it is then. Change is given a copy whose slices it must replace rather than write
// into, more than once where others save the webhook at the same time; an error of its own is returned as it is, and nothing has changed. The next event hears the change, and work that was held
// while the webhook was off goes on when it is on. It is triggers.ErrNotFound when there is no such webhook. In the audit the change is
// the one that ctx carries, or else the server's own.
func (d *Directory) Update(
	ctx context.Context, tenant uint32, id triggers.WebhookID, change func(*triggers.Webhook) error,
) (*triggers.Webhook, error) {
	return d.update(ctx, tenant, id, d.announce, change)
}

// nobody is told of a change.
func nobody(_, _ *triggers.Webhook) *Notice { return nil }

// update is Update, of which is told what announce says, in the transaction of the change.
func (d *Directory) update(
	ctx context.Context, tenant uint32, id triggers.WebhookID, announce func(before, after *triggers.Webhook) *Notice,
	change func(*triggers.Webhook) error,
) (*triggers.Webhook, error) {
	d.tenancy.RLock()
	defer d.tenancy.RUnlock()
	lock := d.lockOf(id)
	lock.Lock()
	defer lock.Unlock()
	if d.version == 0 {
		return d.updateOnce(ctx, tenant, id, announce, change)
	}
	for replay := 0; ; replay++ {
		// Somebody else may have changed it a moment ago, or do so before this change is stored.
		if err := d.refresh(ctx, WebhookName{tenant, id}); err != nil {
			return nil, err
		}
		w, err := d.updateOnce(ctx, tenant, id, announce, change)
		if !errors.Is(err, ErrOutdated) || replay == maxReplays {
			return w, err
		}
	}
}

// updateOnce is update of the version that the Directory has. The webhook's lock is held.
func (d *Directory) updateOnce(
	ctx context.Context, tenant uint32, id triggers.WebhookID, announce func(before, after *triggers.Webhook) *Notice,
	change func(*triggers.Webhook) error,
) (*triggers.Webhook, error) {
	e, err := d.find(tenant, id)
	if err != nil {
		return nil, err
	}
	before := e.webhook.Load()
	w := *before
	if err := change(&w); err != nil {
		return nil, err
	}
	w.Key, w.ID, w.Tenant, w.Revision = before.Key, before.ID, before.Tenant, before.Revision
	if w.Enabled {
		w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = "", "", time.Time{}
	} else {
		w.EnabledReason, w.EnabledAt = "", time.Time{}
	}
	ctx = Announcing(d.own.Own(ctx, before, &w), announce(before, &w))
	if d.version != 0 {
		ctx = replacing(ctx, before)
	}
	if err := d.store.UpdateWebhook(ctx, &w, d.limits); err != nil {
		return nil, err
	}
	d.put(e, &w, false)
	return &w, nil
}

// put makes a stored webhook the present one. Elsewhere says that somebody else has changed it, who has told of that.
func (d *Directory) put(e *entry, w *triggers.Webhook, elsewhere bool) {
	before := e.webhook.Swap(w)
	if listens(w) {
		d.table.Put(w.Tenant, w.Key, w.Triggers)
	} else {
		d.table.Remove(w.Tenant, w.Key)
	}
	if elsewhere {
		before = nil
	}
	d.changed(e, before)
}

// Delete removes a webhook and cancels what waits for it. It is triggers.ErrNotFound when there is no such webhook.
func (d *Directory) Delete(ctx context.Context, tenant uint32, id triggers.WebhookID) error {
	d.tenancy.RLock()
	defer d.tenancy.RUnlock()
	lock := d.lockOf(id)
	lock.Lock()
	defer lock.Unlock()
	e, err := d.find(tenant, id)
	if err != nil {
		return err
	}
	if err := d.store.DeleteWebhook(ctx, tenant, id); err != nil {
		return err
	}
	d.drop(e)
	return nil
}

// drop forgets a webhook that is gone.
func (d *Directory) drop(e *entry) {
	w := e.webhook.Load()
	e.gone.Store(true)
	d.byID.Delete(webhookName{w.Tenant, w.ID})
	d.byKey.set(w.Key, nil)
	d.table.Remove(w.Tenant, w.Key)
	d.removed(e)
}

// SaveTenant stores a tenant, sets its Key when it is new, and takes up what changed for its webhooks.
func (d *Directory) SaveTenant(ctx context.Context, tenant *triggers.Tenant) error {
	d.tenancy.Lock()
	defer d.tenancy.Unlock()
	stored := *tenant
	if err := d.store.SaveTenant(ctx, &stored); err != nil {
		return err
	}
	*tenant = stored
	before := d.Tenant(stored.Key)
	d.tenants.Store(stored.Key, &stored)
	if !TellsOtherwise(&before, &stored) {
		if stored.Settings != before.Settings || stored.ServiceSettings != before.ServiceSettings {
			d.retarget(stored.Key)
		}
		return nil
	}
	for w := range d.Webhooks(stored.Key) {
		fresh, err := d.store.Webhook(ctx, w.Tenant, w.ID)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", w.ID, err)
		}
		if e := d.byKey.get(w.Key); e != nil {
			d.put(e, fresh, false)
		}
	}
	return nil
}

// retarget has the next attempts go by the tenant's present settings, of those webhooks that go by them at all. What attempts need is
// worked out once for each value of a webhook, so that each becomes another one.
func (d *Directory) retarget(tenant uint32) {
	for w := range d.Webhooks(tenant) {
		if e := d.byKey.get(w.Key); e != nil && w.Retry.Profile == triggers.RetryPortal {
			same := *w
			d.changed(e, e.webhook.Swap(&same))
		}
	}
}

func (d *Directory) add(w *triggers.Webhook) {
	e := new(entry)
	e.webhook.Store(w)
	d.byKey.set(w.Key, e)
	d.byID.Store(webhookName{w.Tenant, w.ID}, e)
}

func (d *Directory) find(tenant uint32, id triggers.WebhookID) (*entry, error) {
	e, ok := d.byID.Load(webhookName{tenant, id})
	if !ok {
		return nil, fmt.Errorf("webhook %s: %w", id, triggers.ErrNotFound)
	}
	return e.(*entry), nil
}

func (d *Directory) lockOf(id triggers.WebhookID) *sync.Mutex {
	return &d.saving[int(id[15])%len(d.saving)]
}

// targetOf is what attempts for the entry's present webhook need.
func (d *Directory) targetOf(e *entry) *target {
	w := e.webhook.Load()
	if t := e.target.Load(); t != nil && t.webhook == w {
		return t
	}
	tenant := d.Tenant(w.Tenant)
	t := newTarget(w, RevisionOf(w, &tenant, d.legacyCloud), tenant.SettingsFor(w))
	t.policy = tenant.PolicyFor(w)
	e.target.Store(t)
	return t
}
