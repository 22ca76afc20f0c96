package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// TestServiceWebhooksOfTheJSONAPI are seen where they belong, and lose nothing when a client writes back what it has read.
func TestServiceWebhooksOfTheJSONAPI(t *testing.T) {
	e := newEdge(t)
	make1 := func(name string, eventTypes ...string) {
		list, err := json.Marshal(eventTypes)
		require.NoError(t, err)
		e.create(t, `{"name":"`+name+`","url":"https://a.example.com/","eventTypes":`+string(list)+`}`)
	}
	full := e.create(t, `{"name":"full","url":"https://a.example.com/","eventTypes":["/services/Traffic/Roads/FeatureServer/Features*","/services/traffic/roads/FeatureServer/AttachmentsCreated"],
 "enabled":true,"secret":"`+secret+`","headers":{"x-env":"prod"},"encryptedHeaders":{"authorization":"Bearer x"},"retry":["0s","5m"],"ordered":true,"timeoutSeconds":7,
 "deactivationPolicy":{"numberOfFailures":3,"daysInPast":2}}`)
	make1("every", "/services/traffic/roads/FeatureServer")
	make1("two services", "/services/traffic/roads/FeatureServer", "/services/roads/FeatureServer")
	make1("two kinds", "/services/traffic/roads/FeatureServer", "/services/traffic/roads/GPServer")
	make1("with items", "/services/traffic/roads/FeatureServer", "/items")
	make1("by glob", "/services/traffic/*/FeatureServer")
	make1("the rest", "/services/traffic/roads/**")
	make1("a slash", "/services/traffic/ro%2Fads/FeatureServer")
	make1("jobs", "/services/traffic/roads/GPServer")
	make1("nothing")
	before := *e.Get(1)

	list := e.managed(t, roads, "sortField", "name", "sortOrder", "desc")
	var names []string
	for _, w := range list["webhooks"].([]any) {
		names = append(names, w.(map[string]any)["name"].(string))
	}
	require.Equal(t, []string{"full", "every"}, names)
	require.InDelta(t, 3, e.managed(t, services+"/webhooks")["total"], 0)
	require.InDelta(t, 1, e.managed(t, strings.Replace(roads, "FeatureServer", "GPServer", 1))["total"], 0)

	shown := list["webhooks"].([]any)[0].(map[string]any)
	require.Equal(t, "Traffic", shown["folderName"])
	require.Equal(t, "Roads", shown["serviceName"])
	require.Equal(t, []any{"FeaturesCreated", "FeaturesUpdated", "FeaturesDeleted", "FeaturesEdited", "FeatureServiceDefinitionChanged", "FeaturesPosted", "AttachmentsCreated"},
		shown["changeTypes"])
	e.managed(t, roads+"/"+full+"/edit", asForm(t, shown)...)
	after := *e.Get(1)
	after.UpdatedAt, after.UpdatedBy = before.UpdatedAt, before.UpdatedBy
	require.Equal(t, before, after)

	code, _, _ := e.send(t, roads+"/"+e.Get(9).ID.String()+"/edit", "name", "x").statusEnvelope(t)
	require.Equal(t, 404, code, "jobs of the same name are another service")
	for _, path := range []string{"", "/edit", "/delete", "/notificationStatus"} {
		code, _, _ := e.send(t, services+"/roads.FeatureServer/webhooks/"+full+path).statusEnvelope(t)
		require.Equal(t, 404, code, path)
	}
}

// asForm is an object as Esri's client sends back what it has read: dicts as JSON, lists as commas, and what it did not find not at all.
func asForm(tb testing.TB, object map[string]any) []string {
	tb.Helper()
	var pairs []string
	for name, value := range object {
		switch v := value.(type) {
		case string:
			pairs = append(pairs, name, v)
		case float64:
			pairs = append(pairs, name, fmt.Sprintf("%.0f", v))
		case bool:
			pairs = append(pairs, name, fmt.Sprint(v))
		case []any:
			var texts []string
			for _, item := range v {
				texts = append(texts, item.(string))
			}
			pairs = append(pairs, name, strings.Join(texts, ","))
		default:
			text, err := json.Marshal(v)
			require.NoError(tb, err)
			pairs = append(pairs, name, string(text))
		}
	}
	return pairs
}

// TestServiceLists hold pages together, in every order there is.
func TestServiceLists(t *testing.T) {
	e := newBareEdge(t)
	for i := range 30 {
		e.hookOf(t, roads, fmt.Sprintf("w%02d", (i*7)%30), "changeTypes", "*", "active", fmt.Sprint(i%2 == 0))
	}
	e.hookOf(t, buffers, "elsewhere")
	read := func(path string, pairs ...string) (names []string) {
		for start := 1; start != -1; {
			var page struct {
				Total, NextStart int
				Webhooks         []struct{ Name string }
			}
			a := e.send(t, path, append(pairs, "start", fmt.Sprint(start))...)
			require.NoError(t, json.Unmarshal([]byte(a.body), &page, json.MatchCaseInsensitiveNames(true)), a.body)
			for _, w := range page.Webhooks {
				names = append(names, w.Name)
			}
			start = page.NextStart
		}
		return names
	}
	newest := read(roads)
	require.Len(t, newest, 30)
	require.Equal(t, "w23", newest[0], "the last one that was made")
	byName := read(roads, "num", "7", "sortField", "NAME")
	require.True(t, slices.IsSorted(byName))
	slices.Reverse(byName)
	require.Equal(t, byName, read(roads, "num", "4", "sortField", "name", "sortOrder", "DESC"))
	require.Equal(t, newest, read(roads, "sortField", "None", "sortOrder", "None"))
	slices.Reverse(newest)
	require.Equal(t, newest, read(roads, "sortOrder", "asc"))
	require.Equal(t, "elsewhere", read(services+"/webhooks", "sortField", "serviceType", "sortOrder", "desc")[0])
	require.Equal(t, newest[29], read(roads, "sortField", "active", "sortOrder", "desc")[15], "the newest of those that are off")
	for _, bad := range [][]string{{"sortField", "signatureKey"}, {"sortOrder", "up"}, {"start", "0"}, {"num", "x"}} {
		code, _, message := e.send(t, roads, bad...).statusEnvelope(t)
		require.Equal(t, 400, code)
		require.Contains(t, message, bad[0]+": ")
	}
}

// TestAllOfAService are switched and deleted together, those of other services left alone; what cannot be done to one is told.
func TestAllOfAService(t *testing.T) {
	e := newBareEdge(t)
	on := func() (on []string) {
		for key := uint32(1); key <= 4; key++ {
			if w := e.Get(key); w != nil && w.Enabled {
				on = append(on, w.Name)
			}
		}
		return on
	}
	e.hookOf(t, roads, "a", "changeTypes", "*", "active", "true")
	e.hookOf(t, roads, "b", "changeTypes", "FeaturesPosted")
	e.hookOf(t, buffers, "c")
	e.hookOf(t, roads, "d", "changeTypes", "*")
	require.Equal(t, map[string]any{"status": "success"}, e.managed(t, roads+"/activateAll"))
	require.Equal(t, []string{"a", "b", "d"}, on())
	require.Equal(t, map[string]any{"status": "success"}, e.managed(t, roads+"/deactivateAll"))
	require.Empty(t, on())
	e.webhooks[2].URL = "http://b.example.com/" // as if http had been allowed
	code, messageCode, message := e.send(t, roads+"/activateAll").statusEnvelope(t)
	require.Equal(t, 400, code)
	require.Equal(t, "NOT_ALLOWED", messageCode)
	require.Contains(t, message, "hookUrl: webhook "+e.Get(2).ID.Dashed()+" (b): ")
	require.Equal(t, []string{"a", "d"}, on())
	require.Equal(t, map[string]any{"status": "success"}, e.managed(t, roads+"/deleteAll"))
	require.Equal(t, "c", e.only(t).Name)
	require.Equal(t, []string{
		"webhook.delete", "webhook.delete", "webhook.delete", "webhook.enable", "webhook.enable", "webhook.disable", "webhook.disable",
		"webhook.disable", "webhook.enable", "webhook.enable", "webhook.create", "webhook.create", "webhook.create", "webhook.create",
	}, e.list(t, adminKey, "/api/v1/audit").names("action"))
}

// TestServiceNotifications tells of failures only, the newest first.
func TestServiceNotifications(t *testing.T) {
	e := newBareEdge(t)
	path := e.hookOf(t, roads, "w", "changeTypes", "*")
	require.JSONEq(t, `{"webhookNotificationStatus":[]}`, e.send(t, path+"/notificationStatus").body)
	e.health = map[uint32]delivery.Health{1: {Exhausted: []time.Time{time.UnixMilli(1695756823000), time.UnixMilli(1695756824000)}}}
	require.JSONEq(t, `{"webhookNotificationStatus":[{"invoked":false,"invokedTimestamp":1695756824000},{"invoked":false,"invokedTimestamp":1695756823000}]}`,
		e.do(t, request{method: "GET", path: path + "/notificationStatus?f=json", key: viewerKey}).body)
}

// TestServiceSettings are read by everyone who may look, and changed by admins, each within its range.
func TestServiceSettings(t *testing.T) {
	e := newEdge(t)
	settings := services + "/webhooks/settings"
	want := map[string]any{
		"notificationAttempts": 3.0, "notificationTimeOutInSeconds": 10.0, "notificationElapsedTimeInSeconds": 5.0, "numberOfFailures": 5.0, "daysInPast": 5.0,
	}
	require.Equal(t, want, e.do(t, request{method: "GET", path: settings + "?f=json", key: viewerKey}).json(t))
	want["notificationAttempts"], want["daysInPast"], want["status"] = 1.0, 30.0, "success"
	require.Equal(t, want, e.managed(t, settings, "notificationAttempts", "1", "daysInPast", "30"))
	want["numberOfFailures"] = 7.0
	require.Equal(t, want, e.managed(t, settings+"/update", "numberOfFailures", "7"))
	delete(want, "status")
	require.Equal(t, want, e.as(t, operatorKey, "GET", "/api/v1/tenants/default", "").json(t)["serviceSettings"])
	require.Zero(t, e.Tenant(1).Settings)
	require.Zero(t, e.Tenant(2).ServiceSettings)
	require.Equal(t, []string{"tenant.update", "tenant.update"}, e.list(t, adminKey, "/api/v1/audit").names("action"))
	for name, bad := range map[string][]string{
		"notificationAttempts": {"0", "6", "x"}, "notificationTimeOutInSeconds": {"0", "61"}, "notificationElapsedTimeInSeconds": {"0", "101"},
		"numberOfFailures": {"0", "101"}, "daysInPast": {"0", "31"},
	} {
		for _, value := range bad {
			code, _, message := e.send(t, settings, name, value).statusEnvelope(t)
			require.Equal(t, 400, code)
			require.Contains(t, message, name)
		}
	}
	code, _, _ := e.send(t, settings, "token", viewerKey).statusEnvelope(t)
	require.Equal(t, 403, code)
	a := e.as(t, operatorKey, "PATCH", "/api/v1/tenants/default", `{"serviceSettings":{"notificationAttempts":5}}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, triggers.ServiceSettings{
		Attempts: 5, TimeoutSeconds: 10, PauseSeconds: 5, DeactivationPolicy: triggers.DeactivationPolicy{NumberOfFailures: 7, DaysInPast: 30},
	}, e.Tenant(1).ServiceSettings)
	a = e.as(t, operatorKey, "PATCH", "/api/v1/tenants/default", `{"serviceSettings":{"notificationAttempts":0}}`)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, "serviceSettings.notificationAttempts", a.problem(t)["field"])
}

func TestServiceLimit(t *testing.T) {
	e := newBareEdge(t)
	e.limit = 1
	e.hookOf(t, buffers, "a")
	code, messageCode, _ := e.send(t, buffers+"/create", "name", "b", "hookUrl", "https://a.example.com/").statusEnvelope(t)
	require.Equal(t, 403, code)
	require.Equal(t, "WEBHOOK_LIMIT", messageCode)
}
