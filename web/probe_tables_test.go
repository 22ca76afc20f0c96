package web_test

import "strings"

// newRulebook gives the rules that are not derived.
func newRulebook() *rulebook {
	b := &rulebook{
		texts: map[string]textRule{
			"WebhookBody:url": {
				fill: padded("https://receiver.example.com/"),
				bad: map[string]rule{
					"hello": {400, "BAD_URI", ""}, "http://receiver.example.com/": {400, "NOT_ALLOWED", ""}, "https://192.0.2.7/": {400, "NOT_ALLOWED", ""},
				},
			},
			"WebhookBody:eventTypes[]": {fill: padded("/items/"), bad: bad(400, "UNKNOWN_TRIGGER", "/itemz", "com.qlik.v1.nothing")},
			"WebhookBody:filter": {
				fill: func(n int) string { return `username eq "` + strings.Repeat("x", n-len(`username eq ""`)) + `"` },
				bad:  bad(400, "FILTER", `username is "x"`, `spaceId eq "x"`),
			},
			"WebhookBody:secret": {
				good: []string{"", strings.Repeat("é", 32), strings.Repeat("\n", 64), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
				bad: map[string]rule{
					"x": {400, "OUT_OF_RANGE", ""}, strings.Repeat("é", 31): {400, "OUT_OF_RANGE", ""}, strings.Repeat("x", 65): {400, "OUT_OF_RANGE", ""},
					"whsec_" + strings.Repeat("*", 40): {400, "NOT_ALLOWED", ""},
				},
			},
			"WebhookBody:schedule.startAt": {
				good: []string{"1970-01-01T00:00:00Z", "2026-11-22T03:00:00.123+01:00"}, bad: bad(400, "OUT_OF_RANGE", "soon", "2026-11-22", "1969-12-31T23:59:59Z"),
			},
			"Retry:[]":                         {good: []string{"0s", "24h", "1h30m"}, bad: bad(400, "OUT_OF_RANGE", "-1s", "24h1s", "5", "soon")},
			"createWebhook:encryptedHeaders[]": {bad: bad(400, "OUT_OF_RANGE", "authorization")},
			"putWebhook:encryptedHeaders[]":    {good: []string{"authorization", "AUTHORIZATION"}, bad: bad(400, "OUT_OF_RANGE", "x-none")},

			"Patch:[].path": {good: []string{"/ordered"}, bad: map[string]rule{
				"": {400, "BAD_PATCH", ""}, "enabled": {400, "BAD_PATCH", ""}, "/colour": {400, "UNKNOWN_FIELD", ""}, "/createdAt": {409, "READ_ONLY", ""},
			}},

			"rotateSecret:secret": {
				good: []string{strings.Repeat("é", 32), strings.Repeat("x", 64), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
				bad: map[string]rule{
					"x": {400, "OUT_OF_RANGE", ""}, strings.Repeat("é", 31): {400, "OUT_OF_RANGE", ""}, strings.Repeat("x", 65): {400, "OUT_OF_RANGE", ""},
					"whsec_" + strings.Repeat("*", 40): {400, "NOT_ALLOWED", ""},
				},
			},
			"checkTriggers:eventTypes[]": {good: []string{"/items", "/itemz", "", "anything"}},
			"testWebhook:trigger":        {good: []string{"/items", "/items/*/share"}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz", "com.qlik.v1.nothing")},
			"sampleReceiver:trigger":     {good: []string{"/items/share", "/items/<itemID>/share"}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz", "com.qlik.v1.nothing")},

			"KeyBody:expiresAt": {good: []string{"2999-01-31T00:00:00Z"}, bad: bad(400, "OUT_OF_RANGE", "soon", "2999-01-31", "2020-01-31T00:00:00Z")},
			"KeyBody:tenant":    {good: []string{"", "default", "FEDCBA9876543210"}, bad: bad(400, "OUT_OF_RANGE", "nobody")},

			"patchTenant:name":     {good: []string{"default"}, bad: bad(409, "READ_ONLY", "another")},
			"patchTenant:portalId": {good: []string{"0123456789ABCDEF"}, bad: bad(409, "READ_ONLY", "ABC")},
			"createTenant:name": {good: []string{"a", "0._-", strings.Repeat("a", 64)}, bad: map[string]rule{
				"": {400, "REQUIRED", ""}, "A": {400, "OUT_OF_RANGE", ""}, "-a": {400, "OUT_OF_RANGE", ""}, "self": {400, "OUT_OF_RANGE", ""},
				strings.Repeat("a", 65): {400, "OUT_OF_RANGE", ""}, "other": {409, "EXISTS", ""},
			}},
			"createTenant:portalId": {good: []string{"", "a1", strings.Repeat("a", 64)}, bad: map[string]rule{
				"a-b": {400, "OUT_OF_RANGE", ""}, "Self": {400, "OUT_OF_RANGE", ""}, strings.Repeat("a", 65): {400, "OUT_OF_RANGE", ""},
				"0123456789ABCDEF": {409, "EXISTS", ""},
			}},

			"Moment:":              {good: []string{"2026-11-22T04:00:00Z"}, bad: bad(400, "OUT_OF_RANGE", "soon", "2026-11-22")},
			"RecoveryBody:trigger": {good: []string{"/items", "/items/*/share"}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz")},
			"Question:draft.filter": {
				fill: func(n int) string { return `username eq "` + strings.Repeat("x", n-len(`username eq ""`)) + `"` },
				bad:  bad(400, "FILTER", `username is "x"`),
			},

			"Question:uri":                {good: []string{"/items/x/update"}, bad: bad(400, "BAD_URI", "/itemz/x/update", "/items")},
			"Question:draft.eventTypes[]": {fill: padded("/items/"), bad: bad(400, "UNKNOWN_TRIGGER", "/itemz")},

			"Event:uri":        {good: []string{"/items/x/update"}, bad: bad(400, "BAD_URI", "/itemz/x/update", "com.nobody")},
			"Event:operation":  {good: []string{"update"}, bad: bad(400, "BAD_URI", "fly")},
			"Event:id":         {good: []string{"x"}, bad: map[string]rule{"": {400, "MISSING_ID", ""}, strings.Repeat("x", 257): {400, "TOO_LONG", ""}}},
			"Event:changesUrl": {good: []string{"", "anything"}},
			"Event:statusURL":  {good: []string{"", "anything"}},

			"CloudEvent:type":            {good: []string{"com.qlik.v1.app.deleted"}, bad: map[string]rule{"": {400, "REQUIRED", ""}, "com.nobody": {400, "BAD_URI", ""}}},
			"CloudEvent:subject":         {good: []string{"", "anything"}, bad: bad(400, "OUT_OF_RANGE", "a\nb")},
			"CloudEvent:time":            {good: []string{"2026-11-22T03:00:00.123Z"}, bad: bad(400, "OUT_OF_RANGE", "soon", "1969-01-01T00:00:00Z")},
			"CloudEvent:datacontenttype": {good: []string{"application/json", "application/vnd.x+json"}, bad: bad(415, "UNSUPPORTED_MEDIA_TYPE", "text/xml")},
			"CloudEvent:dataschema":      {good: []string{"https://example.com/schema"}, bad: bad(400, "OUT_OF_RANGE", "a\nb")},
			"CloudEvent:data_base64":     {good: []string{"e30="}, bad: bad(400, "OUT_OF_RANGE", "***")},
		},
		items: map[string]string{"putWebhook:encryptedHeaders": "authorization", "createWebhook:encryptedHeaders": "authorization"},
		exceptions: map[string]rule{
			"WebhookBody:filter too long":           {400, "FILTER", ""},
			"Question:draft.filter too long":        {400, "FILTER", ""},
			"putWebhook:origin none of the choices": {409, "READ_ONLY", ""},
			"Retry: too many":                       {400, "OUT_OF_RANGE", ""},
			// Half a policy is none.
			"WebhookBody:deactivationPolicy.numberOfFailures missing": {400, "REQUIRED", "deactivationPolicy"},
			"WebhookBody:deactivationPolicy.daysInPast missing":       {400, "REQUIRED", "deactivationPolicy"},

			"CloudEvent:specversion null": {400, "REQUIRED", ""},
			"CloudEvent:id null":          {400, "REQUIRED", ""},
			"CloudEvent:source null":      {400, "REQUIRED", ""},
			"CloudEvent:type null":        {400, "REQUIRED", ""},
			// The first generation must not be after the second.
			"Event:serverGens[] at the maximum": {400, "OUT_OF_RANGE", "serverGens"},
			"Event:serverGens too many":         {400, "OUT_OF_RANGE", ""},

			"rotateSecret:secret too short": {400, "OUT_OF_RANGE", ""},
			"rotateSecret:secret too long":  {400, "OUT_OF_RANGE", ""},

			"Patch: too many":                            {400, "OUT_OF_RANGE", "-"},
			"Patch:[].op none of the choices":            {400, "NOT_SUPPORTED", ""},
			"postEvents: too few":                        {400, "REQUIRED", "-"},
			"postEvents: too many":                       {413, "TOO_LARGE", "-"},
			"CloudEvent:specversion none of the choices": {400, "NOT_SUPPORTED", ""},
		},
		used: map[string]bool{},
	}
	for _, name := range []string{"portalUrl", "serverUrl"} {
		for _, schema := range []string{"createTenant", "TenantBody"} {
			b.texts[schema+":"+name] = textRule{fill: padded("https://gis.example.com/"), bad: map[string]rule{
				"gis": {400, "BAD_URI", ""}, "ftp://gis.example.com/": {400, "BAD_URI", ""}, "https://gis.example.com/?a": {400, "NOT_ALLOWED", ""},
			}}
		}
	}
	for _, name := range readOnly {
		b.texts["createWebhook:"+name] = textRule{bad: bad(400, "READ_ONLY", "x")}
		b.texts["putWebhook:"+name] = textRule{bad: bad(409, "READ_ONLY", "x")}
		for _, step := range []string{" wrong type", " null"} {
			b.exceptions["createWebhook:"+name+step] = rule{400, "READ_ONLY", ""}
			b.exceptions["putWebhook:"+name+step] = rule{409, "READ_ONLY", ""}
		}
	}
	for _, action := range bodiless {
		for _, step := range []string{": wrong type", ": null", ":aNewMember unknown member", ": not JSON", ": text behind", ": not UTF-8"} {
			b.exceptions[action+step] = rule{400, "UNKNOWN_FIELD", "-"}
		}
	}
	return b
}

// readOnly are the members that a PUT may repeat.
var readOnly = []string{"id", "disabledReason", "disabledReasonCode", "disabledAt", "enabledReason", "enabledAt", "oldSecretsValidUntil", "createdAt", "updatedAt", "createdByUserId", "updatedByUserId"}

// bodiless are the operations that take no body, or an empty object.
var bodiless = []string{"enableWebhook", "disableWebhook", "resendDelivery", "pauseRecovery", "resumeRecovery", "cancelRecovery"}

// wholeHook is a webhook with something in every member that a body sets.
const wholeHook = `{"name":"Shares","description":"d","url":"https://receiver.example.com/hook","eventTypes":["/items/share"],"enabled":true,
 "level":"user","ownerId":"ann","filter":"username ne \"bot\"","secret":"` + secret + `","headers":{"x-env":"prod"},
 "encryptedHeaders":{"authorization":"Bearer top-secret"},"origin":"automations","checkCertificateRevocation":true,
 "enableCloudEventDelivery":false,"format":"portal","retry":["0s","90s"],"deactivationPolicy":{"numberOfFailures":5,"daysInPast":2},
 "contentType":"application/x-www-form-urlencoded","payloadFormat":"pjson",
 "schedule":{"name":"every half minute","state":"disabled","startAt":"2026-11-22T03:00:00.000Z","frequency":"second","interval":30},
 "ordered":true,"timeoutSeconds":20,"rateLimit":600}`

// bases are the good bodies of operations, by content type, where the example in the specification is not enough: each member that a
// schema has must be in one of them, or be a member that can be added.
var bases = map[string]map[string][]base{
	"postEvents": {
		"application/json": {
			{body: `{"uri":"/items/x/update","eventId":"e","username":"ann","userId":"u","ownerId":"o","audience":["u"],"when":1,"properties":{}}`, present: true},
			{body: `{"operation":"update","id":"x","source":"items"}`, present: true, without: []string{"source"}},
			{body: `{"uri":"/services/Parcels/FeatureServer/FeaturesCreated","serviceName":"Parcels","folderName":"Land","layerId":1,"serverGens":[1,2],
				"changesUrl":"https://server.example.com/changes","jobId":"j","taskName":"t","statusURL":"https://server.example.com/status","status":"failed"}`, present: true, without: []string{"uri"}},
			{body: `{"uri":"com.qlik.v1.app.created","source":"com.qlik/engine","data":{"a":1},"extensions":{"spaceId":"s"}}`, present: true, without: []string{"uri"}},
			{body: `[{"uri":"/items/x/update"}]`, present: true},
		},
		"application/cloudevents+json": {
			{body: cloudEvent, present: true},
			{body: `{"specversion":"1.0","id":"1","source":"com.qlik/engine","type":"com.qlik.v1.app.created","data_base64":"e30="}`, present: true},
		},
		"application/cloudevents-batch+json": {{body: "[" + cloudEvent + "]", present: true}},
	},
	"postMatch": {"application/json": {
		{body: `{"uri":"/items/x/share"}`, present: true},
		{body: `{"event":{"uri":"/items/x/update","username":"ann"},"draft":{"eventTypes":["/items/share"]}}`, present: true},
		{
			body:    `{"draft":{"eventTypes":["/items/share"],"filter":"username ne \"bot\"","level":"user","ownerId":"ann"},"past":{"from":"2026-11-22T03:00:00Z","to":"2098-11-22T03:00:00Z","limit":50000}}`,
			present: true,
		},
	}},
	"createWebhook": {"application/json": {{body: wholeHook}}},
	"putWebhook":    {"application/json": {{body: wholeHook}}},
	"createKey": {"application/json": {
		{body: `{"name":"backend","role":"user","userId":"u","userName":"U","expiresAt":"2999-01-31T00:00:00Z","tenant":"default","operator":false}`},
	}},
	"createTenant": {"application/json": {
		{body: `{"name":"harbour","portalId":"HARBOUR","portalUrl":"https://gis.example.com/portal/","serverUrl":"https://gis.example.com/server/",
			"sourceNaming":"item","portalSettings":{"notificationAttempts":2,"notificationTimeOutInSeconds":9,"notificationElapsedTimeInSeconds":4,"featureServerMetricIntervalInMinutes":8},
			"serviceSettings":{"notificationAttempts":2,"notificationTimeOutInSeconds":9,"notificationElapsedTimeInSeconds":4,"numberOfFailures":3,"daysInPast":2}}`},
	}},
	"patchTenant": {
		"application/json":             {{body: `{"serverUrl":"https://gis.example.com/server/","portalSettings":{"notificationAttempts":2},"serviceSettings":{"daysInPast":7}}`}},
		"application/merge-patch+json": {{body: `{"sourceNaming":"item"}`, present: true}},
	},
	"testWebhook": {"application/json": {
		{body: `{"trigger":"/items/share"}`, present: true},
		{body: `{"event":{"uri":"/items/x/update","username":"ann"}}`, present: true},
	}},
	"sampleReceiver": {"application/json": {
		{body: `{"trigger":"/items/share"}`, present: true},
		{body: `{"event":{"uri":"/items/x/update","username":"ann"}}`, present: true},
	}},
	// A dry run, since the webhook has a recovery that has not ended.
	"recoverWebhook": {"application/json": {
		{body: `{"from":"2026-11-22T03:00:00Z","to":"2098-11-22T03:00:00Z","states":["exhausted"],"trigger":"/items/share","missed":true,"ratePerMinute":9,"dryRun":true}`, present: true},
	}},
	"pauseRecovery":  {"application/json": {{body: "{}"}}},
	"resumeRecovery": {"application/json": {{body: "{}"}}},
	"cancelRecovery": {"application/json": {{body: "{}"}}},
	"enableWebhook":  {"application/json": {{body: "{}"}}},
	"disableWebhook": {"application/json": {{body: "{}"}}},
	"resendDelivery": {"application/json": {{body: "{}"}}},
}

const cloudEvent = `{"specversion":"1.0","id":"1","source":"com.qlik/engine","type":"com.qlik.v1.app.created","subject":"s","time":"2026-11-22T03:00:00Z",
 "datacontenttype":"application/json","dataschema":"https://example.com/schema","data":{"a":1},"ownerid":"o"}`

// unprobed are the content types whose bodies have no schema, and why that is enough.
var unprobed = map[string]string{"application/x-ndjson": "its lines are the events of application/json, by the same parser"}
