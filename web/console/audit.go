package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// audit is the part that tells who changed what.
func (c *Console) audit() feature {
	return feature{name: "audit", path: "/audit", seenBy: watchers, routes: []route{
		{pattern: "GET /audit", allowed: watchers, answer: listAudit},
	}}
}

// auditRow is a row of the audit as the API shows it.
type auditRow struct {
	ID       string         `json:"id"`
	At       moment         `json:"at"`
	KeyID    string         `json:"keyId"`
	UserID   string         `json:"userId"`
	Action   string         `json:"action"`
	Object   string         `json:"object"`
	ObjectID string         `json:"objectId"`
	Before   jsontext.Value `json:"before"`
	After    jsontext.Value `json:"after"`
	TraceID  string         `json:"traceId"`
	Changes  []difference   `json:"-"`
	Name     string         `json:"-"` // of what was changed
}

// auditActions are what can be done, as the API names it.
var auditActions = []string{
	"webhook.create", "webhook.update", "webhook.enable", "webhook.disable", "webhook.delete", "webhook.test", "webhook.rotate-secret", "webhook.resend",
	"tenant.create", "tenant.update", "api-key.create", "api-key.revoke",
	"recovery.create", "recovery.pause", "recovery.resume", "recovery.cancel", "backup.create",
}

// wordOf is a name without what a message's key cannot hold.
func wordOf(name string) string { return strings.NewReplacer(".", "", "-", "").Replace(name) }

// Word is what was done, as its message is named.
func (r *auditRow) Word() string { return wordOf(r.Action) }

// Kind is what it was done to, as its message is named.
func (r *auditRow) Kind() string { return wordOf(r.Object) }

// ByServer reports whether the server did it itself.
func (r *auditRow) ByServer() bool { return r.KeyID == "" }

// Path is the page of what was changed; empty when it has none.
func (r *auditRow) Path() string {
	if r.Object == "webhook" && r.Action != "webhook.delete" {
		return "/webhooks/" + r.ObjectID
	}
	return ""
}

// IsNew reports whether there was nothing before.
func (r *auditRow) IsNew() bool { return isNone(r.Before) && !isNone(r.After) }

// IsTest reports whether nothing was changed: something was sent, which stands where else the state after a change does.
func (r *auditRow) IsTest() bool { return r.Action == "webhook.test" }

// IsGone reports whether there is nothing after.
func (r *auditRow) IsGone() bool { return isNone(r.After) && !isNone(r.Before) }

// Raw is the row's before and after as the API has them, to read.
func (r *auditRow) Raw() string {
	whole := `{"before":` + noneOr(r.Before) + `,"after":` + noneOr(r.After) + `}`
	return pretty(jsontext.Value(whole))
}

func noneOr(value jsontext.Value) string {
	if len(value) == 0 {
		return "null"
	}
	return string(value)
}

// Some are the first changed fields, for a summary.
func (r *auditRow) Some() []difference {
	const most = 3
	return r.Changes[:min(most, len(r.Changes))]
}

// Rest is how many fields Some leaves out.
func (r *auditRow) Rest() int { return len(r.Changes) - len(r.Some()) }

// auditFilters are the parameters of the list that filter it, as the API names them.
var auditFilters = []string{"action", "object", "objectId", "from", "to", "tenant"}

type auditList struct {
	Rows     []*auditRow
	Search   search
	Table    table
	Pager    pager
	Filtered bool
	Error    string
}

const auditTarget = "#audit"

func listAudit(v *visit) error {
	o := v.orderingOf("/audit", "-at", auditFilters...)
	var got struct {
		Data  []*auditRow `json:"data"`
		Links links       `json:"links"`
	}
	list := &auditList{Filtered: o.isFiltered()}
	if err := v.get("/audit", o.searched(), &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return err
		}
		list.Error = v.Explain(refused)
	}
	list.Rows = got.Data
	for _, row := range list.Rows {
		if row.Changes, row.Name = differences(row.Before, row.After), textIn("name", row.After, row.Before); row.Name == "" {
			row.Name = row.ObjectID
		}
	}
	list.Pager = o.pager(auditTarget, got.Links)
	list.Table = table{Target: auditTarget, Columns: []column{
		o.column("time", "audit.column.time", "at"), o.column("who", "audit.column.who", ""), o.column("what", "audit.column.what", ""), o.column("object", "audit.column.object", ""),
	}}
	if v.target() == "audit" {
		return v.list(o, "audit/table", list)
	}
	var err error
	if list.Search, err = v.auditSearch(o); err != nil {
		return err
	}
	return v.show(http.StatusOK, page{Title: "nav.audit", Template: "audit", Section: "audit", Data: list})
}

func (v *visit) auditSearch(o *ordering) (search, error) {
	actions := []option{{"", v.T("since.any")}}
	for _, action := range auditActions {
		actions = append(actions, option{action, v.T("audit.action." + wordOf(action))})
	}
	s := search{Label: v.T("audit.search"), Action: v.Link("/audit"), Target: auditTarget, Fields: []field{
		{Name: "action", Type: "select", Label: v.T("audit.column.what"), Value: o.get("action"), Options: actions},
		{Name: "object", Type: "select", Label: v.T("audit.column.object"), Value: o.get("object"), Options: v.options("audit.object", "", "webhook", "tenant", "api-key", "recovery", "backup")},
		{Name: "objectId", Type: "search", Label: v.T("audit.objectId"), Hint: v.T("audit.hint.objectId"), Value: o.get("objectId")},
		v.momentField("from", "search.from", o.get("from")),
		v.momentField("to", "search.to", o.get("to")),
	}}
	if !v.Key.Operator {
		return s, nil
	}
	options, err := v.tenantOptions()
	s.Fields = slices.Insert(s.Fields, 0, field{Name: "tenant", Type: "select", Label: v.T("layout.tenant"), Value: o.get("tenant"), Options: options})
	return s, err
}
