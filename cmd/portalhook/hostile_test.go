package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusal is what the server says to a body, and where.
type refusal struct {
	Code, Detail, Field string
	Index               *int
}

// post sends a body as it is, and gives the status, what was refused if anything was, and the whole answer.
func (p *process) post(tb testing.TB, path, contentType, body string) (int, refusal, []byte) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, p.url+path, strings.NewReader(body))
	require.NoError(tb, err)
	request.Header.Set("Authorization", "Bearer "+p.key)
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(tb, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	var told struct{ Errors []refusal }
	if response.StatusCode >= 400 {
		require.NoError(tb, json.Unmarshal(answer, &told), "%.300s", answer)
		require.Len(tb, told.Errors, 1)
		require.NotEmpty(tb, told.Errors[0].Detail)
		require.Less(tb, len(told.Errors[0].Detail), 1000)
		return response.StatusCode, told.Errors[0], answer
	}
	return response.StatusCode, refusal{}, answer
}

// kept is what a server has in its store, as far as requests put it there.
func (p *process) kept(tb testing.TB) (counts [3]int) {
	tb.Helper()
	var list struct{ Data []json.RawMessage }
	p.call(tb, http.MethodGet, "/api/v1/events?limit=100", nil, &list, http.StatusOK)
	counts[0] = len(list.Data)
	p.call(tb, http.MethodGet, "/api/v1/webhooks?limit=100", nil, &list, http.StatusOK)
	counts[1] = len(list.Data)
	counts[2] = int(p.metric(tb, "portalhook_events_accepted_total"))
	return counts
}

// Bodies that are JSON of the worst kinds, or nearly, are refused with the place of the fault, store nothing, and leave the server as it was.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	eachStore(t, testHostileBodies)
}

func testHostileBodies(t *testing.T, startServer starter) {
	t.Helper()
	const (
		asJSON, lines, cloud, batch = "application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"
		good                        = `{"uri":"/items/a/delete"}`
		update                      = `{"uri":"/items/a/update","properties":`
		structured                  = `{"specversion":"1.0","id":"1","source":"a","type":"com.qlik.v1.app.created","data":`
	)
	nested := func(open, middle, closed string, depth int) string {
		return strings.Repeat(open, depth) + middle + strings.Repeat(closed, depth)
	}
	many := func(n int, middle string) []string {
		events := make([]string, n)
		for i := range events {
			events[i] = good
		}
		if middle != "" {
			events[n/2] = middle
		}
		return events
	}
	index := func(n int) *int { return &n }
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "w", "url": server.url + "/nowhere", "eventTypes": []string{"/users"}, "enabled": false})
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/a/delete"}, nil, http.StatusAccepted)
	before := server.kept(t)
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		want              refusal // an empty field is none
	}{
		"61 deep":                       {asJSON, update + nested(`{"a":`, "1", "}", 61) + "}", 400, refusal{Code: "OUT_OF_RANGE", Field: "properties"}},
		"10,000 deep":                   {asJSON, update + `{"a":` + nested("[", "", "]", 10_000) + "}}", 400, refusal{Code: "NOT_JSON"}},
		"100,000 deep":                  {asJSON, update + `{"a":` + nested("[", "", "]", 100_000) + "}}", 400, refusal{Code: "NOT_JSON"}},
		"1,000,000 deep":                {asJSON, nested("[", "", "]", 1_000_000), 400, refusal{Code: "WRONG_TYPE", Index: index(0)}},
		"1,000,000 deep, and no end":    {lines, strings.Repeat(`{"a":`, 1_000_000), 413, refusal{Code: "TOO_LARGE", Index: index(0)}},
		"1,000,000 deep in a line":      {lines, good + "\n" + strings.Repeat("[", 1_000_000), 400, refusal{Code: "WRONG_TYPE", Index: index(1)}},
		"deep in a CloudEvent":          {cloud, structured + nested("[", "", "]", 1000) + "}", 400, refusal{Code: "OUT_OF_RANGE", Field: "data"}},
		"deep in a batch of them":       {batch, "[" + structured + "{}}," + strings.Replace(structured, `"1","source"`, `"2","source"`, 1) + nested("[", "", "]", 1000) + "}]", 400, refusal{Code: "OUT_OF_RANGE", Field: "data", Index: index(1)}},
		"a key twice":                   {asJSON, `{"uri":"/items/a/delete","uri":"/items/a/delete"}`, 400, refusal{Code: "DUPLICATE_KEY", Field: "uri"}},
		"a key twice, spelt apart":      {asJSON, `{"uri":"/items/a/delete","\u0075ri":"/items/a/delete"}`, 400, refusal{Code: "DUPLICATE_KEY", Field: "uri"}},
		"a key twice, 50 deep":          {asJSON, update + nested(`{"a":`, `{"b":1,"b":1}`, "}", 50) + "}", 400, refusal{Code: "DUPLICATE_KEY", Field: "properties" + strings.Repeat(".a", 50) + ".b"}},
		"a key twice in a CloudEvent":   {cloud, structured + `{"a":[{"b":1,"b":1}]}}`, 400, refusal{Code: "DUPLICATE_KEY", Field: "data.a[0].b"}},
		"a key twice in a line":         {lines, good + "\n\n" + update + `{"a":1,"a":2}}`, 400, refusal{Code: "DUPLICATE_KEY", Field: "properties.a", Index: index(1)}},
		"no UTF-8 in a value":           {asJSON, update + "{\"a\":\"\xff\"}}", 400, refusal{Code: "NOT_JSON"}},
		"no UTF-8 in a name":            {asJSON, update + "{\"\xc3\x28\":1}}", 400, refusal{Code: "NOT_JSON"}},
		"UTF-8 longer than it need be":  {asJSON, update + "{\"a\":\"\xc0\xaf\"}}", 400, refusal{Code: "NOT_JSON"}},
		"a surrogate in UTF-8":          {asJSON, update + "{\"a\":\"\xed\xa0\x80\"}}", 400, refusal{Code: "NOT_JSON"}},
		"half a surrogate":              {asJSON, update + `{"a":"\ud83d"}}`, 400, refusal{Code: "NOT_JSON"}},
		"surrogates the wrong way":      {asJSON, update + `{"a":"\ude00\ud83d"}}`, 400, refusal{Code: "NOT_JSON"}},
		"half a surrogate in a name":    {asJSON, update + `{"\ud83d":1}}`, 400, refusal{Code: "NOT_JSON"}},
		"half an escape":                {asJSON, update + `{"a":"\u12"}}`, 400, refusal{Code: "NOT_JSON"}},
		"a control character":           {asJSON, update + "{\"a\":\"\x01\"}}", 400, refusal{Code: "NOT_JSON"}},
		"a NUL behind it":               {asJSON, good + "\x00", 400, refusal{Code: "NOT_JSON"}},
		"a NUL in the id":               {asJSON, `{"uri":"/items/a\u0000/delete"}`, 400, refusal{Code: "NOT_ALLOWED", Field: "uri"}},
		"a date beyond any number":      {asJSON, `{"uri":"/items/a/delete","when":1e400}`, 400, refusal{Code: "WRONG_TYPE", Field: "when"}},
		"a date of 400 digits":          {asJSON, `{"uri":"/items/a/delete","when":` + strings.Repeat("9", 400) + `}`, 400, refusal{Code: "OUT_OF_RANGE", Field: "when"}},
		"a date below zero":             {asJSON, `{"uri":"/items/a/delete","when":-1}`, 400, refusal{Code: "OUT_OF_RANGE", Field: "when"}},
		"a date in an exponent":         {asJSON, `{"uri":"/items/a/delete","when":1.5e12}`, 400, refusal{Code: "WRONG_TYPE", Field: "when"}},
		"a number with a zero first":    {asJSON, update + `{"a":01}}`, 400, refusal{Code: "NOT_JSON"}},
		"not a number":                  {asJSON, update + `{"a":NaN}}`, 400, refusal{Code: "NOT_JSON"}},
		"a comment":                     {asJSON, "/* */" + good, 400, refusal{Code: "NOT_JSON"}},
		"a comma too many":              {asJSON, `{"uri":"/items/a/delete",}`, 400, refusal{Code: "NOT_JSON"}},
		"a mark of byte order":          {asJSON, "\ufeff" + good, 400, refusal{Code: "NOT_JSON"}},
		"an enormous name":              {asJSON, `{"` + strings.Repeat("u", 200<<10) + `":1}`, 400, refusal{Code: "UNKNOWN_FIELD", Field: strings.Repeat("u", 64)}},
		"an enormous uri":               {asJSON, `{"uri":"/items/` + strings.Repeat("a", 200<<10) + `/delete"}`, 400, refusal{Code: "TOO_LONG", Field: "uri"}},
		"a bad one among 10,000":        {asJSON, "[" + strings.Join(many(10_000, `{"uri":"/items/a/share","properties":{"sharedToGroups":[1]}}`), ",") + "]", 400, refusal{Code: "WRONG_TYPE", Field: "properties.sharedToGroups[0]", Index: index(5000)}},
		"a bad line among 10,000":       {lines, strings.Join(many(10_000, `{"uri":"/items/a/shar"}`), "\n"), 400, refusal{Code: "BAD_URI", Field: "uri", Index: index(5000)}},
		"a cut line among 10,000":       {lines, strings.Join(many(10_000, `{"uri":"/items/a/delete"`), "\n"), 400, refusal{Code: "NOT_JSON", Index: index(5000)}},
		"two events in one line":        {lines, good + "\n" + good + good, 400, refusal{Code: "NOT_JSON", Index: index(1)}},
		"the same id with other things": {lines, `{"uri":"/items/a/delete","eventId":"x"}` + "\n" + good + "\n" + `{"uri":"/items/b/delete","eventId":"x"}`, 409, refusal{Code: "EVENT_CONFLICT", Field: "eventId", Index: index(2)}},
		"10,001 events":                 {asJSON, "[" + strings.Join(many(10_001, ""), ",") + "]", 413, refusal{Code: "TOO_LARGE"}},
		"10,001 lines":                  {lines, strings.Join(many(10_001, ""), "\n"), 413, refusal{Code: "TOO_LARGE"}},
		"more than 8 MiB":               {lines, good + strings.Repeat("\n", 8<<20), 413, refusal{Code: "TOO_LARGE"}},
		"an event of more than 256 KiB": {lines, good + "\n" + update + `{"a":"` + strings.Repeat("a", 256<<10) + `"}}`, 413, refusal{Code: "TOO_LARGE", Index: index(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			status, got, _ := server.post(t, "/api/v1/events", c.contentType, c.body)
			got.Detail = ""
			if len(got.Field) > 64 && strings.HasPrefix(got.Field, c.want.Field) { // a name that is cut ends in dots
				got.Field = c.want.Field
			}
			require.Equal(t, c.status, status, got)
			require.Equal(t, c.want, got)
			require.Equal(t, before, server.kept(t))
		})
	}
	t.Run("a webhook", func(t *testing.T) {
		for name, body := range map[string]string{
			"1,000,000 deep":     `{"name":` + strings.Repeat("[", 900_000),
			"deep where allowed": `{"name":` + nested("[", "", "]", 9_000) + `}`,
			"a key twice":        `{"name":"a","headers":{"X-A":"1","X-A":"2"}}`,
			"no UTF-8":           "{\"name\":\"\xff\"}",
			"a huge number":      `{"name":"a","timeoutSeconds":1e400}`,
			"400 digits":         `{"name":"a","timeoutSeconds":` + strings.Repeat("9", 400) + `}`,
		} {
			status, got, _ := server.post(t, "/api/v1/webhooks", asJSON, body)
			require.Equal(t, 400, status, "%s: %v", name, got)
			require.Equal(t, before, server.kept(t), name)
		}
	})
}

// What is strange and yet JSON reaches the receiver as it came: numbers of any size in every spelling, names of any kind, in their order.
func TestCase39ValuesArriveAsTheyCame(t *testing.T) {
	t.Parallel()
	eachStore(t, testCase39ValuesArriveAsTheyCame)
}

func testCase39ValuesArriveAsTheyCame(t *testing.T, startServer starter) {
	t.Helper()
	url, got := newReceiver(t, http.StatusOK)
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "w", "url": url, "eventTypes": []string{"/items"}, "enabled": true})
	properties := `{"z":-0,"a":-0.0,"huge":1e400,"tiny":1E-400,"digits":` + strings.Repeat("9", 400) + `,"frac":1.10,"":"","a\u0000b":"\u0000","é":"\u2028😀</script>","deep":` +
		strings.Repeat("[", 58) + strings.Repeat("]", 58) + `,"long":"` + strings.Repeat("x", 200<<10) + `"}`
	status, _, answer := server.post(t, "/api/v1/events", "application/json", `{"uri":"/items/a/update","properties":`+properties+`}`)
	require.Equal(t, http.StatusAccepted, status, "%s", answer)
	arrived := <-got
	// Escapes that need not be are not.
	_, rest, ok := bytes.Cut(arrived.body, []byte(`"properties":`))
	require.True(t, ok)
	require.True(t, bytes.HasPrefix(rest, []byte(strings.ReplaceAll(properties, `\u2028`, "\u2028"))), "%.1000s", arrived.body)
}

// More deliveries than one request may bring are refused as a whole; just as many are taken.
func TestTooManyDeliveriesOverHTTP(t *testing.T) {
	t.Parallel()
	eachStore(t, testTooManyDeliveriesOverHTTP)
}

func testTooManyDeliveriesOverHTTP(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	const webhooks = 10
	for i := range webhooks {
		server.createWebhook(t, map[string]any{"name": fmt.Sprint(i), "url": "http://127.0.0.1:9/", "eventTypes": []string{"/items"}, "enabled": true})
	}
	before := server.kept(t)
	lines := func(n int) string { return strings.Repeat("{\"uri\":\"/items/a/delete\"}\n", n) }
	status, got, _ := server.post(t, "/api/v1/events", "application/x-ndjson", lines(50_000/webhooks+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, "TOO_MANY_DELIVERIES", got.Code)
	require.Equal(t, before, server.kept(t))
	require.Zero(t, server.metric(t, "portalhook_open_deliveries"))
}

// The same event from many senders at the same instant is one event, and all hear the same of it, but for whose it was.
func TestCase19SameEventAtOnceOverHTTP(t *testing.T) {
	t.Parallel()
	eachStore(t, testCase19SameEventAtOnceOverHTTP)
}

func testCase19SameEventAtOnceOverHTTP(t *testing.T, startServer starter) {
	t.Helper()
	url, got := newReceiver(t, http.StatusOK)
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "w", "url": url, "eventTypes": []string{"/items"}, "enabled": true})
	const senders = 40
	answers := make([][]byte, senders)
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			_, _, answers[i] = server.post(t, "/api/v1/events", "application/json", `{"eventId":"one","uri":"/items/a/delete","when":1}`)
		})
	}
	all.Wait()
	first := 0
	for _, answer := range answers {
		if !bytes.Contains(answer, []byte(`"duplicate":true`)) {
			first++
		}
		require.Equal(t, bytes.Replace(answers[0], []byte(`,"duplicate":true`), nil, 1), bytes.Replace(answer, []byte(`,"duplicate":true`), nil, 1))
	}
	require.Equal(t, 1, first)
	awaitNoneOpen(t, server)
	require.Len(t, got, 1)
	require.Equal(t, 1, server.kept(t)[0])
	status, refused, _ := server.post(t, "/api/v1/events", "application/json", `{"eventId":"one","uri":"/items/a/delete","when":2}`)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "EVENT_CONFLICT", refused.Code)
}
