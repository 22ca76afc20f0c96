package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage/storagetest"
)

// cluster is several nodes of one database.
type cluster []*process

func startCluster(t *testing.T, nodes int, args ...string) cluster {
	t.Helper()
	c := cluster{on(storagetest.Postgres)(t, args...)}
	for len(c) < nodes {
		c = append(c, c[0].second(t))
	}
	return c
}

// everywhere waits until a question is answered as it should be at every node.
func (c cluster) everywhere(t *testing.T, what string, is func(p *process) bool) {
	t.Helper()
	for i, node := range c {
		require.Eventually(t, func() bool { return is(node) }, time.Minute, 10*time.Millisecond, "%s: node %d", what, i)
	}
}

// read asks a node as whoever has the key, and gives the status and the answer.
func (p *process) read(t *testing.T, key, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request) //nolint:forbidigo // loopback, in a test
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer)
}

// Whichever of three nodes is asked, it answers alike: what is changed at one is so at all.
func TestEveryNodeAnswersAlike(t *testing.T) {
	c := startCluster(t, 3)
	heard := &heardItems{items: make(map[string]int)}
	receiver := httptest.NewServer(heard)
	t.Cleanup(receiver.Close)
	t.Run("webhooks and tenants", func(t *testing.T) { webhooksAreAlike(t, c, receiver.URL) })
	t.Run("keys", func(t *testing.T) { keysAreAlike(t, c) })
	t.Run("sessions and tokens", func(t *testing.T) { sessionsAreAlike(t, c) })
	t.Run("the same event everywhere at once", func(t *testing.T) { identityIsAlike(t, c) })
	t.Run("a recovery", func(t *testing.T) { recoveryIsAlike(t, c) })
	t.Run("events of our own", func(t *testing.T) { ownEventsAreToldOnce(t, c) })
	t.Run("built-in receivers", func(t *testing.T) { receiversAreAlike(t, c) })
	t.Run("the live tail", func(t *testing.T) { tailsAreAlike(t, c) })
	for _, node := range c {
		node.kill() // whose log is complete then
		require.NotContains(t, node.log.String(), "panic")
	}
}

func webhooksAreAlike(t *testing.T, c cluster, receiver string) {
	t.Helper()
	var made struct{ ID string }
	c[0].call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{"name": "all", "url": receiver, "eventTypes": []string{"/items"}, "enabled": true}, &made, http.StatusCreated)
	require.Equal(t, 1, c[0].emitOn(t, 100).Matched, "at once, where it was saved")
	n := 100
	c.everywhere(t, "events are matched", func(p *process) bool { n++; return p.emitOn(t, n).Matched == 1 })
	path := "/api/v1/webhooks/" + made.ID
	// Each node changes something else of it, all at the same time: nothing is lost.
	patches := []map[string]any{
		{"op": "replace", "path": "/name", "value": "renamed"},
		{"op": "replace", "path": "/description", "value": "described"},
		{"op": "replace", "path": "/rateLimit", "value": 1000},
	}
	var group sync.WaitGroup
	for i, node := range c {
		group.Go(func() { node.call(t, http.MethodPatch, path, []any{patches[i]}, nil, http.StatusNoContent) })
	}
	group.Wait()
	c.everywhere(t, "it is as all have changed it", func(p *process) bool {
		var w struct {
			Name, Description string
			RateLimit         int
		}
		p.call(t, http.MethodGet, path, nil, &w, http.StatusOK)
		return w.Name == "renamed" && w.Description == "described" && w.RateLimit == 1000
	})
	c[1].call(t, http.MethodPatch, "/api/v1/tenants/default", map[string]any{"portalUrl": "https://moved.example.com/"}, nil, http.StatusOK)
	c.everywhere(t, "the tenant", func(p *process) bool {
		_, answer := p.read(t, p.key, "/api/v1/tenants/default")
		return strings.Contains(answer, "moved.example.com")
	})
	awaitNoneOpen(t, c[2])
	c[2].call(t, http.MethodDelete, path, nil, nil, http.StatusNoContent)
	c.everywhere(t, "it is gone", func(p *process) bool {
		status, _ := p.read(t, p.key, path)
		return status == http.StatusNotFound
	})
}

func (p *process) newKey(t *testing.T, role string) (id, text string) {
	t.Helper()
	var made struct{ ID, Key string }
	p.call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": role, "role": role}, &made, http.StatusCreated)
	return made.ID, made.Key
}

func (c cluster) opens(t *testing.T, key string, want int) {
	t.Helper()
	c.everywhere(t, "the key", func(p *process) bool {
		status, _ := p.read(t, key, "/api/v1/api-keys/self")
		return status == want
	})
}

func keysAreAlike(t *testing.T, c cluster) {
	t.Helper()
	id, key := c[0].newKey(t, "viewer")
	status, _ := c[0].read(t, key, "/api/v1/api-keys/self")
	require.Equal(t, http.StatusOK, status, "at once, where it was made")
	c.opens(t, key, http.StatusOK)
	c[1].call(t, http.MethodDelete, "/api/v1/api-keys/"+id, nil, nil, http.StatusNoContent)
	status, _ = c[1].read(t, key, "/api/v1/api-keys/self")
	require.Equal(t, http.StatusUnauthorized, status, "at once, where it was revoked")
	c.opens(t, key, http.StatusUnauthorized)
}

// clerk is somebody before the console who keeps one session, whichever node his requests come to.
type clerk struct {
	client *http.Client
	cookie string
}

func (b *clerk) ask(t *testing.T, p *process, method, path string, form url.Values) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != "" {
		request.AddCookie(&http.Cookie{Name: "portalhook_session", Value: b.cookie})
	}
	response, err := b.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	for _, cookie := range response.Cookies() {
		if cookie.Name == "portalhook_session" && cookie.MaxAge >= 0 {
			b.cookie = cookie.Value
		}
	}
	return response.StatusCode, string(body)
}

func sessionsAreAlike(t *testing.T, c cluster) {
	t.Helper()
	b := &clerk{client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	status, _ := b.ask(t, c[0], http.MethodPost, "/console/login", url.Values{"key": {c[0].key}})
	require.Equal(t, http.StatusSeeOther, status)
	var page string
	for _, node := range c {
		status, page = b.ask(t, node, http.MethodGet, "/console/webhooks", nil)
		require.Equal(t, http.StatusOK, status)
	}
	// A page of one node has its form taken by another, and there the session ends for all.
	_, token, found := strings.Cut(page, `name="csrf" content="`)
	require.True(t, found)
	token, _, _ = strings.Cut(token, `"`)
	copied := *b
	status, _ = b.ask(t, c[1], http.MethodPost, "/console/logout", url.Values{"csrf": {token}})
	require.Equal(t, http.StatusSeeOther, status)
	c.everywhere(t, "a copy of the cookie", func(p *process) bool {
		one := copied
		status, _ := one.ask(t, p, http.MethodGet, "/console/webhooks", nil)
		return status == http.StatusSeeOther
	})

	form := url.Values{"username": {"admin"}, "password": {c[0].key}, "f": {"json"}, "client": {"referer"}, "referer": {"https://portal.example.com"}}
	response, err := http.PostForm(c[0].url+"/sharing/rest/generateToken", form)
	require.NoError(t, err)
	defer response.Body.Close()
	var made struct{ Token string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&made))
	require.NotEmpty(t, made.Token)
	for _, node := range c {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.url+"/sharing/rest/community/self?f=json&token="+url.QueryEscape(made.Token), nil)
		require.NoError(t, err)
		request.Header.Set("Referer", "https://portal.example.com")
		response, err := http.DefaultClient.Do(request) //nolint:forbidigo // loopback, in a test
		require.NoError(t, err)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Contains(t, string(answer), `"username"`)
	}
}

func identityIsAlike(t *testing.T, c cluster) {
	t.Helper()
	for round := range 20 {
		answers := make([]struct {
			ID        string
			Duplicate bool
		}, 3*len(c))
		var group sync.WaitGroup
		for i := range answers {
			group.Go(func() {
				event := map[string]any{"uri": "/groups/g/update", "eventId": fmt.Sprint("everywhere ", round)}
				c[i%len(c)].call(t, http.MethodPost, "/api/v1/events", event, &answers[i], http.StatusAccepted)
			})
		}
		group.Wait()
		first := 0
		for _, a := range answers {
			require.Equal(t, answers[0].ID, a.ID)
			if !a.Duplicate {
				first++
			}
		}
		require.Equal(t, 1, first, "one was the first")
	}
	for _, node := range c {
		var told struct{ Errors []struct{ Code string } }
		node.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/groups/other/update", "eventId": "everywhere 0"}, &told, http.StatusConflict)
	}
}

func recoveryIsAlike(t *testing.T, c cluster) {
	t.Helper()
	got := &numbered{ids: make(map[int]map[string]bool)}
	at := httptest.NewServer(got)
	defer at.Close()
	var hook struct{ ID string }
	c[0].call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
		"name": "late", "url": at.URL, "eventTypes": []string{"/users"}, "enabled": true, "retry": "once",
	}, &hook, http.StatusCreated)
	webhook := "/api/v1/webhooks/" + hook.ID
	c.everywhere(t, "the webhook", func(p *process) bool {
		status, _ := p.read(t, p.key, webhook)
		return status == http.StatusOK
	})
	const events = 60
	got.failing.Store(true)
	for n := range events {
		event := map[string]any{"uri": fmt.Sprintf("/users/%d/update", n), "properties": map[string]any{"n": n}}
		c[n%len(c)].call(t, http.MethodPost, "/api/v1/events", event, nil, http.StatusAccepted)
	}
	var r recoveryAnswer
	require.Eventually(t, func() bool { // how much is open a node hears of others a moment later
		c[1].call(t, http.MethodPost, webhook+"/actions/recover", map[string]any{"from": 1, "dryRun": true}, &r, http.StatusOK)
		return r.Counted.Total == events
	}, time.Minute, 10*time.Millisecond)
	got.failing.Store(false)
	c[0].call(t, http.MethodPost, webhook+"/actions/recover", map[string]any{"from": 1, "ratePerMinute": 60}, &r, http.StatusAccepted)
	require.Equal(t, events, r.Counted.Exhausted)
	path := webhook + "/recoveries/" + r.ID
	look := func(p *process) (now recoveryAnswer) {
		p.call(t, http.MethodGet, path, nil, &now, http.StatusOK)
		return now
	}
	for _, node := range c {
		require.Equal(t, "running", look(node).State)
		node.call(t, http.MethodPost, webhook+"/actions/recover", map[string]any{"from": 1}, nil, http.StatusConflict)
	}
	require.Eventually(t, func() bool { return look(c[1]).Made > 0 }, time.Minute, 10*time.Millisecond)
	c[1].call(t, http.MethodPost, path+"/actions/pause", nil, nil, http.StatusOK)
	paused := look(c[2])
	require.Equal(t, "paused", paused.State)
	require.Less(t, paused.Made, events)
	for _, node := range c {
		require.Equal(t, paused, look(node))
	}
	c[2].call(t, http.MethodPost, path+"/actions/resume", nil, nil, http.StatusOK)
	require.Eventually(t, func() bool { return look(c[0]).Made > paused.Made }, time.Minute, 10*time.Millisecond)
	c[0].call(t, http.MethodPost, path+"/actions/cancel", nil, nil, http.StatusOK)
	ended := look(c[1])
	require.Equal(t, "cancelled", ended.State)
	// One that any node may go on with is made by all of them, each delivery once.
	c[1].call(t, http.MethodPost, webhook+"/actions/recover", map[string]any{"from": 1, "ratePerMinute": 60_000}, &r, http.StatusAccepted)
	path = webhook + "/recoveries/" + r.ID
	require.Eventually(t, func() bool { return look(c[2]).State == "done" }, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool { return got.count() == events }, time.Minute, 10*time.Millisecond)
	awaitNoneOpen(t, c[2])
	got.mu.Lock()
	defer got.mu.Unlock()
	for n, ids := range got.ids {
		require.Len(t, ids, 1, "event %d", n)
	}
	c[0].call(t, http.MethodDelete, webhook, nil, nil, http.StatusNoContent)
}

func ownEventsAreToldOnce(t *testing.T, c cluster) {
	t.Helper()
	var told atomic.Int32
	operator := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	defer operator.Close()
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	defer gone.Close()
	c[0].createWebhook(t, map[string]any{"name": "operator", "url": operator.URL, "eventTypes": []string{"/webhooks/disable"}, "enabled": true})
	const webhooks = 6
	ids := make([]string, webhooks)
	for i := range ids {
		var made struct{ ID string }
		c[i%len(c)].call(t, http.MethodPost, "/api/v1/webhooks", map[string]any{
			"name": fmt.Sprint("gone ", i), "url": gone.URL, "eventTypes": []string{"/roles"}, "enabled": true,
		}, &made, http.StatusCreated)
		ids[i] = made.ID
	}
	c.everywhere(t, "all are matched", func(p *process) bool {
		var matched struct{ Matches []any }
		p.call(t, http.MethodPost, "/api/v1/match", map[string]any{"uri": "/roles/r/update"}, &matched, http.StatusOK)
		return len(matched.Matches) == webhooks
	})
	for i := range 3 * len(c) {
		c[i%len(c)].call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/roles/r/update"}, nil, http.StatusAccepted)
	}
	for _, id := range ids {
		c.everywhere(t, "it is off", func(p *process) bool {
			_, answer := p.read(t, p.key, "/api/v1/webhooks/"+id)
			return strings.Contains(answer, `"disabledReasonCode":"GONE"`)
		})
	}
	require.Eventually(t, func() bool { return told.Load() == webhooks }, time.Minute, 10*time.Millisecond)
	var list struct{ Data []struct{ URI string } }
	c[2].call(t, http.MethodGet, "/api/v1/events?limit=100&uri="+url.QueryEscape("/webhooks/*/disable"), nil, &list, http.StatusOK)
	uris := make([]string, len(list.Data))
	for i, event := range list.Data {
		uris[i] = event.URI
	}
	slices.Sort(uris)
	require.Len(t, uris, webhooks)
	require.Len(t, slices.Compact(uris), webhooks, "of each it is told once")
	for i, id := range ids { // with what is held for it
		c[i%len(c)].call(t, http.MethodDelete, "/api/v1/webhooks/"+id, nil, nil, http.StatusNoContent)
	}
	for _, node := range c {
		awaitNoneOpen(t, node)
	}
	require.EqualValues(t, webhooks, told.Load())
}
