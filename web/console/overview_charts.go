package console

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
)

// chart is a picture of numbers over time, with the table of them behind it.
type chart struct {
	Name   string // names its messages, overview.<name>, and its ids
	Series []series
	Rows   []chartRow
	Scale  []string // what the lines across say, from the top
	Took   bool     // its numbers are times in microseconds, on a scale that grows tenfold from line to line
	low    float64  // the scale's ends
	high   float64
}

// series is one kind of number of a chart; in the picture the first lies at the bottom.
type series struct{ Class, Label string } // Label is a message's key

// chartRow is the numbers of a span of time.
type chartRow struct {
	At     moment
	Values []int64 // of each series; those of a chart of times may be missing as a whole
	Tick   string  // what stands at the axis, in UTC; a page's script writes it again in the reader's zone
}

// charts are those of the overview, out of the rows that the API has.
func (v *visit) charts(p period, starts []time.Time, rows []tenantCounts) []*chart {
	events := &chart{Name: "events", Series: []series{{"good", "overview.events.matched"}, {"idle", "overview.events.unmatched"}}}
	deliveries := &chart{Name: "deliveries", Series: []series{
		{"good", "delivery.succeeded"}, {"bad", "delivery.exhausted"}, {"warn", "delivery.skipped"}, {"idle", "delivery.cancelled"},
	}}
	attempts := &chart{Name: "attempts", Series: []series{{"good", "overview.attempts.good"}, {"bad", "overview.attempts.failed"}}}
	latency := &chart{Name: "latency", Took: true, Series: []series{{"p50", "overview.p50"}, {"p95", "overview.p95"}, {"p99", "overview.p99"}}}
	list := []*chart{events, deliveries, attempts, latency}
	at := 0
	for _, start := range starts {
		var row tenantCounts
		for at < len(rows) && rows[at].Hour.Before(start) {
			at++
		}
		if at < len(rows) && rows[at].Hour.Equal(start) {
			row = rows[at]
		}
		var times []int64
		if l := row.Latency; l != nil {
			times = []int64{milliseconds(l.P50).Microseconds(), milliseconds(l.P95).Microseconds(), milliseconds(l.P99).Microseconds()}
		}
		for i, values := range [][]int64{
			{row.Events - row.Unmatched, row.Unmatched},
			{row.Succeeded, row.Exhausted, row.Skipped, row.Cancelled},
			{row.Attempts - row.Failed, row.Failed},
			times,
		} {
			list[i].Rows = append(list[i].Rows, chartRow{At: moment{start}, Values: values, Tick: p.tick(start)})
		}
	}
	for _, c := range list {
		c.scale(v.words)
	}
	return list
}

// tick is what stands below the row that begins so; empty below most.
func (p period) tick(start time.Time) string {
	switch hour := start.Hour(); {
	case p.everyHours > 0 && hour%p.everyHours == 0:
		return start.Format("15:04")
	case p.everyHours == 0 && hour < p.step:
		return start.Format("01-02")
	}
	return ""
}

// scale chooses the ends of the scale and what the lines across say.
func (c *chart) scale(w *words) {
	c.low, c.high = math.Inf(1), 0
	for _, row := range c.Rows {
		var all int64
		for _, n := range row.Values {
			all += n
			if c.Took {
				c.low, c.high = min(c.low, float64(max(n, 1))), max(c.high, float64(n))
			}
		}
		if !c.Took {
			c.high = max(c.high, float64(all))
		}
	}
	if !c.Took {
		c.low, c.high = 0, roundUp(c.high)
		c.Scale = []string{w.Number(int64(c.high)), w.Number(int64(c.high / 2)), w.Number(0)}
		return
	}
	if c.high == 0 {
		c.low, c.high = 1e3, 1e5
	}
	low, high := math.Floor(math.Log10(c.low)), math.Ceil(math.Log10(c.high))
	high = max(high, low+1)
	c.low, c.high = low, high
	for power := high; power >= low; power-- {
		c.Scale = append(c.Scale, w.Short(time.Duration(math.Pow(10, power))*time.Microsecond))
	}
}

// roundUp is the next number that has a whole half and few digits.
func roundUp(most float64) float64 {
	for power := 1.0; ; power *= 10 {
		for _, first := range []float64{2, 4, 6, 8, 10} {
			if first*power >= most {
				return first * power
			}
		}
	}
}

// Short spells a power of ten of a time: 100 ms, 1 s.
func (w *words) Short(took time.Duration) string {
	switch {
	case took < time.Millisecond:
		return w.T("format.milliseconds", "value", w.numbers.Sprint(float64(took.Microseconds())/1000))
	case took < time.Second:
		return w.T("format.milliseconds", "value", took.Milliseconds())
	}
	return w.T("format.seconds", "value", int64(took/time.Second))
}

const (
	chartStep   = 10 // the width of a row, in units of the picture
	chartHeight = 100
)

// SVG draws the chart: bars on one another, or lines of times. All it says stands in the table, too.
func (c *chart) SVG() template.HTML {
	width := len(c.Rows) * chartStep
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="plot" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true" focusable="false"><path class="across" d="`, width, chartHeight)
	for i := range c.Scale {
		y := float64(i) / float64(len(c.Scale)-1) * chartHeight
		fmt.Fprintf(&s, "M0 %sH%d", coordinate(y), width)
	}
	s.WriteString(`"/>`)
	if c.Took {
		c.lines(&s)
	} else {
		c.bars(&s)
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // numbers and names of ours
}

func (c *chart) bars(s *strings.Builder) {
	const gap = 1.5
	for i, row := range c.Rows {
		y := float64(chartHeight)
		for at, n := range row.Values {
			if n <= 0 {
				continue
			}
			// Little of something is something.
			tall := max(float64(n)/c.high*chartHeight, 1)
			y -= tall
			fmt.Fprintf(s, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`,
				c.Series[at].Class, coordinate(float64(i*chartStep)+gap/2), coordinate(max(y, 0)), coordinate(chartStep-gap), coordinate(tall))
		}
	}
}

// lines draws each series as steps, one a row; where there was nothing, a line has a gap.
func (c *chart) lines(s *strings.Builder) {
	for at, of := range slices.Backward(c.Series) {
		fmt.Fprintf(s, `<path class="line %s" d="`, of.Class)
		joined := false
		for i, row := range c.Rows {
			if row.Values == nil {
				joined = false
				continue
			}
			share := (math.Log10(float64(max(row.Values[at], 1))) - c.low) / (c.high - c.low)
			y := coordinate(chartHeight * (1 - min(max(share, 0), 1)))
			if joined {
				fmt.Fprintf(s, "V%sH%d", y, (i+1)*chartStep)
			} else {
				fmt.Fprintf(s, "M%d %sH%d", i*chartStep, y, (i+1)*chartStep)
			}
			joined = true
		}
		s.WriteString(`"/>`)
	}
}

// Duration is a number of a chart of times.
func (c *chart) Duration(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
