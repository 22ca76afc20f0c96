package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"portalhook/testdata"
	"portalhook/triggers"
)

// report prints the demo's table as the stories end, and adds up.
type report struct {
	out    io.Writer
	paint  paint
	widths [columns]int

	stories, expected, arrived, signed, unsigned, unmatched, held int
	steps                                                         int            // of the second part, that went as they should
	families                                                      map[string]int // stories by family
	took                                                          []time.Duration
	failures                                                      []string
}

// The columns of the table; the last is aligned to the right and the one before it is the judgement.
const (
	columnTrigger = iota
	columnWebhook
	columnWhy
	columnStatus
	columnSignature
	columnTime
	columns
)

var columnNames = [columns]string{"TRIGGER", "WEBHOOK", "WHY IT MATCHED", "STATUS", "SIGNATURE", "MS"}

// The widest that cells are printed, in characters. Rows come one by one, so widths are fixed beforehand.
const (
	widestTrigger = 52
	widestWhy     = 56
)

func newReport(out io.Writer, stories []testdata.Story) *report {
	r := &report{out: out, paint: paintFor(out), families: map[string]int{}}
	for i, name := range columnNames {
		r.widths[i] = len(name)
	}
	r.widths[columnWhy], r.widths[columnStatus], r.widths[columnTime] = widestWhy, len("succeeded"), len("999.9")
	for _, story := range stories {
		for _, match := range story.Matches {
			r.widths[columnTrigger] = min(widestTrigger, max(r.widths[columnTrigger], utf8.RuneCountInString(match.Trigger)))
			r.widths[columnWebhook] = max(r.widths[columnWebhook], utf8.RuneCountInString(match.Webhook))
		}
	}
	return r
}

func (r *report) header() {
	r.row(columnNames, r.paint.bold)
}

// row prints the cells in their columns, coloured as a whole.
func (r *report) row(cells [columns]string, colour func(string) string) {
	var b strings.Builder
	for i, text := range cells {
		text = clipped(text, max(r.widths[i], len(columnNames[i])))
		blanks := strings.Repeat(" ", max(0, r.widths[i]-utf8.RuneCountInString(text)))
		switch i {
		case columnTime:
			b.WriteString(blanks + colour(text))
		default:
			b.WriteString(colour(text) + blanks + columnGap)
		}
	}
	fmt.Fprintln(r.out, strings.TrimRight(b.String(), " "))
}

// familyOf names the family of an event, by its URI.
func familyOf(uri string) string {
	parsed, err := triggers.Default().ParseURI(uri)
	switch {
	case err != nil:
		return "unknown"
	case parsed.Resource.IsPortal():
		return "portal"
	case parsed.Resource == triggers.FeatureServices:
		return "feature service"
	case parsed.Resource == triggers.Geoprocessing:
		return "geoprocessing"
	case parsed.Resource == triggers.CloudTypes:
		return "cloud"
	}
	return "operational" // the server's own
}

func clipped(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

func (r *report) add(s *result) {
	r.stories++
	r.unmatched += s.unmatched
	r.held += len(s.story.Held)
	family := familyOf(s.uri)
	r.families[family]++
	fmt.Fprintln(r.out, r.paint.dim("# "+family+": "+s.story.Sentence))
	r.fail(s.story.Name, s.problems)
	for i := range s.rows {
		r.addRow(s, &s.rows[i])
	}
}

func (r *report) addRow(s *result, o *outcome) {
	r.expected++
	signature, took := "unsigned", "-"
	switch {
	case len(o.problems) > 0:
		signature = "WRONG"
	case o.signed:
		signature = "verified"
		r.signed++
	default:
		r.unsigned++
	}
	if o.took > 0 {
		took = fmt.Sprintf("%.1f", float64(o.took)/float64(time.Millisecond))
		r.took = append(r.took, o.took)
	}
	colour := func(text string) string { return text }
	if len(o.problems) == 0 {
		r.arrived++
	} else {
		colour = r.paint.red
	}
	r.row([columns]string{o.trigger, o.webhook, o.because, o.state, signature, took}, colour)
	r.fail(s.story.Name+", "+o.webhook, o.problems)
}

func (r *report) fail(where string, problems []string) {
	for _, problem := range problems {
		r.failures = append(r.failures, where+": "+problem)
		fmt.Fprintln(r.out, "  "+r.paint.red(problem))
	}
}

// strays counts what arrived and nobody was waiting for: the deliveries to near misses, and second copies.
func (r *report) strays(arrivals []arrival) {
	for _, a := range arrivals {
		r.fail(a.path, []string{"unexpected delivery " + deliveryID(a)})
	}
}

func (r *report) failed() bool {
	return len(r.failures) > 0 || r.arrived != r.expected || r.expected == 0
}

func (r *report) finish(took time.Duration) {
	counts := make([]string, 0, len(r.families))
	for _, family := range slices.Sorted(maps.Keys(r.families)) {
		counts = append(counts, fmt.Sprintf("%d %s", r.families[family], family))
	}
	fmt.Fprintf(r.out, "\n%d events (%s), %d deliveries expected: %d arrived byte for byte (%d signed and verified, %d unsigned as asked); "+
		"%d webhooks rightly told nothing, %d of them for their level or filter.\n", r.stories, strings.Join(counts, ", "), r.expected, r.arrived, r.signed, r.unsigned, r.unmatched, r.held)
	if len(r.took) > 0 {
		slices.Sort(r.took)
		fmt.Fprintf(r.out, "From sending the event to its arrival: %s in the middle, %s at most. All in %s.\n",
			milliseconds(r.took[len(r.took)/2]), milliseconds(r.took[len(r.took)-1]), took.Round(10*time.Millisecond))
	}
	if r.steps > 0 {
		fmt.Fprintf(r.out, "%d steps of an administrator went as they should.\n", r.steps)
	}
	if r.failed() {
		fmt.Fprintln(r.out, r.paint.red(fmt.Sprintf("FAILED: %d things are wrong.", max(1, len(r.failures)))))
		for _, failure := range r.failures {
			fmt.Fprintln(r.out, "  "+failure)
		}
		return
	}
	fmt.Fprintln(r.out, r.paint.green("Everything arrived as it should."))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
