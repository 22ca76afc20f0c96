package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"portalhook/triggers"
)

// settings is the part of what one sees and who one is, and for operators of the tenants.
func (c *Console) settings() feature {
	return feature{name: "settings", path: "/settings", routes: []route{
		{pattern: "GET /settings", answer: showSettings},
		{pattern: "GET /settings/tenants/new", allowed: admins, answer: askTenant},
		{pattern: "POST /settings/tenants", allowed: admins, answer: createTenant},
		{pattern: "GET /settings/tenants/{tenant}", allowed: admins, answer: askTenant},
		{pattern: "POST /settings/tenants/{tenant}", allowed: admins, answer: updateTenant},
	}}
}

// tenantView is a tenant as the API shows it.
type tenantView struct {
	Name      string `json:"name"`
	PortalID  string `json:"portalId"`
	PortalURL string `json:"portalUrl"`
	ServerURL string `json:"serverUrl"`
	// SourceNaming and the settings are what the webhooks of a portal go by.
	SourceNaming    string         `json:"sourceNaming"`
	PortalSettings  map[string]int `json:"portalSettings"`
	ServiceSettings map[string]int `json:"serviceSettings"`

	CreatedAt moment `json:"createdAt"`
	Own       bool   `json:"-"` // the visitor's key is of it
}

type settingsPage struct {
	Key     *keyView
	Tenants []*tenantView // of operators
	Table   table
	Pager   pager
}

const tenantsTarget = "#tenants"

func showSettings(v *visit) error {
	shown := settingsPage{Key: new(keyView)}
	if err := v.get("/api-keys/self", nil, shown.Key); err != nil {
		return err
	}
	if v.Key.Operator {
		o := v.orderingOf("/settings", "createdAt")
		var got struct {
			Data  []*tenantView `json:"data"`
			Links links         `json:"links"`
		}
		if err := v.get("/tenants", o.query(), &got); err != nil {
			return err
		}
		shown.Tenants = got.Data
		for _, t := range shown.Tenants {
			t.Own = t.Name == v.Key.Tenant
		}
		shown.Pager = o.pager(tenantsTarget, got.Links)
		shown.Table = table{Target: tenantsTarget, Menus: true, Columns: []column{
			o.column("name", "tenants.column.name", ""), o.column("portalid", "tenants.column.portalId", ""),
			o.column("portal", "tenants.column.portalUrl", ""), o.column("server", "tenants.column.serverUrl", ""),
			o.column("created", "keys.column.created", "createdAt"),
		}}
		if v.target() == "tenants" {
			return v.list(o, "settings/tenants", shown)
		}
	}
	return v.show(http.StatusOK, page{Title: "nav.settings", Template: "settings", Section: "settings", Data: shown})
}

// maxTenants bounds how many tenants a choice offers: one page of the API.
const maxTenants = "100"

// tenantOptions are the tenants that an operator can choose; the empty one is the key's own.
func (v *visit) tenantOptions() ([]option, error) {
	var got struct {
		Data []*tenantView `json:"data"`
	}
	list := []option{{"", v.Key.Tenant}}
	if err := v.get("/tenants", url.Values{"limit": {maxTenants}}, &got); err != nil {
		return nil, err
	}
	for _, t := range got.Data {
		if t.Name != v.Key.Tenant {
			list = append(list, option{t.Name, t.Name})
		}
	}
	return list, nil
}

// tenantForm is the form of a tenant's addresses and settings; of a new one also of its names.
type tenantForm struct {
	Tenant *tenantView // nil of a new one
	Fields []field
	Groups []fieldGroup
}

// fieldGroup is fields of one heading.
type fieldGroup struct {
	Name   string // names its messages
	Fields []field
	Open   bool
}

// settingGroups are the settings of a tenant, in the API's names.
var settingGroups = []settingGroup{
	{"portalSettings", boundsOf(triggers.AllPortalSettings)},
	{"serviceSettings", boundsOf(triggers.AllServiceSettings)},
}

type settingGroup struct {
	name     string
	settings []bounds
}

// bounds are what a setting is called, and from where to where it goes.
type bounds struct {
	name        string
	least, most int
}

func boundsOf[S any](all []triggers.Setting[S]) []bounds {
	list := make([]bounds, len(all))
	for i, s := range all {
		list[i] = bounds{s.Name, s.Least, s.Most}
	}
	return list
}

// settingFields makes the fields of a tenant's settings; of a new tenant they are empty, and the server's own stand.
func (v *visit) settingFields(now *tenantView) []fieldGroup {
	var groups []fieldGroup
	for _, g := range settingGroups {
		group := fieldGroup{Name: g.name}
		values := map[string]map[string]int{"portalSettings": now.PortalSettings, "serviceSettings": now.ServiceSettings}[g.name]
		for _, s := range g.settings {
			f := field{Name: g.name + "." + s.name, Type: "number", Label: v.T("tenants.setting." + s.name), Min: strconv.Itoa(s.least), Max: strconv.Itoa(s.most), Narrow: true}
			if value, ok := values[s.name]; ok {
				f.Value = strconv.Itoa(value)
			}
			group.Fields = append(group.Fields, f)
		}
		groups = append(groups, group)
	}
	return groups
}

// fill gives a field what was sent, and what the API refuses of it.
func (v *visit) fill(f *field, refused *apiError) {
	if v.r.Method == http.MethodPost {
		f.Value = v.r.PostForm.Get(f.Name)
	}
	if refused != nil && f.Name == refused.Field {
		f.Error = v.Explain(refused)
	}
}

// tenantPath is a tenant's path in the API.
func tenantPath(v *visit) string { return "/tenants/" + url.PathEscape(v.r.PathValue("tenant")) }

func askTenant(v *visit) error { return v.showTenant(http.StatusOK, nil) }

func (v *visit) showTenant(status int, refused *apiError) error {
	if !v.Key.Operator {
		return v.refuse(http.StatusForbidden, "error.role")
	}
	title, form := "tenants.new", tenantForm{}
	now := tenantView{}
	if v.r.PathValue("tenant") != "" {
		if err := v.get(tenantPath(v), nil, &now); err != nil {
			return err
		}
		title, form.Tenant = "tenants.edit", &now
	} else {
		form.Fields = []field{
			{Name: "name", Type: "text", Label: v.T("tenants.column.name"), Hint: v.T("tenants.hint.name"), Required: true},
			{Name: "portalId", Type: "text", Label: v.T("tenants.column.portalId"), Hint: v.T("tenants.hint.portalId"), Optional: true},
		}
	}
	form.Fields = append(form.Fields,
		field{Name: "portalUrl", Type: "url", Label: v.T("tenants.column.portalUrl"), Hint: v.T("tenants.hint.portalUrl"), Value: now.PortalURL, Required: true, Placeholder: "https://portal.example.com/portal/"},
		field{Name: "serverUrl", Type: "url", Label: v.T("tenants.column.serverUrl"), Hint: v.T("tenants.hint.serverUrl"), Value: now.ServerURL, Optional: true, Placeholder: "https://portal.example.com/server/"})
	naming := field{
		Name: "sourceNaming", Type: "select", Label: v.T("tenants.sourceNaming"), Hint: v.T("tenants.hint.sourceNaming"), Value: now.SourceNaming,
		Options: v.options("naming", "items", "item"),
	}
	form.Fields = append(form.Fields, naming)
	form.Groups = v.settingFields(&now)
	for i := range form.Fields {
		f := &form.Fields[i]
		v.fill(f, refused)
		if i == 0 && refused != nil && refused.Field == "" {
			f.Error = v.Explain(refused)
		}
	}
	for i := range form.Groups {
		group := &form.Groups[i]
		for j := range group.Fields {
			v.fill(&group.Fields[j], refused)
			group.Open = group.Open || group.Fields[j].Error != ""
		}
	}
	return v.show(status, page{Title: title, Template: "settings/tenant", Section: "settings", Pane: true, Data: form})
}

// sendTenant sends the named fields of the form, and its settings. A setting that is left empty stays what it is.
func (v *visit) sendTenant(method, path, done string, names ...string) error {
	body := map[string]any{}
	for _, name := range names {
		if value := strings.TrimSpace(v.r.PostForm.Get(name)); value != "" || method == http.MethodPatch {
			body[name] = value
		}
	}
	for _, group := range settingGroups {
		given := map[string]any{}
		for _, s := range group.settings {
			if value := strings.TrimSpace(v.r.PostForm.Get(group.name + "." + s.name)); value != "" {
				given[s.name] = numberOf(value)
			}
		}
		if len(given) > 0 {
			body[group.name] = given
		}
	}
	var got tenantView
	if err := v.call(method, path, nil, body, &got); err != nil {
		if refused, ok := asRefusal(err, http.StatusBadRequest, http.StatusConflict); ok {
			return v.showTenant(http.StatusUnprocessableEntity, refused)
		}
		return err
	}
	v.say("good", v.T(done, "name", got.Name))
	return v.redirect("/settings")
}

func createTenant(v *visit) error {
	return v.sendTenant(http.MethodPost, "/tenants", "tenants.made", "name", "portalId", "portalUrl", "serverUrl", "sourceNaming")
}

func updateTenant(v *visit) error {
	return v.sendTenant(http.MethodPatch, tenantPath(v), "tenants.saved", "portalUrl", "serverUrl", "sourceNaming")
}
