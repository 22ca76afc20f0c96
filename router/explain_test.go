package router_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/router"
	"portalhook/triggers"
)

// requireExplained checks that the explanation for a webhook comes to what the specification found.
func requireExplained(t require.TestingT, ts []triggers.Trigger, uri *triggers.URI, want []router.Hit, webhook uint32) {
	e := router.Explain(ts, uri)
	i := slices.IndexFunc(want, func(h router.Hit) bool { return h.Webhook == webhook })
	require.Equal(t, i >= 0, e.Matched, "%s: %+v", uri.String(), e)
	if i >= 0 {
		require.Equal(t, int(want[i].Trigger), e.Trigger, "%s: %+v", uri.String(), e)
	} else {
		require.Equal(t, -1, e.Trigger)
	}
	require.Len(t, e.Triggers, len(ts))
	for i, v := range e.Triggers {
		require.Equal(t, naiveMatches(&ts[i], uri), v.Matched, "%s: %+v", uri.String(), v)
		require.Equal(t, v.Matched, v.Reason == "")
		require.NotEmpty(t, v.Segments)
		failed := slices.IndexFunc(v.Segments, func(c router.Comparison) bool { return !c.Matched })
		require.True(t, v.Matched && failed < 0 || failed == len(v.Segments)-1, "%+v: the last segment alone has failed", v)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	type comparisons = []router.Comparison
	for _, c := range []struct {
		name, trigger, event string
		segments             comparisons
		reason               string
	}{
		{
			"every operation on one item", "/items/ab", "/items/AB/share",
			comparisons{{"items", "items", true}, {"ab", "AB", true}},
			"",
		},
		{
			"a glob for the id", "/users/{ann,bob}/signIn", "/users/Bob/signIn",
			comparisons{{"users", "users", true}, {"{ann,bob}", "Bob", true}, {"signIn", "signIn", true}},
			"",
		},
		{
			"another id", "/items/ab/share", "/items/cd/share",
			comparisons{{"items", "items", true}, {"ab", "cd", false}},
			`"cd" is not "ab"`,
		},
		{
			"a glob that does not fit", "/groups/qa-*/invite", "/groups/dev-1/invite",
			comparisons{{"groups", "groups", true}, {"qa-*", "dev-1", false}},
			`"dev-1" does not fit qa-*`,
		},
		{
			"another operation", "/items/share", "/items/ab/unshare",
			comparisons{{"items", "items", true}, {"share", "unshare", false}},
			"the operation is unshare",
		},
		{
			"another resource", "/items", "/groups/ab/update",
			comparisons{{"items", "groups", false}},
			"the event is about groups",
		},
		{
			"a bulk event and an id", "/users/a*", "/users/bulkEnable",
			comparisons{{"users", "users", true}, {"a*", "", false}},
			"bulkEnable is done to many at once: the event has no id",
		},
		{
			"a bulk event and any id", "/users/*/bulkEnable", "/users/bulkEnable",
			comparisons{{"users", "users", true}, {"*", "", true}, {"bulkEnable", "bulkEnable", true}},
			"",
		},
		{
			"the root", "/", "/roles/ab/update",
			comparisons{{"/", "roles", true}},
			"",
		},
		{
			"the root and a service", "/", "/services/a/GPServer",
			comparisons{{"/", "services", false}},
			"/ hears items, groups, users and roles only",
		},
		{
			"an edit sums up", "/services/f/*/FeatureServer/FeaturesEdited", "/services/f/n/FeatureServer/FeaturesDeleted",
			comparisons{
				{"services", "services", true},
				{"f", "f", true},
				{"*", "n", true},
				{"FeatureServer", "FeatureServer", true},
				{"FeaturesEdited", "FeaturesDeleted", true},
			},
			"",
		},
		{
			"the other kind of service", "/services/n/FeatureServer", "/services/n/GPServer",
			comparisons{{"services", "services", true}, {"n", "n", true}, {"FeatureServer", "GPServer", false}},
			"the service is a GPServer",
		},
		{
			"a service in a folder", "/services/n/FeatureServer", "/services/f/n/FeatureServer/FeaturesCreated",
			comparisons{{"services", "services", true}, {"n", "f", false}},
			`the service is in the folder "f"`,
		},
		{
			"below a folder", "/services/f/**", "/services/f/n/FeatureServer/FeaturesCreated",
			comparisons{{"services", "services", true}, {"f", "f", true}, {"**", "n/FeatureServer/FeaturesCreated", true}},
			"",
		},
		{
			"a cloud type too long", "com.qlik.v1.app.*", "com.qlik.v1.app.reload.finished",
			comparisons{
				{"com", "com", true},
				{"qlik", "qlik", true},
				{"v1", "v1", true},
				{"app", "app", true},
				{"*", "reload", true},
				{"", "finished", false},
			},
			"the event type goes on with finished",
		},
		{
			"a cloud type and a portal event", "com.qlik.v1.app.created", "/items/ab/add",
			comparisons{{"com.qlik.v1.app.created", "/items/ab/add", false}},
			"the event is of another kind",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := router.Explain(parse(t, c.trigger), parseURI(t, c.event))
			require.Equal(t, c.reason == "", e.Matched)
			require.Equal(t, c.segments, e.Triggers[0].Segments)
			require.Equal(t, c.reason, e.Triggers[0].Reason)
		})
	}
}
