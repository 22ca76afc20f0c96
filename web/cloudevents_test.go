package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/textproto"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/testdata"
	"portalhook/triggers"
	"portalhook/web"
)

// catching is a dispatcher that also keeps the events as they were parsed.
type catching struct {
	*memory
	got chan []*triggers.Event
}

func (c catching) Dispatch(ctx context.Context, tenant uint32, events []*triggers.Event) ([]delivery.Receipt, error) {
	c.got <- events
	return c.memory.Dispatch(ctx, tenant, events)
}

func catchingEdge(t *testing.T) (*edge, chan []*triggers.Event) {
	t.Helper()
	got := make(chan []*triggers.Event, 1)
	return newEdge(t, func(c *web.Config) { c.Dispatcher = catching{c.Dispatcher.(*memory), got} }), got
}

// sdkEvent is a portal event as a backend makes it with the Go SDK.
func sdkEvent(t *testing.T, id string, data any) cloudevents.Event {
	t.Helper()
	ev := cloudevents.NewEvent()
	ev.SetID(id)
	ev.SetSource("https://portal.example.com/")
	ev.SetType("/users/update")
	ev.SetSubject("/users/a%2Fb\u212A ä/update")
	ev.SetTime(time.UnixMilli(1543192196521))
	ev.SetExtension("ownerid", "o")
	ev.SetExtension("audience", "a,b")
	ev.SetExtension("attempt", 2)
	require.NoError(t, ev.SetData(cloudevents.ApplicationJSON, data))
	return ev
}

// TestSDKModes emits one event with the Go SDK in all three modes, with its data as a value and as bytes: all are the same event.
func TestSDKModes(t *testing.T) {
	e, got := catchingEdge(t)
	want := func(id string) *triggers.Event {
		uri, err := triggers.NewURI(triggers.Users, triggers.UsersUpdate, "", "a/b\u212A ä")
		require.NoError(t, err)
		return &triggers.Event{
			URI: uri, EventID: id, Source: "https://portal.example.com/", Username: "jdoe", When: 1543192196521, HasWhen: true,
			OwnerID: "o", Audience: []string{"a", "b"}, Properties: []byte(`{"n":1,"é":"<&>"}`),
		}
	}
	const text = `{"username":"jdoe","properties":{"n":1,"é":"<&>"}}`
	sdk, err := cloudevents.NewClientHTTP(
		cehttp.WithTarget(e.url+"/api/v1/events"), cehttp.WithHeader("Authorization", "Bearer "+emitterKey),
	)
	require.NoError(t, err)
	for name, data := range map[string]any{"value": json.RawMessage(text), "bytes": []byte(text)} {
		for mode, ctx := range map[string]context.Context{
			"binary": binding.WithForceBinary(t.Context()), "structured": binding.WithForceStructured(t.Context()),
		} {
			t.Run(mode+", "+name, func(t *testing.T) {
				id := mode + "-" + name
				result := sdk.Send(ctx, sdkEvent(t, id, data))
				require.True(t, cloudevents.IsACK(result), "%v", result)
				require.Equal(t, []*triggers.Event{want(id)}, <-got)
			})
		}
		t.Run("batch, "+name, func(t *testing.T) {
			r, err := cehttp.NewHTTPRequestFromEvents(t.Context(), e.url+"/api/v1/events", []cloudevents.Event{
				sdkEvent(t, "1-"+name, data), sdkEvent(t, "2-"+name, data),
			})
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+emitterKey)
			resp, err := new(http.Client).Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusAccepted, resp.StatusCode, string(body))
			require.Contains(t, string(body), `"eventId":"2-`+name+`"`)
			require.Equal(t, []*triggers.Event{want("1-" + name), want("2-" + name)}, <-got)
		})
	}
	t.Run("refused", func(t *testing.T) {
		ev := sdkEvent(t, "bad", []byte(text))
		ev.SetType("/users/delete")
		result := sdk.Send(t.Context(), ev)
		require.True(t, cloudevents.IsNACK(result))
		var status *cehttp.Result
		require.True(t, cloudevents.ResultAs(result, &status))
		require.Equal(t, http.StatusBadRequest, status.StatusCode)
	})
}

// TestSDKCloudType emits an event of a cloud type: its data and its extensions are kept as they came, in each mode.
func TestSDKCloudType(t *testing.T) {
	e, got := catchingEdge(t)
	for mode, encode := range map[string]func(context.Context) context.Context{
		"binary": binding.WithForceBinary, "structured": binding.WithForceStructured,
	} {
		t.Run(mode, func(t *testing.T) {
			ev := cloudevents.NewEvent()
			ev.SetID(mode)
			ev.SetSource("com.qlik/engine")
			ev.SetType("com.qlik.v1.app.created")
			ev.SetSubject("x")
			for name, value := range map[string]string{"userid": "u", "tenantid": "t", "topLevelResourceId": "r", "authtype": "user", "spaceid": "s 1"} {
				ev.SetExtension(name, value)
			}
			require.NoError(t, ev.SetData(cloudevents.ApplicationJSON, []byte(`{"id":12345678901234567890,"b":1.50}`)))
			r, err := cehttp.NewHTTPRequestFromEvent(encode(t.Context()), e.url+"/api/v1/events", ev)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+emitterKey)
			resp, err := new(http.Client).Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusAccepted, resp.StatusCode)
			events := <-got
			require.Len(t, events, 1)
			require.Equal(t, "u", events[0].UserID)
			require.Equal(t, `{"id":12345678901234567890,"b":1.50}`, string(events[0].Data))
			require.JSONEq(t, `{"subject":"x","authtype":"user","spaceid":"s 1","toplevelresourceid":"r"}`, string(events[0].Extensions))
		})
	}
}

// TestWhatWeSendIsTaken posts to a second server what a first one sends as CloudEvents: it is the same event.
func TestWhatWeSendIsTaken(t *testing.T) {
	stories, err := testdata.Stories()
	require.NoError(t, err)
	catalog := triggers.Default()
	sent := 0
	for _, story := range stories {
		first, err := catalog.ParseEvent(story.Event)
		require.NoError(t, err)
		for name, body := range story.Requests {
			if !bytes.HasPrefix(body, []byte(`{"specversion":"1.0"`)) {
				continue
			}
			sent++
			t.Run(story.Name+", "+name, func(t *testing.T) {
				events, _, err := catalog.ParseEvents("application/cloudevents+json", body)
				require.NoError(t, err)
				second := events[0]
				require.Equal(t, first.URI, second.URI)
				require.Equal(t, first.Username, second.Username)
				require.Equal(t, first.UserID, second.UserID)
				require.Equal(t, first.HasWhen || second.HasWhen, second.HasWhen)
				require.Equal(t, string(first.Data), string(second.Data))
				if first.HasWhen {
					require.Equal(t, first.When, second.When)
				}
				_, err = payload.Render(second, time.UnixMilli(0))
				require.NoError(t, err)
			})
		}
	}
	require.Greater(t, sent, 20)
}

// binary are the headers of a CloudEvent, each name and value.
func binary(pairs ...string) http.Header {
	header := http.Header{
		"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"a"}, "Ce-Type": {"/items/share"},
	}
	for i := 0; i < len(pairs); i += 2 {
		name := textproto.CanonicalMIMEHeaderKey(pairs[i])
		header[name] = append(header[name][:0:0], pairs[i+1])
	}
	return header
}

func TestFromHTTP(t *testing.T) {
	header := binary("Ce-Subject", "/items/x/share", "Ce-Time", "2018-11-26T00:29:56Z", "Ce-Dataschema", "https://x.example/a%20b",
		"Ce-Zone", `say %22hi%22 %e2%82%AC 100%25 %2F %`, "Ce-Attempt", "2", "Accept", "*/*", "Content-Type", "application/json; x=%20")
	got, err := web.FromHTTP(header, []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, triggers.CloudEvent{
		SpecVersion: "1.0", ID: "1", Source: "a", Type: "/items/share", Subject: "/items/x/share", Time: "2018-11-26T00:29:56Z",
		DataContentType: "application/json; x=%20", DataSchema: "https://x.example/a b", Data: []byte(`{}`),
		Extensions: []triggers.Extension{
			{Name: "attempt", Value: []byte(`"2"`)}, {Name: "zone", Value: []byte(`"say \"hi\" € 100% %2F %"`)},
		},
	}, got)
	got, err = web.FromHTTP(binary(), nil)
	require.NoError(t, err)
	require.Nil(t, got.Data)
}

func TestBinaryModeRefused(t *testing.T) {
	e := newBareEdge(t)
	const subject = "/items/" + itemID + "/share"
	for name, c := range map[string]struct {
		header        http.Header
		body          string
		status        int
		code, field   string
		detailHasThis string
	}{
		"version 0.3":       {binary("Ce-Specversion", "0.3"), `{}`, 400, "NOT_SUPPORTED", "specversion", "1.0"},
		"version 7":         {binary("Ce-Specversion", "7"), `{}`, 400, "NOT_SUPPORTED", "specversion", "1.0"},
		"no version":        {binary("Ce-Specversion", ""), `{}`, 400, "REQUIRED", "specversion", "missing"},
		"no id":             {binary("Ce-Id", ""), `{}`, 400, "REQUIRED", "id", "missing"},
		"no subject":        {binary(), `{}`, 400, "REQUIRED", "subject", "missing"},
		"a bad time":        {binary("Ce-Subject", subject, "Ce-Time", "now"), `{}`, 400, "OUT_OF_RANGE", "time", "RFC 3339"},
		"no JSON":           {binary("Ce-Subject", subject), `{`, 400, "NOT_JSON", "data", "ends"},
		"a key twice":       {binary("Ce-Subject", subject), `{"when":1,"when":1}`, 400, "DUPLICATE_KEY", "data.when", "twice"},
		"two values":        {binary("Ce-Subject", subject), `{}{}`, 400, "NOT_JSON", "data", "follows"},
		"a bad member":      {binary("Ce-Subject", subject), `{"properties":1}`, 400, "WRONG_TYPE", "data.properties", "object"},
		"a missing fact":    {binary("Ce-Subject", subject), `{}`, 400, "MISSING_PROPERTY", "properties.sharedToGroups", "needs"},
		"XML":               {binary("Ce-Subject", subject, "Content-Type", "application/xml"), `<a/>`, 415, "UNSUPPORTED_MEDIA_TYPE", "datacontenttype", "JSON"},
		"no attribute name": {binary("Ce-", "x"), `{}`, 400, "UNKNOWN_FIELD", "ce-", "letters"},
		"a bad name":        {binary("Ce-X-Y", "x"), `{}`, 400, "UNKNOWN_FIELD", "ce-x-y", "letters"},
		"not UTF-8":         {binary("Ce-Id", "%FF"), `{}`, 400, "OUT_OF_RANGE", "id", "UTF-8"},
		"a line break":      {binary("Ce-Id", "a%0Ab"), `{}`, 400, "OUT_OF_RANGE", "id", "control"},
	} {
		t.Run(name, func(t *testing.T) {
			a := e.do(t, request{method: "POST", path: "/api/v1/events", key: adminKey, header: c.header, contentType: c.header.Get("Content-Type"), body: c.body})
			require.Equal(t, c.status, a.status, a.body)
			p := a.problem(t)
			require.Equal(t, c.code, p["code"])
			require.Equal(t, c.field, p["field"])
			require.Contains(t, p["detail"], c.detailHasThis)
			require.NotContains(t, p, "index")
		})
	}
	twice := binary()
	twice["Ce-Id"] = []string{"1", "2"}
	_, err := web.FromHTTP(twice, nil)
	require.EqualError(t, err, "ce-id: the header is given twice")
	require.Zero(t, e.stored())
}

// FuzzFromHTTP puts anything into headers.
func FuzzFromHTTP(f *testing.F) {
	f.Add("1.0", "id", "Ce-Subject", "/items/%41%20/share", []byte(`{}`))
	f.Add("0.3", "%ff%", "Ce-", "%", []byte(nil))
	f.Fuzz(func(t *testing.T, version, id, name, value string, body []byte) {
		header := binary("Ce-Specversion", version, "Ce-Id", id)
		header[name] = []string{value}
		ce, err := web.FromHTTP(header, body)
		if err == nil {
			_, err = triggers.Default().FromCloudEvent(ce)
		}
		if err != nil {
			var field *triggers.FieldError
			require.ErrorAs(t, err, &field)
		}
	})
}
