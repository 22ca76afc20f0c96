package web

import (
	"fmt"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// getPortalSettings answers with the settings that all organisation webhooks of the portal go by.
func (s *Server) getPortalSettings(c echo.Context, key *triggers.APIKey) error {
	settings := s.config.Directory.Tenant(key.Tenant).Settings
	o := openObject(nil)
	writePortalSettings(o, settings)
	return s.reply(c, o.close(), view{title: "Settings", up: webhookLinks(c)})
}

func writePortalSettings(o *object, settings triggers.PortalSettings) {
	settings = settings.OrDefault()
	for _, setting := range triggers.AllPortalSettings {
		o.number(setting.Name, int64(*setting.Of(&settings)))
	}
}

// updatePortalSettings changes the settings that it is given. The next attempt of each webhook goes by them.
func (s *Server) updatePortalSettings(c echo.Context, key *triggers.APIKey) error {
	p := parametersOf(c)
	s.tenancy.Lock()
	defer s.tenancy.Unlock()
	tenant := s.config.Directory.Tenant(key.Tenant)
	ctx, change := audited(c, key, tenantUpdate, tenant.PortalID)
	change.Before = appendTenant(nil, &tenant)
	tenant.Settings = tenant.Settings.OrDefault()
	for _, setting := range triggers.AllPortalSettings {
		if err := p.whole(setting.Name, setting.Of(&tenant.Settings)); err != nil {
			return err
		}
	}
	if err := tenant.Settings.Validate(); err != nil {
		return err
	}
	change.After = appendTenant(nil, &tenant)
	if err := s.config.Directory.SaveTenant(ctx, &tenant); err != nil {
		return fmt.Errorf("update settings: %w", err)
	}
	return s.succeeded(c, view{title: "Update Settings", up: webhookLinks(c), down: []link{{"Settings", webhooksPath(c) + "/settings"}}})
}
