package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// page is one page to show.
type page struct {
	Title    string // the key of its title's message
	Template string // shows its main part
	Section  string // the entry of the navigation that it belongs to; empty: none
	Pane     bool   // it is made for the pane or the dialog: as a page of its own it is given a heading
	Data     any
}

// scene is what templates are given: the visit, and the page's own data as .Data. Within a template, $ is the scene.
type scene struct {
	*visit
	Page page
	Data any
	Said *said
}

// With is the scene with other data, for a component that needs both.
func (s scene) With(data any) scene {
	s.Data = data
	return s
}

// templateFunctions are the functions of a language, and of a console.
func templateFunctions(c *Console, w *words) template.FuncMap {
	return template.FuncMap{
		"t":        w.T,
		"or_":      w.Or,
		"number":   w.anyNumber,
		"percent":  w.Percent,
		"duration": w.Duration,
		"ago":      func(at moment) template.HTML { return w.timeElement(at.Time, c.now(), true) },
		"time":     func(at moment) template.HTML { return w.timeElement(at.Time, c.now(), false) },
		"link":     c.link,
		"asset":    c.assets.path,
		"icon":     icon,
		"args":     arguments,
		"list":     func(items ...any) []any { return items },
	}
}

// parsedTemplates is every template, read once: languages have copies. Its functions are there for their names alone.
var parsedTemplates = sync.OnceValues(func() (*template.Template, error) {
	t, err := template.New("console").Funcs(templateFunctions(new(Console), new(words))).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	return t, nil
})

// arguments makes a map of pairs, for templates that take more than one thing.
func arguments(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("args: a name without a value")
	}
	made := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("args: the name %v is no text", pairs[i])
		}
		made[name] = pairs[i+1]
	}
	return made, nil
}

// timeElement writes a moment in UTC, or how long ago it was; the page's script writes it again in the reader's zone.
func (w *words) timeElement(at, now time.Time, relative bool) template.HTML {
	if at.IsZero() {
		return ""
	}
	full := at.UTC().Format("2006-01-02 15:04:05") + " UTC"
	shown, style := full, "full"
	if relative {
		shown, style = w.Ago(at, now), "ago"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-time="%s" title="%s">%s</time>`, //nolint:gosec // dates, and words escaped
		at.UTC().Format(time.RFC3339Nano), style, full, template.HTMLEscapeString(shown)))
}

// show answers with a page: the whole of it, or to a script that asks for a part, its main part.
func (v *visit) show(status int, p page) error {
	name := "layout"
	if v.isPartial() {
		name = p.Template
	}
	return v.write(status, name, p)
}

// part answers with one template, for a script to put into the page that is open.
func (v *visit) part(status int, name string, data any) error {
	return v.write(status, name, page{Template: name, Data: data})
}

// list answers a script that asks for a list alone: the browser's address becomes that of the list as it is shown now.
func (v *visit) list(o *ordering, name string, data any) error {
	v.w.Header().Set("Hx-Push-Url", o.self())
	return v.part(http.StatusOK, name, data)
}

func (v *visit) write(status int, name string, p page) error {
	templates, err := v.words.templates()
	if err != nil {
		return err
	}
	s := scene{visit: v, Page: p, Data: p.Data}
	if name == "layout" {
		s.Said = v.heard()
	}
	var content bytes.Buffer
	if name == "layout" {
		// The main part first: a fault in it must not leave half a page.
		var main bytes.Buffer
		if err := templates.ExecuteTemplate(&main, p.Template, s); err != nil {
			return fmt.Errorf("write page: %w", err)
		}
		s.Data = template.HTML(main.String()) //nolint:gosec // what html/template made
	}
	if err := templates.ExecuteTemplate(&content, name, s); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	header := v.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Vary", "HX-Request, Cookie, Accept-Language")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(content.Bytes()) // the visitor may be gone
	return nil
}

// entry is an entry of the navigation.
type entry struct {
	Name, Address string
	Current       bool
}

// Navigation is what the visitor may open.
func (s scene) Navigation() []entry {
	var list []entry
	for _, f := range s.console.features {
		if f.path != "" && f.seenBy.has(s.Key.Role) {
			list = append(list, entry{Name: f.name, Address: s.Link(f.path), Current: f.name == s.Page.Section})
		}
	}
	return list
}

// Theme is the chosen theme: auto, light or dark.
func (v *visit) Theme() string { return v.theme }

// Lang is the language that the page is in.
func (v *visit) Lang() string { return v.words.Tag }

// Here is where the visitor is, for forms that lead back; of a request that changes something it is nothing.
func (v *visit) Here() string {
	if v.r.Method != http.MethodGet {
		return ""
	}
	return here(v.r)
}
