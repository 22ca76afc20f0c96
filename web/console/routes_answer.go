package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// mark is what an event did at a branch.
type mark string

// The marks, the stronger after the weaker.
const (
	markFailed mark = "failed" // it came as far as here, and no further
	markNear   mark = "near"   // it came through towards a trigger that does not hear it
	markHeld   mark = "held"   // a trigger that hears it ends here, and something else holds it back
	markPassed mark = "passed" // it came through towards a trigger that hears it
	markHeard  mark = "heard"  // a trigger that hears it ends here
)

var markOrder = []mark{"", markFailed, markNear, markHeld, markPassed, markHeard}

// maxOpened bounds how many levels one answer opens: each is a request of its own.
const maxOpened = 24

// marks are the branches that an event touches, by path, whatever the case.
type marks struct {
	marked map[string]mark
	path   map[string]string // as a trigger spells it
	opened map[string]bool
}

func newMarks() *marks {
	return &marks{marked: map[string]mark{}, path: map[string]string{}, opened: map[string]bool{}}
}

func (m *marks) same(a, b string) bool { return strings.EqualFold(a, b) }

func (m *marks) add(path string, with mark) {
	key := strings.ToLower(path)
	if _, known := m.path[key]; !known {
		m.path[key] = path
	}
	if slices.Index(markOrder, with) > slices.Index(markOrder, m.marked[key]) {
		m.marked[key] = with
	}
}

func (m *marks) of(path string) mark { return m.marked[strings.ToLower(path)] }

func (m *marks) isOpen(path string) bool { return m.opened[strings.ToLower(path)] }

// open opens a path and all that lead there.
func (m *marks) open(path string) {
	for _, prefix := range prefixes(path) {
		m.add(prefix, "")
		m.openOne(prefix)
	}
}

func (m *marks) openOne(path string) {
	if len(m.opened) < maxOpened {
		m.opened[strings.ToLower(path)] = true
	}
}

// below are the branches of a level that are marked or to be opened, in order.
func (m *marks) below(level string) []string {
	parent := strings.ToLower(strings.TrimSuffix(level, "/")) + "/"
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m.path)) {
		if name, ok := strings.CutPrefix(key, parent); ok && name != "" && !strings.Contains(name, "/") {
			list = append(list, m.path[key])
		}
	}
	return list
}

// prefixes are the branches that lead to a path, the path itself as the last.
func prefixes(path string) []string {
	var list []string
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			list = append(list, path[:i])
		}
	}
	if path != "/" {
		list = append(list, path)
	}
	return list
}

// branchPath is the path of the branch at which a trigger ends: its own text, but for cloud types, whose words are branches.
func branchPath(trigger string) string {
	if strings.HasPrefix(trigger, "/") {
		return trigger
	}
	return "/cloud/" + strings.ReplaceAll(trigger, ".", "/")
}

// follow marks the way towards a trigger, and where it ends.
func (m *marks) follow(t judged, end, way mark) {
	path := branchPath(t.Trigger)
	if path == "/" {
		m.add("/", end)
		return
	}
	all := prefixes(path)
	last := len(all) - 1
	if !t.Matched {
		// The family is the first segment; of a cloud type it is none.
		last = slices.IndexFunc(t.Segments, func(s segment) bool { return !s.Matched })
		if !strings.HasPrefix(t.Trigger, "/") {
			last++
		}
		last = min(max(last, 0), len(all)-1)
	}
	m.add("/", way)
	for i, prefix := range all[:last+1] {
		if i == last {
			m.add(prefix, end)
			break
		}
		m.add(prefix, way)
		m.openOne(prefix)
	}
}

// routeVerdict is a dry run, divided into what is shown and what is counted.
type routeVerdict struct {
	dryRun

	Near     []*otherWebhook // those of the others that the event came near to, as many as are shown
	MoreNear int64           // how many near ones are not shown
	Far      int64           // how many are about something else
}

// MoreMatches is how many matches are not shown.
func (a *routeVerdict) MoreMatches() int64 { return a.Matched - int64(len(a.Matches)) }

// maxShown is how many matches, and how many near misses, are shown.
const maxShown = 20

// judgeEvent asks about the event of the question, and marks the ways that it takes. What the API refuses is said beside the question.
func (v *visit) judgeEvent(shown *routesPage, marks *marks) error {
	body := map[string]any{"uri": shown.Question}
	if strings.HasPrefix(shown.Question, "{") {
		value := jsontext.Value(shown.Question)
		if !value.IsValid() {
			shown.Error = v.T("routes.json")
			return nil
		}
		body = map[string]any{"event": value}
	}
	var got dryRun
	query := url.Values{"order": {"nearest"}, "limit": {strconv.Itoa(maxShown)}}
	if err := v.call(http.MethodPost, "/match", query, body, &got); err != nil {
		refused, ok := asRefusal(err, http.StatusBadRequest)
		if !ok {
			return err
		}
		shown.Error = v.Explain(refused)
		return nil
	}
	answer := got.divided()
	for _, w := range answer.Near {
		way, end := markNear, markFailed
		for i, t := range w.Triggers {
			switch {
			case t.Matched:
				marks.follow(t, markHeld, markNear)
			case i == 0:
				marks.follow(t, end, way)
			}
		}
	}
	for _, w := range answer.Matches {
		for _, t := range w.Triggers {
			if t.Matched {
				marks.follow(t, markHeard, markPassed)
			}
		}
	}
	shown.Answer = answer
	return nil
}

// divided puts aside the webhooks that the event came nowhere near.
func (a *dryRun) divided() *routeVerdict {
	all := a.all()
	others := all[len(a.Matches):]
	near := others[:min(int(a.Near), len(others))]
	return &routeVerdict{dryRun: *a, Near: near, MoreNear: a.Near - int64(len(near)), Far: a.Unmatched - a.Near}
}
