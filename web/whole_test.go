package web_test

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/router"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
	"portalhook/web"
)

// whole is every part of the product behind the edge, over a database, and a receiver.
type whole struct {
	edge
	receiver  *receiver
	store     store
	directory *delivery.Directory
}

// store is a database of either kind.
type store interface {
	delivery.Queue
	delivery.WebhookStore
	delivery.RecoveryStore
	delivery.Gauge
	web.History
	web.Overview
	web.KeyStore
	web.AuditLog
	web.Copier
	Ping(ctx context.Context) error
	Close() error
}

func openStore(t *testing.T, at storage.Config) (opened store, err error) {
	t.Helper()
	if at.URL != "" {
		return storage.OpenPostgres(t.Context(), at)
	}
	return storage.OpenSQLite(t.Context(), at)
}

// receiver keeps what it is sent and answers as it is told.
type receiver struct {
	*httptest.Server
	status atomic.Int64
	got    chan received
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(chan received, 100)}
	r.status.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.got <- received{req.Header.Clone(), body}
		w.WriteHeader(int(r.status.Load()))
		_, _ = io.WriteString(w, "thanks")
	}))
	t.Cleanup(r.Close)
	return r
}

// next is the next delivery that arrives.
func (r *receiver) next(t *testing.T) received {
	t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-t.Context().Done():
		require.FailNow(t, "nothing arrived")
	}
	return received{}
}

// newWhole opens a store and builds everything on it; what it holds already is taken up.
func newWhole(t *testing.T, at storage.Config, to *receiver) *whole {
	t.Helper()
	return newWholeWith(t, at, to, func(*delivery.Config, *web.Config) {})
}

// newWholeWith is newWhole with other settings.
func newWholeWith(t *testing.T, at storage.Config, to *receiver, change func(*delivery.Config, *web.Config)) *whole {
	t.Helper()
	ctx := t.Context()
	store, err := openStore(t, at)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	tenants, err := store.Tenants(ctx)
	require.NoError(t, err)
	if len(tenants) == 0 {
		tenant := &triggers.Tenant{Name: "default", PortalID: "0123456789ABCDEF", PortalURL: "https://portal.example.com/", CreatedAt: time.Now()}
		require.NoError(t, store.SaveTenant(ctx, tenant))
		require.NoError(t, store.AddAPIKey(ctx, triggers.APIKey{
			ID: "k1", Hash: sha256.Sum256([]byte(adminKey)), Tenant: tenant.Key, Role: triggers.RoleAdmin, UserID: "admin", Created: time.Now(),
		}))
	}
	targets, err := triggers.ParseTargets([]string{"127.0.0.0/8"}, true)
	require.NoError(t, err)
	table := router.NewTable()
	dir, err := delivery.NewDirectory(ctx, delivery.DirectoryConfig{Store: store, Table: table, MaxWebhooks: 5})
	require.NoError(t, err)
	deliveries := delivery.Config{
		Queue: store, Directory: dir, Table: table, Gauge: store,
		Transport: delivery.NewTransport(delivery.TransportConfig{Guard: delivery.NewGuard(targets, 0)}),
	}
	server := web.Config{
		Catalog: triggers.Default(), Table: table, Directory: dir, History: store, Overview: store, Keys: store, Audit: store, Copier: store, Targets: targets, MaxWebhooks: 5,
	}
	change(&deliveries, &server)
	dispatcher := delivery.New(deliveries)
	server.Dispatcher, server.Resender, server.Tester, server.Handshaker = dispatcher, dispatcher, dispatcher, dispatcher
	server.Hosts, server.Tailer = dispatcher, dispatcher
	recoverer := delivery.NewRecoverer(delivery.RecovererConfig{Store: store, Dispatcher: dispatcher})
	server.Recoverer = recoverer
	server.Checks = []web.Check{
		{Name: "store", Ready: store.Ping}, {Name: "queue", Ready: dispatcher.QueueReady}, {Name: "disk", Ready: dispatcher.DiskReady},
	}
	w := &whole{edge: edge{log: &logbook{}}, receiver: to, store: store, directory: dir}
	w.server, err = web.New(ctx, server)
	require.NoError(t, err)
	dispatcher.Start()
	recoverer.Start()
	t.Cleanup(func() {
		recoverer.Stop()
		// The test's context has ended by now.
		stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, dispatcher.Shutdown(stopping))
	})
	listener := httptest.NewServer(specified(t, w.server))
	t.Cleanup(listener.Close)
	w.url = listener.URL
	return w
}

// subscribe makes an enabled webhook to the receiver.
func (w *whole) subscribe(t *testing.T, members string) string {
	t.Helper()
	return w.create(t, `{"name":"Shares","url":"`+w.receiver.URL+`/hook","enabled":true,`+members+`}`)
}

// delivered waits until the one delivery of an event has arrived, and gives its delivery.
func (w *whole) delivered(t *testing.T, event string) map[string]any {
	t.Helper()
	return w.settled(t, event, "succeeded")
}

// settled waits until the one delivery of an event is in a state, and gives it.
func (w *whole) settled(t *testing.T, event, state string) map[string]any {
	t.Helper()
	var found map[string]any
	require.Eventually(t, func() bool {
		a := w.call(t, "GET", "/api/v1/events/"+event, "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		match := a.json(t)["matches"].([]any)[0].(map[string]any)
		found = match["delivery"].(map[string]any)
		return found["state"] == state
	}, time.Minute, 5*time.Millisecond)
	return found
}

// TestWholeWay goes from the emitted event to the verified delivery and its history.
func TestWholeWay(t *testing.T) { storagetest.OnEach(t, testWholeWay) }

func testWholeWay(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	require.Equal(t, http.StatusOK, w.call(t, "GET", "/readyz", "").status)
	webhook := w.subscribe(t, `"eventTypes":["/items/share"],"secret":"`+secret+`","headers":{"x-env":"prod"},"encryptedHeaders":{"authorization":"Bearer top-secret"}`)
	event := w.post(t, strings.Replace(share, "{", `{"eventId":"share-17",`, 1))

	got := w.receiver.next(t)
	verified, err := payload.Verify(payload.Received{
		Secrets: []triggers.Secret{triggers.NewSecret(secret)}, Header: got.header.Get, Body: got.body, Now: time.Now(),
	})
	require.NoError(t, err)
	require.NotEmpty(t, verified)
	require.Equal(t, "Bearer top-secret", got.header.Get("Authorization"))
	require.Contains(t, string(got.body), `"operation":"share","source":"items","id":"`+itemID+`","properties":{"sharedToGroups":["Everyone"]}`)

	summary := w.delivered(t, event)
	require.EqualValues(t, 1, summary["attempts"])
	require.EqualValues(t, 200, summary["statusCode"])
	path := "/api/v1/webhooks/" + webhook + "/deliveries"
	list := w.call(t, "GET", path, "")
	require.Equal(t, []string{summary["id"].(string)}, ids(t, list))
	require.Contains(t, list.body, `"status":"success"`)

	a := w.call(t, "GET", path+"/"+summary["id"].(string), "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, `"body":`+string(got.body), "the bytes that went out")
	require.NotContains(t, a.body, "top-secret")
	require.NotContains(t, a.body, secret)
	require.True(t, jsontext.Value(a.body).IsValid())
	one := a.json(t)
	require.Equal(t, "/items/share", one["eventType"])
	require.Equal(t, "/items/share", one["trigger"])
	require.Equal(t, event, one["eventId"])
	sent := one["request"].(map[string]any)
	require.Equal(t, w.receiver.URL+"/hook", sent["url"])
	shown := sent["headers"].(map[string]any)
	require.Equal(t, "**OMITTED**", shown["authorization"])
	require.Equal(t, "prod", shown["x-env"])
	require.Equal(t, "thanks", one["response"].(map[string]any)["body"])
	require.Len(t, one["attemptLog"], 1)

	// The same bytes again, to where the webhook points now.
	w.receiver.status.Store(http.StatusBadRequest)
	again := w.call(t, "POST", path+"/"+summary["id"].(string)+"/actions/resend", "")
	require.Equal(t, http.StatusCreated, again.status, again.body)
	require.Equal(t, got.body, w.receiver.next(t).body)
	resent := again.json(t)
	require.Equal(t, "fail", resent["status"])
	require.NotEqual(t, summary["id"], resent["id"])
	require.Equal(t, "/items/share", resent["trigger"])
	require.Contains(t, resent["statusMessage"], "attempt 1: 400 Bad Request; the next attempt is due ")
	require.Equal(t, []string{resent["id"].(string)}, ids(t, w.call(t, "GET", path+"?status=fail", "")))
	require.Len(t, ids(t, w.call(t, "GET", path+"?eventType=/items/share", "")), 2)

	// The same identity: once more with the same content, then with another.
	same := w.call(t, "POST", "/api/v1/events", strings.Replace(share, "{", `{"eventId":"share-17",`, 1))
	require.JSONEq(t, `{"id":"`+event+`","eventId":"share-17","matched":1,"duplicate":true}`, same.body)
	other := w.call(t, "POST", "/api/v1/events", strings.Replace(share, "{", `{"eventId":"share-17","userId":"u2",`, 1))
	require.Equal(t, http.StatusConflict, other.status)
	require.Equal(t, "EVENT_CONFLICT", other.problem(t)["code"])

	require.Equal(t, http.StatusNoContent, w.call(t, "DELETE", "/api/v1/webhooks/"+webhook, "").status)
	require.Equal(t, http.StatusNotFound, w.call(t, "GET", path, "").status)
	require.Equal(t, http.StatusOK, w.call(t, "GET", "/api/v1/events/"+event, "").status, "history stays")
}

// TestWholeGone lets the receiver say that it is gone, which switches the webhook off, and switches it on again by hand.
func TestWholeGone(t *testing.T) { storagetest.OnEach(t, testWholeGone) }

func testWholeGone(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	webhook := w.subscribe(t, `"eventTypes":["/"]`)
	w.receiver.status.Store(http.StatusGone)
	w.post(t, share)
	w.receiver.next(t)
	path := "/api/v1/webhooks/" + webhook
	var off map[string]any
	require.Eventually(t, func() bool {
		off = w.call(t, "GET", path, "").json(t)
		return off["enabled"] == false && off["health"] != nil // the attempt is settled after the switch
	}, 10*time.Second, 5*time.Millisecond)
	require.NotEmpty(t, off["disabledReason"])
	require.NotEmpty(t, off["disabledReasonCode"])
	require.Contains(t, off, "disabledAt")
	require.Equal(t, []any{off}, w.call(t, "GET", "/api/v1/webhooks", "").json(t)["data"])

	skipped := w.post(t, share)
	a := w.call(t, "GET", "/api/v1/events/"+skipped, "")
	require.Contains(t, a.body, `"state":"skipped"`)

	w.receiver.status.Store(http.StatusOK)
	on := w.call(t, "POST", path+"/actions/enable", "")
	require.Equal(t, http.StatusOK, on.status, on.body)
	require.Empty(t, on.json(t)["disabledReasonCode"])
	event := w.post(t, share)
	w.receiver.next(t)
	w.delivered(t, event)
}

// TestWholeSaves sees that a save is heard by the next event, and that what is shown survives a restart.
func TestWholeSaves(t *testing.T) { storagetest.OnEach(t, testWholeSaves) }

func testWholeSaves(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	to := newReceiver(t)
	at := place(t)
	var before, webhook, event string
	t.Run("first", func(t *testing.T) {
		w := newWhole(t, at, to)
		webhook = w.create(t, strings.Replace(fullWebhook, "https://receiver.example.com", w.receiver.URL, 1))
		path := "/api/core/webhooks/" + webhook
		matched := func() any {
			return w.call(t, "POST", "/api/v1/events", `{"uri":"/groups/g1/update"}`).json(t)["matched"]
		}
		require.EqualValues(t, 0, matched())
		require.Equal(t, http.StatusNoContent, w.call(t, "PATCH", path, `[{"op":"add","path":"/eventTypes/-","value":"/groups/g?/update"}]`).status)
		require.EqualValues(t, 1, matched())
		w.receiver.next(t)
		require.Equal(t, http.StatusOK, w.call(t, "POST", path+"/actions/disable", "").status)
		require.EqualValues(t, 0, matched())
		require.Equal(t, http.StatusOK, w.call(t, "POST", path+"/actions/enable", "").status)
		event = w.post(t, `{"uri":"/groups/g1/update"}`)
		w.receiver.next(t)
		w.delivered(t, event)
		before = w.call(t, "GET", path, "").body

		for range 4 {
			w.create(t, hook)
		}
		a := w.call(t, "POST", path[:len(path)-len(webhook)-1], hook)
		require.Equal(t, http.StatusForbidden, a.status)
		require.Equal(t, "WEBHOOK_LIMIT", a.problem(t)["code"])
	})
	t.Run("after a restart", func(t *testing.T) {
		w := newWhole(t, at, to)
		require.Equal(t, before, w.call(t, "GET", "/api/v1/webhooks/"+webhook, "").body)
		w.delivered(t, event)
		w.post(t, `{"uri":"/groups/g1/update"}`)
		require.Equal(t, "Bearer top-secret", w.receiver.next(t).header.Get("Authorization"))
	})
}

// TestWholeLists pages through webhooks and deliveries of the real store, there and back.
func TestWholeLists(t *testing.T) { storagetest.OnEach(t, testWholeLists) }

func testWholeLists(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	w := newWhole(t, place(t), newReceiver(t))
	for _, name := range []string{"b", "A", "ä", "c"} {
		w.create(t, `{"name":"`+name+`","url":"https://`+strings.ToLower(strings.ReplaceAll(name, "ä", "a2"))+`.example.com/","eventTypes":["/items/share","/users"]}`)
	}
	webhook := w.subscribe(t, `"eventTypes":["/users"]`)
	for range 7 {
		event := w.post(t, `{"uri":"/users/jdoe/signIn"}`)
		w.receiver.next(t)
		w.delivered(t, event)
	}
	for list, total := range map[string]int{
		"/api/v1/webhooks?sort=name":                                                         5,
		"/api/v1/webhooks?sort=-url":                                                         5,
		"/api/v1/webhooks?sort=createdAt":                                                    5,
		"/api/v1/webhooks?sort=-updatedAt&eventTypes=/users":                                 5,
		"/api/v1/webhooks?eventTypes=/users,/items/share&enabled=false":                      4,
		"/api/v1/webhooks?name=a&url=EXAMPLE&origins=api&level=tenant&createdByUserId=admin": 1,
		"/api/v1/webhooks/" + webhook + "/deliveries?x=1":                                    7,
		"/api/v1/webhooks/" + webhook + "/deliveries?sort=triggeredAt":                       7,
		"/api/v1/webhooks/" + webhook + "/deliveries?sort=-status":                           7,
		"/api/v1/webhooks/" + webhook + "/deliveries?status=fail":                            0,
		"/api/v1/webhooks/" + webhook + "/deliveries?eventType=/users/signin":                7,
	} {
		all := ids(t, w.call(t, "GET", list, ""))
		require.Len(t, all, total, list)
		page := w.call(t, "GET", list+"&limit=2", "")
		var forth, back []string
		for {
			forth = append(forth, ids(t, page)...)
			next := href(t, page, "next")
			if next == "" {
				break
			}
			page = w.follow(t, next)
		}
		require.Equal(t, all, forth, list)
		for {
			back = append(ids(t, page), back...)
			prev := href(t, page, "prev")
			if prev == "" {
				break
			}
			page = w.follow(t, prev)
		}
		require.Equal(t, all, back, list)
	}
}
