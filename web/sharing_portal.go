package web

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// The release of the portal whose REST API is spoken here: the first that has all the triggers.
const (
	portalVersion     = "2024.1"
	enterpriseVersion = "11.3.0"
)

// getSharingRoot tells the version, by which clients decide whether there are webhooks at all.
func (s *Server) getSharingRoot(c echo.Context, _ *triggers.APIKey) error {
	o := openObject(nil)
	o.text("currentVersion", portalVersion)
	o.text("enterpriseVersion", enterpriseVersion)
	return s.reply(c, o.close(), view{title: "Sharing REST API", down: []link{
		{"Generate Token", sharingRoot + "/generateToken"}, {"Portal", sharingRoot + "/portals/" + ownPortal}, {"Info", sharingRoot + "/info"},
	}})
}

// getSharingInfo tells where tokens are made.
func (s *Server) getSharingInfo(c echo.Context, _ *triggers.APIKey) error {
	o := openObject(nil)
	o.text("owningSystemUrl", s.root(c))
	o.object("authInfo", func(o *object) {
		o.text("tokenServicesUrl", s.root(c)+sharingRoot+"/generateToken")
		o.flag("isTokenBasedSecurity", true)
	})
	return s.reply(c, o.close(), view{title: "Info", up: []link{rootLink}})
}

// ofPortal lets a handler see requests about the key's own portal only: by its id, or as self.
func (s *Server) ofPortal(handle handler) handler {
	return func(c echo.Context, key *triggers.APIKey) error {
		asked := c.Param("portal")
		if asked != ownPortal && asked != s.config.Directory.Tenant(key.Tenant).PortalID {
			return fault(codeForbidden, "the token is another portal's; your own portal is also called "+ownPortal)
		}
		return handle(c, key)
	}
}

// getPortal tells of the key's portal and of its user.
func (s *Server) getPortal(c echo.Context, key *triggers.APIKey) error {
	tenant := s.config.Directory.Tenant(key.Tenant)
	o := openObject(nil)
	o.text("id", tenant.PortalID)
	o.text("name", tenant.Name)
	o.text("portalName", tenant.Name)
	o.flag("isPortal", true)
	o.text("portalMode", "singletenant")
	if u, err := url.Parse(tenant.PortalURL); err == nil {
		o.text("portalHostname", u.Host+strings.TrimSuffix(u.Path, "/"))
	}
	o.text("access", "private")
	o.flag("allSSL", s.scheme(c) == "https")
	o.text("currentVersion", portalVersion)
	o.text("enterpriseVersion", enterpriseVersion)
	o.object("helperServices", func(*object) {})
	o.object("user", func(o *object) { writeUser(o, key, &tenant) })
	return s.reply(c, o.close(), view{title: "Portal", up: []link{rootLink}, down: []link{{"Webhooks", webhooksPath(c)}}})
}

// getUser tells of the key's user, and of no other.
func (s *Server) getUser(c echo.Context, key *triggers.APIKey) error {
	if name := c.Param("user"); name != "" && !strings.EqualFold(name, userName(key)) {
		return fault(codeNotFound, "there is no such user here but the token's own")
	}
	tenant := s.config.Directory.Tenant(key.Tenant)
	o := openObject(nil)
	writeUser(o, key, &tenant)
	return s.reply(c, o.close(), view{title: "User", up: []link{rootLink}})
}

func userName(key *triggers.APIKey) string { return cmp.Or(key.UserName, key.UserID, key.Name) }

func writeUser(o *object, key *triggers.APIKey, tenant *triggers.Tenant) {
	role := "org_user"
	if key.Role == triggers.RoleAdmin {
		role = "org_admin"
	}
	o.text("username", userName(key))
	o.text("id", key.UserID)
	o.text("fullName", userName(key))
	o.text("role", role)
	o.text("orgId", tenant.PortalID)
}
