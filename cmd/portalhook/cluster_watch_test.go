package main_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func receiversAreAlike(t *testing.T, c cluster) {
	t.Helper()
	var made struct{ Token, URL string }
	c[0].call(t, http.MethodPost, "/api/v1/receivers", map[string]any{"name": "mine", "secret": strings.Repeat("s", 40)}, &made, http.StatusCreated)
	path := "/api/v1/receivers/" + made.Token
	// The webhook is made elsewhere, and its deliveries are made wherever their events are told of.
	c[1].createWebhook(t, map[string]any{"name": "in", "url": made.URL, "eventTypes": []string{"/groups"}, "enabled": true, "secret": strings.Repeat("s", 40)})
	c.everywhere(t, "the webhook", func(p *process) bool {
		var event emitted
		p.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/groups/g/delete"}, &event, http.StatusAccepted)
		return event.Matched == 1
	})
	c.everywhere(t, "what has arrived", func(p *process) bool {
		var here struct{ Received int }
		p.call(t, http.MethodGet, path, nil, &here, http.StatusOK)
		return here.Received == len(c)
	})
	type arrivals struct {
		Received int
		Data     []struct {
			Via, Body string
			Verified  bool
		}
	}
	var first arrivals
	for i, node := range c {
		var here arrivals
		node.call(t, http.MethodGet, path+"/requests", nil, &here, http.StatusOK)
		require.Len(t, here.Data, len(c))
		for _, one := range here.Data {
			require.Equal(t, "delivery", one.Via)
			require.True(t, one.Verified)
		}
		if i == 0 {
			first = here
		}
		require.Equal(t, first, here)
	}
	c[2].call(t, http.MethodPatch, path, map[string]any{"status": 418}, nil, http.StatusOK)
	for _, node := range c {
		response, err := http.Post(node.url+"/receiver/"+made.Token, "text/plain", strings.NewReader("from outside"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusTeapot, response.StatusCode)
	}
	c[1].call(t, http.MethodDelete, path, nil, nil, http.StatusNoContent)
	for _, node := range c {
		status, _ := node.read(t, node.key, path)
		require.Equal(t, http.StatusNotFound, status)
	}
}

func tailsAreAlike(t *testing.T, c cluster) {
	t.Helper()
	lines := make(chan string, 1000)
	ctx, stop := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c[0].url+"/api/v1/tail?kind=event&uri=/items", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+c[0].key)
	response, err := http.DefaultClient.Do(request) //nolint:forbidigo,bodyclose // loopback, in a test; whoever reads it closes it
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	go func() {
		defer close(lines)
		defer response.Body.Close()
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			if data, ok := strings.CutPrefix(scanner.Text(), "data: "); ok {
				lines <- data
			}
		}
	}()
	defer func() {
		stop()
		for range lines {
			continue // until it has ended
		}
	}()
	n := 10_000
	for i, node := range c {
		// Other nodes hear within a moment that somebody listens; from then on, all is told.
		want := ""
		require.Eventually(t, func() bool {
			n++
			want = node.emitOn(t, n).ID
			for {
				select {
				case line := <-lines:
					if strings.Contains(line, want) {
						return true
					}
				case <-time.After(time.Second):
					return false
				}
			}
		}, time.Minute, 10*time.Millisecond, "an event of node %d is shown by node 0", i)
	}
}
