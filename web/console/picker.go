package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// entryOfCatalogue is a trigger that can be subscribed.
type entryOfCatalogue struct {
	Trigger   string   `json:"trigger"`
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	Category  string   `json:"category"`
	Resource  string   `json:"resource"`
	Scope     string   `json:"scope"`
	Operation string   `json:"operation"`
	Levels    []string `json:"levels"`
	// Properties are those of payloads; SampleEvent can be emitted, and leads to SamplePayload.
	Properties    []string       `json:"properties"`
	SampleEvent   jsontext.Value `json:"sampleEvent"`
	SamplePayload jsontext.Value `json:"samplePayload"`
}

// catalogue is every trigger there is.
func (v *visit) catalogue() ([]entryOfCatalogue, error) {
	var got struct {
		Data []entryOfCatalogue `json:"data"`
	}
	return got.Data, v.get("/triggers", nil, &got)
}

// picker is where triggers are chosen: the catalogue as a tree, a text of one trigger a line, and what is said of each line.
type picker struct {
	Text     string
	Error    string
	Branches []branch
	Verdicts verdicts
}

// branch is what can happen to one kind of thing.
type branch struct {
	Resource string // names the branch's message: resource.<name>; of cloud types also the category
	Category string // of cloud types
	ByID     bool   // a leaf can be about one thing, which is named in the branch
	Leaves   []leaf
}

// leaf is one thing that can happen: Any is the trigger for all things of the branch, One for one, with * in the place of its id.
type leaf struct {
	Operation, Title string
	Any, One         string
	UserLevel        bool
	Entries          []entryOfCatalogue // its forms
}

// Word is what a leaf is called for short: its operation, or the last parts of a cloud type.
func (l leaf) Word() string {
	switch {
	case l.Operation == "*":
		return ""
	case l.Operation != "":
		return l.Operation
	}
	return l.Any
}

// lines are the triggers of the text, one a line, without blank ones.
func (p *picker) lines() []string {
	list := []string{}
	for line := range strings.Lines(p.Text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// picker makes the picker of a text of triggers.
func (v *visit) picker(text, level, why string) (picker, error) {
	p := picker{Text: text, Error: why}
	entries, err := v.catalogue()
	if err != nil {
		return p, err
	}
	p.Branches = branchesOf(entries)
	p.Verdicts, err = v.judge(p.lines(), level)
	return p, err
}

// branchesOf makes a tree of the catalogue, in its order.
func branchesOf(entries []entryOfCatalogue) []branch {
	var tree []branch
	for _, e := range entries {
		category := ""
		if e.Resource == "cloud" {
			category = e.Category
		}
		at := slices.IndexFunc(tree, func(b branch) bool { return b.Resource == e.Resource && b.Category == category })
		if at < 0 {
			at = len(tree)
			tree = append(tree, branch{Resource: e.Resource, Category: category})
		}
		b := &tree[at]
		i := slices.IndexFunc(b.Leaves, func(l leaf) bool { return e.Operation != "" && l.Operation == e.Operation })
		if i < 0 {
			i = len(b.Leaves)
			b.Leaves = append(b.Leaves, leaf{Operation: e.Operation, Title: e.Title, UserLevel: slices.Contains(e.Levels, "user")})
		}
		b.Leaves[i].Entries = append(b.Leaves[i].Entries, e)
		if e.Scope == "specific" {
			b.ByID = true
			b.Leaves[i].One = e.Name
		} else {
			b.Leaves[i].Any = e.Name
		}
	}
	return tree
}

// verdicts are what is said of triggers before they are saved.
type verdicts struct {
	Lines []verdict
	// Caught is how many events of the past week they would have heard; nil when that is not known.
	Caught *caught
}

// verdict is what is said of one trigger.
type verdict struct {
	Given      string   `json:"given"`
	Valid      bool     `json:"valid"`
	Trigger    string   `json:"trigger"`
	Levels     []string `json:"levels"`
	Title      string   `json:"title"`
	Code       string   `json:"code"`
	Detail     string   `json:"detail"`
	Suggestion string   `json:"suggestion"`
	Explained  string   `json:"-"` // the detail, in the reader's language as far as there are words for it
	WrongLevel bool     `json:"-"` // it cannot be had at the level chosen
}

type caught struct {
	Count    int64 `json:"caught"`
	Complete bool  `json:"complete"`
}

// maxJudged bounds how many lines are judged: as many as a webhook may have.
const maxJudged = 100

// judge asks what is to be said of triggers for a webhook of a level.
func (v *visit) judge(lines []string, level string) (verdicts, error) {
	var said verdicts
	if len(lines) == 0 {
		return said, nil
	}
	var got struct {
		Data []verdict `json:"data"`
	}
	if err := v.post("/triggers/check", map[string]any{"eventTypes": lines[:min(len(lines), maxJudged)]}, &got); err != nil {
		return said, err
	}
	said.Lines = got.Data
	var valid []string
	for i := range said.Lines {
		line := &said.Lines[i]
		line.Explained = v.Explain(&apiError{Code: line.Code, Detail: line.Detail})
		line.WrongLevel = line.Valid && level == "user" && !slices.Contains(line.Levels, level)
		if line.Valid && !line.WrongLevel {
			valid = append(valid, line.Trigger)
		}
	}
	if len(valid) > 0 && v.May("watch") {
		said.Caught = v.pastOf(valid)
	}
	return said, nil
}

// maxCaught is how many past events are looked at while somebody writes a trigger: whoever hears so many wants no exact number.
const maxCaught = 1000

// pastOf asks how many events of the past week triggers would have heard; nil where the API does not say.
func (v *visit) pastOf(valid []string) *caught {
	var got struct {
		Past *caught `json:"past"`
	}
	body := map[string]any{"draft": map[string]any{"eventTypes": valid}, "past": map[string]any{"limit": maxCaught}}
	if err := v.post("/match", body, &got); err != nil {
		if _, refused := asRefusal(err, http.StatusBadRequest); !refused {
			v.log(err)
		}
		return nil
	}
	return got.Past
}

// judgeTriggers answers with what is said of the lines of the form that is being written.
func judgeTriggers(v *visit) error {
	p := picker{Text: v.r.PostForm.Get("eventTypes")}
	said, err := v.judge(p.lines(), v.r.PostForm.Get("level"))
	if err != nil {
		return err
	}
	return v.part(http.StatusOK, "picker/verdicts", said)
}
