// Package console is the administrators' pages: a client of the server's own JSON API that answers in HTML.
//
// Every page and every action asks the API, within the process, as the key of whoever is signed in: visit.get, visit.post, visit.call. What is
// valid, who may, what is logged and audited is decided there and nowhere else. What a page needs and the API does not give is added to
// the API. Nothing here knows the store.
//
// # How to add a page
//
// A page is a file of Go, a file of templates, and a file of messages in each language. Say it lists things, at /things:
//
//	// things.go
//	func (c *Console) things() feature {
//		return feature{name: "things", path: "/things", seenBy: watchers, routes: []route{
//			{pattern: "GET /things", allowed: watchers, answer: listThings},
//			{pattern: "POST /things/{thing}/drop", allowed: editors, answer: dropThing},
//		}}
//	}
//
//	func listThings(v *visit) error {
//		o := v.orderingOf("/things", "-createdAt", "name")                  // sort, cursor and the filter name, from the request
//		var got struct {
//			Data  []*thing `json:"data"`
//			Links links    `json:"links"`
//		}
//		if err := v.get("/things", o.query(), &got); err != nil {
//			return err                                                      // becomes a page that explains, or a message
//		}
//		list := thingList{Things: got.Data, Pager: o.pager("#things", got.Links), Table: table{Target: "#things", Columns: []column{
//			o.column("name", "things.column.name", "name"),
//		}}}
//		if v.target() == "things" {                                         // a script asks for the table alone: sorted, filtered, the next page
//			return v.list(o, "things/table", list)
//		}
//		return v.show(http.StatusOK, page{Title: "nav.things", Template: "things", Section: "things", Data: list})
//	}
//
//	func dropThing(v *visit) error {
//		if err := v.post("/things/"+v.r.PathValue("thing")+"/actions/drop", nil, nil); err != nil {
//			return err
//		}
//		v.say("good", v.T("things.dropped"))                                // shown on the next page
//		return v.redirect("/things")
//	}
//
// Then: c.things() in Console.parts, which is the order of the navigation; templates/things.html with {{define "things"}} and
// {{define "things/table"}}; messages/<language>/things.json for all languages, nav.things among them; an icon of the entry's name in
// icons.go; static/things.css if the page has looks of its own; a test in cmd/portalhook/console_things_test.go, and the page among the views
// of screenshots_test.go.
//
// # Templates
//
// The dot is a scene: the visit's methods (.May "edit", .Link, .Key, .Token, .Here) and the page's data as .Data. Within a range or a with, $ is
// the scene still. Functions:
//
//	{{t "things.more" "count" 3}}   a message; count chooses the plural form
//	{{or_ (print "code." .Code) .Detail}}   a message, or the text where there is none
//	{{number 1234}} {{percent 0.98}} {{duration .Took}}   as the language writes them
//	{{time .At}} {{ago .At}}        a moment, which the browser writes in the reader's zone; of the type moment
//	{{link "/things" "name" .Name}} an address of the console, prefix included; {{asset "console.js"}} that of a static file
//	{{icon "edit"}}                 an icon; say in words beside it, or in a span of class sr, what it means
//	{{args "kind" "good" "text" (t "state.on")}}   what a component is given, by name
//
// Components stand in templates/components.html, each with what it takes: token, toast, badge, empty, copy, code, pairs, field, field-foot, heads,
// pager. In use:
//
//	<form method="post" action="{{link "/things/7/drop"}}">{{template "token" .}}<button class="danger">{{t "things.drop"}}</button></form>
//	{{template "badge" (args "kind" "good" "text" (t "state.on"))}}
//	{{template "field" .Data.Name}}          a field, with its error beside it when the API refuses it
//	<table class="cards" role="table">{{template "heads" .Data.Table}}…</table>   cells have role="cell" and data-label: in a narrow window rows are cards
//	<button popovertarget="menu-7">…</button><div id="menu-7" class="menu" popover>…</div>   a menu: no script is needed
//
// The pane at the side and the dialog in the middle open when something is put into them, and take the focus back when they close:
//
//	<a class="button primary" href="{{link "/things/new"}}" hx-get="{{link "/things/new"}}" hx-target="#pane-content">…</a>
//	<a href="{{link "/things/7/drop"}}" hx-get="{{link "/things/7/drop"}}" hx-target="#dialog-content">…</a>
//
// What is put there has class pane-page or is a form, with .pane-head (its heading has the id pane-title), .pane-body and .pane-foot; in the dialog the heading's id is
// dialog-title. Without scripts the same addresses are pages of their own. A form within has hx-target="this" hx-swap="outerHTML": what is refused comes back in
// its place, with status 422.
//
// # What holds everywhere
//
//   - A page that needs a script of its own loads it at the end of its main part: <script src="{{asset "things.js"}}" defer></script>.
//   - A page stands still once it is seen: what first.js does is done before that, what deferred scripts put in place has its room already. A test adds up
//     what moves.
//   - No style and no script within a page, no address of another host: the policy forbids it and tests see it. Pictures are SVG made in charts.go,
//     coloured by classes; colours are the names at the head of console.css, which have both themes.
//   - No word stands in a template or in Go: all are messages. A test finds those that are, and keys and placeholders that a language lacks.
//   - No data- attribute begins with data-on: html/template takes it for an event's script, and quotes its value.
//   - A form that is posted has the token. A handler that changes something is a POST.
//   - Errors of the API on a field go beside the field: asRefusal gives them; all others may be returned as they are.
//   - data-copy copies, data-close closes the dialog around it, data-toggle opens what it names, data-add and data-remove add and take away rows of a
//     form; console.js says more.
package console
