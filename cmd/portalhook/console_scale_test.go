package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Sizes of the console's big tenant.
const (
	manyWebhooks = 1000
	manyEvents   = 100 // each of which every webhook gets
)

// fetched is how long the browser waits for an address, in milliseconds: the median of several.
func (b *browser) fetched(path string) float64 {
	b.t.Helper()
	const times = 9
	var all []float64
	for range times {
		took, err := evaluate[float64](b, fmt.Sprintf(`(async path => {
			const start = performance.now();
			const answer = await fetch(path, {cache: 'no-store'});
			await answer.text();
			if (!answer.ok) throw new Error(path + ' ' + answer.status);
			return performance.now() - start;
		})(%s)`, quoted(path)))
		require.NoError(b.t, err, path)
		all = append(all, took)
	}
	slices.Sort(all)
	return all[times/2]
}

// A thousand webhooks with a hundred thousand deliveries: every list is sorted, filtered and paged as a small one is, and what a page
// costs is told beside what /healthz does at the same moment.
func TestConsoleScale(t *testing.T) {
	to := newTold(t, http.StatusOK)
	server := startServer(t)
	for i := range manyWebhooks {
		server.createWebhook(t, map[string]any{
			"name": fmt.Sprintf("Webhook %04d", i), "url": fmt.Sprintf("%s/%d", to.URL, i), "enabled": true,
			"eventTypes": []string{"/items/*/delete", fmt.Sprintf("/groups/g%d", i)},
		})
	}
	const batch = 25 // that a batch's deliveries are as many as it may have
	for first := 0; first < manyEvents; first += batch {
		var events []map[string]any
		for i := first; i < first+batch; i++ {
			events = append(events, map[string]any{"uri": fmt.Sprintf("/items/%032x/delete", i), "username": fmt.Sprintf("user%d", i%10)})
		}
		server.call(t, http.MethodPost, "/api/v1/events", events, nil, http.StatusAccepted)
		awaitNoneOpen(t, server)
	}
	require.EqualValues(t, manyWebhooks*manyEvents, to.received.Load())

	b := openBrowser(t, server, "en")
	b.signIn(server.key)
	b.sees("#webhooks", "Webhook 0000")
	b.truth("document.querySelectorAll('#webhooks tbody .name').length === 25")
	b.press("Next")
	b.sees("#webhooks", "Webhook 0025")
	b.press("Arrived, 24 h")
	b.sees("#webhooks", "Webhook 0000")
	b.press("Next")
	b.sees("#webhooks", "Webhook 0025")
	b.press("Last delivery")
	b.truth("location.search.includes('sort=lastDelivery')")
	b.misses("#webhooks tbody", "Never")
	b.choose("Share that arrived", "Some failed")
	b.sees("#webhooks", "No webhook is like that")
	b.press("Clear the filters")
	b.fill("Name contains", `"webhook 0777"`)
	b.seesRows("Webhook 0777")
	b.press("Webhook 0777")
	b.sees("h1", "Webhook 0777")
	for range 4 {
		before := b.query()
		b.press("Next")
		b.until(func() bool { return b.query() != before }, "another page")
	}
	b.sees("#history tbody", fmt.Sprintf("/items/%032x/delete", 0))
	id := server.stored(t, "Webhook 0999")["id"].(string)
	b.press("Events")
	b.fill("User", "user7")
	b.press("Search")
	b.sees("#events", "/items/"+fmt.Sprintf("%032x", manyEvents-3))
	b.press("/items/")
	b.sees("h1", "/items/")
	event, err := evaluate[string](b, "location.pathname")
	require.NoError(t, err)

	// One event that a thousand webhooks got is shown a page at a time.
	rows := func(n int) {
		b.truth(fmt.Sprintf("document.querySelectorAll('#matches tbody .name').length === %d", n))
	}
	b.sees("#event-matches", "1,000 webhooks matched")
	b.sees(".event-counts", "Arrived 1,000")
	rows(25)
	b.click("#matches a", "Next")
	b.sees("#matches", "Webhook 0025")
	rows(25)
	b.click("#matches a", "Previous")
	b.sees("#matches", "Webhook 0000")
	b.fill("Name contains", "hook 077")
	b.sees("#matches", "Webhook 0777")
	rows(10)
	b.choose("State is", "Failed")
	b.sees("#matches", "No webhook of this event is like that")
	b.press("Clear the filters")
	rows(25)
	b.sees("#others", "0 other webhooks")
	b.accessible("an event of a thousand webhooks")

	// The way of an event past a thousand webhooks: the nearest are shown, the others counted.
	b.visit("/routes")
	b.fill("An event's URI", "/items/x/share")
	b.press("Show the way")
	b.sees("#routes", "980 more came near.")
	b.fill("An event's URI", "/users/x/update")
	b.sees("#routes", "1,000 webhooks are about something else.")
	b.fill("An event's URI", "/items/x/delete")
	b.sees("#routes", "1,000 webhooks would get it")
	b.sees("#routes", "980 more are not shown.")
	b.accessible("the way of an event past a thousand webhooks")

	healthz := b.fetched("/healthz")
	t.Logf("at %d webhooks and %d deliveries; /healthz takes %.1f ms", manyWebhooks, manyWebhooks*manyEvents, healthz)
	for _, path := range []string{
		"/console/webhooks", "/console/webhooks?sort=-url&name=web", "/console/webhooks?sort=-successShare",
		"/console/webhooks?sort=lastDelivery&last=succeeded", "/console/webhooks/" + id, "/console/webhooks/" + id + "?state=succeeded&sort=triggeredAt",
		"/console/webhooks/" + id + "?state=exhausted", "/console/events", "/console/events?outcome=failed", "/console/events?username=user3", event, event + "?webhookName=0777", event + "?state=exhausted",
		"/console/routes", "/console/routes?ask=/items/x/share", "/console/routes?ask=/items/x/delete", "/console/overview",
		"/console/catalogue", "/console/keys", "/console/settings", "/console/audit",
	} {
		took := b.fetched(path)
		t.Logf("%8.1f ms, %5.1f times /healthz  %s", took, took/healthz, path)
	}
}
