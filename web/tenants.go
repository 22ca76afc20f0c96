package web

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

var (
	// A tenant's name stands in paths and on command lines.
	tenantName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	portalID   = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
)

// ownPortal is the word by which a portal's clients name their own portal, so none may have it for a name or an id.
const ownPortal = "self"

// drawnPortalID is the length of a portal id that is drawn, in characters: that of the one in Esri's samples.
const drawnPortalID = 16

// createTenant answers 201 with the tenant as it was stored.
func (s *Server) createTenant(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request())
	if err != nil {
		return err
	}
	tenant := triggers.Tenant{CreatedAt: now()}
	if err := readTenant(&tenant, body, true); err != nil {
		return err
	}
	if tenant.PortalID == "" {
		tenant.PortalID = rand.Text()[:drawnPortalID]
	}
	s.tenancy.Lock()
	defer s.tenancy.Unlock()
	for _, unique := range []struct{ field, value string }{{"name", tenant.Name}, {"portalId", tenant.PortalID}} {
		if _, ok := s.findTenant(unique.value); ok {
			return triggers.Invalid(triggers.CodeExists, unique.field, "another tenant has %q as its name or portal id", unique.value)
		}
	}
	ctx, change := audited(c, key, tenantCreate, tenant.PortalID)
	change.After = appendTenant(nil, &tenant)
	if err := s.config.Directory.SaveTenant(ctx, &tenant); err != nil {
		return fmt.Errorf("create tenant: %w", err)
	}
	writeJSON(c, http.StatusCreated, appendTenant(nil, &tenant))
	return nil
}

func (s *Server) listTenants(c echo.Context, _ *triggers.APIKey) error {
	l, err := readListing(c, "createdAt", []string{"createdAt"}, nil)
	if err != nil {
		return err
	}
	id := func(t triggers.Tenant) string { return t.PortalID }
	page, next, prev, err := held(l, s.config.Directory.Tenants(), id, func(triggers.Tenant) bool { return true })
	if err != nil {
		return err
	}
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte { return appendTenant(dst, &page[i]) })
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

func (s *Server) getTenant(c echo.Context, _ *triggers.APIKey) error {
	tenant, ok := s.findTenant(c.Param("tenant"))
	if !ok {
		return noTenant()
	}
	writeJSON(c, http.StatusOK, appendTenant(nil, &tenant))
	return nil
}

// patchTenant changes the members that the body has, and answers with the tenant as it is then. Deliveries built from now on name
// the new portal URL.
func (s *Server) patchTenant(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request(), "application/merge-patch+json")
	if err != nil {
		return err
	}
	s.tenancy.Lock()
	defer s.tenancy.Unlock()
	tenant, ok := s.findTenant(c.Param("tenant"))
	if !ok {
		return noTenant()
	}
	ctx, change := audited(c, key, tenantUpdate, tenant.PortalID)
	change.Before = appendTenant(nil, &tenant)
	if err := readTenant(&tenant, body, false); err != nil {
		return err
	}
	change.After = appendTenant(nil, &tenant)
	if err := s.config.Directory.SaveTenant(ctx, &tenant); err != nil {
		return fmt.Errorf("update tenant: %w", err)
	}
	writeJSON(c, http.StatusOK, appendTenant(nil, &tenant))
	return nil
}

func noTenant() error { return fault(codeNotFound, "there is no such tenant") }

// findTenant finds a tenant by its name or portal id. No tenant's name is another's portal id.
func (s *Server) findTenant(text string) (triggers.Tenant, bool) {
	tenants := s.config.Directory.Tenants()
	at := slices.IndexFunc(tenants, func(t triggers.Tenant) bool { return t.Name == text || t.PortalID == text })
	if at < 0 {
		return triggers.Tenant{}, false
	}
	return tenants[at], true
}

// tenantFor is the tenant that a request is about: the key's own, or the one it names, in the member or parameter tenant, which only an
// operator may.
func (s *Server) tenantFor(key *triggers.APIKey, name string) (uint32, error) {
	if name == "" {
		return key.Tenant, nil
	}
	switch tenant, ok := s.findTenant(name); {
	case ok && tenant.Key == key.Tenant:
		return key.Tenant, nil
	case !key.Operator:
		return 0, &problem{Code: codeForbidden, Field: "tenant", Index: -1, Detail: "only an operator's key may name another tenant"}
	case !ok:
		return 0, triggers.Invalid(triggers.CodeOutOfRange, "tenant", "there is no tenant %q", name)
	default:
		return tenant.Key, nil
	}
}

// readTenant reads the members of a body into t, and judges the result. The name and the portal id are given at creation only: keys,
// receivers and command lines go by them.
func readTenant(t *triggers.Tenant, body jsontext.Value, created bool) error {
	err := eachMember(body, "", func(name string, value jsontext.Value) error {
		switch name {
		case "sourceNaming":
			return readNaming(t, name, value)
		case "portalSettings":
			return readSettings(t, name, value)
		}
		into := map[string]*string{"name": &t.Name, "portalId": &t.PortalID, "portalUrl": &t.PortalURL, "serverUrl": &t.ServerURL}[name]
		if into == nil {
			return triggers.Invalid(triggers.CodeUnknownField, name, "a tenant has name, portalId, portalUrl, serverUrl, sourceNaming and portalSettings only")
		}
		text, err := textOf(name, value)
		if err != nil {
			return err
		}
		if !created && (name == "name" || name == "portalId") && text != *into {
			return &problem{Code: codeReadOnly, Field: name, Index: -1, Detail: "it is fixed when a tenant is created; leave the member out"}
		}
		*into = text
		return nil
	})
	if err != nil {
		return err
	}
	return checkTenant(t)
}

// The ways in which payloads name what an event is about, by their word for an item.
const (
	pluralNaming   = "items"
	singularNaming = "item"
)

func readNaming(t *triggers.Tenant, field string, value jsontext.Value) error {
	naming, err := textOf(field, value)
	switch {
	case err != nil:
		return err
	case naming != pluralNaming && naming != singularNaming:
		return triggers.Invalid(triggers.CodeOutOfRange, field, "%s is %s or %s", field, pluralNaming, singularNaming)
	}
	t.SingularSource = naming == singularNaming
	return nil
}

// readSettings reads an object of portal settings; those that it leaves out stay.
func readSettings(t *triggers.Tenant, field string, value jsontext.Value) error {
	settings := t.Settings.OrDefault()
	err := eachMember(value, field, func(name string, value jsontext.Value) (err error) {
		for _, setting := range triggers.AllPortalSettings {
			if setting.Name == name {
				*setting.Of(&settings), err = intOf(field+"."+name, value)
				return err
			}
		}
		return triggers.Invalid(triggers.CodeUnknownField, field+"."+name, "a portal has no such setting")
	})
	if err != nil {
		return err
	}
	if err := settings.Validate(); err != nil {
		return inField(field+"."+problemOf(err).Field, err)
	}
	t.Settings = settings
	return nil
}

func checkTenant(t *triggers.Tenant) (err error) {
	if t.Name == "" {
		return triggers.Invalid(triggers.CodeRequired, "name", "a tenant needs a name")
	}
	if !tenantName.MatchString(t.Name) || t.Name == ownPortal {
		return triggers.Invalid(triggers.CodeOutOfRange, "name",
			"a name has 1 to 64 lower-case letters, digits, dots, dashes and underscores, begins with a letter or digit, and is not %s", ownPortal)
	}
	if t.PortalID != "" && (!portalID.MatchString(t.PortalID) || strings.EqualFold(t.PortalID, ownPortal)) {
		return triggers.Invalid(triggers.CodeOutOfRange, "portalId", "a portal id has 1 to 64 letters and digits, and is not %s", ownPortal)
	}
	if t.PortalURL == "" {
		return triggers.Invalid(triggers.CodeRequired, "portalUrl", "a tenant needs a portalUrl: payloads name it")
	}
	if t.PortalURL, err = portalAddress("portalUrl", t.PortalURL); err != nil {
		return err
	}
	if t.ServerURL != "" {
		_, err = portalAddress("serverUrl", t.ServerURL)
	}
	return err
}

// portalAddress judges an address that payloads name, and ends it with a slash. Nothing is ever sent there.
func portalAddress(field, text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case utf8.RuneCountInString(text) > triggers.MaxURLCharacters:
		return "", triggers.Invalid(triggers.CodeTooLong, field, "%s has at most %d characters", field, triggers.MaxURLCharacters)
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", triggers.Invalid(triggers.CodeBadURI, field, "%s is not a complete URL, such as https://portal.example.com/portal/", field)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(text, "?"):
		return "", triggers.Invalid(triggers.CodeNotAllowed, field, "%s must hold no user name, query or fragment", field)
	}
	return strings.TrimRight(text, "/") + "/", nil
}

func appendTenant(dst []byte, t *triggers.Tenant) []byte {
	o := openObject(dst)
	o.text("name", t.Name)
	o.text("portalId", t.PortalID)
	o.text("portalUrl", t.PortalURL)
	o.text("serverUrl", t.ServerURL)
	naming := pluralNaming
	if t.SingularSource {
		naming = singularNaming
	}
	o.text("sourceNaming", naming)
	o.object("portalSettings", func(o *object) { writePortalSettings(o, t.Settings) })
	o.time("createdAt", t.CreatedAt)
	return o.close()
}
