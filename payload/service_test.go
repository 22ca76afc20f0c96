package payload_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/payload"
	"portalhook/triggers"
)

const createdURI = "/services/s/FeatureServer/FeaturesCreated"

func serverRevision(server string) *payload.Revision {
	rev := revision("n")
	rev.ServerURL = server
	return rev
}

// changesURL is the address that a receiver reads of the events.
func changesURL(t require.TestingT, rev *payload.Revision, events ...payload.Event) string {
	body := build(t, rev, events...)
	_, rest, found := strings.Cut(body, `{"serviceType":"FeatureServer","changesUrl":"`)
	require.True(t, found, body)
	address, _, found := strings.Cut(rest, `","name":"n"`)
	require.True(t, found, body)
	return address
}

func TestChangesURL(t *testing.T) {
	const server = "https://server.com/server"
	const built = server + "/rest/services/s/FeatureServer/extractChanges?serverGens=%5B"
	const own, other = "https://a/FeatureServer/extractChanges?serverGens=[1,2]&returnUpdates=false", "https://b/extractChanges?x=1"
	gens := func(from, to int) string { return fmt.Sprintf(`,"serverGens":[%d,%d]`, from, to) }
	address := func(a string) string { return fmt.Sprintf(`,"changesUrl":%q`, a) }
	for name, c := range map[string]struct {
		server string
		events []string
		want   string
	}{
		"built":                              {server, []string{gens(1, 2)}, built + "1,2%5D"},
		"built, a slash at the end":          {server + "/", []string{gens(1, 2)}, built + "1,2%5D"},
		"built of equal generations":         {server, []string{gens(0, 0)}, built + "0,0%5D"},
		"no server":                          {"", []string{gens(1, 2)}, ""},
		"no generations":                     {server, []string{""}, ""},
		"no generations, as an array":        {server, []string{`,"serverGens":[]`}, ""},
		"its own, untouched":                 {server, []string{gens(3, 4) + address(own)}, own},
		"its own without generations":        {"", []string{address(own)}, own},
		"several: all their generations":     {server, []string{gens(5, 6), gens(6, 9), gens(9, 10)}, built + "5,10%5D"},
		"several, in whatever order":         {server, []string{gens(6, 9), gens(5, 6), ""}, built + "5,9%5D"},
		"several at the first's own address": {server, []string{gens(1, 2), gens(2, 5) + address(own), gens(5, 6) + address(other)}, "https://a/FeatureServer/extractChanges?serverGens=%5B1,6%5D"},
		"several, no server":                 {"", []string{gens(1, 2), gens(2, 5)}, ""},
		"several, one has generations":       {server, []string{"", gens(2, 5), ""}, built + "2,5%5D"},
		"several addresses, no generations":  {server, []string{address(own), address(other), ""}, other},
		"several, nothing known":             {server, []string{"", ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var events []payload.Event
			for _, more := range c.events {
				events = append(events, told(t, createdURI, more))
			}
			require.Equal(t, c.want, changesURL(t, serverRevision(c.server), events...))
		})
	}
}

// A scheduled webhook is told in one object what happened in its interval.
func TestSeveralEventsOfAService(t *testing.T) {
	events := []payload.Event{
		told(t, "/services/f/Trees/FeatureServer/FeaturesCreated", `,"when":1730385704999,"serverGens":[10,11]`),
		told(t, "/services/F/TREES/FeatureServer/AttachmentsDeleted", `,"when":1730385700000,"serverGens":[11,15]`),
		told(t, "/services/f/Trees/FeatureServer/FeaturesCreated", `,"when":999`),
	}
	want := `{"serviceType":"FeatureServer","changesUrl":"https://server.com/server/rest/services/f/Trees/FeatureServer/extractChanges?serverGens=%5B10,15%5D",` +
		`"name":"n","id":"72fed926-aeb7-4c9c-a8a2-2aacddc6725a","folderName":"f","serviceName":"Trees","events":[` +
		`{"eventType":"FeaturesCreated","when":1730385704000},{"eventType":"AttachmentsDeleted","when":1730385700000},{"eventType":"FeaturesCreated","when":0}]}`
	require.Equal(t, want, build(t, serverRevision("https://server.com/server"), events...))
}

// However the generations lie, the address spans them all, and no more.
func TestSeveralEventsSpanAllGenerations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []payload.Event
		low, high := int64(1<<53), int64(-1)
		for range rapid.IntRange(1, 6).Draw(t, "events") {
			if rapid.Bool().Draw(t, "without generations") {
				events = append(events, told(t, createdURI, ""))
				continue
			}
			from := rapid.Int64Range(0, 1<<53-1).Draw(t, "from")
			to := rapid.Int64Range(from, 1<<53-1).Draw(t, "to")
			low, high = min(low, from), max(high, to)
			events = append(events, told(t, createdURI, fmt.Sprintf(`,"serverGens":[%d,%d]`, from, to)))
		}
		want := ""
		if high >= 0 {
			want = fmt.Sprintf("https://s/rest/services/s/FeatureServer/extractChanges?serverGens=%%5B%d,%d%%5D", low, high)
		}
		require.Equal(t, want, changesURL(t, serverRevision("https://s"), events...))
	})
}

func TestStatusURL(t *testing.T) {
	const built = "https://server.com/server/rest/services/s/GPServer/"
	for name, c := range map[string]struct{ server, more, want string }{
		"built":          {"https://server.com/server", `,"taskName":"t"`, built + "t/jobs/j%2F1"},
		"built, escaped": {"https://server.com/server/", `,"taskName":"a b/ç"`, built + "a%20b%2F%C3%A7/jobs/j%2F1"},
		"no server":      {"", `,"taskName":"t"`, ""},
		"no task":        {"https://server.com/server", ``, ""},
		"its own":        {"https://server.com/server", `,"taskName":"t","statusURL":"https://a/?b=\"c\""`, `https://a/?b=\"c\"`},
	} {
		t.Run(name, func(t *testing.T) {
			body := build(t, serverRevision(c.server), told(t, "/services/s/GPServer", `,"jobId":"j/1","status":"failed"`+c.more))
			require.Contains(t, body, `"statusURL":"`+c.want+`","name"`)
		})
	}
}

func TestRenderRefusesServices(t *testing.T) {
	const job = "/services/s/GPServer"
	const generations = "must be two generations, the one before the changes and the one after them"
	for name, c := range map[string]struct{ uri, more, code, field, detail string }{
		"which job":            {job, `"status":"failed"`, triggers.CodeMissing, "jobId", "an event of a geoprocessing service needs jobId, the job that has ended"},
		"a nameless job":       {job, `"jobId":"","status":"failed"`, triggers.CodeMissing, "jobId", "an event of a geoprocessing service needs jobId, the job that has ended"},
		"what became of it":    {job, `"jobId":"j"`, triggers.CodeMissing, "status", "an event of a geoprocessing service needs status: succeeded, failed or cancelled"},
		"one generation":       {createdURI, `"serverGens":[1]`, triggers.CodeOutOfRange, "serverGens", generations},
		"three generations":    {createdURI, `"serverGens":[1,2,3]`, triggers.CodeOutOfRange, "serverGens", generations},
		"backward generations": {createdURI, `"serverGens":[2,1]`, triggers.CodeOutOfRange, "serverGens", generations},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := payload.Render(event(t, fmt.Sprintf(`{"uri":%q,%s}`, c.uri, c.more)), builtAt)
			require.Equal(t, triggers.Invalid(c.code, c.field, "%s", c.detail), err)
		})
	}
	// The parser refuses this before it comes here.
	ev := event(t, `{"uri":"/services/s/GPServer","jobId":"j","status":"failed"}`)
	ev.Service.Status = "waiting"
	_, err := payload.Render(ev, builtAt)
	require.Equal(t, triggers.Invalid(triggers.CodeOutOfRange, "status", "must be succeeded, failed or cancelled"), err)
	ev.Service = nil
	_, err = payload.Render(ev, builtAt)
	require.Equal(t, "jobId", err.(*triggers.FieldError).Field) //nolint:errorlint // Render gives it bare
}

// What Render gives is what history shows of an event: all that was told, but for who may hear of it.
func TestRenderKeepsWhatAServiceTold(t *testing.T) {
	body, err := payload.Render(event(t, `{"eventId":"e","uri":"/services/f/s/FeatureServer/featurescreated","username":"u","userId":"1","ownerId":"o","audience":["a"],
		"serviceName":"S","folderName":"F","layerId":0,"serverGens":[1,2],"changesUrl":"c","jobId":"j","taskName":"t","statusURL":"s","status":"failed",
		"properties":{"z":1.0,"a":[]}}`), builtAt)
	require.NoError(t, err)
	want := `{"serviceType":"FeatureServer","eventType":"FeaturesCreated","when":1543192196530,"folderName":"F","serviceName":"S","layerId":0,` +
		`"serverGens":[1,2],"changesUrl":"c","jobId":"j","taskName":"t","status":"failed","statusURL":"s","username":"u","userId":"1","properties":{"z":1.0,"a":[]}}`
	require.Equal(t, want, string(body))
}
