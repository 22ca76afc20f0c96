package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

type importCommand struct {
	ArcGIS importArcGIS `cmd:"" name:"arcgis" help:"Make the webhooks that an ArcGIS portal lists."`
}

type importArcGIS struct {
	Source string `arg:"" name:"file|url" help:"The list: a file, or the URL that prints it."`
	Token  string `help:"A token of the portal, for a URL." env:"PORTALHOOK_ARCGIS_TOKEN" placeholder:"TOKEN"`
	DryRun bool   `help:"Show what would be made, and make nothing."`
	serverFlags
}

// Help is shown below the summary.
func (importArcGIS) Help() string {
	return `It takes the list that a portal prints of its organisation's webhooks, or its server of those of services, with f=json, and makes the same
here, in the same order.

	portalhook import arcgis webhooks.json --dry-run
	portalhook import arcgis https://gis.example.com/portal/sharing/rest/portals/self/webhooks --token $TOKEN

A webhook whose secret the list does not show (**OMITTED**) is made without one, and off: give it its secret, and switch it on. Receivers on a
Notebook Server cannot be taken over. Status 1 when a webhook could not be made.`
}

// imported is a webhook of a list, ready to be made.
type imported struct {
	name  string
	where string // organisation, or the path of its service
	path  string // that makes it
	form  url.Values
	notes []string
	err   error // why it cannot be made
}

// Run makes the webhooks, the last of the list first.
func (i *importArcGIS) Run(ctx context.Context, std streams) error {
	rows, err := readArcGISList(ctx, i.Source, i.Token)
	if err != nil {
		return err
	}
	client := i.client()
	list := table{header: []string{"NAME", "OF", "RESULT", "NOTES"}}
	failed := 0
	for _, row := range reversed(rows) {
		w := readArcGIS(row)
		result := "would be made"
		if w.err == nil && !i.DryRun {
			result = "made"
			if err := client.arcgisDo(ctx, w.path, w.form); err != nil {
				if isUnreachable(err) {
					return err
				}
				w.err = err
			}
		}
		if w.err != nil {
			failed++
			result, w.notes = "NOT MADE", append([]string{w.err.Error()}, w.notes...)
		}
		list.add(printable(w.name), w.where, result, printable(strings.Join(w.notes, "; ")))
	}
	if err := list.print(std.out, paintFor(std.out)); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d webhooks not made", failed, len(rows))
	}
	return nil
}

// listed is a webhook as a portal lists its organisation's (payloadUrl) or its server those of services (hookUrl).
type listed struct {
	Name string `json:"name"`

	PayloadURL string   `json:"payloadUrl"`
	Secret     string   `json:"secret"`
	IsActive   bool     `json:"isActive"`
	Events     []string `json:"events"`
	Config     struct {
		Deactivation jsontext.Value            `json:"deactivationPolicy"`
		Properties   map[string]jsontext.Value `json:"properties"`
	} `json:"config"`

	HookURL       string         `json:"hookUrl"`
	SignatureKey  string         `json:"signatureKey"`
	Active        bool           `json:"active"`
	FolderName    string         `json:"folderName"`
	ServiceName   string         `json:"serviceName"`
	ServiceType   string         `json:"serviceType"`
	ChangeTypes   []string       `json:"changeTypes"`
	ContentType   string         `json:"contentType"`
	PayloadFormat string         `json:"payloadFormat"`
	Schedule      jsontext.Value `json:"scheduleInfo"`
	Deactivation  jsontext.Value `json:"deactivationPolicy"`
	CRCCheck      bool           `json:"crcCheck"`
}

// readArcGIS makes of a listed webhook the form that makes it here.
func readArcGIS(row jsontext.Value) *imported {
	var from listed
	if err := json.Unmarshal(row, &from, jsontext.AllowDuplicateNames(true)); err != nil {
		return &imported{name: "?", err: fmt.Errorf("not a webhook: %w", err)}
	}
	w := &imported{name: from.Name, form: url.Values{"name": {from.Name}}}
	if from.HookURL != "" || from.ServiceName != "" {
		w.readService(&from)
	} else {
		w.readOrganisation(&from)
	}
	return w
}

func (w *imported) readOrganisation(from *listed) {
	w.where, w.path = "organisation", organisationPath+"/createWebhook"
	if _, ok := from.Config.Properties["federatedServer"]; ok {
		w.err = fmt.Errorf("its receiver is on a Notebook Server, whose address only the portal can derive")
		return
	}
	w.form.Set("url", from.PayloadURL)
	w.secret("secret", from.Secret, from.IsActive, "isActive")
	w.form.Set("changes", "manualChanges")
	events, _ := json.Marshal(from.Events) // texts
	w.form.Set("events", string(events))
	if slices.Equal(from.Events, []string{"/"}) {
		w.form.Set("changes", "allChanges")
		w.form.Del("events")
	}
	properties := map[string]jsontext.Value{}
	for name, value := range from.Config.Properties {
		if name == "plainSecretHeader" {
			properties[name] = value
			continue
		}
		w.notes = append(w.notes, "the property "+name+" was left out")
	}
	config := map[string]any{"properties": properties}
	if len(from.Config.Deactivation) > 0 {
		config["deactivationPolicy"] = from.Config.Deactivation
	}
	text, _ := json.Marshal(config, json.Deterministic(true)) // values that were read from JSON
	w.form.Set("config", string(text))
	w.checkTriggers(from.Events)
}

func (w *imported) readService(from *listed) {
	kind, ok := triggers.ParseServiceType(from.ServiceType)
	if !ok {
		w.err = fmt.Errorf("its serviceType is %q, neither FeatureServer nor GPServer", from.ServiceType)
		return
	}
	service := triggers.Service{Kind: kind, Folder: from.FolderName, Name: from.ServiceName}
	if service.Folder == "/" {
		service.Folder = "" // as servers print the root
	}
	if strings.Trim(service.Folder, ".") == "" && service.Folder != "" { // in a path they lead elsewhere
		w.err = fmt.Errorf("its folderName %q is no name of a folder", from.FolderName)
		return
	}
	path := url.PathEscape(service.Name + "." + service.Type())
	if service.Folder != "" {
		path = url.PathEscape(service.Folder) + "/" + path
	}
	w.where, w.path = strings.TrimPrefix(service.Folder+"/"+service.Name+"."+service.Type(), "/"), servicesPath+"/"+path+"/webhooks/create"
	w.form.Set("hookUrl", from.HookURL)
	w.secret("signatureKey", from.SignatureKey, from.Active, "active")
	for name, text := range map[string]string{"contentType": from.ContentType, "payloadFormat": from.PayloadFormat} {
		if text != "" {
			w.form.Set(name, text)
		}
	}
	if from.CRCCheck && w.form.Has("signatureKey") {
		w.form.Set("crcCheck", "true")
	}
	if isObject(from.Deactivation) {
		w.form.Set("deactivationPolicy", string(from.Deactivation))
	}
	if kind == triggers.Geoprocessing {
		w.checkTriggers([]string{service.Trigger(triggers.Every)})
		return
	}
	types, _ := json.Marshal(from.ChangeTypes) // texts
	w.form.Set("changeTypes", string(types))
	if isObject(from.Schedule) {
		w.form.Set("scheduleInfo", string(from.Schedule))
	}
	var texts []string
	for _, changeType := range from.ChangeTypes {
		texts = append(texts, service.Trigger(changeType))
	}
	w.checkTriggers(texts)
}

func isObject(value jsontext.Value) bool { return value.Kind() == jsontext.KindBeginObject }

// secret takes a secret over, or, when the list does not show it, has the webhook made off: a receiver that checks signatures would refuse
// what comes without one.
func (w *imported) secret(field, secret string, on bool, flag string) {
	if secret != "" && strings.Trim(secret, "*") == "" || secret == "**OMITTED**" {
		on = false
		w.notes = append(w.notes, "its secret is not in the list: made without one, and off")
		secret = ""
	}
	if secret != "" {
		w.form.Set(field, secret)
	}
	w.form.Set(flag, strconv.FormatBool(on))
}

// checkTriggers finds what the server would refuse, so that a dry run tells of it.
func (w *imported) checkTriggers(texts []string) {
	if len(texts) == 0 {
		w.err = fmt.Errorf("it subscribes nothing")
		return
	}
	if _, err := triggers.Default().ParseTriggers("events", texts); err != nil {
		w.err = err
	}
}
