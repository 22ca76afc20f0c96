package web

import "net/http"

// sharingRoutes are the rows of a portal's REST API. What only reads is asked for by GET or POST, as clients put long parameters into
// bodies; what changes something by POST alone.
func (s *Server) sharingRoutes() []route {
	const (
		known   = admin | user | emitter | viewer
		reading = admin | user | viewer
		writing = admin | user
	)
	var list []route
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		list = append(list,
			route{method: method, path: sharingRoot, allowed: anyone, handle: s.getSharingRoot, quiet: true},
			route{method: method, path: sharingRoot + "/info", allowed: anyone, handle: s.getSharingInfo, quiet: true},
			route{method: method, path: sharingRoot + "/generateToken", allowed: anyone, handle: s.generateToken},
			route{method: method, path: sharingRoot + "/community/self", allowed: known, handle: s.getUser},
			route{method: method, path: sharingRoot + "/community/users/:user", allowed: known, handle: s.getUser},
			route{method: method, path: sharingRoot + "/portals/:portal", allowed: known, handle: s.ofPortal(s.getPortal)},
		)
	}
	const webhooks = sharingRoot + "/portals/:portal/webhooks"
	for _, r := range []route{
		{path: "", allowed: reading, handle: s.listOrganisationWebhooks},
		{path: "/settings", allowed: reading, handle: s.getPortalSettings},
		{path: "/:webhook", allowed: reading, handle: s.getOrganisationWebhook},
		{path: "/:webhook/notificationStatus", allowed: reading, handle: s.getNotificationStatus},
		{method: http.MethodPost, path: "/createWebhook", allowed: writing, handle: s.createOrganisationWebhook},
		{method: http.MethodPost, path: "/settings/update", allowed: admin, handle: s.updatePortalSettings},
		{method: http.MethodPost, path: "/:webhook/update", allowed: writing, handle: s.updateOrganisationWebhook},
		{method: http.MethodPost, path: "/:webhook/delete", allowed: writing, handle: s.deleteOrganisationWebhook},
		{method: http.MethodPost, path: "/:webhook/activate", allowed: writing, handle: s.activateOrganisationWebhook},
		{method: http.MethodPost, path: "/:webhook/deactivate", allowed: writing, handle: s.deactivateOrganisationWebhook},
	} {
		r.path, r.handle = webhooks+r.path, s.ofPortal(r.handle)
		if r.method != "" {
			list = append(list, r)
			continue
		}
		for _, r.method = range []string{http.MethodGet, http.MethodPost} {
			list = append(list, r)
		}
	}
	return list
}
