package web

import (
	"context"
	"fmt"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// healthMember is the member of a webhook that tells how it has failed, and how it is probed. Only the server sets it, and it moves with every
// failure, so that what a body says of it is passed over.
const healthMember = "health"

// writeWebhook answers with a webhook and its health.
func (s *Server) writeWebhook(c echo.Context, status int, w *triggers.Webhook) error {
	health, err := s.healthOf(c.Request().Context(), w)
	if err != nil {
		return err
	}
	writeJSON(c, status, s.appendWithHealth(nil, w, health[w.Key]))
	return nil
}

// healthOf is that of webhooks, by their keys.
func (s *Server) healthOf(ctx context.Context, webhooks ...*triggers.Webhook) (map[uint32]delivery.Health, error) {
	if len(webhooks) == 0 {
		return nil, nil
	}
	keys := make([]uint32, len(webhooks))
	for i, w := range webhooks {
		keys[i] = w.Key
	}
	health, err := s.config.History.Health(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("health of webhooks: %w", err)
	}
	return health, nil
}

// appendWithHealth writes a webhook with its health behind the other members; without where there is nothing to tell.
func (s *Server) appendWithHealth(dst []byte, w *triggers.Webhook, health delivery.Health) []byte {
	row := appendWebhook(dst, w)
	tenant := s.config.Directory.Tenant(w.Tenant)
	at := time.Now()
	if !w.DisabledAt.IsZero() {
		at = w.DisabledAt
	}
	way := health.Way(tenant.PolicyFor(w), at)
	if way.Since.IsZero() && health.Probe.IsZero() {
		return row
	}
	o := &object{buf: row[:len(row)-1], after: true}
	o.object(healthMember, func(o *object) {
		if way.Standard {
			o.text("rule", "standard")
		} else {
			o.text("rule", "policy")
		}
		o.number("percent", int64(way.Percent))
		o.number("failures", int64(way.Failures))
		o.number("limit", int64(way.Limit))
		o.number("days", int64(way.Days))
		if !way.Since.IsZero() {
			o.time("since", way.Since)
		}
		if health.Warned > 0 {
			o.number("warned", int64(health.Warned))
		}
		if !health.Probe.IsZero() {
			o.object("probe", func(o *object) { writeProbe(o, &health.Probe) })
		}
	})
	return o.close()
}

func writeProbe(o *object, p *delivery.Probing) {
	o.number("tries", int64(p.Tries))
	if !p.At.IsZero() {
		o.time("lastAt", p.At)
		o.text("outcome", string(p.Outcome))
		if p.StatusCode != 0 {
			o.number("statusCode", int64(p.StatusCode))
		}
		o.text("reason", p.Reason)
	}
	if !p.NextAt.IsZero() {
		o.time("nextAt", p.NextAt)
	}
}
