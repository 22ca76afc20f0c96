package triggers_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

func parseAll(t require.TestingT, names ...string) []triggers.Trigger {
	parsed, err := triggers.Default().ParseTriggers("eventTypes", names)
	require.NoError(t, err)
	return parsed
}

func TestCheckFilter(t *testing.T) {
	for _, c := range []struct {
		name, filter string
		triggers     []string
		detail       string
	}{
		{"no triggers yet", `spaceId eq "x"`, nil, ""},
		{"portal", `id eq "x" or username ne "x" or source eq "x" or operation eq "x" or properties.a.b eq "x"`, []string{"/items/share"}, ""},
		{"our own", `id eq "x" and operation eq "disable" and properties.reason eq "x"`, []string{"/webhooks"}, ""},
		{"services", `id eq "x" and username eq "x" and source eq "services" and operation eq "complete"`, []string{"/services/**"}, ""},
		{"cloud", `id eq "x" or spaceId eq "x" or topLevelResourceId eq "x"`, []string{"com.qlik.v1.app.created"}, ""},
		{"both", `spaceId eq "x" or username eq "x"`, []string{"/items", "com.qlik.**"}, ""},
		{"a reload's status", `data.status eq "error"`, []string{"com.qlik.v1.app.reload.finished"}, ""},
		{"an empty filter", ``, []string{"/items"}, ""},

		{"a space of an item", `id eq "x" and spaceId eq "x"`, []string{"/items", "/webhooks"}, "only events of cloud types have spaceId, and the webhook hears none of them"},
		{"a resource of a service", `topLevelResourceId eq "x"`, []string{"/services/**"}, "only events of cloud types have topLevelResourceId, and the webhook hears none of them"},
		{"who made an app", `username eq "x"`, []string{"com.qlik.v1.app.created"}, "events of cloud types have no username: they have id, spaceId and topLevelResourceId"},
		{"a property of an app", `properties.name eq "x"`, []string{"com.qlik.v1.app.created"}, "events of cloud types have no properties.name: they have id, spaceId and topLevelResourceId"},
		{"the status of another type", `data.status eq "x"`, []string{"com.qlik.v1.reload.finished"}, "data.status is for webhooks whose only event type is com.qlik.v1.app.reload.finished"},
		{"the status beside another type", `data.status eq "x"`, []string{"com.qlik.v1.app.reload.finished", "com.qlik.v1.app.created"}, "data.status is for webhooks whose only event type is com.qlik.v1.app.reload.finished"},
		{"the status of a glob", `data.status eq "x"`, []string{"com.qlik.v1.app.reload.*"}, "data.status is for webhooks whose only event type is com.qlik.v1.app.reload.finished"},
		{"the status of an item", `data.status eq "x"`, []string{"/items"}, "data.status is for webhooks whose only event type is com.qlik.v1.app.reload.finished"},
	} {
		t.Run(c.name, func(t *testing.T) {
			filter, err := triggers.ParseFilter(c.filter)
			require.NoError(t, err)
			err = triggers.CheckFilter(filter, parseAll(t, c.triggers...))
			if c.detail == "" {
				require.NoError(t, err)
				return
			}
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "FILTER", e.Code)
			require.Equal(t, "filter", e.Field)
			require.Equal(t, c.detail, e.Detail)
		})
	}
}

func TestFilterValues(t *testing.T) {
	const properties = `{"sharedToGroups":["Everyone","a\u0062"],"n":1.50,"live":true,"none":null,"object":{"a":1},"mixed":["x",2,false,null,{"a":1},["y"]],"empty":[],"":"e","a.b":"c"}`
	portal := map[triggers.FilterAttribute][]string{
		"id": {"X1"}, "username": {"jdoe"}, "source": {"items"}, "operation": {"share"}, "properties.sharedToGroups": {"Everyone", "ab"},
		"properties.n": {"1.50"}, "properties.live": {"true"}, "properties.none": {"null"}, "properties.object": nil, "properties.absent": nil,
		"properties.mixed": {"x", "2", "false", "null"}, "properties.empty": nil, "properties.a.b": {"c"}, "properties.N": nil,
		"spaceId": nil, "topLevelResourceId": nil, "data.status": nil,
	}
	for _, c := range []struct {
		name, event, properties string
		want                    map[triggers.FilterAttribute][]string
	}{
		{"portal", `{"uri":"/items/X1/share","username":"jdoe","properties":{"access":"public"}}`, properties, portal},
		{"a sign-in", `{"uri":"/users/ann/signIn"}`, `{}`, map[triggers.FilterAttribute][]string{
			"id": {"ann"}, "operation": {"signin"}, "source": {"users"}, "username": nil, "properties.x": nil,
		}},
		{"a bulk event", `{"uri":"/users/bulkEnable"}`, ``, map[triggers.FilterAttribute][]string{"id": nil, "operation": {"bulkEnable"}, "properties.x": nil}},
		{"our own", `{"uri":"/webhooks/w1/exhaust"}`, `{}`, map[triggers.FilterAttribute][]string{"id": {"w1"}, "operation": {"exhaust"}, "source": {"webhooks"}}},
		{"a service", `{"uri":"/services/City/Parcels/FeatureServer/FeaturesCreated"}`, ``, map[triggers.FilterAttribute][]string{
			"id": {"Parcels"}, "source": {"services"}, "operation": {"FeaturesCreated"},
		}},
		{"a job", `{"uri":"/services/Buffer/GPServer"}`, ``, map[triggers.FilterAttribute][]string{"id": {"Buffer"}, "operation": {"complete"}}},
		{
			"cloud", `{"uri":"com.qlik.v1.app.created","username":"jdoe","data":{"id":"a","spaceId":"d","status":"ok"},
				"extensions":{"spaceid":"e","topLevelResourceId":"r"}}`, ``, map[triggers.FilterAttribute][]string{
				"id": {"a"}, "spaceId": {"e"}, "topLevelResourceId": {"r"}, "data.status": {"ok"}, "username": nil, "source": nil, "operation": nil, "properties.id": nil,
			},
		},
		{"cloud, its space in the data", `{"uri":"com.qlik.v1.app.created","data":{"spaceId":"d"}}`, ``, map[triggers.FilterAttribute][]string{
			"id": nil, "spaceId": {"d"}, "topLevelResourceId": nil,
		}},
		{"cloud, the data no object", `{"uri":"com.qlik.v1.app.created","data":["id"]}`, ``, map[triggers.FilterAttribute][]string{"id": nil, "spaceId": nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := triggers.Default().ParseEvent([]byte(c.event))
			require.NoError(t, err)
			values := ev.FilterValues([]byte(c.properties))
			for a, want := range c.want {
				require.Equal(t, want, values(a), a)
			}
		})
	}
}

func TestAdmit(t *testing.T) {
	user := func(w *triggers.Webhook) { w.Level, w.OwnerID = triggers.UserLevel, "ann" }
	filter := func(text string) func(*triggers.Webhook) {
		return func(w *triggers.Webhook) { require.NoError(t, w.SetFilter(text)) }
	}
	off := func(w *triggers.Webhook) { w.Enabled = false }
	removed := func(w *triggers.Webhook) {
		w.Enabled, w.DisabledReason, w.DisabledReasonCode = false, "the receiver answered 410 Gone", "GONE"
	}
	both := func(changes ...func(*triggers.Webhook)) func(*triggers.Webhook) {
		return func(w *triggers.Webhook) {
			for _, change := range changes {
				change(w)
			}
		}
	}
	const (
		share    = `{"uri":"/items/x/share"`
		created  = `{"uri":"com.qlik.v1.app.created"`
		notYours = "the webhook is of user level, and the event names its owner neither as owner nor in its audience"
		noLevel  = "the webhook is of user level, which such events do not have"
		unheld   = "the filter of the webhook does not hold for the event"
	)
	for _, c := range []struct {
		name, event string
		change      func(*triggers.Webhook)
		want        triggers.Admission
		why         string
	}{
		{"tenant level", share + `}`, func(*triggers.Webhook) {}, triggers.Admitted, ""},
		{"the owner's own", share + `,"ownerId":"ann"}`, user, triggers.Admitted, ""},
		{"in the audience", share + `,"ownerId":"bob","audience":["eve","ann"]}`, user, triggers.Admitted, ""},
		{"another's", share + `,"ownerId":"bob","userId":"ann","username":"ann"}`, user, triggers.HeldByLevel, notYours},
		{"another case", share + `,"ownerId":"Ann"}`, user, triggers.HeldByLevel, notYours},
		{"nobody's", share + `}`, user, triggers.HeldByLevel, notYours},
		{"nobody's webhook", share + `}`, both(user, func(w *triggers.Webhook) { w.OwnerID = "" }), triggers.HeldByLevel, notYours},
		{"a group", `{"uri":"/groups/x/update","ownerId":"ann"}`, user, triggers.Admitted, ""},
		{"a user", `{"uri":"/users/ann/update","ownerId":"ann"}`, user, triggers.HeldByLevel, noLevel},
		{"a role", `{"uri":"/roles/x/update","ownerId":"ann"}`, user, triggers.HeldByLevel, noLevel},
		{"a service", `{"uri":"/services/x/FeatureServer/FeaturesCreated","ownerId":"ann"}`, user, triggers.HeldByLevel, noLevel},
		{"our own", `{"uri":"/webhooks/x/disable","ownerId":"ann"}`, user, triggers.HeldByLevel, noLevel},
		{"a cloud type of user level", created + `,"ownerId":"ann"}`, user, triggers.Admitted, ""},
		{"by its extensions", created + `,"extensions":{"ownerId":"ann"}}`, user, triggers.Admitted, ""},
		{"a cloud type of tenant level", `{"uri":"com.qlik.v1.app.deleted","ownerId":"ann"}`, user, triggers.HeldByLevel, noLevel},
		{"a CloudEvent's audience", cloudText(`,"audience":"bob, ann"`), user, triggers.Admitted, ""},

		{"a filter that holds", share + `}`, filter(`operation eq "share"`), triggers.Admitted, ""},
		{"a filter that does not", share + `}`, filter(`operation eq "unshare"`), triggers.HeldByFilter, unheld},
		{"a property", share + `}`, filter(`properties.sharedToGroups eq "Everyone"`), triggers.Admitted, ""},
		{"level before filter", share + `}`, both(user, filter(`operation eq "unshare"`)), triggers.HeldByLevel, notYours},

		{"off", share + `}`, off, triggers.HeldByState, "the webhook is disabled"},
		{"switched off", share + `}`, removed, triggers.HeldByState, "the webhook was disabled: the receiver answered 410 Gone"},
		{"filter before state", share + `}`, both(removed, filter(`operation eq "unshare"`)), triggers.HeldByFilter, unheld},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := parseOne("application/json", c.event)
			require.NoError(t, err)
			w := triggers.Webhook{Level: triggers.TenantLevel, Enabled: true}
			c.change(&w)
			got := w.Admit(ev, []byte(`{"sharedToGroups":["Everyone"]}`))
			require.Equal(t, c.want, got)
			require.Equal(t, c.why, w.WhyHeld(got, ev))
		})
	}
}

// naiveAdmission states the rules as DESIGN does, over the event as it was sent.
func naiveAdmission(w *triggers.Webhook, sent map[string]any, userLevel bool, filter naiveFilter, values map[triggers.FilterAttribute][]string) string {
	if w.Level == "user" {
		audience, _ := sent["audience"].([]string)
		if !userLevel || (sent["ownerId"] != w.OwnerID && !slices.Contains(audience, w.OwnerID)) {
			return "level"
		}
	}
	if filter.holds != nil && !filter.holds(values) {
		return "filter"
	}
	if !w.Enabled {
		return "state"
	}
	return "admitted"
}

func TestAdmissionMeansWhatItSays(t *testing.T) {
	levels := map[string]bool{
		"/items/a/share": true, "/groups/b/update": true, "/users/a/signIn": false, "/users/bulkEnable": false, "/roles/a/update": false,
		"/services/a/GPServer": false, "/webhooks/a/disable": false,
	}
	uris := slices.Sorted(maps.Keys(levels))
	rapid.Check(t, func(t *rapid.T) {
		person := rapid.SampledFrom([]string{"a", "b", `c"\`})
		uri := rapid.SampledFrom(uris).Draw(t, "uri")
		sent := map[string]any{"uri": uri}
		if rapid.Bool().Draw(t, "owned") {
			sent["ownerId"] = person.Draw(t, "owner")
		}
		if rapid.Bool().Draw(t, "has audience") {
			sent["audience"] = rapid.SliceOfN(person, 0, 3).Draw(t, "audience")
		}
		values := map[triggers.FilterAttribute][]string{}
		if segments := strings.Split(uri, "/"); len(segments) > 3 {
			values["id"] = segments[2:3]
		}
		if rapid.Bool().Draw(t, "has username") {
			name := person.Draw(t, "username")
			sent["username"], values["username"] = name, []string{name}
		}
		tags := rapid.SliceOfN(person, 0, 3).Draw(t, "tags")
		values["properties.tags"] = tags
		properties, err := json.Marshal(map[string]any{"tags": tags})
		require.NoError(t, err)
		body, err := json.Marshal(sent)
		require.NoError(t, err)
		ev, err := triggers.Default().ParseEvent(body)
		require.NoError(t, err)

		w := &triggers.Webhook{Level: triggers.TenantLevel, Enabled: rapid.Bool().Draw(t, "enabled")}
		if rapid.Bool().Draw(t, "user level") {
			w.Level, w.OwnerID = triggers.UserLevel, person.Draw(t, "webhook's owner")
		}
		var filter naiveFilter
		if rapid.Bool().Draw(t, "filtered") {
			filter = drawFilter(t, 2)
			require.NoError(t, w.SetFilter(filter.text))
		}
		require.Equal(t, naiveAdmission(w, sent, levels[uri], filter, values), w.Admit(ev, properties).String())
	})
}

func TestAdmitDoesNotAllocate(t *testing.T) {
	ev, err := triggers.Default().ParseEvent(sharedItem)
	require.NoError(t, err)
	plain := &triggers.Webhook{Level: triggers.TenantLevel, Enabled: true}
	user := &triggers.Webhook{Level: triggers.UserLevel, OwnerID: "ann", Enabled: true}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		plain.Admit(ev, nil)
		user.Admit(ev, nil)
	}))
}

func TestSetFilter(t *testing.T) {
	var w triggers.Webhook
	require.NoError(t, w.SetFilter(`id eq "x"`))
	err := w.SetFilter(`id eq`)
	require.EqualError(t, err, "filter: at character 6: expected a value in double quotes")
	require.Equal(t, `id eq "x"`, w.Filter)
	require.Equal(t, w.Filter, w.Conditions.String())
	require.NoError(t, w.SetFilter("  "))
	require.Empty(t, w.Filter)
	require.True(t, w.Conditions.IsZero())
}

func FuzzAdmit(f *testing.F) {
	f.Add([]byte(`{"uri":"com.qlik.v1.app.created","data":{"id":[1,"x"]},"extensions":{"spaceId":"s"}}`), `id eq "x" and spaceId ne "t"`, []byte(`{"a":["b"]}`))
	f.Add([]byte(`{"uri":"/items/x/share"}`), `properties.a eq "b"`, []byte(`{"a":[`))
	f.Fuzz(func(_ *testing.T, event []byte, filter string, properties []byte) {
		ev, err := triggers.Default().ParseEvent(event)
		if err != nil {
			return
		}
		w := triggers.Webhook{Level: triggers.UserLevel, OwnerID: ev.OwnerID}
		if w.SetFilter(filter) == nil {
			w.Admit(ev, bytes.Clone(properties)) // must not fall
		}
	})
}
