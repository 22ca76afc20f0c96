package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	tenantsPath = "/api/v1/tenants"
	keysPath    = "/api/v1/api-keys"
	// listLimit is the size of the pages that a list is fetched in: the largest there is.
	listLimit = 100
)

// listPage is a page of any list of the server; its rows stay as they came, for --json.
type listPage struct {
	Data  []jsontext.Value `json:"data"`
	Links struct {
		Next struct {
			Href string `json:"href"`
		} `json:"next"`
	} `json:"links"`
}

// all fetches every row of a list.
func (c *client) all(ctx context.Context, path string, query url.Values) ([]jsontext.Value, error) {
	return c.first(ctx, path, query, 0)
}

// first fetches the first rows of a list, page by page; most is how many, 0 all.
func (c *client) first(ctx context.Context, path string, query url.Values, most int) ([]jsontext.Value, error) {
	limit := listLimit
	if most > 0 {
		limit = min(limit, most)
	}
	query.Set("limit", strconv.Itoa(limit))
	var rows []jsontext.Value
	for {
		var page listPage
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		rows = append(rows, page.Data...)
		if most > 0 && len(rows) >= most {
			return rows[:most], nil
		}
		if page.Links.Next.Href == "" {
			return rows, nil
		}
		// Of the link only the query counts: the server may know itself by another address than we do.
		next, err := url.Parse(page.Links.Next.Href)
		if err != nil {
			return nil, fmt.Errorf("the server's link to the next page was not understood: %w", err)
		}
		query = next.Query()
	}
}

// printRows prints a list: a JSON array as the server has it, or a table.
func printRows[T any](std streams, asJSON bool, rows []jsontext.Value, header []string, texts func(row T) []string) error {
	if asJSON {
		if rows == nil {
			rows = []jsontext.Value{}
		}
		var b bytes.Buffer
		if err := json.MarshalWrite(&b, rows, jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		b.WriteByte('\n')
		_, err := std.out.Write(b.Bytes())
		return err
	}
	table := table{header: header}
	for _, raw := range rows {
		var row T
		if err := decode(raw, &row); err != nil {
			return err
		}
		table.add(texts(row)...)
	}
	return table.print(std.out, paintFor(std.out))
}

type tenantsCommand struct {
	List   tenantsList   `cmd:"" help:"List the tenants."`
	Add    tenantsAdd    `cmd:"" help:"Make a tenant."`
	Update tenantsUpdate `cmd:"" help:"Change the URLs of a tenant, or how its payloads name things."`
}

// Help is shown below the summary.
func (tenantsCommand) Help() string {
	return `A tenant is a portal. Its keys, webhooks and events are its own. Only an operator's key may see or make tenants.

	portalhook tenants add harbour --portal-url https://gis.harbour.example.com/portal/
	portalhook keys add first --role admin --tenant harbour`
}

// tenantRow is a tenant as the server shows it.
type tenantRow struct {
	Name      string `json:"name"`
	PortalID  string `json:"portalId"`
	PortalURL string `json:"portalUrl"`
	ServerURL string `json:"serverUrl"`
}

func (t tenantRow) texts() []string { return []string{t.Name, t.PortalID, t.PortalURL, t.ServerURL} }

var tenantHeader = []string{"NAME", "PORTAL ID", "PORTAL URL", "SERVER URL"}

type tenantsList struct {
	JSON bool `help:"Print a JSON array."`
	serverFlags
}

// Run prints all tenants.
func (t *tenantsList) Run(ctx context.Context, std streams) error {
	rows, err := t.client().all(ctx, tenantsPath, url.Values{})
	if err != nil {
		return err
	}
	return printRows(std, t.JSON, rows, tenantHeader, tenantRow.texts)
}

// tenantBody is a tenant as it is made or changed; what is empty is left out.
type tenantBody struct {
	Name         string `json:"name,omitzero"`
	PortalID     string `json:"portalId,omitzero"`
	PortalURL    string `json:"portalUrl,omitzero"`
	ServerURL    string `json:"serverUrl,omitzero"`
	SourceNaming string `json:"sourceNaming,omitzero"`
}

type tenantsAdd struct {
	Name      string `arg:"" help:"Lower-case letters, digits, dots, dashes and underscores; fixed for good."`
	PortalURL string `help:"The portal's URL, as payloads name it." required:"" placeholder:"URL"`
	PortalID  string `help:"The portal's id; without it the server draws one." placeholder:"ID"`
	ServerURL string `help:"Where changesUrl of services points." placeholder:"URL"`
	JSON      bool   `help:"Print the server's answer as it is."`
	serverFlags
}

// Run makes the tenant and prints it.
func (t *tenantsAdd) Run(ctx context.Context, std streams) error {
	body := tenantBody{Name: t.Name, PortalID: t.PortalID, PortalURL: t.PortalURL, ServerURL: t.ServerURL}
	return saveTenant(ctx, std, t.client(), http.MethodPost, tenantsPath, body, t.JSON)
}

type tenantsUpdate struct {
	Name         string `arg:"" help:"The tenant's name or portal id."`
	PortalURL    string `help:"The portal's URL, as payloads name it from now on." placeholder:"URL"`
	ServerURL    string `help:"Where changesUrl of services points." placeholder:"URL"`
	SourceNaming string `help:"The source of an item's events in payloads from now on, items or item; those of groups, users and roles follow." enum:",items,item" default:"" placeholder:"WORD"`
	JSON         bool   `help:"Print the server's answer as it is."`
	serverFlags
}

// Run changes the tenant and prints it.
func (t *tenantsUpdate) Run(ctx context.Context, std streams) error {
	if t.PortalURL == "" && t.ServerURL == "" && t.SourceNaming == "" {
		return usagef("give --portal-url, --server-url or --source-naming")
	}
	body := tenantBody{PortalURL: t.PortalURL, ServerURL: t.ServerURL, SourceNaming: t.SourceNaming}
	return saveTenant(ctx, std, t.client(), http.MethodPatch, tenantsPath+"/"+url.PathEscape(t.Name), body, t.JSON)
}

func saveTenant(ctx context.Context, std streams, c *client, method, path string, body tenantBody, asJSON bool) error {
	var raw jsontext.Value
	if err := c.call(ctx, method, path, body, &raw); err != nil {
		return err
	}
	if asJSON {
		_, err := fmt.Fprintf(std.out, "%s\n", raw)
		return err
	}
	return printRows(std, false, []jsontext.Value{raw}, tenantHeader, tenantRow.texts)
}
