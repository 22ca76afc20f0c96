package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// servicesRoutes are the rows of the webhooks of services, as the administrator of a portal's server has them. Such webhooks hear the whole
// tenant, so keys of the role user have none. What only reads is asked for by GET or POST; what changes something by POST alone.
func (s *Server) servicesRoutes() []route {
	const reading = admin | viewer
	list := []route{
		{method: http.MethodGet, path: servicesRoot + "/webhooks", allowed: reading, handle: s.listAllServiceWebhooks},
		{method: http.MethodPost, path: servicesRoot + "/webhooks", allowed: reading, handle: s.listAllServiceWebhooks},
		{method: http.MethodGet, path: servicesRoot + "/webhooks/settings", allowed: reading, handle: s.getServiceSettings},
		{method: http.MethodPost, path: servicesRoot + "/webhooks/settings", allowed: admin, handle: s.updateServiceSettings},
		{method: http.MethodPost, path: servicesRoot + "/webhooks/settings/update", allowed: admin, handle: s.updateServiceSettings},
	}
	for _, service := range []string{"/:service", "/:folder/:service"} {
		for _, r := range []struct {
			path   string
			change bool
			handle serviceHandler
		}{
			{path: "", handle: s.listServiceWebhooks},
			{path: "/:webhook", handle: s.getServiceWebhook},
			{path: "/:webhook/notificationStatus", handle: s.getServiceNotifications},
			{path: "/create", change: true, handle: s.createServiceWebhook},
			{path: "/deleteAll", change: true, handle: s.deleteServiceWebhooks},
			{path: "/activateAll", change: true, handle: s.activateServiceWebhooks},
			{path: "/deactivateAll", change: true, handle: s.deactivateServiceWebhooks},
			{path: "/:webhook/edit", change: true, handle: s.editServiceWebhook},
			{path: "/:webhook/delete", change: true, handle: s.deleteServiceWebhook},
		} {
			path, handle := servicesRoot+service+"/webhooks"+r.path, ofService(r.handle)
			if r.change {
				list = append(list, route{method: http.MethodPost, path: path, allowed: admin, handle: handle})
				continue
			}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				list = append(list, route{method: method, path: path, allowed: reading, handle: handle})
			}
		}
	}
	return list
}

// serviceHandler answers a request about the service that its path names.
type serviceHandler func(c echo.Context, key *triggers.APIKey, service triggers.Service) error

func ofService(handle serviceHandler) handler {
	return func(c echo.Context, key *triggers.APIKey) error {
		service, err := serviceParam(c)
		if err != nil {
			return err
		}
		return handle(c, key, service)
	}
}

// serviceParam reads the service that the path names: its name, a dot and its type.
func serviceParam(c echo.Context) (triggers.Service, error) {
	text := c.Param("service")
	service := triggers.Service{Folder: c.Param("folder")}
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return service, triggers.Invalid(triggers.CodeRequired, "serviceType", "a dot and the type of the service follow its name, as in %s.%s", text, service.Type())
	}
	var known bool
	service.Name = text[:dot]
	if service.Kind, known = triggers.ParseServiceType(text[dot+1:]); !known {
		return service, triggers.Invalid(triggers.CodeOutOfRange, "serviceType",
			"webhooks are those of services of the types %s and %s, not %s",
			triggers.Service{Kind: triggers.FeatureServices}.Type(), triggers.Service{Kind: triggers.Geoprocessing}.Type(), text[dot+1:])
	}
	return service, service.Validate()
}

// servicePath is the path of a service's webhooks.
func servicePath(service triggers.Service) string {
	path := servicesRoot
	if service.Folder != "" {
		path += "/" + url.PathEscape(service.Folder)
	}
	return path + "/" + url.PathEscape(service.Name) + "." + service.Type() + "/webhooks"
}

// Every page of this surface begins with the list of all webhooks of services.
var servicesLink = link{"Service Webhooks", servicesRoot + "/webhooks"}

func serviceLinks(service triggers.Service) []link {
	name := service.Name + "." + service.Type()
	if service.Folder != "" {
		name = service.Folder + "/" + name
	}
	return []link{servicesLink, {name, servicePath(service)}}
}

func serviceWebhookLink(service triggers.Service, w *triggers.Webhook) link {
	return link{w.Name, servicePath(service) + "/" + w.ID.Dashed()}
}
