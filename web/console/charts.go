package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// Charts are drawn here as SVG, coloured by classes: a page has no style of its own.

// shareBar is a small bar of what went well and what did not.
type shareBar struct{ Good, Bad int64 }

// shareBarWidth is in the units of the picture; its style says how wide it is on a page.
const shareBarWidth = 60

// SVG draws the bar. What it says must stand beside it in words.
func (b shareBar) SVG() template.HTML {
	all := b.Good + b.Bad
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="share" viewBox="0 0 %d 8" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect class="none" width="%d" height="8" rx="4"/>`, shareBarWidth, shareBarWidth)
	if all > 0 {
		good := float64(b.Good) / float64(all) * shareBarWidth
		if b.Bad > 0 {
			fmt.Fprintf(&s, `<rect class="bad" width="%d" height="8" rx="4"/>`, shareBarWidth)
		}
		if b.Good > 0 {
			fmt.Fprintf(&s, `<rect class="good" width="%s" height="8" rx="4"/>`, coordinate(good))
		}
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // numbers
}

// coordinate spells a number of a picture shortly.
func coordinate(at float64) string { return strconv.FormatFloat(at, 'f', 2, 64) }

const (
	timingWidth = 600 // units of the picture
	hoursWidth  = 480
	hoursHeight = 64
)

// Timing draws an attempt's phases on a scale that ends at the longest of several.
func (a attempt) Timing(longest float64) template.HTML {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="timing" viewBox="0 0 %d 14" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect class="none" width="%d" height="14" rx="3"/>`, timingWidth, timingWidth)
	scale := func(took float64) float64 { return took / max(longest, 0.001) * timingWidth }
	for _, p := range a.Phases() {
		from, took := scale(float64(p.From)/1e6), scale(float64(p.Took)/1e6)
		fmt.Fprintf(&s, `<rect class="phase-%s" x="%s" width="%s" height="14"/>`, p.Name, coordinate(from), coordinate(max(took, 1.5)))
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // numbers and names of ours
}

// Longest is the time of the longest attempt, in milliseconds.
func (e *exchange) Longest() float64 {
	longest := 0.0
	for _, a := range e.Attempts {
		longest = max(longest, a.Total)
	}
	return longest
}

// Picture draws the attempts of each hour of the day before the moment of the answer: those that arrived below, those that failed above.
func (d day) Picture() template.HTML {
	const hours = 24
	first := d.To.Truncate(time.Hour).Add(-(hours - 1) * time.Hour)
	var most int64 = 1
	for _, h := range d.Hours {
		most = max(most, h.Succeeded+h.Failed)
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg class="hours" viewBox="0 0 %d %d" preserveAspectRatio="none" aria-hidden="true" focusable="false">`, hoursWidth, hoursHeight)
	const step = float64(hoursWidth) / hours
	for i := range hours {
		fmt.Fprintf(&s, `<rect class="none" x="%s" y="%d" width="%s" height="2"/>`, coordinate(float64(i)*step+1), hoursHeight-2, coordinate(step-2))
	}
	height := func(n int64) float64 { return float64(n) / float64(most) * (hoursHeight - 2) }
	for _, h := range d.Hours {
		at := int(h.Hour.Sub(first) / time.Hour)
		if at < 0 || at >= hours {
			continue
		}
		y := float64(hoursHeight)
		for _, part := range []struct {
			class string
			count int64
		}{{"good", h.Succeeded}, {"bad", h.Failed}} {
			if part.count > 0 {
				tall := max(height(part.count), 2)
				y -= tall
				fmt.Fprintf(&s, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`, part.class, coordinate(float64(at)*step+1), coordinate(y), coordinate(step-2), coordinate(tall))
			}
		}
	}
	s.WriteString(`</svg>`)
	return template.HTML(s.String()) //nolint:gosec // numbers and names of ours
}
