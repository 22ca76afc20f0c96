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
	writeSettings(o, settings.OrDefault(), triggers.AllPortalSettings)
	return s.reply(c, o.close(), view{title: "Settings", up: webhookLinks(c)})
}

func writeSettings[S any](o *object, settings S, all []triggers.Setting[S]) {
	for _, setting := range all {
		o.number(setting.Name, int64(*setting.Of(&settings)))
	}
}

// updatePortalSettings changes the settings that it is given. The next attempt of each webhook goes by them.
func (s *Server) updatePortalSettings(c echo.Context, key *triggers.APIKey) error {
	_, err := s.updateSettings(c, key, func(tenant *triggers.Tenant) error {
		tenant.Settings = tenant.Settings.OrDefault()
		if err := readForm(parametersOf(c), &tenant.Settings, triggers.AllPortalSettings); err != nil {
			return err
		}
		return tenant.Settings.Validate()
	})
	if err != nil {
		return err
	}
	return s.succeeded(c, view{title: "Update Settings", up: webhookLinks(c), down: []link{{"Settings", webhooksPath(c) + "/settings"}}})
}

// readForm reads the settings that a form has; the others stay.
func readForm[S any](p *parameters, settings *S, all []triggers.Setting[S]) error {
	for _, setting := range all {
		if err := p.whole(setting.Name, setting.Of(settings)); err != nil {
			return err
		}
	}
	return nil
}

// updateSettings changes settings of the key's tenant, and gives the tenant as it is then.
func (s *Server) updateSettings(c echo.Context, key *triggers.APIKey, change func(tenant *triggers.Tenant) error) (*triggers.Tenant, error) {
	s.tenancy.Lock()
	defer s.tenancy.Unlock()
	tenant := s.config.Directory.Tenant(key.Tenant)
	ctx, noted := audited(c, key, tenantUpdate, tenant.PortalID)
	noted.Before = appendTenant(nil, &tenant)
	if err := change(&tenant); err != nil {
		return nil, err
	}
	noted.After = appendTenant(nil, &tenant)
	if err := s.config.Directory.SaveTenant(ctx, &tenant); err != nil {
		return nil, fmt.Errorf("update settings: %w", err)
	}
	return &tenant, nil
}
