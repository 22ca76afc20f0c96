package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Overview answers what is counted of a tenant as a whole: it is met by *storage.Store.
type Overview interface {
	// TenantHours lists the hours of the span in which anything was counted, the oldest first.
	TenantHours(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.TenantHour, error)
	// WebhookTotals sums up the hours of the span for each webhook with attempts in it.
	WebhookTotals(ctx context.Context, tenant uint32, from, to time.Time) ([]delivery.WebhookTotal, error)
	OpenWork(ctx context.Context, tenant uint32) (delivery.OpenWork, error)
	// Summaries tells of webhooks in the order of the keys given.
	Summaries(ctx context.Context, webhooks []uint32, since, now time.Time) ([]delivery.WebhookSummary, error)
}

// Hosts tells which receivers are given a rest: it is met by *delivery.Dispatcher.
type Hosts interface {
	Breakers(tenant uint32) []delivery.Breaker
}

const (
	// rankingSpan is the part of the span that webhooks are ranked by, its last: each webhook costs a look-up for every hour of it.
	rankingSpan = 24 * time.Hour
	rankingRows = 10
	// stoppedRows is how many of the webhooks that the server has switched off are named, those first that were switched off last.
	stoppedRows = 10
)

// stepHours are the lengths of a row that can be asked for, in hours: they divide a day.
var stepHours = []int{1, 2, 3, 4, 6, 8, 12, 24}

// getOverview answers what a tenant's events and deliveries came to, hour by hour and in all, which webhooks are slowest and fail most, and
// how things stand now. No row of history is counted for it.
func (s *Server) getOverview(c echo.Context, key *triggers.APIKey) error {
	from, to, err := statsSpan(c)
	if err != nil {
		return err
	}
	step, err := stepParam(c.QueryParam("step"))
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	hours, err := s.config.Overview.TenantHours(ctx, key.Tenant, from, to)
	if err != nil {
		return fmt.Errorf("overview: %w", err)
	}
	ranked, err := s.rank(ctx, key.Tenant, from, to)
	if err != nil {
		return fmt.Errorf("overview: %w", err)
	}
	open, err := s.config.Overview.OpenWork(ctx, key.Tenant)
	if err != nil {
		return fmt.Errorf("overview: %w", err)
	}
	var total delivery.TenantHour
	for i := range hours {
		total.Add(&hours[i])
	}
	hours = inSteps(hours, step)
	o := openObject(nil)
	o.time("from", from)
	o.time("to", to)
	o.object("total", func(o *object) { writeTenantCounts(o, &total) })
	o.array("data", len(hours), func(dst []byte, i int) []byte {
		o := openObject(dst)
		o.time("hour", hours[i].Hour)
		writeTenantCounts(o, &hours[i])
		return o.close()
	})
	o.object("ranking", ranked.write)
	o.object("now", func(o *object) { s.writeNow(o, key.Tenant, open) })
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// stepParam reads how long a row is; an hour where the request does not say.
func stepParam(text string) (time.Duration, error) {
	if text == "" {
		return time.Hour, nil
	}
	hours, err := strconv.Atoi(text)
	if err != nil || !slices.Contains(stepHours, hours) {
		return 0, triggers.Invalid(triggers.CodeOutOfRange, "step", "the step is %q; it must be 1, 2, 3, 4, 6, 8, 12 or 24 hours", text)
	}
	return time.Duration(hours) * time.Hour, nil
}

// inSteps adds up the hours of each step, which are counted from midnight in UTC. The hours are given in order.
func inSteps(hours []delivery.TenantHour, step time.Duration) []delivery.TenantHour {
	if step == time.Hour {
		return hours
	}
	var list []delivery.TenantHour
	for i := range hours {
		start := hours[i].Hour.Truncate(step)
		if n := len(list); n == 0 || !list[n-1].Hour.Equal(start) {
			list = append(list, delivery.TenantHour{HourCounts: delivery.HourCounts{Hour: start}})
		}
		list[len(list)-1].Add(&hours[i])
	}
	return list
}

func writeTenantCounts(o *object, h *delivery.TenantHour) {
	o.number("events", h.Events)
	o.number("unmatched", h.Unmatched)
	o.number("planned", h.Planned)
	o.number("skipped", h.Skipped)
	o.number("cancelled", h.Cancelled)
	writeCounts(o, &h.HourCounts)
}

// ranking is the slowest and the most failing webhooks of a span.
type ranking struct {
	from, to         time.Time
	slowest, failing []rankedWebhook
}

type rankedWebhook struct {
	webhook *triggers.Webhook
	counts  delivery.HourCounts
}

func (s *Server) rank(ctx context.Context, tenant uint32, from, to time.Time) (*ranking, error) {
	if least := to.Add(-rankingSpan); from.Before(least) {
		from = least
	}
	totals, err := s.config.Overview.WebhookTotals(ctx, tenant, from, to)
	if err != nil {
		return nil, err
	}
	r := &ranking{from: from, to: to}
	if r.slowest, err = s.ranked(ctx, tenant, from, to, delivery.Slowest(totals, rankingRows)); err != nil {
		return nil, err
	}
	r.failing, err = s.ranked(ctx, tenant, from, to, delivery.MostFailing(totals, rankingRows))
	return r, err
}

// ranked reads the latencies of the few that are shown. Webhooks that have been deleted meanwhile are left out.
func (s *Server) ranked(ctx context.Context, tenant uint32, from, to time.Time, top []delivery.WebhookTotal) ([]rankedWebhook, error) {
	var list []rankedWebhook
	for _, total := range top {
		w := s.config.Directory.Get(total.Webhook)
		if w == nil {
			continue
		}
		hours, err := s.config.History.Hourly(ctx, tenant, total.Webhook, from, to)
		if err != nil {
			return nil, err
		}
		row := rankedWebhook{webhook: w}
		for i := range hours {
			row.counts.Add(&hours[i])
		}
		list = append(list, row)
	}
	return list, nil
}

func (r *ranking) write(o *object) {
	o.time("from", r.from)
	o.time("to", r.to)
	for _, l := range []struct {
		name string
		rows []rankedWebhook
	}{{"slowest", r.slowest}, {"failing", r.failing}} {
		o.array(l.name, len(l.rows), func(dst []byte, i int) []byte {
			row := &l.rows[i]
			o := openWebhook(dst, row.webhook)
			writeCounts(o, &row.counts)
			o.name("meanMs")
			o.buf = appendMilliseconds(o.buf, row.counts.Mean())
			return o.close()
		})
	}
}

// writeNow writes what stands open, the webhooks by state, and the receivers that are given a rest.
func (s *Server) writeNow(o *object, tenant uint32, open delivery.OpenWork) {
	o.object("open", func(o *object) {
		o.number("waiting", open.Waiting)
		o.number("sending", open.Sending)
		if !open.Oldest.IsZero() {
			o.time("oldestAt", open.Oldest)
			o.number("oldestSeconds", int64(max(time.Since(open.Oldest), 0)/time.Second))
		}
	})
	var enabled, disabled, switchedOff int64
	var stopped []*triggers.Webhook
	for w := range s.config.Directory.Webhooks(tenant) {
		switch {
		case w.Enabled:
			enabled++
		case w.DisabledReasonCode != "":
			switchedOff++
			stopped = withStopped(stopped, w)
		default:
			disabled++
		}
	}
	o.object("webhooks", func(o *object) {
		o.number("enabled", enabled)
		o.number("disabled", disabled)
		o.number("switchedOff", switchedOff)
	})
	o.array("stopped", len(stopped), func(dst []byte, i int) []byte {
		o := openWebhook(dst, stopped[i])
		o.text("disabledReason", stopped[i].DisabledReason)
		o.text("disabledReasonCode", stopped[i].DisabledReasonCode)
		o.time("disabledAt", stopped[i].DisabledAt)
		return o.close()
	})
	breakers := s.config.Hosts.Breakers(tenant)
	o.array("breakers", len(breakers), func(dst []byte, i int) []byte {
		o := openObject(dst)
		o.text("host", breakers[i].Host)
		o.time("until", breakers[i].Until)
		o.number("webhooks", int64(breakers[i].Webhooks))
		return o.close()
	})
}

// withStopped adds a webhook to those that were switched off last, of which it keeps the first.
func withStopped(list []*triggers.Webhook, w *triggers.Webhook) []*triggers.Webhook {
	at, _ := slices.BinarySearchFunc(list, w, func(a, b *triggers.Webhook) int {
		return cmp.Or(b.DisabledAt.Compare(a.DisabledAt), cmp.Compare(a.Key, b.Key))
	})
	if at == stoppedRows {
		return list
	}
	list = slices.Insert(list, at, w)
	return list[:min(len(list), stoppedRows)]
}

// appendMilliseconds writes a duration in milliseconds, exact to the microsecond.
func appendMilliseconds(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, float64(d.Microseconds())/1000, 'f', -1, 64)
}
