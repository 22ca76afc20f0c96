package web

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// ofOrganisation reports whether a webhook is an organisation webhook: whether all that it subscribes are the portal's own triggers. Only
// such are seen on this surface.
func ofOrganisation(w *triggers.Webhook) bool {
	return !slices.ContainsFunc(w.Triggers, func(t triggers.Trigger) bool { return !isPortalTrigger(&t) })
}

func isPortalTrigger(t *triggers.Trigger) bool { return t.Root || t.Resource.IsPortal() }

// organisationWebhooks are those that a key may see, the newest first: clients that look for one that they have just made look at the
// first page only.
func (s *Server) organisationWebhooks(key *triggers.APIKey) []*triggers.Webhook {
	var list []*triggers.Webhook
	for w := range s.config.Directory.Webhooks(key.Tenant) {
		if owns(key, w) && ofOrganisation(w) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *triggers.Webhook) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Key, a.Key))
	})
	return list
}

// listOrganisationWebhooks answers a page by its position.
func (s *Server) listOrganisationWebhooks(c echo.Context, key *triggers.APIKey) error {
	page, err := parametersOf(c).page()
	if err != nil {
		return err
	}
	all := s.organisationWebhooks(key)
	from, to := page.bounds(len(all))
	tenant := s.config.Directory.Tenant(key.Tenant)
	o := openObject(nil)
	page.write(o, len(all))
	o.array("webhooks", to-from, func(dst []byte, i int) []byte { return appendOrganisationWebhook(dst, all[from+i], &tenant) })
	v := view{title: "Webhooks", up: portalLinks(c), down: []link{{"Settings", webhooksPath(c) + "/settings"}}}
	for _, w := range all[from:to] {
		v.down = append(v.down, webhookLink(c, w))
	}
	return s.reply(c, o.close(), v)
}

func (s *Server) getOrganisationWebhook(c echo.Context, key *triggers.APIKey) error {
	w, err := s.organisationWebhook(c, key)
	if err != nil {
		return err
	}
	tenant := s.config.Directory.Tenant(key.Tenant)
	return s.reply(c, appendOrganisationWebhook(nil, w, &tenant), view{title: w.Name, up: webhookLinks(c), down: []link{
		{"Notification Status", webhookLink(c, w).Path + "/notificationStatus"},
	}})
}

// organisationWebhook finds the organisation webhook that the path names.
func (s *Server) organisationWebhook(c echo.Context, key *triggers.APIKey) (*triggers.Webhook, error) {
	w, err := s.webhook(c, key)
	if err == nil && !ofOrganisation(w) {
		err = s.webhookError("find", triggers.ErrNotFound)
	}
	return w, err
}

// createOrganisationWebhook makes a webhook that is on. Clients look for success, and find the id beside it.
func (s *Server) createOrganisationWebhook(c echo.Context, key *triggers.APIKey) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("draw an id: %w", err)
	}
	now := now()
	w := &triggers.Webhook{
		ID: triggers.WebhookID(id), Tenant: key.Tenant, Level: defaultLevel(key), Enabled: true, Origin: defaultOrigin,
		Format: triggers.FormatAuto, Retry: triggers.Retry{Profile: triggers.RetryPortal}, EnableCloudEventDelivery: true,
		Deactivation: defaultPolicy(), CreatedAt: now, UpdatedAt: now, CreatedBy: key.UserID, UpdatedBy: key.UserID,
	}
	if w.Level == triggers.UserLevel {
		w.OwnerID = key.UserID
	}
	f := form{parameters: parametersOf(c), server: s, w: w}
	if err := f.read(); err != nil {
		return err
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	if err := s.checkName(key.Tenant, w); err != nil {
		return err
	}
	ctx, change := audited(c, key, webhookCreate, w.ID.String())
	change.After = auditedWebhook(w, nil)
	if err := s.config.Directory.Create(ctx, w); err != nil {
		return s.webhookError("create", err)
	}
	o := openObject(nil)
	o.flag("success", true)
	o.text("id", w.ID.String())
	return s.reply(c, o.close(), view{title: "Create Webhook", up: webhookLinks(c), down: []link{webhookLink(c, w)}})
}

// checkName refuses the name of another organisation webhook, whatever its case: clients find webhooks by their names. The caller holds
// naming.
func (s *Server) checkName(tenant uint32, w *triggers.Webhook) error {
	folded := triggers.Fold(w.Name)
	for other := range s.config.Directory.Webhooks(tenant) {
		if other.ID != w.ID && triggers.Fold(other.Name) == folded && ofOrganisation(other) {
			return triggers.Invalid(triggers.CodeExists, "name", "the webhook %s has the name %q already; names are unique here, whatever their case", other.ID, other.Name)
		}
	}
	return nil
}

// updateOrganisationWebhook changes what it is given; what is left out stays, and so does all that only the JSON API can set.
func (s *Server) updateOrganisationWebhook(c echo.Context, key *triggers.APIKey) error {
	s.naming.Lock()
	defer s.naming.Unlock()
	before, err := s.organisationWebhook(c, key)
	if err != nil {
		return err
	}
	p := parametersOf(c)
	if name, given, err := p.get("name"); err != nil {
		return err
	} else if given && triggers.Fold(name) != triggers.Fold(before.Name) {
		if err := s.checkName(key.Tenant, &triggers.Webhook{ID: before.ID, Name: name}); err != nil {
			return err
		}
	}
	_, err = s.updateOrganisation(c, key, webhookUpdate, func(w *triggers.Webhook) error {
		stored := *w
		f := form{parameters: p, server: s, w: w, before: &stored}
		return f.read()
	})
	if err != nil {
		return err
	}
	return s.succeeded(c, view{title: "Update Webhook", up: webhookLinks(c), down: []link{webhookLink(c, before)}})
}

// updateOrganisation changes an organisation webhook.
func (s *Server) updateOrganisation(
	c echo.Context, key *triggers.APIKey, done action, apply func(w *triggers.Webhook) error,
) (*triggers.Webhook, error) {
	return s.update(c, key, done, func(w *triggers.Webhook) error {
		if !ofOrganisation(w) {
			return triggers.ErrNotFound
		}
		return apply(w)
	})
}

func (s *Server) activateOrganisationWebhook(c echo.Context, key *triggers.APIKey) error {
	return s.switchOrganisationWebhook(c, key, webhookEnable, "Activate Webhook")
}

func (s *Server) deactivateOrganisationWebhook(c echo.Context, key *triggers.APIKey) error {
	return s.switchOrganisationWebhook(c, key, webhookDisable, "Deactivate Webhook")
}

func (s *Server) switchOrganisationWebhook(c echo.Context, key *triggers.APIKey, done action, title string) error {
	w, err := s.updateOrganisation(c, key, done, func(w *triggers.Webhook) error { return s.turn(w, done == webhookEnable) })
	if err != nil {
		return inForm(err)
	}
	return s.succeeded(c, view{title: title, up: webhookLinks(c), down: []link{webhookLink(c, w)}})
}

// deleteOrganisationWebhook removes a webhook. Its history stays in the JSON API's events.
func (s *Server) deleteOrganisationWebhook(c echo.Context, key *triggers.APIKey) error {
	w, err := s.organisationWebhook(c, key)
	if err != nil {
		return err
	}
	if err := s.remove(c, key, w); err != nil {
		return err
	}
	return s.succeeded(c, view{title: "Delete Webhook", up: webhookLinks(c)})
}
