package delivery

import (
	"context"
	"time"

	"portalhook/triggers"
)

// Change is one row of the audit: what somebody with a key changed or did, or the server itself, which has none.
type Change struct {
	// ID is the store's number of the row, which sorts by time; the store draws it.
	ID triggers.ID
	// Tenant is the one whose thing was changed, whoever's key it was. The zero value is the tenant that the change makes.
	Tenant uint32
	KeyID  string // of the API key, never its text; empty where the server itself made the change
	UserID string // of the key; portalhook where the server itself made the change
	Action string // the kind of the object, a dot and what was done: webhook.update
	// Object is the kind of what was changed: webhook, tenant, api-key, recovery or backup. The store sets the ObjectID of a recovery that is made.
	Object   string
	ObjectID string
	// Before and After are JSON with every secret masked; Before is nil when the object was made, After when it was removed.
	Before, After []byte
	TraceID       string // of the request; empty where there was none
}

// ChangeQuery asks for a page of a tenant's audit.
type ChangeQuery struct {
	Tenant uint32
	// From and To bound the time of the change: not before From, before To. Zero is no bound.
	From, To                 time.Time
	Action, Object, ObjectID string // empty: any; ObjectID needs Object
	OldestFirst              bool
	After                    triggers.ID // the last row of the page before; 0: the first page
	Limit                    int
}

type auditKey struct{}

// Audited gives a context under which a store writes change beside what it stores, in the same transaction. It travels there in the
// context, as a trace does, because nothing on the way has any business with it; until the call has returned, it may be filled in
// by whoever holds it, such as the function that changes a webhook.
func Audited(ctx context.Context, change *Change) context.Context {
	return context.WithValue(ctx, auditKey{}, change)
}

// ChangeIn is the change that a context carries; nil when there is none.
func ChangeIn(ctx context.Context) *Change {
	change, _ := ctx.Value(auditKey{}).(*Change)
	return change
}

// Teller fills in what the audit says of a change that the server itself makes to a webhook. The form is that of whoever reads the audit,
// with every secret masked.
type Teller func(change *Change, before, after *triggers.Webhook)

// Own gives the context under which a store writes a change that the server itself makes to a webhook. It is ctx where that carries a
// change, which is then somebody's, and where nobody tells of such changes.
func (t Teller) Own(ctx context.Context, before, after *triggers.Webhook) context.Context {
	if t == nil || ChangeIn(ctx) != nil {
		return ctx
	}
	change := new(Change)
	t(change, before, after)
	return Audited(ctx, change)
}
