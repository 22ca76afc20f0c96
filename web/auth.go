package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"portalhook/triggers"
)

// roles is a set of the roles that may call a route. The zero value is no rule at all, and New refuses a route without one.
type roles uint8

// The members of roles. Anyone needs no key.
const (
	admin roles = 1 << iota
	user
	emitter
	viewer
	operator // a key that says so, whatever its role
	anyone
)

func roleBit(r triggers.Role) roles {
	switch r {
	case triggers.RoleAdmin:
		return admin
	case triggers.RoleUser:
		return user
	case triggers.RoleEmitter:
		return emitter
	case triggers.RoleViewer:
		return viewer
	}
	return 0
}

// owns reports whether a key may see and change a webhook of its tenant: one of the role user those that hear what its user may see,
// and no other. That the user made a webhook is not enough: it may hear the whole tenant, or belong to somebody else by now.
func owns(key *triggers.APIKey, w *triggers.Webhook) bool {
	return key.Role != triggers.RoleUser || w.Level == triggers.UserLevel && w.OwnerID == key.UserID
}

// staysOwned refuses what would take a webhook out of the hands of the user whose key makes or changes it.
func staysOwned(key *triggers.APIKey, w *triggers.Webhook) error {
	if owns(key, w) {
		return nil
	}
	field, detail := "ownerId", "a key of the role user makes webhooks for its own user only; leave the member out"
	if w.Level != triggers.UserLevel {
		field, detail = "level", "a key of the role user makes webhooks of the level user only; leave the member out"
	}
	return &problem{Code: codeForbidden, Field: field, Index: -1, Detail: detail}
}

// defaultLevel is the level of a webhook whose body says none.
func defaultLevel(key *triggers.APIKey) triggers.Level {
	if key.Role == triggers.RoleUser {
		return triggers.UserLevel
	}
	return triggers.TenantLevel
}

// KeyStore is where API keys are kept.
type KeyStore interface {
	APIKeys(ctx context.Context) ([]triggers.APIKey, error)
	AddAPIKey(ctx context.Context, k triggers.APIKey) error
	// RevokeAPIKey is triggers.ErrNotFound when the tenant has no such key.
	RevokeAPIKey(ctx context.Context, tenant uint32, id string) error
	// NoteKeyUse stores when keys, named by their ids, were last used.
	NoteKeyUse(ctx context.Context, used map[string]time.Time) error
}

// maxKeyLength bounds what is hashed for a stranger, in bytes.
const maxKeyLength = 256

// keyring holds every key in memory by the hash of its text. It is replaced whole, so readers take no lock.
type keyring struct {
	changing sync.Mutex // held while a key is added or revoked, in the store and here
	byHash   atomic.Pointer[map[[sha256.Size]byte]*heldKey]
	byID     atomic.Pointer[map[string]*heldKey] // the same; tokens and sessions name keys by their ids
	people   atomic.Pointer[map[uint32]int]      // how many users each tenant has
	changes  atomic.Pointer[chan struct{}]       // closed by the next change
}

// heldKey is a key as of now. A change is a new value, which goes on counting where the old one was.
type heldKey struct {
	triggers.APIKey
	use *keyUse
}

// keyUse is when a key was last used, in Unix milliseconds, and from where.
type keyUse struct {
	last, stored atomic.Int64
	from         places // of a key that the server has not drawn
}

// useStep is how much later a use must be to be worth a write to memory that all cores share, in milliseconds.
const useStep = 1000

func (u *keyUse) note(at time.Time) {
	if ms := at.UnixMilli(); ms >= u.last.Load()+useStep {
		u.last.Store(ms)
	}
}

func (k *heldKey) lastUsed() time.Time {
	ms := k.use.last.Load()
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// live reports whether the key opens anything at the time given.
func live(k *triggers.APIKey, at time.Time) bool {
	return !k.Revoked && (k.Expires.IsZero() || at.Before(k.Expires))
}

func (k *keyring) all() map[[sha256.Size]byte]*heldKey {
	if byHash := k.byHash.Load(); byHash != nil {
		return *byHash
	}
	return nil
}

// replace takes the keys for all there are. The caller holds changing.
func (k *keyring) replace(keys []triggers.APIKey) {
	before := k.all()
	byHash := make(map[[sha256.Size]byte]*heldKey, len(keys))
	for _, key := range keys {
		held := &heldKey{APIKey: key, use: new(keyUse)}
		if old := before[key.Hash]; old != nil {
			held.use = old.use
		} else if !key.LastUsed.IsZero() {
			held.use.last.Store(key.LastUsed.UnixMilli())
			held.use.stored.Store(key.LastUsed.UnixMilli())
		}
		byHash[key.Hash] = held
	}
	k.store(byHash)
}

// put takes up one key, new or changed. The caller holds changing.
func (k *keyring) put(key triggers.APIKey) {
	byHash := maps.Clone(k.all())
	held := &heldKey{APIKey: key, use: new(keyUse)}
	if old := byHash[key.Hash]; old != nil {
		held.use = old.use
	}
	byHash[key.Hash] = held
	k.store(byHash)
}

// store makes keys the present ones. The caller holds changing.
func (k *keyring) store(byHash map[[sha256.Size]byte]*heldKey) {
	type person struct {
		tenant uint32
		user   string
	}
	byID := make(map[string]*heldKey, len(byHash))
	known, people := make(map[person]bool), make(map[uint32]int)
	for _, key := range byHash {
		byID[key.ID] = key
		if p := (person{key.Tenant, key.UserID}); !key.Revoked && !known[p] {
			known[p] = true
			people[p.tenant]++
		}
	}
	k.people.Store(&people)
	k.byHash.Store(&byHash)
	k.byID.Store(&byID)
	next := make(chan struct{})
	if before := k.changes.Swap(&next); before != nil {
		close(*before)
	}
}

// changed is closed once a key is added, changed or gone. It is asked for before what it is about.
func (k *keyring) changed() <-chan struct{} {
	if changes := k.changes.Load(); changes != nil {
		return *changes
	}
	return nil
}

// byName is the key with an id; nil when there is none.
func (k *keyring) byName(id string) *heldKey {
	if byID := k.byID.Load(); byID != nil {
		return (*byID)[id]
	}
	return nil
}

// users is how many users of a tenant have a key that is not revoked.
func (k *keyring) users(tenant uint32) int {
	if people := k.people.Load(); people != nil {
		return (*people)[tenant]
	}
	return 0
}

// of are a tenant's keys, the oldest first.
func (k *keyring) of(tenant uint32) []*heldKey {
	var list []*heldKey
	for _, key := range k.all() {
		if key.Tenant == tenant {
			list = append(list, key)
		}
	}
	slices.SortFunc(list, func(a, b *heldKey) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return list
}

// find looks a key up by its text; nil when there is none. Only its SHA-256 is compared, as a key of a map: how long that takes depends on a
// hash whose bytes nobody can choose, so it tells nothing of a key's text; and one look-up costs the same whether the key is known or not.
func (k *keyring) find(text string) *heldKey {
	if text == "" || len(text) > maxKeyLength {
		return nil
	}
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) //nolint:gosec // read only, and not kept
	return k.all()[sum]
}

const bearer = "Bearer "

// authenticate gives the key that a request was made with, or the answer that refuses it.
func (s *Server) authenticate(r *http.Request, allowed roles) (*triggers.APIKey, error) {
	if id, ok := signedInKey(r.Context()); ok {
		return s.permit(s.keys.byName(id), allowed)
	}
	given := r.Header["Authorization"]
	switch {
	case len(given) == 0 || given[0] == "":
		return nil, unauthorized("send the header Authorization: Bearer <API key>")
	case len(given) > 1: // a proxy may have looked at another one than we would
		return nil, unauthorized("the header Authorization is given twice")
	}
	text, ok := bearerOf(given[0])
	if !ok {
		return nil, unauthorized("the header Authorization must read: Bearer <API key>")
	}
	key := s.keys.find(text)
	if err := s.screen(r, text, key != nil, key); err != nil {
		return nil, err
	}
	return s.permit(key, allowed)
}

// bearerOf is the key or token in a header of the form Bearer <text>; false when it has another form.
func bearerOf(header string) (text string, ok bool) {
	if len(header) <= len(bearer) || !strings.EqualFold(header[:len(bearer)], bearer) {
		return "", false
	}
	return strings.TrimSpace(header[len(bearer):]), true
}

// permit gives a key that may be used now, and for this. A nil key is one that is not known.
func (s *Server) permit(key *heldKey, allowed roles) (*triggers.APIKey, error) {
	at := time.Now()
	switch {
	case key == nil:
		return nil, unauthorized("the API key is not known")
	case key.Revoked:
		return nil, unauthorized("the API key was revoked")
	case !live(&key.APIKey, at):
		return nil, unauthorized("the API key has expired")
	}
	key.use.note(at)
	switch {
	case roleBit(key.Role)&allowed != 0, key.Operator && allowed&operator != 0:
		return &key.APIKey, nil
	case allowed == operator:
		return nil, fault(codeForbidden, "only an operator's key may do this")
	}
	return nil, fault(codeForbidden, "a key of the role "+string(key.Role)+" may not do this")
}

func unauthorized(detail string) *problem { return fault(codeUnauthorized, detail) }

// ReloadKeys reads all API keys anew. Requests that are under way keep the keys they came with.
func (s *Server) ReloadKeys(ctx context.Context) error {
	s.keys.changing.Lock()
	defer s.keys.changing.Unlock()
	keys, err := s.config.Keys.APIKeys(ctx)
	if err != nil {
		return err
	}
	s.keys.replace(keys)
	return nil
}

// SaveKeyUse stores when keys were last used, those only that were used since it was stored before.
func (s *Server) SaveKeyUse(ctx context.Context) error {
	used := make(map[string]time.Time)
	var saved []func()
	for _, key := range s.keys.all() {
		last := key.use.last.Load()
		if last == key.use.stored.Load() {
			continue
		}
		used[key.ID] = time.UnixMilli(last)
		saved = append(saved, func() { key.use.stored.Store(last) })
	}
	if len(used) == 0 {
		return nil
	}
	if err := s.config.Keys.NoteKeyUse(ctx, used); err != nil {
		return err
	}
	for _, note := range saved {
		note()
	}
	return nil
}
