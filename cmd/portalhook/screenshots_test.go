package main_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

var (
	screenshots = flag.String("console.screenshots", "", "the folder that pictures of every page of the console are written to")
	pictured    = flag.String("console.pictured", "", "take pictures only of what has this in its name")
)

// view is one thing of the console to take pictures of.
type view struct {
	name string
	show func(b *browser, s *scene)
}

// views are taken pictures of in both themes, wide, narrow and large.
var views = []view{
	{"sign-in", func(b *browser, _ *scene) { b.visit("/login") }},
	{"overview", func(b *browser, s *scene) {
		b.visit("/overview")
		b.sees("#tail", "Listening")
		s.emit(b.t, map[string]any{"uri": "/items/4adc30bb03054812a846fa592de105de/share", "username": "jdoe", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}})
		s.emit(b.t, map[string]any{"uri": "/users/mia/signIn", "username": "mia"})
		b.sees("#tail", "/users/mia/signIn")
		b.sees("#tail", "Failed")
	}},
	{"overview-week", func(b *browser, _ *scene) { b.visit("/overview?period=week"); b.press("Show the numbers") }},
	{"overview-tail", func(b *browser, s *scene) {
		b.visit("/overview")
		b.sees("#tail", "Listening")
		b.press("Pause")
		s.emit(b.t, map[string]any{"uri": "/items/4adc30bb03054812a846fa592de105de/share", "username": "jdoe", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}})
		b.sees("#tail", "+3") // the event, and what became of it at two webhooks
		_, _ = evaluate[bool](b, "document.querySelector('#tail').scrollIntoView() || true")
	}},
	{"routes", func(b *browser, _ *scene) {
		b.visit("/routes")
		b.click(".route-row", "items")
		b.sees("#routes", "share")
	}},
	{"routes-asked", func(b *browser, _ *scene) {
		b.visit("/routes")
		b.press("/items/4adc")
		b.sees("#routes", "would get it")
	}},
	{"webhooks", func(b *browser, _ *scene) { b.visit("/webhooks"); b.sees("#webhooks", "Shares to the map team") }},
	{"webhook-menu", func(b *browser, _ *scene) { b.visit("/webhooks"); b.press("What to do with Sign-ins") }},
	{"webhook-new", func(b *browser, _ *scene) {
		b.visit("/webhooks")
		b.press("Create new")
		b.sees("#pane", "Create webhook")
		b.fill("Name", "Everything about roads")
		b.fill("Chosen triggers", "/items/*/share\n/itemz/update")
		b.sees("#verdicts", "Use /items/update")
		b.press("Items")
		b.find("button", "unshare")
	}},
	{"webhooks-delete", func(b *browser, _ *scene) {
		b.visit("/webhooks")
		b.tick("Select Sign-ins")
		b.tick("Select App reloads")
		b.press("Delete")
		b.sees("#dialog", "Delete 2 webhooks?")
	}},
	{"webhook", func(b *browser, s *scene) { b.visit("/webhooks/" + s.shares) }},
	{"webhook-ailing", func(b *browser, s *scene) { b.visit("/webhooks/" + s.ailing); b.sees(".health", "75 %") }},
	{"webhook-stopped", func(b *browser, s *scene) { b.visit("/webhooks/" + s.stopped); b.sees(".health", "Next probe") }},
	{"delivery", func(b *browser, s *scene) {
		b.visit("/webhooks/" + s.signIns)
		b.press("Show the delivery")
		b.sees("#history", "Copy as curl")
	}},
	{"webhook-form-rest", func(b *browser, s *scene) {
		b.visit("/webhooks/" + s.shares)
		b.press("Edit")
		b.sees("#pane", "Edit Shares")
		b.press("Filter, format, retries and limits")
		b.find("label", "One delivery at a time")
	}},
	{"webhook-made", func(b *browser, s *scene) {
		b.visit("/webhooks/" + s.shares)
		b.press("What to do with")
		b.press("Rotate the secret")
		b.press("Set the secret")
		b.sees("#dialog", "has another secret")
	}},
	{"webhook-test", func(b *browser, s *scene) {
		b.visit("/webhooks/" + s.shares)
		b.press("Test")
		b.press("Send test")
		b.sees("#pane", "Copy as curl")
	}},
	{"recover", func(b *browser, s *scene) {
		b.visit("/webhooks/" + s.signIns)
		b.press("Recover many")
		b.sees("#pane", "Recover what Sign-ins did not get")
	}},
	{"recover-preview", func(b *browser, s *scene) {
		b.visit("/webhooks/" + s.signIns)
		b.press("Recover many")
		b.press("Preview")
		b.sees("#pane", "is to be sent")
	}},
	{"recovery", func(b *browser, s *scene) {
		b.visit("/webhooks/" + s.late)
		b.sees("#recovery", "Paused")
	}},
	{"catalogue", func(b *browser, _ *scene) { b.visit("/catalogue"); b.sees("#catalogue", "Items") }},
	{"catalogue-trigger", func(b *browser, _ *scene) {
		b.visit("/catalogue?q=is+shared")
		b.press("share Any item is shared")
		b.sees("#catalogue", "Sample event")
	}},
	{"catalogue-sample", func(b *browser, _ *scene) {
		b.visit("/catalogue/trigger?trigger=/items/share")
		b.press("Send sample")
		b.sees("#dialog", "A new one")
	}},
	{"receivers", func(b *browser, _ *scene) { b.visit("/receivers"); b.sees("#receivers", "Trying out") }},
	{"receiver-new", func(b *browser, _ *scene) {
		b.visit("/receivers")
		b.press("New receiver")
		b.sees("#pane", "It is given a URL")
	}},
	{"receiver", func(b *browser, s *scene) {
		b.visit("/receivers/" + s.inbox)
		b.sees(".arrivals", "Does not verify")
		b.press("2 POST")
	}},
	{"events", func(b *browser, _ *scene) { b.visit("/events"); b.sees("#events", "4adc30bb") }},
	{"event", func(b *browser, s *scene) { b.visit("/events/" + s.event); b.sees("#others", "Only what ann") }},
	{"event-others", func(b *browser, s *scene) {
		b.visit("/events/" + s.event)
		b.press("Sign-ins")
		b.press("Only what ann shares")
	}},
	{"keys", func(b *browser, _ *scene) { b.visit("/keys"); b.sees("#keys", "Auditors") }},
	{"key-new", func(b *browser, _ *scene) {
		b.visit("/keys")
		b.press("Create key")
		b.choose("Expires", "Until a date")
		b.find("input", "Until")
	}},
	{"key-revoke", func(b *browser, _ *scene) {
		b.visit("/keys")
		b.press("Revoke Auditors")
		b.sees("#dialog", "Revoke Auditors?")
	}},
	{"settings", func(b *browser, _ *scene) { b.visit("/settings"); b.sees("#tenants", "harbour") }},
	{"tenant", func(b *browser, _ *scene) {
		b.visit("/settings")
		b.press("Edit harbour")
		b.sees("#pane", "Edit harbour")
	}},
	{"audit", func(b *browser, _ *scene) {
		b.visit("/audit")
		b.press("Name, Triggers")
		b.sees("#audit details[open] .difference", "/items/delete")
	}},
}

// scene is a server that has seen some life.
type scene struct {
	server          *process
	shares, signIns string // ids of webhooks
	event           string // id of an event
	late            string // id of a webhook with a recovery that is paused
	ailing, stopped string // ids of webhooks, of which one nearly and one wholly failed too often
	receiver        string // URL of a receiver
	inbox           string // token of a built-in one
}

func setScene(t *testing.T, startServer starter) *scene {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(r.URL.Path, "/siem") {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"error":"the collector is being moved","retry":true}`)
			return
		}
		_, _ = io.WriteString(w, `{"received":true}`)
	}))
	t.Cleanup(receiver.Close)
	s := &scene{server: startServer(t), receiver: receiver.URL}
	s.shares = s.create(t, map[string]any{
		"name": "Shares to the map team", "description": "Tells the map team's bot what was shared", "url": receiver.URL + "/hooks/map-team",
		"eventTypes": []string{"/items/share", "/items/*/unshare"}, "enabled": true, "secret": "0123456789abcdef0123456789abcdef",
		"headers": map[string]string{"x-env": "prod"}, "encryptedHeaders": map[string]string{"authorization": "Bearer t"}, "origin": "management-console",
	})
	s.signIns = s.create(t, map[string]any{
		"name": "Sign-ins", "url": receiver.URL + "/siem/collector/v1/portal-sign-ins",
		"eventTypes": []string{"/users/*/signIn", "/users/*/signOut", "/users/update"}, "enabled": true, "retry": []string{"0s", "1s", "1s"},
	})
	s.create(t, map[string]any{
		"name": "App reloads", "url": receiver.URL + "/reloads", "eventTypes": []string{"com.qlik.v1.app.reload.finished"}, "level": "user", "ownerId": "jdoe",
	})
	for i := range 30 {
		uri := fmt.Sprintf("/items/%032x/share", i)
		s.emit(t, map[string]any{"uri": uri, "username": "jdoe", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}})
	}
	s.emit(t, map[string]any{"uri": "/users/ann/signIn", "username": "ann"})
	s.emit(t, map[string]any{"uri": "/groups/roads/update", "username": "mia"})
	awaitNoneOpen(t, s.server)
	return s
}

// administer does what administrators do, for the pages that tell of it, and has one more event happen.
func (s *scene) administer(t *testing.T) {
	t.Helper()
	only := s.create(t, map[string]any{
		"name": "Only what ann shares", "url": "https://hooks.example.com/ann", "eventTypes": []string{"/items/share"}, "enabled": true, "filter": `username eq "ann"`,
	})
	s.server.call(t, http.MethodPatch, "/api/v1/webhooks/"+only, []map[string]any{
		{"op": "replace", "path": "/name", "value": "Only what ann shares or deletes"},
		{"op": "replace", "path": "/eventTypes", "value": []string{"/items/share", "/items/delete"}},
	}, nil, http.StatusNoContent)
	for _, key := range []map[string]any{
		{"name": "backend", "role": "emitter", "userId": "svc-backend", "expiresAt": "2027-01-31T00:00:00Z"},
		{"name": "Map team", "role": "user", "userId": "ann", "userName": "Ann Lee"},
		{"name": "Auditors", "role": "viewer"},
	} {
		s.server.call(t, http.MethodPost, "/api/v1/api-keys", key, nil, http.StatusCreated)
	}
	s.server.call(t, http.MethodPost, "/api/v1/tenants", map[string]any{"name": "harbour", "portalUrl": "https://gis.harbour.example.com/portal/"}, nil, http.StatusCreated)
	s.event = s.server.accept(t, map[string]any{
		"uri": "/items/4adc30bb03054812a846fa592de105de/share", "username": "jdoe", "eventId": "share-17",
		"properties": map[string]any{"sharedToGroups": []string{"Everyone", "a4e6e37e2f7d4bb5b64d587c91d39a2c"}},
	})
	awaitNoneOpen(t, s.server)
	s.fail(t)
	s.watch(t)
}

// fail has two webhooks fail: one three times of four that switch it off, one as often as it may.
func (s *scene) fail(t *testing.T) {
	t.Helper()
	webhook := func(name string, failures int) string {
		return s.create(t, map[string]any{
			"name": name, "url": s.receiver + "/siem/" + name, "eventTypes": []string{"/groups/*/delete"}, "enabled": true, "retry": "once", "probe": true,
			"deactivationPolicy": map[string]any{"numberOfFailures": failures, "daysInPast": 5},
		})
	}
	s.ailing, s.stopped = webhook("Field-notes", 4), webhook("Harbour-cameras", 3)
	for i := range 3 {
		s.emit(t, map[string]any{"uri": fmt.Sprintf("/groups/g%d/delete", i), "username": "mia"})
		awaitNoneOpen(t, s.server)
	}
}

// watch has a built-in receiver be sent samples, one of which it cannot verify, and half of a webhook's history be recovered.
func (s *scene) watch(t *testing.T) {
	t.Helper()
	var receiver struct{ Token, URL string }
	s.server.call(t, http.MethodPost, "/api/v1/receivers", map[string]any{"name": "Trying out", "secret": strings.Repeat("s", 32)}, &receiver, http.StatusCreated)
	s.inbox = receiver.Token
	for _, trigger := range []string{"/items/share", "/users/updateUserRole", "com.qlik.v1.app.reload.finished"} {
		s.server.call(t, http.MethodPost, "/api/v1/receivers/"+s.inbox+"/actions/sample", map[string]any{"trigger": trigger}, nil, http.StatusOK)
	}
	s.late = s.create(t, map[string]any{
		"name": "Made late", "url": receiver.URL, "eventTypes": []string{"/items/share"}, "enabled": true, "secret": strings.Repeat("o", 32),
	})
	path := "/api/v1/webhooks/" + s.late
	s.server.call(t, http.MethodPost, path+"/actions/test", nil, nil, http.StatusOK)
	var recovery struct {
		ID   string
		Made int
	}
	s.server.call(t, http.MethodPost, path+"/actions/recover", map[string]any{"missed": true, "states": []string{}, "ratePerMinute": 600}, &recovery, http.StatusAccepted)
	require.Eventually(t, func() bool {
		s.server.call(t, http.MethodGet, path+"/recoveries/"+recovery.ID, nil, &recovery, http.StatusOK)
		return recovery.Made > 0
	}, patience, 20*time.Millisecond)
	s.server.call(t, http.MethodPost, path+"/recoveries/"+recovery.ID+"/actions/pause", nil, nil, http.StatusOK)
}

func (s *scene) create(t *testing.T, webhook map[string]any) (id string) {
	t.Helper()
	var made struct {
		ID string `json:"id"`
	}
	s.server.call(t, http.MethodPost, "/api/v1/webhooks", webhook, &made, http.StatusCreated)
	return made.ID
}

func (s *scene) emit(t *testing.T, event map[string]any) {
	t.Helper()
	s.server.call(t, http.MethodPost, "/api/v1/events", event, nil, http.StatusAccepted)
}

// TestScreenshots takes the pictures; it is left alone unless a folder is named.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no folder is named with -console.screenshots")
	}
	s := setScene(t, startServer)
	s.administer(t)
	b := openBrowser(t, s.server, "en")
	for i, v := range views {
		if i == 1 {
			b.signIn(s.server.key)
		}
		if !strings.Contains(v.name, *pictured) {
			continue
		}
		for _, size := range []struct {
			name string
			size [2]int64
		}{{"wide", wide}, {"narrow", narrow}, {"large", large}} {
			b.resize(size.size)
			b.theme("light")
			v.show(b, s)
			for _, theme := range []string{"light", "dark"} {
				b.theme(theme)
				picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
				require.NoError(t, err)
				path := filepath.Join(*screenshots, v.name+"-"+size.name+"-"+theme+".png")
				require.NoError(t, os.MkdirAll(*screenshots, 0o755))
				require.NoError(t, os.WriteFile(path, picture, 0o644))
			}
		}
	}
}
