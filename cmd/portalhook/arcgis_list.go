package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The paths of the surfaces that speak as a portal and as its server do.
const (
	organisationPath = "/sharing/rest/portals/self/webhooks"
	servicesPath     = "/server/admin/services"
	// arcgisPage is how many webhooks a page of a list is asked for.
	arcgisPage = 100
)

// arcgisList is the list of webhooks that a portal or its server prints with f=json; a page of it when it says where the next begins.
type arcgisList struct {
	Webhooks  []jsontext.Value `json:"webhooks"`
	NextStart int              `json:"nextStart"`
	arcgisRefusal
}

// arcgisRefusal is what stands in an answer that refuses: a portal's has error, a server's status "error" and messages.
type arcgisRefusal struct {
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Status   string   `json:"status"`
	Messages []string `json:"messages"`
	Code     int      `json:"code"`
}

// refused is the refusal of an answer, nil when it is none. A missing or bad token is a failure with exitUnreachable.
func (r *arcgisRefusal) refused() error {
	code, message := r.Code, strings.Join(r.Messages, "; ")
	switch {
	case r.Error != nil:
		code, message = r.Error.Code, r.Error.Message
	case r.Status != "error":
		return nil
	}
	const invalidToken, noToken = 498, 499
	if code == invalidToken || code == noToken {
		return unreachablef("%s", message)
	}
	return errors.New(message)
}

// parseArcGISList reads a list: an object with webhooks, the array alone, or a single webhook.
func parseArcGISList(text []byte) (*arcgisList, error) {
	list := new(arcgisList)
	value := jsontext.Value(bytes.TrimSpace(text))
	if !value.IsValid() {
		return nil, errors.New("this is no JSON; a portal prints it with f=json")
	}
	if value.Kind() == jsontext.KindBeginArray {
		return list, json.Unmarshal(value, &list.Webhooks)
	}
	if err := json.Unmarshal(value, list, jsontext.AllowDuplicateNames(true)); err != nil {
		return nil, err
	}
	if err := list.refused(); err != nil {
		return nil, err
	}
	var one struct {
		PayloadURL string `json:"payloadUrl"`
		HookURL    string `json:"hookUrl"`
	}
	switch err := json.Unmarshal(value, &one); {
	case list.Webhooks != nil:
		return list, nil
	case err == nil && (one.PayloadURL != "" || one.HookURL != ""):
		list.Webhooks = []jsontext.Value{value}
		return list, nil
	}
	return nil, errors.New("this is no list of webhooks: an object with the member webhooks")
}

// readArcGISList reads the whole list of a file, or of a URL page by page.
func readArcGISList(ctx context.Context, source, token string) ([]jsontext.Value, error) {
	at, err := url.Parse(source)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" {
		text, err := os.ReadFile(source) //nolint:gosec // the file that the user names
		if err != nil {
			return nil, err
		}
		list, err := parseArcGISList(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		return list.Webhooks, nil
	}
	base := *at
	base.RawQuery = ""
	from := &client{base: base.String(), http: &http.Client{Timeout: requestTimeout}, portalToken: token}
	return from.arcgisList(ctx, "", at.Query())
}

// arcgisList fetches every page of a list of webhooks.
func (c *client) arcgisList(ctx context.Context, path string, query url.Values) ([]jsontext.Value, error) {
	query.Set("f", "json")
	query.Set("num", strconv.Itoa(arcgisPage))
	var all []jsontext.Value
	for start := 1; ; {
		query.Set("start", strconv.Itoa(start))
		answer, err := c.send(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		page, err := parseArcGISList(answer)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.base+path, err)
		}
		all = append(all, page.Webhooks...)
		if page.NextStart <= start {
			return all, nil
		}
		start = page.NextStart
	}
}

// arcgisDo sends a form and reads the answer, whose refusals have the status 200.
func (c *client) arcgisDo(ctx context.Context, path string, form url.Values) error {
	form.Set("f", "json")
	answer, err := c.sendAs(ctx, http.MethodPost, path, "application/x-www-form-urlencoded", []byte(form.Encode()))
	if err != nil {
		return err
	}
	var refusal arcgisRefusal
	if err := decode(answer, &refusal); err != nil {
		return err
	}
	return refusal.refused()
}

type exportCommand struct {
	ArcGIS exportArcGIS `cmd:"" name:"arcgis" help:"Write the webhooks as an ArcGIS portal lists them."`
}

type exportArcGIS struct {
	File     string `arg:"" optional:"" help:"Where to write; without it, standard output."`
	Services bool   `help:"The webhooks of services, as the portal's server lists them, in place of the organisation's."`
	serverFlags
}

// Help is shown below the summary.
func (exportArcGIS) Help() string {
	return `The list is what a portal prints with f=json, the newest first, without pages. Secrets are not in it: **OMITTED** stands for each. Webhooks
of other triggers, such as those of cloud types, are not in either list.

	portalhook export arcgis webhooks.json
	portalhook export arcgis --services services.json`
}

// Run writes the list.
func (e *exportArcGIS) Run(ctx context.Context, std streams) error {
	path := organisationPath
	if e.Services {
		path = servicesPath + "/webhooks"
	}
	rows, err := e.client().arcgisList(ctx, path, url.Values{})
	if err != nil {
		return err
	}
	if rows == nil {
		rows = []jsontext.Value{}
	}
	text, err := json.Marshal(map[string][]jsontext.Value{"webhooks": rows}, jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	text = append(text, '\n')
	if e.File == "" {
		_, err = std.out.Write(text)
		return err
	}
	if err := os.WriteFile(e.File, text, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%d webhooks written to %s\n", len(rows), e.File)
	return nil
}

// reversed is a list from its end: what is listed first was made last.
func reversed[T any](list []T) []T {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
