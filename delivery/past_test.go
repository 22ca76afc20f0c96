package delivery_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/router"
	"portalhook/triggers"
)

// TestPastIsJudgedAsAtAcceptance holds what is stored of an event to the event itself: whoever would have got it then is said to.
func TestPastIsJudgedAsAtAcceptance(t *testing.T) {
	var events []*triggers.Event
	s := new(shelf)
	for i, text := range []string{
		`{"uri":"/items/a/share","username":"ann","ownerId":"owner","properties":{"sharedToGroups":["Everyone"]}}`,
		`{"uri":"/items/a/share","username":"bob","audience":["ann","owner"],"properties":{"access":"public","note":7}}`,
		`{"uri":"/items/b/update","username":"ann"}`,
		`{"uri":"/users/ann/signIn","username":"ann"}`,
		`{"uri":"/services/Roads/FeatureServer/FeaturesCreated","username":"ann"}`,
		`{"uri":"com.qlik.v1.app.created","ownerId":"owner","data":{"id":"app","spaceId":"s1"}}`,
		`{"specversion":"1.0","id":"1","source":"com.qlik/engine","type":"com.qlik.v1.app.created","ownerid":"owner","spaceid":"s2","toplevelresourceid":"top","data":{"id":"app2"}}`,
		`{"specversion":"1.0","id":"2","source":"com.qlik/engine","type":"com.qlik.v1.app.created","audience":"x,owner","data":{"id":["app3","app"]}}`,
		`{"uri":"com.qlik.v1.app.reload.finished","data":{"id":"r","status":"FAILED"}}`,
	} {
		event, err := triggers.Default().ParseEvent([]byte(text))
		require.NoError(t, err, text)
		body, err := payload.Render(event, time.UnixMilli(1))
		require.NoError(t, err, text)
		heard := event.Audience
		if event.OwnerID != "" {
			heard = append([]string{event.OwnerID}, heard...)
		}
		events = append(events, event)
		s.past = append(s.past, delivery.PastEvent{
			ID: triggers.ID(i + 1), EventID: event.EventID, URI: event.URI, Source: event.Source, Username: event.Username, HeardBy: heard, Body: body,
		})
	}
	r := delivery.NewRecoverer(delivery.RecovererConfig{Store: s})
	caughtAny, caughtNone := 0, 0
	for _, names := range [][]string{
		{"/"}, {"/items"}, {"/items/share", "com.qlik.v1.app.created"}, {"/items/?/*"}, {"/services/**"}, {"com.qlik.v1.**"}, {"com.qlik.v1.app.reload.finished"},
	} {
		for _, filter := range []string{
			"", `id eq "app"`, `id ne "a"`, `username eq "ann"`, `spaceId eq "s1" or spaceId eq "s2"`, `topLevelResourceId eq "top"`, `data.status eq "FAILED"`,
			`properties.sharedToGroups eq "Everyone"`, `operation eq "share" and properties.note eq "7"`, `source eq "services"`,
		} {
			for _, owner := range []string{"", "owner", "ann"} {
				draft := &triggers.Webhook{Key: 1, Enabled: true, Level: triggers.TenantLevel, OwnerID: owner}
				if owner != "" {
					draft.Level = triggers.UserLevel
				}
				var err error
				draft.Triggers, err = triggers.Default().ParseTriggers("eventTypes", names)
				require.NoError(t, err)
				require.NoError(t, draft.SetFilter(filter))
				if draft.ValidateHearing() != nil {
					continue
				}
				var want []triggers.ID
				for i, event := range events {
					properties := payload.PropertiesOf(s.past[i].Body)
					if router.Explain(draft.Triggers, &event.URI).Matched && draft.Admit(event, properties) == triggers.Admitted {
						want = append(want, triggers.ID(i+1))
					}
				}
				draft.Enabled = false // a draft is judged as if it were on
				catch, err := r.Past(t.Context(), draft, delivery.Span{}, delivery.MaxPast)
				require.NoError(t, err)
				var got []triggers.ID
				for _, sample := range catch.Samples {
					require.True(t, slices.Contains(names, sample.Trigger))
					got = append(got, sample.Event.ID)
				}
				require.Equal(t, want, got, "%v %s %s", names, filter, owner)
				require.Equal(t, len(want), catch.Caught)
				require.True(t, catch.Complete)
				if len(want) > 0 {
					caughtAny++
				} else {
					caughtNone++
				}
			}
		}
	}
	require.Greater(t, caughtAny, 20)
	require.Greater(t, caughtNone, 5)
}

func TestPastIsBounded(t *testing.T) {
	s := new(shelf)
	uri, err := triggers.Default().ParseURI("/items/a/share")
	require.NoError(t, err)
	const events = 60_000
	for i := range events {
		s.past = append(s.past, delivery.PastEvent{ID: triggers.ID(events-i) << triggers.IDSequenceBits, URI: uri})
	}
	draft := &triggers.Webhook{Key: 1}
	draft.Triggers, err = triggers.Default().ParseTriggers("eventTypes", []string{"/"})
	require.NoError(t, err)
	catch, err := delivery.NewRecoverer(delivery.RecovererConfig{Store: s}).Past(t.Context(), draft, delivery.Span{From: time.UnixMilli(1)}, delivery.MaxPast)
	require.NoError(t, err)
	require.False(t, catch.Complete)
	require.Equal(t, 50_000, catch.Looked)
	require.Equal(t, 50_000, catch.Caught)
	require.Len(t, catch.Samples, 10)
	require.Equal(t, time.UnixMilli(10_001).UTC(), catch.From, "only what was looked at is told of")

	catch, err = delivery.NewRecoverer(delivery.RecovererConfig{Store: s}).Past(t.Context(), draft, delivery.Span{From: time.UnixMilli(1)}, 7)
	require.NoError(t, err)
	require.Equal(t, []any{false, 7, 7}, []any{catch.Complete, catch.Looked, catch.Caught})
}
