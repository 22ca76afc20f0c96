package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Tenants lists the tenants in the order of their keys.
func (s *base) Tenants(ctx context.Context) ([]triggers.Tenant, error) {
	const query = `SELECT key, name, portal_id, portal_url, server_url, created_ms, settings FROM tenant ORDER BY key`
	var tenants []triggers.Tenant
	err := each(ctx, s.direct(), query, nil, func(rows *sql.Rows) error {
		var t triggers.Tenant
		var created int64
		var settings []byte
		if err := rows.Scan(&t.Key, &t.Name, &t.PortalID, &t.PortalURL, &t.ServerURL, &created, &settings); err != nil {
			return err
		}
		t.CreatedAt = timeOf(created)
		err := applySettings(settings, &t)
		tenants = append(tenants, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	return tenants, nil
}

// SaveTenant adds a tenant, drawing its Key, or changes the one with its Key, and cuts its date to milliseconds. When payloads
// tell otherwise of it, its webhooks have new revisions, in the same transaction. The error is a *triggers.FieldError when another tenant has
// its name or portal id, and triggers.ErrNotFound when there is none with its key.
func (s *base) SaveTenant(ctx context.Context, tenant *triggers.Tenant) error {
	tenant.CreatedAt = timeOf(unixMilli(tenant.CreatedAt))
	var saved triggers.Tenant
	err := s.edit(ctx, func(e *editor) error {
		saved = *tenant
		if err := e.saveTenant(&saved); err != nil {
			return err
		}
		return e.note(ctx, saved.Key)
	})
	if err != nil {
		return fmt.Errorf("tenant %s: %w", tenant.Name, known(err))
	}
	*tenant = saved
	return nil
}

func (e *editor) saveTenant(t *triggers.Tenant) error {
	for _, unique := range [...]struct{ field, query, value string }{
		{"name", `SELECT key FROM tenant WHERE name = ? AND key <> ?`, t.Name},
		{"portalId", `SELECT key FROM tenant WHERE portal_id = ? AND key <> ?`, t.PortalID},
	} {
		other, err := e.db.integer(unique.query, unique.value, int64(t.Key))
		if err != nil {
			return err
		}
		if other != 0 {
			return triggers.Invalid(triggers.CodeExists, unique.field, "another tenant has %q", unique.value)
		}
	}
	settings, err := tenantSettingsOf(t)
	if err != nil {
		return err
	}
	if t.Key == 0 {
		key, err := e.db.integer(`INSERT INTO tenant (name, portal_id, portal_url, server_url, created_ms, settings) VALUES (?, ?, ?, ?, ?, ?) RETURNING key`,
			t.Name, t.PortalID, t.PortalURL, t.ServerURL, unixMilli(t.CreatedAt), settings)
		t.Key = uint32(key) //nolint:gosec // fewer than four billion tenants are ever made
		return err
	}
	before, err := e.tenant(t.Key)
	if err != nil {
		return err
	}
	err = e.db.run(`UPDATE tenant SET name = ?, portal_id = ?, portal_url = ?, server_url = ?, created_ms = ?, settings = ? WHERE key = ?`,
		t.Name, t.PortalID, t.PortalURL, t.ServerURL, unixMilli(t.CreatedAt), settings, int64(t.Key))
	if err != nil || !delivery.TellsOtherwise(before, t) {
		return err
	}
	return e.reviseAll(t)
}

// reviseAll gives every webhook of the tenant a new revision.
func (e *editor) reviseAll(t *triggers.Tenant) error {
	var webhooks []*triggers.Webhook
	err := e.db.each(`SELECT `+webhookColumns+` FROM webhook WHERE tenant = ? ORDER BY key`, "", webhookColumnCount,
		func(values []driver.Value) error {
			webhook, err := e.webhookOf(rowOfValues(values))
			webhooks = append(webhooks, webhook)
			return err
		}, int64(t.Key))
	if err != nil {
		return err
	}
	for _, webhook := range webhooks {
		revision, err := e.revise(webhook, t)
		if err != nil {
			return err
		}
		if err := e.db.run(presentRevision, revision, int64(webhook.Key)); err != nil {
			return err
		}
	}
	return nil
}

// tenant is the tenant with the key, as the present transaction sees it; triggers.ErrNotFound when there is none.
func (e *editor) tenant(key uint32) (*triggers.Tenant, error) {
	t := &triggers.Tenant{}
	err := e.db.each(`SELECT name, portal_id, portal_url, server_url, created_ms, settings FROM tenant WHERE key = ?`, "", 6,
		func(values []driver.Value) error {
			t.Key, t.Name, t.PortalID = key, textOf(values[0]), textOf(values[1])
			t.PortalURL, t.ServerURL, t.CreatedAt = textOf(values[2]), textOf(values[3]), timeOf(integer(values[4]))
			return applySettings([]byte(textOf(values[5])), t)
		}, int64(key))
	if err != nil {
		return nil, err
	}
	if t.Key == 0 {
		return nil, fmt.Errorf("tenant %d: %w", key, triggers.ErrNotFound)
	}
	return t, nil
}

// tenantSettings is the column settings of a tenant. What is not in it has never been set.
type tenantSettings struct {
	SingularSource bool             `json:"singularSource,omitzero"`
	Portal         *portalSettings  `json:"portal,omitzero"`
	Service        *serviceSettings `json:"service,omitzero"`
}

type portalSettings struct {
	Attempts       int `json:"attempts"`
	TimeoutSeconds int `json:"timeoutSeconds"`
	PauseSeconds   int `json:"pauseSeconds"`
	MetricMinutes  int `json:"metricMinutes"`
}

type serviceSettings struct {
	Attempts         int `json:"attempts"`
	TimeoutSeconds   int `json:"timeoutSeconds"`
	PauseSeconds     int `json:"pauseSeconds"`
	NumberOfFailures int `json:"numberOfFailures"`
	DaysInPast       int `json:"daysInPast"`
}

func tenantSettingsOf(t *triggers.Tenant) (string, error) {
	settings := tenantSettings{SingularSource: t.SingularSource}
	if t.Settings != (triggers.PortalSettings{}) {
		portal := portalSettings(t.Settings)
		settings.Portal = &portal
	}
	if of := t.ServiceSettings; of != (triggers.ServiceSettings{}) {
		settings.Service = &serviceSettings{of.Attempts, of.TimeoutSeconds, of.PauseSeconds, of.NumberOfFailures, of.DaysInPast}
	}
	column, err := json.Marshal(settings)
	return string(column), err
}

// applySettings reads the column settings into a tenant.
func applySettings(column []byte, t *triggers.Tenant) error {
	var settings tenantSettings
	if err := json.Unmarshal(column, &settings); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	t.SingularSource = settings.SingularSource
	if settings.Portal != nil {
		t.Settings = triggers.PortalSettings(*settings.Portal)
	}
	if of := settings.Service; of != nil {
		t.ServiceSettings = triggers.ServiceSettings{
			Attempts: of.Attempts, TimeoutSeconds: of.TimeoutSeconds, PauseSeconds: of.PauseSeconds,
			DeactivationPolicy: triggers.DeactivationPolicy{NumberOfFailures: of.NumberOfFailures, DaysInPast: of.DaysInPast},
		}
	}
	return nil
}
