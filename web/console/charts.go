package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
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
