package main_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// However the process ends, no acknowledged event is lost: the real server is killed at random points while it is being fed, and
// afterwards every event that was answered 202 must be stored and must have arrived.

var (
	tortureKills  = flag.Int("torture.kills", 3, "how often the server is killed")
	tortureEvents = flag.Int("torture.events", 3000, "how many events are emitted meanwhile")
	tortureSeed   = flag.Uint64("torture.seed", 0, "where the kills fall; 0 draws one and prints it")
)

// ledger is what the emitters and the receiver saw, by event number.
type ledger struct {
	acknowledged []atomic.Pointer[string] // the server's id
	received     []atomic.Int32
	acks         atomic.Int64
}

func TestTortureKill(t *testing.T) {
	const conns = 16
	seed := *tortureSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	random := rand.New(rand.NewPCG(seed, 0))
	events, kills := *tortureEvents, *tortureKills
	seen := &ledger{acknowledged: make([]atomic.Pointer[string], events), received: make([]atomic.Int32, events)}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, rest, _ := bytes.Cut(body, []byte(`"n":`))
		digits, _, _ := bytes.Cut(rest, []byte("}"))
		if n, err := strconv.Atoi(string(digits)); err == nil && n < events {
			seen.received[n].Add(1)
		}
	}))
	defer receiver.Close()
	server := startServer(t)
	server.createWebhook(t, map[string]any{"name": "torture", "url": receiver.URL, "eventTypes": []string{"/items"}, "enabled": true})

	kill := make(chan struct{}, 1)
	thresholds := make([]int, kills)
	for i := range thresholds {
		thresholds[i] = 1 + random.IntN(events-1)
	}
	slices.Sort(thresholds)
	var next atomic.Int64
	var wg sync.WaitGroup
	url, key := server.url, server.key // the same after every restart
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}, Timeout: 10 * time.Second}
	for range conns {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= events || t.Context().Err() != nil {
					return
				}
				emitUntilAcknowledged(t, client, url, key, n, seen, kill)
			}
		})
	}
	emitted := make(chan struct{})
	go func() { wg.Wait(); close(emitted) }()
	restarts := 0
	for done := false; !done; {
		select {
		case <-emitted:
			done = true
		case <-kill:
			if restarts < kills && seen.acks.Load() >= int64(thresholds[restarts]) {
				server.kill()
				restarts++
				server.start(t)
			}
		}
	}
	awaitNoneOpen(t, server)

	var lost, notStored, duplicates int
	for n := range events {
		id := seen.acknowledged[n].Load()
		require.NotNil(t, id, "event %d was never acknowledged", n)
		var stored struct {
			Matches []json.RawMessage `json:"matches"`
		}
		server.call(t, http.MethodGet, "/api/v1/events/"+*id, nil, &stored, http.StatusOK)
		if len(stored.Matches) != 1 {
			notStored++
		}
		if got := seen.received[n].Load(); got > 0 {
			duplicates += int(got) - 1
		} else {
			lost++
		}
	}
	t.Logf("seed %d: %d kills, %d events acknowledged, %d without their delivery, %d lost, %d duplicates", seed, restarts, events, notStored, lost, duplicates)
	require.Equal(t, kills, restarts, "every kill took place")
	require.Zero(t, notStored)
	require.Zero(t, lost)
}

// emitUntilAcknowledged sends event n again, under the same eventId, until the server has answered 202.
func emitUntilAcknowledged(t *testing.T, client *http.Client, url, key string, n int, seen *ledger, kill chan<- struct{}) {
	t.Helper()
	body := fmt.Sprintf(`{"eventId":"torture-%d","uri":"/items/%032x/update","username":"jdoe","properties":{"n":%d}}`, n, n, n)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for ; t.Context().Err() == nil; <-pause.C {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/events", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+key)
		response, err := client.Do(request)
		if err != nil {
			continue // killed in the middle: the outcome is unknown, so the same event goes again
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode == http.StatusServiceUnavailable {
			continue
		}
		var receipt struct {
			ID      string `json:"id"`
			Matched int    `json:"matched"`
		}
		if response.StatusCode != http.StatusAccepted || json.Unmarshal(answer, &receipt) != nil || receipt.Matched != 1 {
			t.Errorf("event %d: answer %d: %s", n, response.StatusCode, answer)
			return
		}
		seen.acknowledged[n].Store(&receipt.ID)
		seen.acks.Add(1)
		select {
		case kill <- struct{}{}:
		default:
		}
		return
	}
}
