package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

type keysCommand struct {
	List   keysList   `cmd:"" help:"List the API keys of a tenant."`
	Add    keysAdd    `cmd:"" help:"Make an API key and print it, this once."`
	Revoke keysRevoke `cmd:"" help:"Revoke an API key: the next request with it is refused."`
}

// Help is shown below the summary.
func (keysCommand) Help() string {
	return `A key belongs to a tenant and to a user in it. Its role says what it may do: admin everything in the tenant, user its own webhooks,
emitter only emit, viewer only read. An operator's key may name another tenant.

	portalhook keys add backend --role emitter --expires 2027-01-31T00:00:00Z`
}

// keyRow is a key as the server shows it.
type keyRow struct {
	ID         string `json:"id"`
	Key        string `json:"key"`
	Name       string `json:"name"`
	Role       string `json:"role"`
	Operator   bool   `json:"operator"`
	UserID     string `json:"userId"`
	ExpiresAt  string `json:"expiresAt"`
	LastUsedAt string `json:"lastUsedAt"`
	Revoked    bool   `json:"revoked"`
}

func (k keyRow) texts() []string {
	role, state := k.Role, ""
	if k.Operator {
		role += ", operator"
	}
	expires, err := time.Parse(time.RFC3339, k.ExpiresAt)
	switch {
	case k.Revoked:
		state = "revoked"
	case err == nil && !expires.After(time.Now()):
		state = "expired"
	case err == nil:
		state = "until " + k.ExpiresAt
	}
	return []string{k.ID, k.Name, role, k.UserID, k.LastUsedAt, state}
}

type keysList struct {
	Tenant string `help:"Those of this tenant, by name or portal id; needs an operator's key." placeholder:"NAME"`
	JSON   bool   `help:"Print a JSON array."`
	serverFlags
}

// Run prints all keys, the newest first.
func (k *keysList) Run(ctx context.Context, std streams) error {
	rows, err := k.client().all(ctx, keysPath, tenantQuery(k.Tenant))
	if err != nil {
		return err
	}
	return printRows(std, k.JSON, rows, []string{"ID", "NAME", "ROLE", "USER", "LAST USED", "STATE"}, keyRow.texts)
}

type keysAdd struct {
	Name     string    `arg:"" help:"What the key is for."`
	Role     string    `help:"What it may do: admin, user, emitter or viewer." enum:"admin,user,emitter,viewer" required:""`
	UserID   string    `help:"Whose it is; without it the key's name." placeholder:"ID"`
	UserName string    `help:"The user's name; without it the id." placeholder:"NAME"`
	Expires  time.Time `help:"Until when it works, such as 2027-01-31T00:00:00Z; without it for good." placeholder:"DATE"`
	Tenant   string    `help:"For this tenant, by name or portal id; needs an operator's key." placeholder:"NAME"`
	Operator bool      `help:"It may also make tenants; needs an operator's key."`
	JSON     bool      `help:"Print the server's answer as it is."`
	serverFlags
}

// keyBody is a key as it is made; what is empty is left out.
type keyBody struct {
	Name      string    `json:"name"`
	Role      string    `json:"role"`
	UserID    string    `json:"userId,omitzero"`
	UserName  string    `json:"userName,omitzero"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	Tenant    string    `json:"tenant,omitzero"`
	Operator  bool      `json:"operator,omitzero"`
}

// Run makes the key. Its text alone goes to standard output, so that a script can keep it.
func (k *keysAdd) Run(ctx context.Context, std streams) error {
	body := keyBody{
		Name: k.Name, Role: k.Role, UserID: k.UserID, UserName: k.UserName, ExpiresAt: k.Expires, Tenant: k.Tenant, Operator: k.Operator,
	}
	var raw jsontext.Value
	if err := k.client().call(ctx, http.MethodPost, keysPath, body, &raw); err != nil {
		return err
	}
	if k.JSON {
		_, err := fmt.Fprintf(std.out, "%s\n", raw)
		return err
	}
	var made keyRow
	if err := decode(raw, &made); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(std.out, "%s\n", made.Key); err != nil {
		return err
	}
	_, err := fmt.Fprintf(std.err, "Key %s, shown only this once.\n", made.ID)
	return err
}

type keysRevoke struct {
	ID     string `arg:"" help:"The id of the key, as keys list shows it; not its text."`
	Tenant string `help:"A key of this tenant, by name or portal id; needs an operator's key." placeholder:"NAME"`
	serverFlags
}

// Run revokes the key; one that is revoked already stays so.
func (k *keysRevoke) Run(ctx context.Context) error {
	path := keysPath + "/" + url.PathEscape(k.ID)
	if query := tenantQuery(k.Tenant); len(query) > 0 {
		path += "?" + query.Encode()
	}
	return k.client().call(ctx, http.MethodDelete, path, nil, nil)
}

// tenantQuery names the tenant that a request is about; none is the key's own.
func tenantQuery(name string) url.Values {
	query := url.Values{}
	if name != "" {
		query.Set("tenant", name)
	}
	return query
}
