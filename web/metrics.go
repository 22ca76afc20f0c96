package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests by route, method and class of status.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portalhook_http_requests_total", Help: "Requests answered, by route, method and class of status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portalhook_http_request_duration_seconds", Help: "Time from a request's head to its answer, by route and method.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "method"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// routeMetrics are one route's, looked up once so that a request pays for additions only.
type routeMetrics struct {
	byClass [6]prometheus.Counter
	seconds prometheus.Observer
}

func (m *metrics) route(method, path string) *routeMetrics {
	r := &routeMetrics{seconds: m.seconds.WithLabelValues(path, method)}
	for class := 1; class < len(r.byClass); class++ {
		r.byClass[class] = m.requests.WithLabelValues(path, method, fmt.Sprintf("%dxx", class))
	}
	return r
}

func (r *routeMetrics) observe(status int, took time.Duration) {
	class := status / http.StatusContinue
	if class < 1 || class >= len(r.byClass) {
		class = 5
	}
	r.byClass[class].Inc()
	r.seconds.Observe(took.Seconds())
}
