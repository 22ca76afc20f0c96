package web

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// serviceWebhook is a webhook of one service.
type serviceWebhook struct {
	*triggers.Webhook

	service triggers.Service
}

// serviceWebhooks are those of one service, or of all when it is nil, in no order.
func (s *Server) serviceWebhooks(key *triggers.APIKey, of *triggers.Service) []serviceWebhook {
	var list []serviceWebhook
	for w := range s.config.Directory.Webhooks(key.Tenant) {
		if service, ok := w.Service(); ok && owns(key, w) && (of == nil || service.Is(*of)) {
			list = append(list, serviceWebhook{w, service})
		}
	}
	return list
}

// serviceOrders are what a list of webhooks of services can be sorted by. Texts are sorted without regard to case.
var serviceOrders = map[string]func(a, b serviceWebhook) int{
	"created":     func(a, b serviceWebhook) int { return a.CreatedAt.Compare(b.CreatedAt) },
	"modified":    func(a, b serviceWebhook) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
	"id":          func(a, b serviceWebhook) int { return cmp.Compare(a.ID.String(), b.ID.String()) },
	"name":        byText(func(w serviceWebhook) string { return w.Name }),
	"hookUrl":     byText(func(w serviceWebhook) string { return w.URL }),
	"ownerId":     byText(func(w serviceWebhook) string { return w.CreatedBy }),
	"modifiedId":  byText(func(w serviceWebhook) string { return w.UpdatedBy }),
	"folderName":  byText(func(w serviceWebhook) string { return w.service.Folder }),
	"serviceName": byText(func(w serviceWebhook) string { return w.service.Name }),
	"serviceType": byText(func(w serviceWebhook) string { return w.service.Type() }),
	"active": func(a, b serviceWebhook) int {
		switch {
		case a.Enabled == b.Enabled:
			return 0
		case b.Enabled:
			return -1
		}
		return 1
	},
}

func byText(of func(w serviceWebhook) string) func(a, b serviceWebhook) int {
	return func(a, b serviceWebhook) int { return strings.Compare(triggers.Fold(of(a)), triggers.Fold(of(b))) }
}

// sortServiceWebhooks orders a list by sortField and sortOrder, by default the newest first; equal ones stand in the order in which they were
// made.
func sortServiceWebhooks(p *parameters, list []serviceWebhook) error {
	field, _, err := p.get("sortField")
	if err != nil {
		return err
	}
	direction, _, err := p.get("sortOrder")
	if err != nil {
		return err
	}
	order := serviceOrders["created"]
	descending := field == ""
	if field != "" {
		fields := slices.Sorted(maps.Keys(serviceOrders))
		at := slices.IndexFunc(fields, func(known string) bool { return strings.EqualFold(known, field) })
		if at < 0 {
			return triggers.Invalid(triggers.CodeOutOfRange, "sortField", "sortField is one of %s, not %q", strings.Join(fields, ", "), field)
		}
		order = serviceOrders[fields[at]]
	}
	switch {
	case direction == "":
	case strings.EqualFold(direction, "asc"):
		descending = false
	case strings.EqualFold(direction, "desc"):
		descending = true
	default:
		return triggers.Invalid(triggers.CodeOutOfRange, "sortOrder", "sortOrder is asc or desc, not %q", direction)
	}
	slices.SortFunc(list, func(a, b serviceWebhook) int {
		ordered := cmp.Or(order(a, b), cmp.Compare(a.Key, b.Key))
		if descending {
			return -ordered
		}
		return ordered
	})
	return nil
}

// listAllServiceWebhooks answers a page of the webhooks of all services.
func (s *Server) listAllServiceWebhooks(c echo.Context, key *triggers.APIKey) error {
	return s.answerServiceWebhooks(c, s.serviceWebhooks(key, nil), view{title: servicesLink.Name, down: []link{{"Settings", servicesRoot + "/webhooks/settings"}}})
}

// listServiceWebhooks answers a page of the webhooks of one service. A service that has none may be or not be: only the server itself knows.
func (s *Server) listServiceWebhooks(c echo.Context, key *triggers.APIKey, service triggers.Service) error {
	return s.answerServiceWebhooks(c, s.serviceWebhooks(key, &service), view{title: "Webhooks", up: serviceLinks(service)})
}

func (s *Server) answerServiceWebhooks(c echo.Context, all []serviceWebhook, v view) error {
	p := parametersOf(c)
	page, err := p.page()
	if err != nil {
		return err
	}
	if err := sortServiceWebhooks(p, all); err != nil {
		return err
	}
	from, to := page.bounds(len(all))
	o := openObject(nil)
	page.write(o, len(all))
	o.array("webhooks", to-from, func(dst []byte, i int) []byte {
		inner := openObject(dst)
		writeServiceWebhook(inner, all[from+i])
		return inner.close()
	})
	for _, w := range all[from:to] {
		v.down = append(v.down, serviceWebhookLink(w.service, w.Webhook))
	}
	return s.reply(c, o.close(), v)
}

// writeServiceWebhook writes a webhook as a server's administrator prints it. Of what only the JSON API knows, a policy of its own is among
// it, and the challenge.
func writeServiceWebhook(o *object, w serviceWebhook) {
	o.text("id", w.ID.Dashed())
	o.text("folderName", w.service.Folder)
	o.text("serviceName", w.service.Name)
	o.text("serviceType", w.service.Type())
	o.text("name", w.Name)
	o.texts("changeTypes", w.ChangeTypes())
	signatureKey := ""
	if !w.Secret.IsZero() {
		signatureKey = omitted
	}
	o.text("signatureKey", signatureKey)
	o.text("hookUrl", w.URL)
	o.flag("active", w.Enabled)
	o.text("contentType", cmp.Or(w.ContentType, triggers.ContentTypeJSON))
	if w.Schedule != nil && w.service.Kind == triggers.FeatureServices {
		o.object("scheduleInfo", func(o *object) { writeSchedule(o, w.Schedule) })
	}
	writePayloadFormat(o, w.Webhook)
	if policy := w.Deactivation; policy != nil {
		o.object("deactivationPolicy", func(o *object) {
			o.number("numberOfFailures", int64(policy.NumberOfFailures))
			o.number("daysInPast", int64(policy.DaysInPast))
		})
	}
	if w.CRCCheck {
		o.flag("crcCheck", true)
	}
	o.number("created", w.CreatedAt.UnixMilli())
	o.number("modified", w.UpdatedAt.UnixMilli())
	o.text("ownerId", w.CreatedBy)
	o.text("modifiedId", w.UpdatedBy)
}

func writeSchedule(o *object, schedule *triggers.Schedule) {
	o.text("name", schedule.Name)
	o.text("state", schedule.State)
	startAt := int64(0)
	if !schedule.StartAt.IsZero() {
		startAt = schedule.StartAt.UnixMilli()
	}
	o.number("startAt", startAt)
	o.object("recurrenceInfo", func(o *object) {
		o.number("interval", int64(schedule.Interval))
		o.text("frequency", schedule.Frequency)
	})
}
