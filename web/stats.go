package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

const (
	// defaultStatsSpan is what is shown when the request names no beginning.
	defaultStatsSpan = 24 * time.Hour
	// maxStatsSpan is the longest span that can be asked for, as long as counters are kept.
	maxStatsSpan = 90 * 24 * time.Hour
)

// getStats answers what a webhook's attempts came to, hour by hour and in all. Nothing is counted for it: the counters are kept as
// deliveries settle.
func (s *Server) getStats(c echo.Context, key *triggers.APIKey) error {
	w, err := s.webhook(c, key)
	if err != nil {
		return err
	}
	from, to, err := statsSpan(c)
	if err != nil {
		return err
	}
	hours, err := s.config.History.Hourly(c.Request().Context(), key.Tenant, w.Key, from, to)
	if err != nil {
		return fmt.Errorf("counters of webhook %s: %w", w.ID, err)
	}
	var total delivery.HourCounts
	for i := range hours {
		total.Add(&hours[i])
	}
	o := openObject(nil)
	o.time("from", from)
	o.time("to", to)
	o.object("total", func(o *object) { writeCounts(o, &total) })
	o.array("data", len(hours), func(dst []byte, i int) []byte {
		o := openObject(dst)
		o.time("hour", hours[i].Hour)
		writeCounts(o, &hours[i])
		return o.close()
	})
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// statsSpan reads from and to of a request for counters.
func statsSpan(c echo.Context) (from, to time.Time, err error) {
	if from, to, err = spanParams(c.QueryParam("from"), c.QueryParam("to")); err != nil {
		return from, to, err
	}
	if to.IsZero() {
		to = time.Now()
	}
	if from.IsZero() {
		from = to.Add(-defaultStatsSpan)
	}
	if to.Sub(from) > maxStatsSpan {
		err = triggers.Invalid(triggers.CodeOutOfRange, "from", "at most 90 days can be asked for at once")
	}
	return from, to, err
}

// writeCounts writes counters; the latencies are absent when there was no attempt.
func writeCounts(o *object, counts *delivery.HourCounts) {
	o.number("attempts", counts.Attempts)
	o.number("succeeded", counts.Succeeded)
	o.number("failed", counts.Failed)
	o.number("exhausted", counts.Exhausted)
	if _, ok := counts.Quantile(1); !ok {
		return
	}
	o.object("latencyMs", func(o *object) {
		for _, q := range []struct {
			name  string
			share float64
		}{{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}} {
			took, _ := counts.Quantile(q.share)
			o.name(q.name)
			o.buf = appendMilliseconds(o.buf, took)
		}
	})
}
