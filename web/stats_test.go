package web_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

func TestStats(t *testing.T) {
	e := newEdge(t)
	id := e.create(t, `{"name":"all","url":"https://a.example.com/","eventTypes":["/"],"enabled":true}`)
	path := "/api/v1/webhooks/" + id + "/stats"
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	first := delivery.HourCounts{Hour: noon, Attempts: 4, Succeeded: 2, Failed: 2, Exhausted: 1}
	first.Latency[0], first.Latency[14] = 3, 1
	second := delivery.HourCounts{Hour: noon.Add(time.Hour), Attempts: 1, Succeeded: 1}
	second.Latency[1] = 1
	e.hours = []delivery.HourCounts{first, second}

	a := e.call(t, "GET", path+"?from=2026-11-22T12:30:00Z&to=1795356000000", "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.JSONEq(t, `{"from":"2026-11-22T12:30:00.000Z","to":"2026-11-22T14:00:00.000Z",
	  "total":{"attempts":5,"succeeded":3,"failed":2,"exhausted":1,"latencyMs":{"p50":0.833,"p95":30000,"p99":30000}},
	  "data":[{"hour":"2026-11-22T12:00:00.000Z","attempts":4,"succeeded":2,"failed":2,"exhausted":1,"latencyMs":{"p50":0.666,"p95":30000,"p99":30000}},
	    {"hour":"2026-11-22T13:00:00.000Z","attempts":1,"succeeded":1,"failed":0,"exhausted":0,"latencyMs":{"p50":1.75,"p95":2.425,"p99":2.485}}]}`, a.body)
	a = e.call(t, "GET", path+"?from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z", "")
	require.JSONEq(t, `{"from":"2026-11-20T00:00:00.000Z","to":"2026-11-21T00:00:00.000Z",
	  "total":{"attempts":0,"succeeded":0,"failed":0,"exhausted":0},"data":[]}`, a.body)
	require.Equal(t, http.StatusOK, e.call(t, "GET", path, "").status)

	for query, field := range map[string]string{
		"?from=yesterday": "from", "?to=-5": "to", "?from=2026-11-22T12:00:00Z&to=2026-11-22T11:00:00Z": "to", "?from=1": "from",
		"?to=9223372036854775807": "to",
	} {
		a := e.call(t, "GET", path+query, "")
		require.Equal(t, http.StatusBadRequest, a.status, query)
		require.Equal(t, field, a.problem(t)["field"], query)
	}
}
