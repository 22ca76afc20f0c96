package main_test

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage/postgrestest"
	"portalhook/storage/storagetest"
)

var (
	benchStore      = flag.String("console.store", storagetest.SQLite, "the database of BenchmarkConsole: sqlite or postgres")
	benchWebhooks   = flag.Int("console.webhooks", 1000, "webhooks of BenchmarkConsole")
	benchDeliveries = flag.Int("console.deliveries", 1_000_000, "deliveries of BenchmarkConsole")
)

// Of BenchmarkConsole: a page is asked for so often, and is to take less than that.
const (
	askedTimes = 15
	pageTime   = 100 // milliseconds
)

// reader is somebody at the console whose browser needs no time.
type reader struct {
	b      *testing.B
	server *process
	client *http.Client
	token  string // of forms
}

func newReader(b *testing.B, server *process) *reader {
	b.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(b, err)
	r := &reader{b: b, server: server, client: &http.Client{Jar: jar}}
	r.ask("/console/login", url.Values{"key": {server.key}})
	_, page := r.ask("/console/webhooks", nil)
	match := regexp.MustCompile(`name="csrf" content="([^"]+)"`).FindStringSubmatch(page)
	require.NotNil(b, match, "not signed in")
	r.token = match[1]
	return r
}

// ask asks for a page, or sends a form, and says how many milliseconds that took.
func (r *reader) ask(path string, form url.Values) (took float64, page string) {
	r.b.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		form.Set("csrf", r.token)
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(r.b.Context(), method, r.server.url+path, body)
	require.NoError(r.b, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(path, "/api/") {
		request.Header.Set("Authorization", "Bearer "+r.server.key)
	}
	start := time.Now()
	response, err := r.client.Do(request)
	require.NoError(r.b, err)
	text, err := io.ReadAll(response.Body)
	took = float64(time.Since(start).Microseconds()) / 1000
	require.NoError(r.b, response.Body.Close())
	require.NoError(r.b, err)
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		r.server.kill() // whose log is complete then
		errors := regexp.MustCompile(`(?m)^.*"level":"ERROR".*$`).FindAllString(r.server.log.String(), 3)
		r.b.Fatalf("%s: %d %s", path, response.StatusCode, errors)
	}
	return took, string(text)
}

// timing is what one page took.
type timing struct{ first, median, worst, healthz, processor float64 }

// timed asks for a page several times, and each time for /healthz before it, since other work may come and go on the machine.
func (r *reader) timed(path string, form url.Values) timing {
	var t timing
	t.first, _ = r.ask(path, form)
	pages, healths := make([]float64, askedTimes), make([]float64, askedTimes)
	used := r.server.cpu(r.b)
	for i := range askedTimes {
		healths[i], _ = r.ask("/healthz", nil)
		pages[i], _ = r.ask(path, form)
	}
	t.processor = (r.server.cpu(r.b) - used) / askedTimes * 1000
	slices.Sort(pages)
	slices.Sort(healths)
	t.median, t.worst, t.healthz = pages[askedTimes/2], pages[askedTimes-1], healths[askedTimes/2]
	return t
}

// page is one page of the console, or one form.
type page struct {
	path string
	form url.Values
}

// String is the page as a line names it.
func (p page) String() string {
	if p.form == nil {
		return p.path
	}
	shown := maps.Clone(p.form)
	shown.Del("csrf")
	return p.path + " " + shown.Encode()
}

// BenchmarkConsole asks for every page of the console of a tenant with many webhooks and a long history, and tells what each takes, beside
// /healthz at the same moment.
func BenchmarkConsole(b *testing.B) {
	p := &process{key: processKey, store: filepath.Join(b.TempDir(), "portalhook.db"), listen: "127.0.0.1:0"}
	if *benchStore == storagetest.Postgres {
		p.database = postgrestest.Database(b, "", nil)
	}
	b.Cleanup(p.kill)
	history := writeHistory(b, p, *benchWebhooks, *benchDeliveries)
	p.start(b)
	r := newReader(b, p)
	pages := r.pages(history)
	requireEveryPage(b, pages)
	told := func(format string, of ...any) { fmt.Fprintf(os.Stdout, format+"\n", of...) } // of b.Logf no more than ten lines are shown
	told("%8s %8s %8s %9s %9s  of %d webhooks, %d events and %d deliveries", "first ms", "median", "worst", "/healthz×", "server's", *benchWebhooks,
		history.events, *benchDeliveries)
	slowest, slow := 0.0, 0
	for range b.N {
		for _, page := range pages {
			t := r.timed(page.path, page.form)
			mark := ""
			if t.median >= pageTime {
				mark = "   SLOW"
				slow++
			}
			told("%8.1f %8.1f %8.1f %9.1f %9.1f  %s%s", t.first, t.median, t.worst, t.median/t.healthz, t.processor, page, mark)
			slowest = max(slowest, t.median)
		}
	}
	b.ReportMetric(slowest, "slowest-ms")
	b.ReportMetric(float64(slow), "slow-pages")
}

// pages are all there are, and those with filters that find much, little and nothing.
func (r *reader) pages(history *longHistory) []page {
	b, p := r.b, r.server
	var made struct{ ID, Token string }
	p.call(b, http.MethodPost, "/api/v1/receivers", map[string]any{"name": "Trying out"}, &made, http.StatusCreated)
	receiver := "/console/receivers/" + made.Token
	p.call(b, http.MethodPost, "/api/v1/tenants", map[string]any{"name": "other", "portalUrl": "https://other.example.com/"}, nil, http.StatusCreated)
	p.call(b, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": "reader", "role": "viewer"}, &made, http.StatusCreated)
	key := "/console/keys/" + made.ID

	sound, sick := "", ""
	for _, w := range history.webhooks {
		if failing(w) {
			sick = "/webhooks/" + w.ID.String()
		} else {
			sound = "/webhooks/" + w.ID.String()
		}
	}
	p.call(b, http.MethodPost, "/api/v1"+sick+"/actions/recover", map[string]any{"states": []string{"exhausted"}, "ratePerMinute": 1}, &made, http.StatusAccepted)
	recovery := "/console" + sick + "/recoveries/" + made.ID
	p.call(b, http.MethodPost, "/api/v1"+sick+"/recoveries/"+made.ID+"/actions/pause", nil, nil, http.StatusOK)
	var deliveries struct{ Data []struct{ ID string } }
	p.call(b, http.MethodGet, "/api/v1"+sound+"/deliveries", nil, &deliveries, http.StatusOK)
	require.NotEmpty(b, deliveries.Data)
	broad := history.broad.Event()
	past := url.QueryEscape(history.now().Add(-(historyDays - 1) * 24 * time.Hour).UTC().Format(time.RFC3339))

	var pages []page
	for _, path := range []string{
		"/overview", "/overview?period=week", "/overview?period=month", "/overview/missed?from=" + past + "&to=" + past,
		"/webhooks", "/webhooks?sort=-url&name=web", "/webhooks?sort=-successShare", "/webhooks?sort=lastDelivery&last=succeeded", "/webhooks?share=some",
		"/webhooks?name=0777", "/webhooks?name=nothing", "/webhooks/new",
		sound, sound + "?state=succeeded&sort=triggeredAt", sound + "?state=exhausted", sound + "?eventType=/items/delete", sound + "?eventType=/users/signin", sick, sick + "?state=waiting",
		sick + "?state=exhausted", sick + "?state=succeeded", sound + "/edit", sound + "/secret", sound + "/test", sick + "/recover",
		sound + "/deliveries/" + deliveries.Data[0].ID,
		"/events", "/events?outcome=failed", "/events?outcome=pending", "/events?outcome=delivered", "/events?outcome=unmatched", "/events?outcome=cancelled", "/events?outcome=skipped",
		"/events?username=user3", "/events?username=nobody", "/events?uri=/users", "/events?uri=/items/*/delete", "/events?uri=/groups/g7/update", "/events?uri=/roles",
		"/events?username=user3&outcome=failed", "/events?from=" + past + "&sort=acceptedAt", "/events?eventId=none",
		"/events/" + broad, "/events/" + broad + "?webhookName=0777", "/events/" + broad + "?state=exhausted",
		"/routes", "/routes/level?path=/groups", "/routes?ask=/items/x/share", "/routes?ask=/items/x/delete", "/routes?ask=/groups/g7/update",
		"/catalogue", "/catalogue/trigger?trigger=/items/share", "/catalogue/sample?trigger=/items/share", "/receivers", "/receivers/new",
		"/keys", "/keys/new", "/settings", "/settings/tenants/new", "/settings/tenants/other", "/audit", "/audit?action=webhook.create",
	} {
		pages = append(pages, page{path: "/console" + path})
	}
	for _, path := range []string{recovery, receiver, receiver + "/arrivals", receiver + "/delete", key + "/revoke", "/api/v1/events/" + broad, "/api/v1/events/" + broad + "?matches=listed"} {
		pages = append(pages, page{path: path})
	}
	for _, trigger := range []string{"/items/*/delete", "/groups/g7", "/groups", "/", "/roles/*/update"} {
		pages = append(pages, page{"/console/webhooks/triggers", url.Values{"eventTypes": {trigger}, "level": {"tenant"}}})
	}
	return append(pages, page{"/console" + sick + "/recover", url.Values{"states": {"exhausted"}, "do": {"preview"}}})
}

// notAsked are no pages: a door that one stands before without a session, where the root leads, and a stream without an end.
var notAsked = []string{"GET /login", "GET /{$}", "GET /overview/tail"}

// requireEveryPage reads the patterns of pages where they stand, and fails when one of them is asked for by none.
func requireEveryPage(b *testing.B, pages []page) {
	b.Helper()
	files, err := filepath.Glob("../../web/console/*.go")
	require.NoError(b, err)
	mux := http.NewServeMux()
	var patterns []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "doc.go" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(b, err)
		for _, match := range regexp.MustCompile(`pattern: "(GET [^"]+)"`).FindAllStringSubmatch(string(text), -1) {
			patterns = append(patterns, match[1])
			mux.Handle(match[1], http.NotFoundHandler())
		}
	}
	require.Greater(b, len(patterns), 20)
	asked := slices.Clone(notAsked)
	for _, page := range pages {
		path, ok := strings.CutPrefix(page.path, "/console")
		if ok && page.form == nil {
			request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
			require.NoError(b, err)
			_, pattern := mux.Handler(request)
			asked = append(asked, pattern)
		}
	}
	for _, pattern := range patterns {
		require.Contains(b, asked, pattern, "of %d pages", len(pages))
	}
}
