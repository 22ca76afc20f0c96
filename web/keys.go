package web

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

const (
	// keyPrefix lets a leaked key be known for one.
	keyPrefix = "phk_"
	// maxKeys bounds the keys of one tenant that are neither revoked nor expired: all are held in memory.
	maxKeys = 1000
)

// createKey answers 201 with the key and its text, which is never shown again: the store has its hash only.
func (s *Server) createKey(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request())
	if err != nil {
		return err
	}
	made := triggers.APIKey{ID: rand.Text(), Created: now()}
	tenant, err := readKey(&made, body)
	if err != nil {
		return err
	}
	if made.Tenant, err = s.tenantFor(key, tenant); err != nil {
		return err
	}
	if made.Operator && !key.Operator {
		return &problem{Code: codeForbidden, Field: "operator", Index: -1, Detail: "only an operator's key may make an operator's key"}
	}
	text := keyPrefix + rand.Text()
	made.Hash = sha256.Sum256([]byte(text))

	s.keys.changing.Lock()
	defer s.keys.changing.Unlock()
	if s.liveKeys(made.Tenant, func(*triggers.APIKey) bool { return true }) >= maxKeys {
		return triggers.Invalid(triggers.CodeTooMany, "", "a tenant has at most %d keys that are neither revoked nor expired; revoke one first", maxKeys)
	}
	ctx, change := audited(c, key, keyCreate, made.ID)
	held := &heldKey{APIKey: made, use: new(keyUse)}
	change.After = s.appendKey(nil, held, "")
	if err := s.config.Keys.AddAPIKey(ctx, made); err != nil {
		return keyError("create", err)
	}
	s.keys.put(made)
	writeJSON(c, http.StatusCreated, s.appendKey(nil, held, text))
	return nil
}

// readKey reads the members of a body into k, and gives the name of the tenant that the key is for.
func readKey(k *triggers.APIKey, body jsontext.Value) (tenant string, err error) {
	err = eachMember(body, "", func(name string, value jsontext.Value) (err error) {
		switch name {
		case "name":
			k.Name, err = textOf(name, value)
		case "role":
			var role string
			role, err = textOf(name, value)
			k.Role = triggers.Role(role)
		case "userId":
			k.UserID, err = textOf(name, value)
		case "userName":
			k.UserName, err = textOf(name, value)
		case "tenant":
			tenant, err = textOf(name, value)
		case "operator":
			k.Operator, err = boolOf(name, value)
		case "expiresAt":
			k.Expires, err = futureOf(name, value)
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, name, "an API key has name, role, userId, userName, expiresAt, tenant and operator only")
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return tenant, checkKey(k)
}

// futureOf reads a date that is not past.
func futureOf(field string, value jsontext.Value) (time.Time, error) {
	text, err := textOf(field, value)
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, triggers.Invalid(triggers.CodeOutOfRange, field, "%q is not a date such as 2027-01-31T00:00:00Z", text)
	}
	if !at.After(time.Now()) {
		return time.Time{}, triggers.Invalid(triggers.CodeOutOfRange, field, "the date is past")
	}
	return at.UTC().Truncate(time.Millisecond), nil
}

// checkKey judges a new key, and names its user after the key where the body names none.
func checkKey(k *triggers.APIKey) error {
	for _, text := range []struct{ field, value string }{{"name", k.Name}, {"userId", k.UserID}, {"userName", k.UserName}} {
		if utf8.RuneCountInString(text.value) > triggers.MaxNameCharacters {
			return triggers.Invalid(triggers.CodeTooLong, text.field, "%s has at most %d characters", text.field, triggers.MaxNameCharacters)
		}
	}
	switch {
	case k.Name == "":
		return triggers.Invalid(triggers.CodeRequired, "name", "a key needs a name, by which people know what it is for")
	case k.Role == "":
		return triggers.Invalid(triggers.CodeRequired, "role", "a key needs a role: admin, user, emitter or viewer")
	case roleBit(k.Role) == 0:
		return triggers.Invalid(triggers.CodeOutOfRange, "role", "the role is %q; it must be admin, user, emitter or viewer", k.Role)
	case k.Operator && k.Role != triggers.RoleAdmin:
		return triggers.Invalid(triggers.CodeNotAllowed, "operator", "an operator's key has the role admin")
	case k.Role == triggers.RoleUser && k.UserID == "":
		return triggers.Invalid(triggers.CodeRequired, "userId", "a key of the role user needs the userId whose webhooks it manages")
	}
	if k.UserID == "" {
		k.UserID = k.Name
	}
	if k.UserName == "" {
		k.UserName = k.UserID
	}
	return nil
}

// keyFilters are the list's parameters beside the common ones.
var keyFilters = []string{"tenant", "role", "userId", "revoked"}

// listKeys answers a page of a tenant's keys, those that are revoked or expired among them.
func (s *Server) listKeys(c echo.Context, key *triggers.APIKey) error {
	l, err := readListing(c, "-createdAt", []string{"createdAt"}, keyFilters)
	if err != nil {
		return err
	}
	tenant, err := s.tenantFor(key, l.values.Get("tenant"))
	if err != nil {
		return err
	}
	role, user := triggers.Role(l.values.Get("role")), l.values.Get("userId")
	if role != "" && roleBit(role) == 0 {
		return triggers.Invalid(triggers.CodeOutOfRange, "role", "the role is %q; it must be admin, user, emitter or viewer", role)
	}
	keep := func(k *heldKey) bool { return (role == "" || k.Role == role) && (user == "" || k.UserID == user) }
	revoked, err := l.flag("revoked")
	if err != nil {
		return err
	}
	if others := keep; revoked != nil {
		keep = func(k *heldKey) bool { return k.Revoked == *revoked && others(k) }
	}
	page, next, prev, err := held(l, s.keys.of(tenant), func(k *heldKey) string { return k.ID }, keep)
	if err != nil {
		return err
	}
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte { return s.appendKey(dst, page[i], "") })
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// getOwnKey shows a caller its own key, whatever its role.
func (s *Server) getOwnKey(c echo.Context, key *triggers.APIKey) error {
	found := s.keys.byName(key.ID)
	if found == nil {
		return keyError("find", triggers.ErrNotFound)
	}
	writeJSON(c, http.StatusOK, s.appendKey(nil, found, ""))
	return nil
}

func (s *Server) getKey(c echo.Context, key *triggers.APIKey) error {
	found, err := s.findKey(c, key)
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, s.appendKey(nil, found, ""))
	return nil
}

// revokeKey answers without a body. The next request with the key is refused; the key stays in the list.
func (s *Server) revokeKey(c echo.Context, key *triggers.APIKey) error {
	s.keys.changing.Lock()
	defer s.keys.changing.Unlock()
	found, err := s.findKey(c, key)
	if err != nil {
		return err
	}
	if found.Operator && !key.Operator {
		return fault(codeForbidden, "only an operator's key may revoke an operator's key")
	}
	if found.Revoked {
		writeNoContent(c)
		return nil
	}
	// Somebody must be left who can make another key: another admin, or the operator who does this with a key that stays.
	others := s.liveKeys(found.Tenant, func(k *triggers.APIKey) bool { return k.Role == triggers.RoleAdmin && k.ID != found.ID })
	if found.Role == triggers.RoleAdmin && others == 0 && (!key.Operator || key.ID == found.ID) {
		return fault(codeLastAdminKey, "it is the last admin key of the tenant; make another first")
	}
	ctx, change := audited(c, key, keyRevoke, found.ID)
	revoked := &heldKey{APIKey: found.APIKey, use: found.use}
	revoked.Revoked = true
	change.Before, change.After = s.appendKey(nil, found, ""), s.appendKey(nil, revoked, "")
	if err := s.config.Keys.RevokeAPIKey(ctx, found.Tenant, found.ID); err != nil {
		return keyError("revoke", err)
	}
	s.keys.put(revoked.APIKey)
	writeNoContent(c)
	return nil
}

// findKey finds the key that the path names, in the tenant that the parameter tenant names.
func (s *Server) findKey(c echo.Context, key *triggers.APIKey) (*heldKey, error) {
	tenant, err := s.tenantFor(key, c.QueryParam("tenant"))
	if err != nil {
		return nil, err
	}
	keys := s.keys.of(tenant)
	at := slices.IndexFunc(keys, func(k *heldKey) bool { return k.ID == c.Param("key") })
	if at < 0 {
		return nil, keyError("find", triggers.ErrNotFound)
	}
	return keys[at], nil
}

// liveKeys counts the keys of a tenant that are neither revoked nor expired and that keep wants.
func (s *Server) liveKeys(tenant uint32, keep func(k *triggers.APIKey) bool) int {
	count, at := 0, time.Now()
	for _, k := range s.keys.of(tenant) {
		if live(&k.APIKey, at) && keep(&k.APIKey) {
			count++
		}
	}
	return count
}

// appendKey writes a key; text is its own text, which only the answer to its creation has.
func (s *Server) appendKey(dst []byte, k *heldKey, text string) []byte {
	return keyObject(dst, k, s.config.Directory.Tenant(k.Tenant).Name, text)
}

func keyObject(dst []byte, k *heldKey, tenant, text string) []byte {
	o := openObject(dst)
	o.text("id", k.ID)
	if text != "" {
		o.text("key", text)
	}
	o.text("name", k.Name)
	o.text("tenant", tenant)
	o.text("role", string(k.Role))
	o.flag("operator", k.Operator)
	o.text("userId", k.UserID)
	o.text("userName", k.UserName)
	o.time("createdAt", k.Created)
	o.time("expiresAt", k.Expires)
	o.time("lastUsedAt", k.lastUsed())
	o.flag("revoked", k.Revoked)
	return o.close()
}

// keyError says that there is no such key where that is the trouble.
func keyError(doing string, err error) error {
	if errors.Is(err, triggers.ErrNotFound) {
		return fault(codeNotFound, "there is no such API key")
	}
	return fmt.Errorf("%s API key: %w", doing, err)
}
