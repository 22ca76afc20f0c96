package main_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// accept emits an event and gives its id.
func (p *process) accept(t *testing.T, event map[string]any) (id string) {
	t.Helper()
	var receipt struct {
		ID string `json:"id"`
	}
	p.call(t, http.MethodPost, "/api/v1/events", event, &receipt, http.StatusAccepted)
	return receipt.ID
}

// moment types a moment into a field: the keys of its parts, as the language orders them, in the browser's zone.
func (b *browser) moment(label string, at time.Time) {
	b.t.Helper()
	rome, err := time.LoadLocation("Europe/Rome")
	require.NoError(b.t, err)
	b.find("input", label)
	focused, err := evaluate[bool](b, fmt.Sprintf(`(label => { const el = [...document.querySelectorAll('input')].find(el => [...el.labels ?? []].some(l => l.innerText.startsWith(label))); el?.focus(); return !!el })(%s)`, quoted(label)))
	require.NoError(b.t, err)
	require.True(b.t, focused, label)
	for _, part := range []string{"01", "02", "2006"} {
		for _, digit := range at.In(rome).Format(part) {
			b.keys(string(digit))
		}
	}
	b.keys(kb.ArrowRight) // years may have more digits
	for _, part := range []string{"03", "04", "PM"} {
		for _, key := range at.In(rome).Format(part) {
			b.keys(string(key))
		}
	}
	b.keys(kb.Tab)
}

// Somebody looks for an event, sees who got it, and why others did not.
func TestConsoleEvents(t *testing.T) {
	eachStore(t, testConsoleEvents)
}

func testConsoleEvents(t *testing.T, startServer starter) {
	t.Helper()
	good, _ := newReceiver(t, http.StatusOK)
	bad, _ := newReceiver(t, http.StatusServiceUnavailable)
	server := startServer(t)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.press("Events")
	b.sees("h1", "Events")
	b.sees("main", "No event has arrived yet")
	b.accessible("no events")

	webhook := func(name, url string, more map[string]any) {
		body := map[string]any{"name": name, "url": url, "eventTypes": []string{"/items/*/share"}, "enabled": true, "retry": "once"}
		maps.Copy(body, more)
		server.createWebhook(t, body)
	}
	webhook("Map team", good, nil)
	webhook("Moved collector", bad, nil)
	webhook("Only ann", good, map[string]any{"filter": `username eq "ann"`})
	webhook("Of jim", good, map[string]any{"level": "user", "ownerId": "jim"})
	webhook("Asleep", good, map[string]any{"enabled": false})
	webhook("Deletions", good, map[string]any{"eventTypes": []string{"/items/*/delete", "/users/*/signIn"}})
	const thing = "4adc30bb03054812a846fa592de105de"
	shared := server.accept(t, map[string]any{
		"uri": "/items/" + thing + "/share", "username": "jdoe", "eventId": "share-17", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}},
	})
	server.accept(t, map[string]any{"uri": "/groups/roads/update", "username": "mia"})
	for i := range 24 {
		server.accept(t, map[string]any{"uri": fmt.Sprintf("/items/%032x/delete", i), "username": "bot"})
	}
	awaitNoneOpen(t, server)

	b.visit("/events")
	b.sees("#events", "/items/00000000000000000000000000000017/delete")
	b.press("Next")
	b.sees("#events", "/groups/roads/update")
	b.press("Previous")
	b.misses("#events", "/groups/roads/update")
	b.press("Accepted")
	b.sees("#events tbody tr", thing)
	b.fill("URI", "/items/"+thing)
	b.keys(kb.Enter)
	b.misses("#events", "/delete")
	b.sees("#events", "Failed")
	b.accessible("events")
	b.fill("URI", "/itemz/share")
	b.press("Search")
	b.sees("#events [role=alert]", "/items/share")
	b.clear()
	b.fill("User", "MIA")
	b.press("Search")
	b.sees("#events tbody", "/groups/roads/update")
	b.sees("#events tbody", "No webhook")
	b.misses("#events", "/share")
	b.fill("User", "")
	b.fill("Event id", "share-17")
	b.keys(kb.Enter)
	b.sees("#events tbody", thing)
	b.clear()
	b.choose("Outcome", "Failed")
	b.sees("#events tbody", thing)
	b.misses("#events tbody", "/delete")

	// Times are those of the reader's zone.
	b.clear()
	b.moment("From", time.Now().Add(30*time.Minute))
	b.sees("#events", "No event is like that")
	b.moment("From", time.Now().Add(-30*time.Minute))
	b.sees("#events", "/delete")
	b.moment("Before", time.Now().Add(-20*time.Minute))
	b.sees("#events", "No event is like that")
	typed, err := evaluate[string](b, "document.querySelector('#f-from').value")
	require.NoError(t, err)
	b.visit("/events?" + b.query())
	again, err := evaluate[string](b, "document.querySelector('#f-from').value")
	require.NoError(t, err)
	require.Equal(t, typed, again, "the field says what was typed when the page is opened again")

	b.clear()
	b.choose("Outcome", "Failed")
	b.sees("#events", "Moved collector")
	b.press("/items/" + thing + "/share")
	b.sees("h1", thing)
	b.sees("main", `"sharedToGroups"`)
	b.press("As it is kept")
	b.sees("#matches-table", "503")
	b.sees("#matches-table", "Arrived")
	b.accessible("one event")

	// Why not the others? The nearest stand first.
	b.sees("#others", "4 other webhooks")
	for _, other := range []struct{ name, says string }{
		{"Only ann", "filter does not hold"},
		{"Of jim", "only what its owner may see"},
		{"Asleep", "The webhook is switched off"},
		{"Deletions", "the operation is share"},
	} {
		b.press(other.name)
		b.sees("#others", other.says)
	}
	b.sees("#others", "/users/*/signIn")
	b.accessible("why not others")
	b.fill("Name of the webhook contains", "delet")
	b.sees("#others", "1 other webhook")
	b.misses("#others", "Only ann")
	fails, err := evaluate[string](b, "document.querySelector('.segments .fails').innerText.replace(/\\s+/g, ' ')")
	require.NoError(t, err)
	require.Equal(t, "Trigger: delete does not fit Event: share", fails)
	webhook("Made later", good, nil)
	b.visit("/events/" + shared)
	b.press("Made later")
	b.sees("#others", "made, changed or switched on after this event")
	b.resize(narrow)
	b.accessible("one event, narrow")
	b.visit("/events")
	b.press("Filters")
	b.fill("User", "mia")
	b.keys(kb.Enter)
	b.misses("#events", "/delete")
	b.accessible("events, narrow")
	b.resize(wide)
	b.visit("/events")
	b.tabTo("/items/")
	b.keys(kb.Enter)
	b.sees("h1", "/items/")
	b.press("Deletions")
	b.sees("h1", "Deletions")
}

// clear takes all filters away, and waits for the page that has none.
func (b *browser) clear() {
	b.t.Helper()
	b.press("Clear the filters")
	b.truth("location.search === '' && document.readyState === 'complete'")
}

// query is that of the browser's address.
func (b *browser) query() string {
	query, _ := evaluate[string](b, "location.search.slice(1)")
	return query
}

// Events of every family, and our own, are held to the webhooks that did not get them.
func TestConsoleEventsOfEveryFamily(t *testing.T) {
	gone, _ := newReceiver(t, http.StatusGone)
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "Nothing", "url": gone, "eventTypes": []string{"/roles/add"}, "enabled": true})
	server.createWebhook(t, map[string]any{"name": "Nothing else", "url": gone, "eventTypes": []string{"/groups/add"}, "enabled": true})
	server.createWebhook(t, map[string]any{"name": "Gone", "url": gone, "eventTypes": []string{"/items"}, "enabled": true})
	for _, event := range []map[string]any{
		{"specversion": "1.0", "id": "a1", "source": "com.qlik/engine", "type": "com.qlik.v1.app.reload.finished", "ownerid": "ann", "data": map[string]any{"status": "ok"}},
		{"uri": "/services/roads/FeatureServer/FeaturesCreated", "username": "ann", "serviceName": "roads", "layerId": 0, "serverGens": []int64{1, 2}},
		{"source": "items", "operation": "delete", "id": "4adc30bb03054812a846fa592de105de"},
	} {
		server.accept(t, event)
	}
	awaitNoneOpen(t, server)
	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	for _, uri := range []string{"com.qlik.v1.app.reload.finished", "/services/roads/FeatureServer/FeaturesCreated", "/items/4adc30bb03054812a846fa592de105de/delete", "/webhooks/"} {
		b.visit("/events")
		b.press(uri)
		b.sees("h1", uri)
		b.press("Nothing")
		b.sees("#others", "/roles/add")
		b.misses("#others", "cannot be held")
	}
}
