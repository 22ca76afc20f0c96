package web_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"portalhook/storage"
	"portalhook/storage/storagetest"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// notifications is what notificationStatus answers.
type notifications struct {
	Total     int            `json:"total"`
	Start     int            `json:"start"`
	Num       int            `json:"num"`
	NextStart int            `json:"nextStart"`
	Status    []notification `json:"WebhookStatus"`
}

type notification struct {
	ID               string `json:"id"`
	IsInvoked        bool   `json:"isInvoked"`
	InvokedTimestamp string `json:"invokedTimestamp"`
	ResponseText     string `json:"responseText"`
	Payload          string `json:"payload"`
}

// notified waits until as many deliveries are told of as are wanted, and gives the page.
func (w *whole) notified(t *testing.T, id string, want int, pairs ...string) notifications {
	t.Helper()
	var found notifications
	require.Eventually(t, func() bool {
		a := w.send(t, organisation+"/"+id+"/notificationStatus", pairs...)
		found = notifications{}
		return json.Unmarshal([]byte(a.body), &found) == nil && found.Total == want
	}, time.Minute, 5*time.Millisecond)
	return found
}

// TestNotificationStatus tells of what was really sent, word for word, and pages through it.
func TestNotificationStatus(t *testing.T) { storagetest.OnEach(t, testNotificationStatus) }

func testNotificationStatus(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	to := newReceiver(t)
	w := newWhole(t, place(t), to)
	w.done(t, organisation+"/settings/update", "notificationAttempts", "1")
	id := w.done(t, organisation+"/createWebhook", "name", "all", "url", to.URL+"/hook", "changes", "allChanges", "secret", "s3cret",
		"config", `{"properties":{"plainSecretHeader":true}}`)["id"].(string)
	require.Equal(t, notifications{Start: 1, Num: 100, NextStart: -1, Status: []notification{}}, w.notified(t, id, 0, "num", "100", "start", "1"))

	var bodies []string
	for i := range 3 {
		if i == 2 {
			to.status.Store(http.StatusTeapot)
		}
		w.post(t, fmt.Sprintf(`{"uri":"/items/i%d/update","username":"jdoe"}`, i))
		got := to.next(t)
		require.Equal(t, "s3cret", got.header.Get("Secret"))
		require.NotEmpty(t, got.header.Get("X-Esrihook-Signature"))
		bodies = append(bodies, string(got.body))
		w.notified(t, id, i+1)
	}
	page := w.notified(t, id, 3, "num", "2")
	require.Equal(t, []int{1, 2, 3}, []int{page.Start, page.Num, page.NextStart})
	require.Len(t, page.Status, 2)
	newest := page.Status[0]
	require.Equal(t, id, newest.ID)
	require.False(t, newest.IsInvoked)
	require.Equal(t, "thanks", newest.ResponseText)
	require.Equal(t, bodies[2], newest.Payload)
	at, err := time.Parse("2006-01-02 15:04:05.000", newest.InvokedTimestamp)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, 5*time.Minute)
	require.True(t, page.Status[1].IsInvoked)
	last := w.notified(t, id, 3, "num", "2", "start", "3")
	require.Equal(t, -1, last.NextStart)
	require.Equal(t, bodies[0], last.Status[0].Payload)

	// A receiver that is not there says nothing; the text says why.
	to.Close()
	w.post(t, `{"uri":"/items/i/update"}`)
	require.NotEmpty(t, w.notified(t, id, 4).Status[0].ResponseText)
}

// TestSourceNaming changes what payloads say from then on, and nothing that was said before.
func TestSourceNaming(t *testing.T) { storagetest.OnEach(t, testSourceNaming) }

func testSourceNaming(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	to := newReceiver(t)
	w := newWhole(t, place(t), to)
	id := w.done(t, organisation+"/createWebhook", "name", "all", "url", to.URL+"/hook", "changes", "allChanges")["id"].(string)
	w.post(t, `{"uri":"/items/i/update"}`)
	before := to.next(t)
	require.Contains(t, string(before.body), `"source":"items"`)
	w.notified(t, id, 1)

	tenants, err := w.store.Tenants(t.Context())
	require.NoError(t, err)
	tenants[0].SingularSource = true
	require.NoError(t, w.directory.SaveTenant(t.Context(), &tenants[0]))
	w.post(t, `{"uri":"/users/jdoe/signin"}`)
	require.Contains(t, string(to.next(t).body), `"source":"user"`)
	status := w.notified(t, id, 2).Status
	require.Equal(t, string(before.body), status[1].Payload, "what was sent stays what it was")
	require.Contains(t, status[0].Payload, `"source":"user"`)
}
