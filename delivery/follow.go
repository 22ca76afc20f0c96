package delivery

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"portalhook/triggers"
)

// Changes is what has changed in a store since a version of it, whoever changed it: the same store may be open elsewhere.
type Changes struct {
	Version  int64 // the store's, up to which these are all
	Tenants  []triggers.Tenant
	Webhooks []WebhookName // saved or deleted
	Keys     bool          // API keys
}

// WebhookName is a webhook as everybody calls it.
type WebhookName struct {
	Tenant uint32
	ID     triggers.WebhookID
}

// SharedStore is what a WebhookStore is too that others may change.
type SharedStore interface {
	// ChangesSince gives what has changed after a version, and what the version is now; 0 asks for the version alone.
	ChangesSince(ctx context.Context, version int64) (Changes, error)
}

// ErrOutdated says that a webhook was saved elsewhere since what UpdateWebhook was to replace was read.
var ErrOutdated = errors.New("saved elsewhere meanwhile")

// maxReplays is how often a change is made anew of what others have saved meanwhile. Each time somebody's save has succeeded.
const maxReplays = 100

type replacedKey struct{}

// replacing gives a context under which UpdateWebhook of a store that others change replaces this version of a webhook, or fails with ErrOutdated. It
// travels there as a Change does.
func replacing(ctx context.Context, before *triggers.Webhook) context.Context {
	return context.WithValue(ctx, replacedKey{}, before)
}

// ReplacedIn is the version that a context says is to be replaced; nil when any may be.
func ReplacedIn(ctx context.Context) *triggers.Webhook {
	before, _ := ctx.Value(replacedKey{}).(*triggers.Webhook)
	return before
}

// Version is the store's as of which the Directory holds everything, 0 when nobody else changes the store. Later changes are to be told to Follow.
func (d *Directory) Version() int64 { return d.version }

// Follow takes up what has changed in a shared store. What this Directory has saved itself it holds already.
func (d *Directory) Follow(ctx context.Context, changes *Changes) error {
	for i := range changes.Tenants {
		d.followTenant(&changes.Tenants[i])
	}
	for _, name := range changes.Webhooks {
		if err := d.followWebhook(ctx, name); err != nil {
			return fmt.Errorf("webhook %s: %w", name.ID, err)
		}
	}
	return nil
}

// followTenant takes up a tenant. Where its payloads say otherwise, its webhooks have changed too.
func (d *Directory) followTenant(tenant *triggers.Tenant) {
	d.tenancy.Lock()
	defer d.tenancy.Unlock()
	before := d.Tenant(tenant.Key)
	if before == *tenant {
		return
	}
	d.tenants.Store(tenant.Key, tenant)
	if tenant.Settings != before.Settings || tenant.ServiceSettings != before.ServiceSettings {
		d.retarget(tenant.Key)
	}
}

// followWebhook asks for a webhook as it is now, while no save of it is under way here.
func (d *Directory) followWebhook(ctx context.Context, name WebhookName) error {
	d.tenancy.RLock()
	defer d.tenancy.RUnlock()
	lock := d.lockOf(name.ID)
	lock.Lock()
	defer lock.Unlock()
	return d.refresh(ctx, name)
}

// refresh is followWebhook for who holds the webhook's lock.
func (d *Directory) refresh(ctx context.Context, name WebhookName) error {
	found, known := d.byID.Load(webhookName{name.Tenant, name.ID})
	fresh, err := d.store.Webhook(ctx, name.Tenant, name.ID)
	gone := errors.Is(err, triggers.ErrNotFound)
	switch {
	case gone && known:
		d.drop(found.(*entry))
		return nil
	case gone:
		return nil
	case err != nil:
		return err
	case !known:
		d.add(fresh)
		if listens(fresh) {
			d.table.Put(fresh.Tenant, fresh.Key, fresh.Triggers)
		}
		return nil
	}
	e := found.(*entry)
	if present := e.webhook.Load(); present.Key != fresh.Key { // deleted and made again
		d.drop(e)
		return d.refresh(ctx, name)
	} else if !reflect.DeepEqual(present, fresh) {
		d.put(e, fresh, true)
	}
	return nil
}
