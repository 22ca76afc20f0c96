package web

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
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

// KeyStore is where API keys are kept.
type KeyStore interface {
	APIKeys(ctx context.Context) ([]triggers.APIKey, error)
}

// maxKeyLength bounds what is hashed for a stranger, in bytes.
const maxKeyLength = 256

// keyring holds every key in memory by the hash of its text. It is replaced whole, so readers take no lock.
type keyring struct {
	byHash atomic.Pointer[map[[sha256.Size]byte]*triggers.APIKey]
}

func (k *keyring) replace(keys []triggers.APIKey) {
	byHash := make(map[[sha256.Size]byte]*triggers.APIKey, len(keys))
	for i := range keys {
		byHash[keys[i].Hash] = &keys[i]
	}
	k.byHash.Store(&byHash)
}

// find looks a key up by its text; nil when there is none. Only the hash is compared, so the time taken tells nothing of a key's
// text, and one look-up costs the same whether the key is known or not.
func (k *keyring) find(text string) *triggers.APIKey {
	if text == "" || len(text) > maxKeyLength {
		return nil
	}
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) //nolint:gosec // read only, and not kept
	return (*k.byHash.Load())[sum]
}

const bearer = "Bearer "

// authenticate gives the key that a request was made with, or the answer that refuses it.
func (s *Server) authenticate(r *http.Request, allowed roles) (*triggers.APIKey, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, unauthorized("send the header Authorization: Bearer <API key>")
	}
	if len(header) <= len(bearer) || !strings.EqualFold(header[:len(bearer)], bearer) {
		return nil, unauthorized("the header Authorization must read: Bearer <API key>")
	}
	key := s.keys.find(strings.TrimSpace(header[len(bearer):]))
	switch {
	case key == nil:
		return nil, unauthorized("the API key is not known")
	case key.Revoked:
		return nil, unauthorized("the API key was revoked")
	case !key.Expires.IsZero() && !time.Now().Before(key.Expires):
		return nil, unauthorized("the API key has expired")
	case roleBit(key.Role)&allowed == 0:
		return nil, fault(codeForbidden, "a key of the role "+string(key.Role)+" may not do this")
	}
	return key, nil
}

func unauthorized(detail string) *problem { return fault(codeUnauthorized, detail) }

// ReloadKeys reads all API keys anew. Requests that are under way keep the keys they came with.
func (s *Server) ReloadKeys(ctx context.Context) error {
	keys, err := s.config.Keys.APIKeys(ctx)
	if err != nil {
		return err
	}
	s.keys.replace(keys)
	return nil
}
