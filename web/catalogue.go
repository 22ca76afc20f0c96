package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/payload"
	"portalhook/triggers"
)

// getTriggers shows the catalogue: what can be subscribed, with a sample event and the payload it leads to.
func (s *Server) getTriggers(c echo.Context, _ *triggers.APIKey) error {
	body, err := s.triggers()
	if err != nil {
		return err
	}
	writeJSON(c, http.StatusOK, body)
	return nil
}

// getEventTypes lists what can be subscribed as clients of Qlik Cloud expect it: cloud types first, no placeholders.
func (s *Server) getEventTypes(c echo.Context, _ *triggers.APIKey) error {
	writeJSON(c, http.StatusOK, s.types())
	return nil
}

// sampleWhen is when sample events happened, so that the catalogue is the same at every start.
var sampleWhen = time.UnixMilli(1543192196521)

// sampleRevision is the webhook that sample payloads are built for.
var sampleRevision = payload.Revision{
	Builder: payload.Version, WebhookName: "Example", WebhookID: triggers.WebhookID{0: 0x01, 15: 0x01},
	PortalURL: "https://portal.example.com/portal/", PortalID: "0123456789ABCDEF", ServerURL: "https://server.example.com/server",
	Format: triggers.FormatAuto, EnableCloudEventDelivery: true,
}

// triggersAnswer makes the answer of GET /triggers, which is the same for everyone.
func triggersAnswer(catalog *triggers.Catalog) ([]byte, error) {
	entries := catalog.Entries()
	samples := make([][]byte, len(entries))
	for i := range entries {
		var err error
		if samples[i], err = samplePayload(catalog, &entries[i]); err != nil {
			return nil, fmt.Errorf("sample event of %s: %w", entries[i].Trigger, err)
		}
	}
	o := openObject(nil)
	o.array("data", len(entries), func(dst []byte, i int) []byte {
		e := &entries[i]
		o := openObject(dst)
		o.text("trigger", e.Trigger)
		o.text("name", e.Name)
		o.text("title", e.Title)
		o.text("category", e.Category)
		o.text("resource", e.Resource)
		o.text("scope", e.Scope)
		o.text("operation", e.Operation)
		o.texts("properties", e.Properties)
		o.texts("levels", levelNames(e.Levels))
		o.raw("sampleEvent", e.SampleEvent)
		o.raw("samplePayload", samples[i])
		return o.close()
	})
	return o.close(), nil
}

// samplePayload builds what a webhook would be sent for the entry's sample event.
func samplePayload(catalog *triggers.Catalog, e *triggers.Entry) ([]byte, error) {
	ev, err := catalog.ParseEvent(e.SampleEvent)
	if err != nil {
		return nil, err
	}
	body, err := payload.Render(ev, sampleWhen)
	if err != nil {
		return nil, err
	}
	return payload.Build(nil, &sampleRevision, sampleWhen, []payload.Event{{URI: ev.URI, Body: body}})
}

func levelNames(levels []triggers.Level) []string {
	names := make([]string, len(levels))
	for i, level := range levels {
		names[i] = string(level)
	}
	return names
}

// eventTypesAnswer makes the answer of GET /webhooks/event-types.
func eventTypesAnswer(catalog *triggers.Catalog) []byte {
	entries := slices.Clone(catalog.Entries())
	slices.SortStableFunc(entries, func(a, b triggers.Entry) int { return cloudFirst(a) - cloudFirst(b) })
	o := openObject(nil)
	o.array("data", len(entries), func(dst []byte, i int) []byte {
		e := &entries[i]
		o := openObject(dst)
		o.text("name", e.Name)
		o.text("title", e.Title)
		o.text("description", cmp.Or(e.Description, e.Title))
		o.text("category", e.Category)
		o.texts("levels", levelNames(e.Levels))
		return o.close()
	})
	return o.close()
}

func cloudFirst(e triggers.Entry) int {
	if e.Resource == triggers.CloudTypes.String() {
		return 0
	}
	return 1
}
