package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"portalhook/triggers"
)

// keys is the part of API keys: who may do what, and since when.
func (c *Console) keys() feature {
	return feature{name: "key", path: "/keys", seenBy: watchers, routes: []route{
		{pattern: "GET /keys", allowed: watchers, answer: listKeys},
		{pattern: "POST /keys", allowed: admins, answer: createKey},
		{pattern: "GET /keys/new", allowed: admins, answer: newKey},
		{pattern: "GET /keys/{key}/revoke", allowed: admins, answer: askRevocation},
		{pattern: "POST /keys/{key}/revoke", allowed: admins, answer: revokeKey},
	}}
}

// keyView is a key as the API shows it.
type keyView struct {
	ownKey
	CreatedAt  moment `json:"createdAt"`
	ExpiresAt  moment `json:"expiresAt"`
	LastUsedAt moment `json:"lastUsedAt"`
	Revoked    bool   `json:"revoked"`
	Expired    bool   `json:"-"`
	Own        bool   `json:"-"` // it is the visitor's own
}

// State is whether the key opens anything: active, expired or revoked.
func (k *keyView) State() string {
	switch {
	case k.Revoked:
		return "revoked"
	case k.Expired:
		return "expired"
	}
	return "active"
}

// Kind is the badge of the state.
func (k *keyView) Kind() string {
	switch k.State() {
	case "active":
		return "good"
	case "expired":
		return "warn"
	}
	return "idle"
}

func (v *visit) look(k *keyView) {
	k.Expired = !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(v.now())
	k.Own = k.ID == v.Key.ID
}

// keyFilters are the parameters of the list that filter it, as the API names them.
var keyFilters = []string{"role", "userId", "revoked", "tenant"}

type keyList struct {
	Keys     []*keyView
	Table    table
	Pager    pager
	Filtered bool
	Error    string
	Action   string
	Tenant   string // whose keys they are, where another was chosen
}

const keysTarget = "#keys"

func listKeys(v *visit) error {
	o := v.orderingOf("/keys", "-createdAt", keyFilters...)
	var got struct {
		Data  []*keyView `json:"data"`
		Links links      `json:"links"`
	}
	list := &keyList{Filtered: o.isFiltered(), Action: v.Link("/keys"), Tenant: o.get("tenant")}
	if err := v.get("/api-keys", o.query(), &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return err
		}
		list.Error = v.Explain(refused)
	}
	list.Keys = got.Data
	for _, k := range list.Keys {
		v.look(k)
	}
	list.Pager = o.pager(keysTarget, got.Links)
	list.Table = table{Target: keysTarget, Menus: true}
	if list.Filtered {
		list.Table.Clear = v.Link("/keys")
	}
	role := o.column("role", "keys.column.role", "")
	role.Filter = &filter{Name: "role", Label: v.T("keys.filter.role"), Value: o.get("role"), Options: v.roleOptions(true)}
	user := o.column("user", "keys.column.user", "")
	user.Filter = &filter{Name: "userId", Label: v.T("keys.filter.user"), Value: o.get("userId"), Type: "search"}
	state := o.column("state", "keys.column.state", "")
	state.Filter = &filter{Name: "revoked", Label: v.T("keys.filter.state"), Value: o.get("revoked"), Options: v.options("keys.revoked", "", "false", "true")}
	list.Table.Columns = []column{o.column("name", "keys.column.name", ""), role, user, state}
	if v.Key.Operator {
		tenant := o.column("tenant", "layout.tenant", "")
		options, err := v.tenantOptions()
		if err != nil {
			return err
		}
		tenant.Filter = &filter{Name: "tenant", Label: v.T("layout.tenant"), Value: o.get("tenant"), Options: options}
		list.Table.Columns = append(list.Table.Columns, tenant)
	}
	list.Table.Columns = append(list.Table.Columns,
		o.column("used", "keys.column.used", ""), o.column("expires", "keys.column.expires", ""), o.column("created", "keys.column.created", "createdAt"))
	if v.target() == "keys" {
		return v.list(o, "keys/table", list)
	}
	return v.show(http.StatusOK, page{Title: "nav.key", Template: "keys", Section: "key", Data: list})
}

// roleOptions are the roles that a key can have; with all, any of them before.
func (v *visit) roleOptions(all bool) []option {
	var list []option
	if all {
		list = append(list, option{"", v.T("since.any")})
	}
	for _, role := range []triggers.Role{triggers.RoleAdmin, triggers.RoleUser, triggers.RoleViewer, triggers.RoleEmitter} {
		list = append(list, option{string(role), v.T("role." + string(role))})
	}
	return list
}

// keyForm is the form of a new key.
type keyForm struct {
	Fields []field
	Tenant string
}

// lives are how long a new key may live, in days; the empty one for ever, and own until a moment of one's own.
var lives = []string{"", "7", "30", "90", "365", "own"}

func newKey(v *visit) error { return v.showKeyForm(http.StatusOK, nil) }

func (v *visit) showKeyForm(status int, refused *apiError) error {
	given := v.r.PostForm
	form := keyForm{Fields: []field{
		{Name: "name", Type: "text", Label: v.T("field.name"), Hint: v.T("keys.hint.name"), Required: true},
		{Name: "role", Type: "select", Label: v.T("keys.column.role"), Hint: v.T("keys.hint.role"), Options: v.roleOptions(false), Value: string(triggers.RoleEmitter)},
		{Name: "userId", Type: "text", Label: v.T("keys.userId"), Hint: v.T("keys.hint.userId"), Narrow: true},
		{Name: "userName", Type: "text", Label: v.T("keys.userName"), Hint: v.T("keys.hint.userName"), Optional: true, Narrow: true},
		{Name: "life", Type: "select", Label: v.T("keys.column.expires"), Value: "90", Narrow: true, Options: v.lifeOptions()},
		v.momentField("expiresAt", "keys.expiresAt", given.Get("expiresAt")),
	}}
	if v.Key.Operator {
		options, err := v.tenantOptions()
		if err != nil {
			return err
		}
		form.Fields = append(form.Fields,
			field{Name: "tenant", Type: "select", Label: v.T("layout.tenant"), Options: options, Value: v.r.URL.Query().Get("tenant")},
			field{Name: "operator", Type: "check", Label: v.T("keys.operator"), Hint: v.T("keys.hint.operator")})
	}
	for i := range form.Fields {
		f := &form.Fields[i]
		if v.r.Method == http.MethodPost && f.Name != "expiresAt" {
			f.Value = given.Get(f.Name)
		}
		f.Narrow = f.Narrow || f.Name == "expiresAt"
		if refused != nil && (f.Name == refused.Field || f.Name == "name" && refused.Field == "") {
			f.Error = v.Explain(refused)
		}
	}
	return v.show(status, page{Title: "keys.new", Template: "key/form", Section: "key", Pane: true, Data: form})
}

func (v *visit) lifeOptions() []option {
	list := make([]option, len(lives))
	for i, life := range lives {
		days, err := strconv.Atoi(life)
		switch {
		case err == nil:
			list[i] = option{life, v.T("keys.days", "count", days)}
		case life == "":
			list[i] = option{life, v.T("keys.never")}
		default:
			list[i] = option{life, v.T("keys.until")}
		}
	}
	return list
}

// madeKey is a new key with its text, which is shown once.
type madeKey struct {
	keyView
	Text string `json:"key"`
}

func createKey(v *visit) error {
	body := map[string]any{}
	for _, name := range []string{"name", "role", "userId", "userName", "tenant"} {
		if value := strings.TrimSpace(v.r.PostForm.Get(name)); value != "" {
			body[name] = value
		}
	}
	if v.r.PostForm.Get("operator") == "true" {
		body["operator"] = true
	}
	if life := v.r.PostForm.Get("life"); life == "own" {
		body["expiresAt"] = wholeMoment(v.r.PostForm.Get("expiresAt"))
	} else if days, err := strconv.Atoi(life); err == nil && days > 0 {
		body["expiresAt"] = v.now().AddDate(0, 0, days).UTC().Format(time.RFC3339)
	}
	made := new(madeKey)
	if err := v.post("/api-keys", body, made); err != nil {
		if refused, ok := asRefusal(err, http.StatusBadRequest, http.StatusForbidden); ok {
			return v.showKeyForm(http.StatusUnprocessableEntity, refused)
		}
		return err
	}
	return v.show(http.StatusOK, page{Title: "keys.made", Template: "key/made", Section: "key", Pane: true, Data: made})
}

// revocation asks whether a key shall be revoked.
type revocation struct {
	Key    *keyView
	Tenant string
	Error  string
}

// keyPath is a key's path in the API, with the parameter of its tenant.
func keyPath(v *visit) (path string, query url.Values) {
	if tenant := v.r.FormValue("tenant"); tenant != "" {
		query = url.Values{"tenant": {tenant}}
	}
	return "/api-keys/" + url.PathEscape(v.r.PathValue("key")), query
}

func askRevocation(v *visit) error { return v.showRevocation(http.StatusOK, nil) }

func (v *visit) showRevocation(status int, refused *apiError) error {
	path, query := keyPath(v)
	asked := revocation{Key: new(keyView), Tenant: query.Get("tenant")}
	if err := v.get(path, query, asked.Key); err != nil {
		return err
	}
	v.look(asked.Key)
	if refused != nil {
		asked.Error = v.Explain(refused)
	}
	return v.show(status, page{Title: "keys.revoke", Template: "key/revoke", Section: "key", Pane: true, Data: asked})
}

func revokeKey(v *visit) error {
	path, query := keyPath(v)
	if err := v.call(http.MethodDelete, path, query, nil, nil); err != nil {
		if refused, ok := asRefusal(err, http.StatusForbidden, http.StatusConflict); ok {
			return v.showRevocation(http.StatusUnprocessableEntity, refused)
		}
		return err
	}
	v.say("good", v.T("keys.revoked"))
	if v.r.PathValue("key") == v.Key.ID {
		return errSignIn
	}
	return v.redirect("/keys", "tenant", query.Get("tenant"))
}
