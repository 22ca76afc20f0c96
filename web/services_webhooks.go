package web

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// done answers that what was asked for is done, and with what else is told of it.
func (s *Server) done(c echo.Context, fill func(o *object), v view) error {
	o := openObject(nil)
	o.text("status", "success")
	if fill != nil {
		fill(o)
	}
	return s.reply(c, o.close(), v)
}

// serviceWebhook finds the webhook that the path names, of the service that the path names.
func (s *Server) serviceWebhook(c echo.Context, key *triggers.APIKey, service triggers.Service) (serviceWebhook, error) {
	w, err := s.webhook(c, key)
	if err != nil {
		return serviceWebhook{}, err
	}
	of, ok := w.Service()
	if !ok || !of.Is(service) {
		return serviceWebhook{}, s.webhookError("find", triggers.ErrNotFound)
	}
	return serviceWebhook{w, of}, nil
}

func (s *Server) getServiceWebhook(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	w, err := s.serviceWebhook(c, key, service)
	if err != nil {
		return err
	}
	o := openObject(nil)
	writeServiceWebhook(o, w)
	return s.reply(c, o.close(), view{title: w.Name, up: serviceLinks(service), down: []link{
		{"Notification Status", serviceWebhookLink(service, w.Webhook).Path + "/notificationStatus"},
	}})
}

// createServiceWebhook makes a webhook, which is off unless it is asked for active. Clients go on with the url of the answer.
func (s *Server) createServiceWebhook(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("draw an id: %w", err)
	}
	now := now()
	w := &triggers.Webhook{
		ID: triggers.WebhookID(id), Tenant: key.Tenant, Level: triggers.TenantLevel, Origin: defaultOrigin, Format: triggers.FormatAuto,
		Retry: triggers.Retry{Profile: triggers.RetryPortal}, EnableCloudEventDelivery: true,
		CreatedAt: now, UpdatedAt: now, CreatedBy: key.UserID, UpdatedBy: key.UserID,
	}
	f := serviceForm{form{parameters: parametersOf(c), server: s, w: w}, service}
	if err := f.read(); err != nil {
		return err
	}
	if err := s.askReceiver(c, nil, w); err != nil {
		return inForm(err, serviceFields)
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	if err := s.checkServiceName(key, w.ID, w.Name, service); err != nil {
		return err
	}
	ctx, change := audited(c, key, webhookCreate, w.ID.String())
	change.After = auditedWebhook(w, nil)
	if err := s.config.Directory.Create(ctx, w); err != nil {
		return s.webhookError("create", err)
	}
	to := serviceWebhookLink(service, w)
	return s.done(c, func(o *object) {
		o.text("id", w.ID.Dashed())
		o.text("url", s.root(c)+to.Path)
	}, view{title: "Create", up: serviceLinks(service), down: []link{to}})
}

// checkServiceName refuses the name of another webhook of the service, whatever its case. The caller holds naming.
func (s *Server) checkServiceName(key *triggers.APIKey, id triggers.WebhookID, name string, service triggers.Service) error {
	folded := triggers.Fold(name)
	for _, other := range s.serviceWebhooks(key, &service) {
		if other.ID != id && triggers.Fold(other.Name) == folded {
			return triggers.Invalid(triggers.CodeExists, "name", "the webhook %s of this service has the name %q already; names are unique in it, whatever their case",
				other.ID.Dashed(), other.Name)
		}
	}
	return nil
}

// editServiceWebhook changes what it is given; what is left out stays, and so does all that only the JSON API can set. It answers with the
// whole webhook, which clients take for what they had read.
func (s *Server) editServiceWebhook(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	before, err := s.serviceWebhook(c, key, service)
	if err != nil {
		return err
	}
	p := parametersOf(c)
	apply := func(w *triggers.Webhook) error {
		of, ok := w.Service()
		if !ok || !of.Is(service) {
			return triggers.ErrNotFound
		}
		stored := *w
		f := serviceForm{form{parameters: p, server: s, w: w, before: &stored}, of}
		return f.read()
	}
	tried, err := s.tryOut(c, key, before.ID, apply)
	if err != nil {
		return inForm(err, serviceFields)
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	if name, given, err := p.get("name"); err != nil {
		return err
	} else if given && triggers.Fold(name) != triggers.Fold(before.Name) {
		if err := s.checkServiceName(key, before.ID, name, service); err != nil {
			return err
		}
	}
	after, err := s.save(c, key, webhookUpdate, tried, apply)
	if err != nil {
		return err
	}
	return s.done(c, func(o *object) { writeServiceWebhook(o, serviceWebhook{after, before.service}) },
		view{title: "Edit", up: serviceLinks(service), down: []link{serviceWebhookLink(service, after)}})
}

// deleteServiceWebhook removes a webhook. Its history stays in the JSON API's events.
func (s *Server) deleteServiceWebhook(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	w, err := s.serviceWebhook(c, key, service)
	if err != nil {
		return err
	}
	if err := s.remove(c, key, w.Webhook); err != nil {
		return err
	}
	return s.done(c, nil, view{title: "Delete", up: serviceLinks(service)})
}

func (s *Server) deleteServiceWebhooks(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	return s.toServiceWebhooks(c, key, service, "Delete All", func(w serviceWebhook) error { return s.remove(c, key, w.Webhook) })
}

func (s *Server) activateServiceWebhooks(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	return s.toServiceWebhooks(c, key, service, "Activate All", s.turner(c, key, webhookEnable))
}

func (s *Server) deactivateServiceWebhooks(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	return s.toServiceWebhooks(c, key, service, "Deactivate All", s.turner(c, key, webhookDisable))
}

// turner switches webhooks on or off; those that are so already stay as they are, with what the server has noted of them.
func (s *Server) turner(c echo.Context, key *triggers.APIKey, done action) func(w serviceWebhook) error {
	return func(w serviceWebhook) error {
		on := done == webhookEnable
		if w.Enabled == on {
			return nil
		}
		_, err := s.change(c, key, done, w.ID, func(w *triggers.Webhook) error { return s.turn(w, on) })
		return err
	}
}

// toServiceWebhooks does something to every webhook of a service, the oldest first. Where it cannot be done to one, it is done to the
// others, and the answer refuses what it could not do. One that goes meanwhile is no trouble.
func (s *Server) toServiceWebhooks(c echo.Context, key *triggers.APIKey, service triggers.Service, title string, do func(w serviceWebhook) error) error {
	all := s.serviceWebhooks(key, &service)
	slices.SortFunc(all, func(a, b serviceWebhook) int { return cmp.Compare(a.Key, b.Key) })
	var failed error
	for _, w := range all {
		err := do(w)
		if err == nil || problemOf(err).Code == codeNotFound {
			continue
		}
		if p := problemOf(inForm(err, serviceFields)); failed == nil {
			named := *p
			named.Detail = fmt.Sprintf("webhook %s (%s): %s", w.ID.Dashed(), w.Name, p.Detail)
			failed = &named
		}
	}
	if failed != nil {
		return failed
	}
	return s.done(c, nil, view{title: title, up: serviceLinks(service)})
}

// getServiceNotifications answers with the deliveries that have failed: those that ran out of attempts since the webhook was made or last
// switched on, the newest first.
func (s *Server) getServiceNotifications(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	w, err := s.serviceWebhook(c, key, service)
	if err != nil {
		return err
	}
	health, err := s.config.History.Health(c.Request().Context(), w.Key)
	if err != nil {
		return fmt.Errorf("read the failures of webhook %s: %w", w.ID, err)
	}
	failures := slices.Clone(health[w.Key].Exhausted)
	slices.Reverse(failures)
	o := openObject(nil)
	o.array("webhookNotificationStatus", len(failures), func(dst []byte, i int) []byte {
		inner := openObject(dst)
		inner.flag("invoked", false)
		inner.number("invokedTimestamp", failures[i].UnixMilli())
		return inner.close()
	})
	return s.reply(c, o.close(), view{title: "Notification Status", up: append(serviceLinks(service), serviceWebhookLink(service, w.Webhook))})
}

// getServiceSettings answers with the settings that all webhooks of services go by.
func (s *Server) getServiceSettings(c echo.Context, key *triggers.APIKey) error {
	tenant := s.config.Directory.Tenant(key.Tenant)
	o := openObject(nil)
	writeSettings(o, tenant.ServiceSettings.OrDefault(), triggers.AllServiceSettings)
	return s.reply(c, o.close(), view{title: "Settings", up: []link{servicesLink}})
}

// updateServiceSettings changes the settings that it is given, and answers with all. The next attempt of each webhook goes by them.
func (s *Server) updateServiceSettings(c echo.Context, key *triggers.APIKey) error {
	tenant, err := s.updateSettings(c, key, func(tenant *triggers.Tenant) error {
		tenant.ServiceSettings = tenant.ServiceSettings.OrDefault()
		if err := readForm(parametersOf(c), &tenant.ServiceSettings, triggers.AllServiceSettings); err != nil {
			return err
		}
		return tenant.ServiceSettings.Validate()
	})
	if err != nil {
		return err
	}
	return s.done(c, func(o *object) { writeSettings(o, tenant.ServiceSettings.OrDefault(), triggers.AllServiceSettings) },
		view{title: "Update Settings", up: []link{servicesLink}, down: []link{{"Settings", servicesRoot + "/webhooks/settings"}}})
}
