package console

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// routes is the part that shows the tree of triggers, and which way an event takes through it.
func (c *Console) routes() feature {
	return feature{name: "routes", path: "/routes", seenBy: readers, routes: []route{
		{pattern: "GET /routes", allowed: readers, answer: showRoutes},
		{pattern: "POST /routes", allowed: watchers, answer: askRoutes},
		{pattern: "GET /routes/level", allowed: readers, answer: openLevel},
	}}
}

// routesPage is the tree, and what became of a question about an event.
type routesPage struct {
	Root     *routeBranch
	Question string
	Answer   *routeVerdict // nil: nothing was asked
	Error    string        // what is wrong with the question
	Samples  []string
}

// samples are events of every family to ask about.
var sampleEvents = []string{
	"/items/4adc30bb03054812a846fa592de105de/share", "/users/ann/signIn", "/groups/roads/update",
	"/services/roads/FeatureServer/FeaturesCreated", "com.qlik.v1.app.reload.finished",
}

// routeBranch is a branch of the tree as the API shows it, and what the page makes of it.
type routeBranch struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Kind     string `json:"kind"`
	Webhooks int64  `json:"webhooks"`
	Here     int64  `json:"here"`
	Leaf     bool   `json:"leaf"`
	Mark     mark   `json:"-"`
	Widest   int64  `json:"-"` // the most webhooks of a branch of the level
	Level    *level `json:"-"` // open, when not nil
}

// ID names the branch in the page.
func (b *routeBranch) ID() string { return pathID("b", b.Path) }

func pathID(prefix, path string) string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(path))
	return prefix + strconv.FormatUint(sum.Sum64(), 36)
}

// Bar is how many of the level's webhooks there are on the branch, as a bar.
func (b *routeBranch) Bar() template.HTML {
	const width = 60
	share := float64(b.Webhooks) / float64(max(b.Widest, b.Webhooks, 1)) * width
	return template.HTML(fmt.Sprintf(`<svg class="share" viewBox="0 0 %d 8" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect class="none" width="%d" height="8" rx="4"/><rect class="some" width="%s" height="8" rx="4"/></svg>`, width, width, coordinate(max(share, 3)))) //nolint:gosec // numbers
}

// level is what an open branch holds: the webhooks whose trigger ends there, and further branches.
type level struct {
	Path        string         `json:"path"`
	Webhooks    int64          `json:"webhooks"`
	Here        int64          `json:"here"`
	Subscribers []candidate    `json:"subscribers"`
	Branches    []*routeBranch `json:"data"`
	Links       links          `json:"links"`
	Next        string         `json:"-"` // the address of the branches after these
	First       bool           `json:"-"` // it is the first page
}

type candidate struct {
	ID      string `json:"webhookId"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// Unnamed is how many of the webhooks whose trigger ends here are not named.
func (l *level) Unnamed() int64 { return l.Here - int64(len(l.Subscribers)) }

// ItemID names the item of a webhook at this place of the tree.
func (l *level) ItemID(webhook string) string { return pathID("s", l.Path+" "+webhook) }

// MoreID names the item that brings the next page.
func (l *level) MoreID() string { return pathID("m", l.Path+" "+l.Next) }

// levelRows is how many branches a page of a level has.
const levelRows = 50

func (v *visit) readLevel(path, next string, rows int) (*level, error) {
	l := &level{First: next == ""}
	query := url.Values{"path": {path}, "limit": {strconv.Itoa(rows)}}
	if next != "" {
		query.Set("next", next)
	}
	if err := v.get("/routes", query, l); err != nil {
		return nil, err
	}
	if cursor := l.Links.Next.cursor("next"); cursor != "" {
		l.Next = v.Link("/routes/level", "path", path, "next", cursor)
	}
	for _, b := range l.Branches {
		b.Widest = l.Webhooks
	}
	return l, nil
}

// openLevel answers a script that opens a branch, or wants more of one.
func openLevel(v *visit) error {
	query := v.r.URL.Query()
	l, err := v.readLevel(query.Get("path"), query.Get("next"), levelRows)
	if err != nil {
		return err
	}
	return v.part(http.StatusOK, "routes/level", l)
}

func showRoutes(v *visit) error {
	query := v.r.URL.Query()
	shown := &routesPage{Question: query.Get("ask"), Samples: sampleEvents}
	open := newMarks()
	if path := query.Get("open"); path != "" {
		open.open(path)
	}
	if shown.Question != "" && v.May("watch") {
		if err := v.judgeEvent(shown, open); err != nil {
			return err
		}
	}
	var err error
	if shown.Root, err = v.tree(open); err != nil {
		return err
	}
	return v.show(http.StatusOK, page{Title: "nav.routes", Template: "routes", Section: "routes", Data: shown})
}

func askRoutes(v *visit) error {
	shown := &routesPage{Question: strings.TrimSpace(v.r.PostForm.Get("ask")), Samples: sampleEvents}
	open := newMarks()
	if shown.Question != "" {
		if err := v.judgeEvent(shown, open); err != nil {
			return err
		}
	}
	var err error
	if shown.Root, err = v.tree(open); err != nil {
		return err
	}
	if v.target() == "routes" {
		return v.part(http.StatusOK, "routes/board", shown)
	}
	return v.show(http.StatusOK, page{Title: "nav.routes", Template: "routes", Section: "routes", Data: shown})
}

// tree reads the families, and every level that is to be open.
func (v *visit) tree(marks *marks) (*routeBranch, error) {
	top, err := v.readLevel("/", "", levelRows)
	if err != nil {
		return nil, err
	}
	root := &routeBranch{Name: "/", Path: "/", Kind: "root", Webhooks: top.Webhooks, Here: top.Here, Level: top, Mark: marks.of("/")}
	return root, v.openBranches(top, marks)
}

// openBranches marks the branches of a level and opens those that lead on. A branch that is not on the level's page is put before it.
func (v *visit) openBranches(l *level, marks *marks) error {
	for _, path := range marks.below(l.Path) {
		var found *routeBranch
		for _, b := range l.Branches {
			if marks.same(b.Path, path) {
				found = b
			}
		}
		var opened *level
		if found == nil || marks.isOpen(path) {
			var err error
			if opened, err = v.readLevel(path, "", levelRows); err != nil {
				return err
			}
		}
		if found == nil {
			if opened.Webhooks == 0 {
				continue // gone meanwhile, or never there
			}
			found = &routeBranch{
				Name: path[strings.LastIndexByte(path, '/')+1:], Path: path, Kind: "name", Webhooks: opened.Webhooks, Here: opened.Here,
				Leaf: len(opened.Branches) == 0, Widest: l.Webhooks,
			}
			l.Branches = append([]*routeBranch{found}, l.Branches...)
		}
		found.Mark = marks.of(path)
		if marks.isOpen(path) {
			found.Level = opened
			if err := v.openBranches(opened, marks); err != nil {
				return err
			}
		}
	}
	return nil
}
