package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// overview is the first page: how the tenant does, and what happens at this moment.
func (c *Console) overview() feature {
	return feature{name: "overview", path: "/overview", seenBy: watchers, routes: []route{
		{pattern: "GET /overview", allowed: watchers, answer: showOverview},
		{pattern: "GET /overview/tail", allowed: watchers, answer: streamTail},
		{pattern: "GET /overview/missed", allowed: watchers, answer: tellMissed},
	}}
}

// period is a span that the overview shows: so many rows of so many hours, the last of which is the present one.
type period struct {
	Name       string // names its message, period.<name>
	rows, step int
	everyHours int // an axis is labelled at such hours of the day; 0: where days begin
}

// periods are those of the switch; the first is shown when none is chosen. Counters are kept by the hour: what is shorter is the tail's.
var periods = []period{{"day", 24, 1, 6}, {"week", 56, 3, 0}, {"month", 60, 12, 0}}

func periodOf(name string) period {
	for _, p := range periods {
		if p.Name == name {
			return p
		}
	}
	return periods[0]
}

func (p period) long() time.Duration { return time.Duration(p.step) * time.Hour }

// starts are when the rows begin, the oldest first.
func (p period) starts(now time.Time) []time.Time {
	last := now.UTC().Truncate(p.long())
	list := make([]time.Time, p.rows)
	for i := range list {
		list[i] = last.Add(-time.Duration(p.rows-1-i) * p.long())
	}
	return list
}

// tenantCounts are the counters of a row, or of all.
type tenantCounts struct {
	hourCounts
	Events    int64 `json:"events"`
	Unmatched int64 `json:"unmatched"`
	Skipped   int64 `json:"skipped"`
	Cancelled int64 `json:"cancelled"`
}

// Ended is how many deliveries were sent until they arrived or failed.
func (t *tenantCounts) Ended() int64 { return t.Succeeded + t.Exhausted }

// Arrived is the share of those that arrived.
func (t *tenantCounts) Arrived() float64 {
	if t.Ended() == 0 {
		return 0
	}
	return float64(t.Succeeded) / float64(t.Ended())
}

// Slowest is the 99th percentile of how long attempts took.
func (t *tenantCounts) Slowest() time.Duration { return milliseconds(t.Latency.P99) }

// standing is what the API says of the tenant as a whole.
type standing struct {
	Total   tenantCounts   `json:"total"`
	Rows    []tenantCounts `json:"data"`
	Ranking struct {
		Slowest []rankedWebhook `json:"slowest"`
		Failing []rankedWebhook `json:"failing"`
	} `json:"ranking"`
	Now struct {
		Open struct {
			Waiting  int64  `json:"waiting"`
			Sending  int64  `json:"sending"`
			OldestAt moment `json:"oldestAt"`
		} `json:"open"`
		Webhooks struct {
			Enabled     int64 `json:"enabled"`
			Disabled    int64 `json:"disabled"`
			SwitchedOff int64 `json:"switchedOff"`
		} `json:"webhooks"`
		Stopped  []stoppedWebhook `json:"stopped"`
		Breakers []struct {
			Host     string `json:"host"`
			Until    moment `json:"until"`
			Webhooks int64  `json:"webhooks"`
		} `json:"breakers"`
	} `json:"now"`
}

// Open is how many deliveries have not ended.
func (s *standing) Open() int64 { return s.Now.Open.Waiting + s.Now.Open.Sending }

// Webhooks is how many there are.
func (s *standing) Webhooks() int64 {
	return s.Now.Webhooks.Enabled + s.Now.Webhooks.Disabled + s.Now.Webhooks.SwitchedOff
}

// rankedWebhook is one of the slowest, or of those that fail most.
type rankedWebhook struct {
	ID     string  `json:"webhookId"`
	Name   string  `json:"name"`
	MeanMs float64 `json:"meanMs"`
	hourCounts
}

// Mean is how long an attempt took in the mean.
func (r *rankedWebhook) Mean() time.Duration { return milliseconds(r.MeanMs) }

// Bar is the share of attempts that did not fail as a bar.
func (r *rankedWebhook) Bar() shareBar { return shareBar{Good: r.Attempts - r.Failed, Bad: r.Failed} }

// stoppedWebhook is one that the server has switched off.
type stoppedWebhook struct {
	ID     string `json:"webhookId"`
	Name   string `json:"name"`
	Reason string `json:"disabledReason"`
	Code   string `json:"disabledReasonCode"`
	At     moment `json:"disabledAt"`
}

// overviewPage is the overview.
type overviewPage struct {
	*standing
	Period  period
	Periods []periodChoice
	Address string // where the page is fetched again
	Told    moment // when this was so
	Charts  []*chart
	Start   *firstSteps // nil once there is something to see
}

type periodChoice struct {
	Name, Address string
	Chosen        bool
}

// firstSteps are what an administrator does first, and which of it has been done.
type firstSteps struct{ Webhook, Event, Attempt bool }

func showOverview(v *visit) error {
	p := periodOf(v.r.URL.Query().Get("period"))
	now := v.now()
	starts := p.starts(now)
	shown := overviewPage{standing: new(standing), Period: p, Told: moment{now}}
	query := url.Values{
		"from": {starts[0].Format(time.RFC3339)}, "to": {now.UTC().Format(time.RFC3339)}, "step": {strconv.Itoa(p.step)},
	}
	if err := v.get("/stats", query, shown.standing); err != nil {
		return err
	}
	for i, other := range periods {
		choice := periodChoice{Name: other.Name, Address: v.Link("/overview"), Chosen: other == p}
		if i > 0 {
			choice.Address = v.Link("/overview", "period", other.Name)
		}
		shown.Periods = append(shown.Periods, choice)
	}
	shown.Charts = v.charts(p, starts, shown.Rows)
	var err error
	if shown.Start, err = v.firstSteps(shown.standing); err != nil {
		return err
	}
	started := ""
	if shown.Start != nil {
		started = "shown"
	}
	shown.Address = v.Link("/overview", "period", p.Name, "start", started)
	if v.target() == "overview" {
		return v.part(http.StatusOK, "overview/board", shown)
	}
	return v.show(http.StatusOK, page{Title: "nav.overview", Template: "overview", Section: "overview", Data: shown})
}

// firstSteps says what is to be done first, as long as there is no webhook or no event; nil afterwards. While one looks they stay, all done:
// what stands below must not move under the pointer.
func (v *visit) firstSteps(s *standing) (*firstSteps, error) {
	steps := &firstSteps{Webhook: s.Webhooks() > 0, Event: s.Total.Events > 0, Attempt: s.Total.Attempts > 0}
	if !steps.Event {
		// The period may be too short.
		var got struct {
			Data []*eventView `json:"data"`
		}
		if err := v.get("/events", url.Values{"limit": {"1"}}, &got); err != nil {
			return nil, err
		}
		if steps.Event = len(got.Data) > 0; steps.Event {
			steps.Attempt = true
		}
	}
	if steps.Webhook && steps.Event && steps.Attempt && v.r.URL.Query().Get("start") == "" {
		return nil, nil
	}
	return steps, nil
}
