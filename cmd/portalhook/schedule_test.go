package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// collected is a delivery of a scheduled webhook as its receiver got it.
type collected struct {
	id      string
	service string
	edits   []int
}

// What a scheduled webhook hears arrives merged, one delivery for each service and interval, and nothing is lost or in two of them, also when
// the server is killed in the middle of an interval.
func TestScheduledEditsArriveMergedAcrossAKill(t *testing.T) {
	t.Parallel()
	eachStore(t, testScheduledEditsArriveMergedAcrossAKill)
}

func testScheduledEditsArriveMergedAcrossAKill(t *testing.T, startServer starter) {
	t.Helper()
	const edits = 200
	services := []string{"Water", "City/Water"}
	got := make(chan collected, 2*edits)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			FolderName  string `json:"folderName"`
			ServiceName string `json:"serviceName"`
			Events      []struct {
				When int `json:"when"`
			} `json:"events"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		d := collected{id: r.Header.Get("webhook-id"), service: body.FolderName + "/" + body.ServiceName}
		for _, e := range body.Events {
			d.edits = append(d.edits, e.When/1000)
		}
		got <- d
	}))
	defer receiver.Close()
	server := startServer(t)
	server.createWebhook(t, map[string]any{
		"name": "edits", "url": receiver.URL, "enabled": true, "eventTypes": []string{"/services/*/FeatureServer", "/services/*/*/FeatureServer"},
		"schedule": map[string]any{"frequency": "second", "interval": 1},
	})

	events := make([]string, edits)
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := range edits {
		var receipt struct {
			ID string `json:"id"`
		}
		// Payloads tell of an event's date in seconds, which tells the edits apart.
		server.call(t, http.MethodPost, "/api/v1/events", map[string]any{
			"uri": "/services/" + services[n%2] + "/FeatureServer/FeaturesUpdated", "when": n * 1000, "serverGens": []int{n, n + 1},
		}, &receipt, http.StatusAccepted)
		events[n] = receipt.ID
		if n == edits/2 {
			server.kill()
			server.start(t)
		}
		<-pace.C
	}

	deliveryOf, serviceOf := make(map[int]string), make(map[string]string)
	for deadline := time.After(time.Minute); len(deliveryOf) < edits; {
		select {
		case d := <-got:
			for _, n := range d.edits {
				before, seen := deliveryOf[n]
				require.True(t, !seen || before == d.id, "edit %d is in the deliveries %s and %s", n, before, d.id)
				deliveryOf[n] = d.id
			}
			serviceOf[d.id] = d.service
		case <-deadline:
			require.Len(t, deliveryOf, edits, "some edits never came")
		}
	}
	require.Less(t, len(serviceOf), edits/2, "edits arrive merged")
	awaitNoneOpen(t, server)
	for n, id := range events {
		var stored struct {
			Matches []struct {
				Delivery struct {
					ID    string `json:"id"`
					State string `json:"state"`
				} `json:"delivery"`
			} `json:"matches"`
		}
		server.call(t, http.MethodGet, "/api/v1/events/"+id, nil, &stored, http.StatusOK)
		require.Len(t, stored.Matches, 1)
		require.Equal(t, deliveryOf[n], stored.Matches[0].Delivery.ID, "edit %d", n)
		require.Equal(t, "succeeded", stored.Matches[0].Delivery.State)
		want := "/Water"
		if n%2 == 1 {
			want = "City/Water"
		}
		require.Equal(t, want, serviceOf[deliveryOf[n]], "edit %d", n)
	}
}
