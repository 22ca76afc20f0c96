package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// webhookWith is a good webhook with one member added or, where the name is there already, put in its place.
func webhookWith(name, value string) string {
	members := map[string]string{
		"name": `"Shares"`, "url": `"https://receiver.example.com/hook"`, "eventTypes": `["/items/share"]`,
	}
	members[name] = value
	body := ""
	for _, known := range []string{"name", "url", "eventTypes"} {
		if known != name {
			body += `,"` + known + `":` + members[known]
		}
	}
	if value != "" {
		body += `,"` + name + `":` + value
	}
	return "{" + body[1:] + "}"
}

// eventWith is a sharing event with the given properties.
func eventWith(properties string) string {
	return `{"uri":"` + shareURI + `","properties":` + properties + `}`
}

// TestBadRequests holds every kind of bad input to its status, its code and its message, and sees that nothing is stored.
func TestBadRequests(t *testing.T) {
	const events, webhooks = "/api/v1/events", "/api/v1/webhooks"
	for name, c := range map[string]struct {
		request
		status int
		code   string
		field  string
		detail string
	}{
		// Who calls.
		"no key": {
			request{method: "POST", path: events, body: share},
			401, "UNAUTHORIZED", "",
			"send the header Authorization: Bearer <API key>",
		},
		"wrong key": {request{method: "POST", path: events, key: "nobody", body: share}, 401, "UNAUTHORIZED", "", "the API key is not known"},
		"key of 300 characters": {
			request{method: "POST", path: events, key: strings.Repeat("k", 300), body: share},
			401, "UNAUTHORIZED", "",
			"the API key is not known",
		},
		"expired key": {request{method: "POST", path: events, key: expiredKey, body: share}, 401, "UNAUTHORIZED", "", "the API key has expired"},
		"revoked key": {request{method: "POST", path: events, key: revokedKey, body: share}, 401, "UNAUTHORIZED", "", "the API key was revoked"},
		"another scheme": {
			request{method: "POST", path: events, header: http.Header{"Authorization": {"Basic YWRtaW4="}}, body: share},
			401, "UNAUTHORIZED", "", "the header Authorization must read: Bearer <API key>",
		},
		"an emitter makes a webhook": {
			request{method: "POST", path: webhooks, key: emitterKey, body: hook},
			403, "FORBIDDEN", "",
			"a key of the role emitter may not do this",
		},
		"a viewer emits": {
			request{method: "POST", path: events, key: viewerKey, body: share},
			403, "FORBIDDEN", "",
			"a key of the role viewer may not do this",
		},

		// What an event says.
		"unknown operation": {
			request{method: "POST", path: events, key: adminKey, body: `{"uri":"/items/x/shar"}`},
			400, "BAD_URI", "uri",
			`items have no operation "shar"; the nearest is share`,
		},
		"unknown resource": {
			request{method: "POST", path: events, key: adminKey, body: `{"uri":"/itemz/x/share"}`},
			400, "BAD_URI", "uri",
			`there is no resource "itemz": events are about items, groups, users, roles, services or webhooks, or bear a cloud type without leading slash`,
		},
		"id missing": {
			request{method: "POST", path: events, key: adminKey, body: `{"uri":"/items/share"}`},
			400, "MISSING_ID", "uri",
			"the id is missing: write /items/<id>/share with the id of what it happened to",
		},
		"property missing": {
			request{method: "POST", path: events, key: adminKey, body: eventWith(`{}`)},
			400, "MISSING_PROPERTY",
			"properties.sharedToGroups", "this operation needs sharedToGroups, an array of group ids, Everyone and Organization, or the facts access (public, org, shared or private) and groups",
		},
		"property of the wrong type": {
			request{method: "POST", path: events, key: adminKey, body: eventWith(`{"sharedToGroups":7}`)},
			400,
			"WRONG_TYPE", "properties.sharedToGroups", "must be a string: sharedToGroups is an array of group ids, Everyone and Organization",
		},
		"not JSON":          {request{method: "POST", path: events, key: adminKey, body: `uri=/items/x/share`}, 400, "NOT_JSON", "", "not JSON after byte 0: invalid character 'u' at start of value"},
		"empty":             {request{method: "POST", path: events, key: adminKey, contentType: "application/json"}, 400, "NOT_JSON", "", "the body ends before the JSON does"},
		"cut off":           {request{method: "POST", path: events, key: adminKey, body: share[:40]}, 400, "NOT_JSON", "", "the body ends before the JSON does, at byte 40"},
		"text behind":       {request{method: "POST", path: events, key: adminKey, body: share + share}, 400, "NOT_JSON", "", "something follows the event, by byte 140; several events are sent as an array, or as application/x-ndjson, one a line"},
		"not UTF-8":         {request{method: "POST", path: events, key: adminKey, body: "{\"uri\":\"/users/\xff/signIn\"}"}, 400, "NOT_JSON", "", "not JSON after byte 15: invalid UTF-8"},
		"duplicate key":     {request{method: "POST", path: events, key: adminKey, body: `{"uri":"` + shareURI + `","uri":"` + shareURI + `"}`}, 400, "DUPLICATE_KEY", "uri", "the key stands twice in its object, the second time by byte 55"},
		"duplicate deep":    {request{method: "POST", path: events, key: adminKey, body: eventWith(`{"a":1,"a":2}`)}, 400, "DUPLICATE_KEY", "properties.a", "the key stands twice in its object, the second time by byte 75"},
		"unknown member":    {request{method: "POST", path: events, key: adminKey, body: `{"uri":"` + shareURI + `","user":"x"}`}, 400, "UNKNOWN_FIELD", "user", `an event has no member "user"; the nearest is userId`},
		"a number":          {request{method: "POST", path: events, key: adminKey, body: `7`}, 400, "WRONG_TYPE", "", "an event is a JSON object, not a number"},
		"empty array":       {request{method: "POST", path: events, key: adminKey, body: `[]`}, 400, "REQUIRED", "", "the batch is empty: send at least one event"},
		"wrong type":        {request{method: "POST", path: events, key: adminKey, contentType: "text/plain", body: share}, 415, "UNSUPPORTED_MEDIA_TYPE", "", `events come as application/json (one object, or an array), application/x-ndjson, application/cloudevents+json or application/cloudevents-batch+json, in UTF-8, not as "text/plain"`},
		"other charset":     {request{method: "POST", path: events, key: adminKey, contentType: "application/json; charset=latin1", body: share}, 415, "UNSUPPORTED_MEDIA_TYPE", "", `events come as application/json (one object, or an array), application/x-ndjson, application/cloudevents+json or application/cloudevents-batch+json, in UTF-8, not as "application/json; charset=latin1"`},
		"compressed":        {request{method: "POST", path: events, key: adminKey, header: http.Header{"Content-Encoding": {"gzip"}}, body: share}, 415, "UNSUPPORTED_MEDIA_TYPE", "", "the body must not be compressed: send it without Content-Encoding"},
		"event too large":   {request{method: "POST", path: events, key: adminKey, body: eventWith(`{"sharedToGroups":["` + strings.Repeat("g", triggers.MaxEventBytes) + `"]}`)}, 413, "TOO_LARGE", "", "an event has at most 262144 bytes, not 262236"},
		"body too large":    {request{method: "POST", path: events, key: adminKey, body: strings.Repeat(" ", 8<<20) + share}, 413, "TOO_LARGE", "", "the body is larger than 8388608 bytes"},
		"too many events":   {request{method: "POST", path: events, key: adminKey, contentType: "application/x-ndjson", body: strings.Repeat("{\"uri\":\"/users/a/signIn\"}\n", 10001)}, 413, "TOO_LARGE", "", "a batch has at most 10000 events"},
		"event id too long": {request{method: "POST", path: events, key: adminKey, body: `{"uri":"/users/a/signIn","eventId":"` + strings.Repeat("e", 129) + `"}`}, 400, "TOO_LONG", "eventId", "eventId has at most 128 characters, not 129"},

		// What a webhook says.
		"unknown field": {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("secretKey", `"x"`)}, 400, "UNKNOWN_FIELD", "secretKey", `a webhook has no member "secretKey"`},
		"field in another case": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("eventtypes", `[]`)},
			400, "UNKNOWN_FIELD",
			"eventtypes", `a webhook has no member "eventtypes"; did you mean "eventTypes"?`,
		},
		"duplicate field": {request{method: "POST", path: webhooks, key: adminKey, body: `{"name":"a","name":"b"}`}, 400, "DUPLICATE_KEY", "name", "the member is given twice"},
		"text behind it":  {request{method: "POST", path: webhooks, key: adminKey, body: hook + "x"}, 400, "NOT_JSON", "", "there is text behind the JSON value, at byte 104"},
		"no body":         {request{method: "POST", path: webhooks, key: adminKey, contentType: "application/json"}, 400, "NOT_JSON", "", "the body is empty"},
		"a form":          {request{method: "POST", path: webhooks, key: adminKey, contentType: "application/x-www-form-urlencoded", body: "name=a"}, 415, "UNSUPPORTED_MEDIA_TYPE", "", "the content type must be application/json"},
		"no content type": {request{method: "POST", path: webhooks, key: adminKey, header: http.Header{"Content-Type": nil}, contentType: " ", body: hook}, 415, "UNSUPPORTED_MEDIA_TYPE", "", "the content type must be application/json"},
		"an array":        {request{method: "POST", path: webhooks, key: adminKey, body: "[]"}, 400, "WRONG_TYPE", "", "the body must be an object, and is an array"},
		"2 MiB":           {request{method: "POST", path: webhooks, key: adminKey, body: hook + strings.Repeat(" ", 2<<20)}, 413, "TOO_LARGE", "", "the body is larger than 1048576 bytes"},
		"name missing":    {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("name", "")}, 400, "REQUIRED", "name", "a webhook needs a name"},
		"url missing":     {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", "")}, 400, "REQUIRED", "url", "a webhook needs a url"},
		"enabled is text": {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("enabled", `"true"`)}, 400, "WRONG_TYPE", "enabled", "enabled must be true or false, and is a string"},
		"no event types":  {request{method: "POST", path: webhooks, key: adminKey, body: `{"name":"a","url":"https://a.example.com/","enabled":true}`}, 400, "REQUIRED", "eventTypes", "an enabled webhook has at least one event type"},
		"unknown trigger": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("eventTypes", `["/items/share","/itemz/share"]`)},
			400, "UNKNOWN_TRIGGER",
			"eventTypes[1]", `there is no resource "itemz"; the nearest trigger that can fire is /items/share`,
		},
		"placeholder left in": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("eventTypes", `["/items/<itemID>/share"]`)},
			400, "PLACEHOLDER",
			"eventTypes[0]", "<itemID> is a placeholder of the documentation: put an id or * there; the nearest trigger that can fire is /items/*/share",
		},
		"cannot fire": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("eventTypes", `["/items/4adc/add"]`)},
			400, "CANNOT_FIRE",
			"eventTypes[0]", "an add cannot be awaited by id, as the thing is new; the nearest trigger that can fire is /items/add",
		},
		"event type is a number": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("eventTypes", `[1]`)},
			400, "WRONG_TYPE",
			"eventTypes[0]", "eventTypes[0] must be a string, and is a number",
		},
		"secret too short": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("secret", `"short"`)},
			400, "OUT_OF_RANGE", "secret",
			"a secret has from 32 to 64 characters, not 5",
		},
		"secret too long": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("secret", `"`+strings.Repeat("s", 65)+`"`)},
			400, "OUT_OF_RANGE", "secret",
			"a secret has from 32 to 64 characters, not 65",
		},
		"http url": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", `"http://receiver.example.com/hook"`)},
			400, "NOT_ALLOWED", "url",
			"the url must begin with https://; http is not allowed on this server",
		},
		"IP literal": {
			request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", `"https://192.0.2.7/hook"`)},
			400, "NOT_ALLOWED", "url",
			"the host must be a name, not the IP address 192.0.2.7, unless the server allows that address",
		},
		"IPv6 literal":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", `"https://[::1]/hook"`)}, 400, "NOT_ALLOWED", "url", "the host must be a name, not the IP address ::1, unless the server allows that address"},
		"one-label name": {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", `"https://receiver/hook"`)}, 400, "NOT_ALLOWED", "url", `the host must be a full name with a dot, not "receiver", unless the server allows that host`},
		"port":           {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", `"https://receiver.example.com:22/hook"`)}, 400, "NOT_ALLOWED", "url", "the port must be 443, 8443 or from 1024 up, not 22"},
		"user info":      {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", `"https://a:b@receiver.example.com/hook"`)}, 400, "NOT_ALLOWED", "url", "the url must not hold a user name or password; send credentials in a header"},
		"no url at all":  {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("url", `"hello"`)}, 400, "BAD_URI", "url", "the url is not a complete one, such as https://receiver.example.com/hook"},
		"header name":    {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("headers", `{"x y":"1"}`)}, 400, "NOT_ALLOWED", "headers.x y", `"x y" cannot be the name of a header`},
		"header value":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("headers", `{"x-a":"1\r\nx-b: 2"}`)}, 400, "NOT_ALLOWED", "headers.x-a", "the value of a header must not hold line breaks or other control characters"},
		"our own header": {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("headers", `{"Webhook-Signature":"v1,x"}`)}, 400, "NOT_ALLOWED", "headers.Webhook-Signature", "the header Webhook-Signature is set by the server"},
		"header twice":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("headers", `{"x-a":"1","X-A":"2"}`)}, 400, "DUPLICATE_KEY", "headers.X-A", "the header is given twice; case does not count, and both kinds of headers do"},
		"owner":          {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("ownerId", `"ann"`)}, 400, "NOT_ALLOWED", "ownerId", "only a webhook of user level has an owner"},
		"level other":    {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("level", `"space"`)}, 400, "OUT_OF_RANGE", "level", `the level is tenant or user, not "space"`},
		"filter":         {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("filter", `"id is \"1\""`)}, 400, "FILTER", "filter", `at character 4: expected eq or ne, not "is"; other operators are not part of the filter language`},
		"filter apart":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("filter", `"spaceId eq \"1\""`)}, 400, "FILTER", "filter", "only events of cloud types have spaceId, and the webhook hears none of them"},
		"format other":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("format", `"xml"`)}, 400, "OUT_OF_RANGE", "format", `the format is auto, portal, legacy, hybrid or cloudevents, not "xml"`},
		"origin other":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("origin", `"me"`)}, 400, "OUT_OF_RANGE", "origin", `the origin is one of api, automations, management-console, not "me"`},
		"retry other":    {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("retry", `"often"`)}, 400, "OUT_OF_RANGE", "retry", `retry is standard, portal, once or a list of waits, not "often"`},
		"retry wait":     {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("retry", `["0s","soon"]`)}, 400, "OUT_OF_RANGE", "retry[1]", `"soon" is not a wait such as 0s, 5s, 5m or 2h`},
		"retry number":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("retry", `3`)}, 400, "WRONG_TYPE", "retry", `retry must be standard, portal, once, or a list of waits such as ["0s","5s","5m"]`},
		"policy half":    {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("deactivationPolicy", `{"daysInPast":3}`)}, 400, "REQUIRED", "deactivationPolicy", "a deactivation policy needs numberOfFailures and daysInPast"},
		"timeout":        {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("timeoutSeconds", `61`)}, 400, "OUT_OF_RANGE", "timeoutSeconds", "timeoutSeconds is from 1 to 60, not 61"},
		"timeout half":   {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("timeoutSeconds", `1.5`)}, 400, "WRONG_TYPE", "timeoutSeconds", "1.5 is not a whole number, written with digits alone"},
		"read-only":      {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("id", `"0123456789abcdef0123456789abcdef"`)}, 400, "READ_ONLY", "id", "the server sets this member: leave it out"},
		"null":           {request{method: "POST", path: webhooks, key: adminKey, body: webhookWith("description", `null`)}, 400, "WRONG_TYPE", "description", "description must be a string, and is null"},

		// Where the request goes.
		"no such path":    {request{method: "GET", path: "/api/v1/nothing", key: adminKey}, 404, "NOT_FOUND", "", "there is nothing at this path"},
		"no such webhook": {request{method: "GET", path: webhooks + "/0123456789abcdef0123456789abcdef", key: adminKey}, 404, "NOT_FOUND", "", "there is no such webhook"},
		"no webhook id":   {request{method: "DELETE", path: webhooks + "/..%2f", key: adminKey}, 404, "NOT_FOUND", "", "there is nothing at this path"},
		"wrong method":    {request{method: "PUT", path: events, key: adminKey, body: share}, 405, "METHOD_NOT_ALLOWED", "", "the header Allow names the methods that this path answers"},

		// What a list and a dry run are asked.
		"limit":         {request{method: "GET", path: webhooks + "?limit=0", key: adminKey}, 400, "OUT_OF_RANGE", "limit", `the limit is "0"; it must be a number from 1 to 100`},
		"sort":          {request{method: "GET", path: webhooks + "?sort=-secret", key: adminKey}, 400, "OUT_OF_RANGE", "sort", `the sort is "-secret"; it must be one of createdAt, name, updatedAt, url, trigger, level, ownerId, enabled, lastDelivery, successShare, with + or - before it`},
		"cursor":        {request{method: "GET", path: webhooks + "?next=abc", key: adminKey}, 400, "OUT_OF_RANGE", "next", "the cursor is not one of this list in this order; follow the links as they are"},
		"enabled":       {request{method: "GET", path: webhooks + "?enabled=maybe", key: adminKey}, 400, "OUT_OF_RANGE", "enabled", `enabled is "maybe"; it must be true or false`},
		"event types":   {request{method: "GET", path: webhooks + "?eventTypes=/items/share,/itemz", key: adminKey}, 400, "UNKNOWN_TRIGGER", "eventTypes", `there is no resource "itemz"; the nearest trigger that can fire is /items`},
		"origins":       {request{method: "GET", path: webhooks + "?origins=api,me", key: adminKey}, 400, "OUT_OF_RANGE", "origins", `an origin is "me"; it must be one of api, automations, management-console`},
		"include":       {request{method: "GET", path: webhooks + "?include=all", key: adminKey}, 400, "OUT_OF_RANGE", "include", `include is "all"; it must be summary`},
		"check nothing": {request{method: "POST", path: "/api/v1/triggers/check", key: adminKey, body: `{}`}, 400, "REQUIRED", "eventTypes", "name the triggers to check"},
		"check other":   {request{method: "POST", path: "/api/v1/triggers/check", key: adminKey, body: `{"level":"user"}`}, 400, "UNKNOWN_FIELD", "level", "a check takes eventTypes only"},
		"check many":    {request{method: "POST", path: "/api/v1/triggers/check", key: adminKey, body: `{"eventTypes":[` + strings.Repeat(`"/",`, 100) + `"/"]}`}, 400, "TOO_MANY", "eventTypes", "at most 100 triggers can be checked at once"},
		"query string":  {request{method: "GET", path: webhooks + "?a=%zz", key: adminKey}, 400, "OUT_OF_RANGE", "", "the query string cannot be read"},
		"match nothing": {request{method: "POST", path: "/api/v1/match", key: adminKey, body: `{}`}, 400, "REQUIRED", "uri", "a dry run needs a uri or an event, or a draft with past"},
		"match both":    {request{method: "POST", path: "/api/v1/match", key: adminKey, body: `{"uri":"` + shareURI + `","event":` + share + `}`}, 400, "UNKNOWN_FIELD", "event", "give either uri or event"},
		"match bad uri": {request{method: "POST", path: "/api/v1/match", key: adminKey, body: `{"uri":"/items"}`}, 400, "BAD_URI", "uri", "id and operation are missing, as in /items/<id>/update"},
		"match event":   {request{method: "POST", path: "/api/v1/match", key: adminKey, body: `{"event":` + eventWith(`{}`) + `}`}, 400, "MISSING_PROPERTY", "event.properties.sharedToGroups", "this operation needs sharedToGroups, an array of group ids, Everyone and Organization, or the facts access (public, org, shared or private) and groups"},
		"match draft":   {request{method: "POST", path: "/api/v1/match", key: adminKey, body: `{"uri":"` + shareURI + `","draft":{"eventTypes":["/x"]}}`}, 400, "UNKNOWN_TRIGGER", "draft.eventTypes[0]", `there is no resource "x"; the nearest trigger that can fire is /items`},
		"match explain": {request{method: "POST", path: "/api/v1/match?explain=some", key: adminKey, body: `{"uri":"` + shareURI + `"}`}, 400, "OUT_OF_RANGE", "explain", `explain is "some"; it must be all or matches`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t)
			a := e.do(t, c.request)
			p := a.problem(t)
			require.Equal(t, c.status, a.status)
			require.Equal(t, c.code, p["code"])
			if c.field == "" {
				require.NotContains(t, p, "field")
			} else {
				require.Equal(t, c.field, p["field"])
			}
			require.NotEmpty(t, p["title"])
			require.NotContains(t, p, "index")
			require.Equal(t, c.detail, p["detail"])
			require.Zero(t, e.stored(), "nothing is stored")
			require.Equal(t, c.status == 401, a.header.Get("WWW-Authenticate") != "")
		})
	}
}
