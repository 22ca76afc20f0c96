package console

import (
	"maps"
	"net/url"
)

// field is a field of a form: its control, and below it what was wrong with its value.
type field struct {
	Name        string // of the control; its id is f-, the prefix and the name
	Prefix      string // of a form that stands on a page beside others
	Label       string
	Value       string
	Type        string // text, password, number, url, select, area, check
	Hint        string
	Error       string
	Placeholder string
	Options     []option // of a select
	Rows        int      // of an area
	Min, Max    string   // of a number
	Required    bool
	Optional    bool // said beside the label
	Narrow      bool // takes half the width where there is room
}

// option is one choice of a select.
type option struct{ Value, Label string }

// table is the head of a table: what it can be sorted and filtered by.
type table struct {
	Target  string // selector of the element that another order, filter or page is put into
	Columns []column
	Selects bool   // rows can be chosen
	Menus   bool   // rows have a menu at their end
	Clear   string // address of the table without filters; empty when there are none
}

// column is one column.
type column struct {
	Name      string // its class is col- and the name
	Label     string // a message's key
	SortLink  string // empty: cannot be sorted by
	Direction string // ascending, descending, or empty
	Filter    *filter
}

// filter is the control below a column's head.
type filter struct {
	Name, Label, Value string
	Type               string   // search, text, date; of an input
	Options            []option // of a select; the first is all
}

// pager leads to the pages around a list's page.
type pager struct{ Target, Next, Prev string }

// ordering is how a list is sorted, filtered and paged: it makes the links that change one of it and leave the rest.
type ordering struct {
	console *Console
	path    string     // of the list, below /console
	values  url.Values // the parameters of the request that are known
	sort    string     // as the API spells it: name, -name
}

// orderingOf reads a request's parameters; only those that are named, and sort, next and prev, count.
func (v *visit) orderingOf(path, defaultSort string, filters ...string) *ordering {
	o := &ordering{console: v.console, path: path, values: url.Values{}, sort: defaultSort}
	given := v.r.URL.Query()
	for _, name := range append(filters, "sort", "next", "prev") {
		if value := given.Get(name); value != "" {
			o.values.Set(name, value)
		}
	}
	if sort := o.values.Get("sort"); sort != "" {
		o.sort = sort
	}
	return o
}

// get is a parameter's value.
func (o *ordering) get(name string) string { return o.values.Get(name) }

// link is the list's address with some parameters changed, by pairs; an empty value takes one away. Another order or filter begins at the first page.
func (o *ordering) link(pairs ...string) string {
	values := url.Values{}
	for name, value := range o.values {
		if name != "next" && name != "prev" {
			values[name] = value
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		} else {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return o.console.root + o.path
	}
	return o.console.root + o.path + "?" + values.Encode()
}

// column makes a column that can be sorted by what the API calls sort.
func (o *ordering) column(name, label, sort string) column {
	c := column{Name: name, Label: label}
	switch {
	case sort == "":
	case o.sort == sort || o.sort == "+"+sort:
		c.Direction, c.SortLink = "ascending", o.link("sort", "-"+sort)
	case o.sort == "-"+sort:
		c.Direction, c.SortLink = "descending", o.link("sort", sort)
	default:
		c.SortLink = o.link("sort", sort)
	}
	return c
}

// pager makes the links to the pages around.
func (o *ordering) pager(target string, l links) pager {
	p := pager{Target: target}
	if cursor := l.Next.cursor("next"); cursor != "" {
		p.Next = o.link("next", cursor)
	}
	if cursor := l.Prev.cursor("prev"); cursor != "" {
		p.Prev = o.link("prev", cursor)
	}
	return p
}

// isFiltered reports whether any of the filters is set.
func (o *ordering) isFiltered() bool {
	for name := range o.values {
		if name != "sort" && name != "next" && name != "prev" {
			return true
		}
	}
	return false
}

// self is the list's address as it is shown, without parameters that are empty.
func (o *ordering) self() string {
	if len(o.values) == 0 {
		return o.console.root + o.path
	}
	return o.console.root + o.path + "?" + o.values.Encode()
}

// query is what the API's list is asked for: the request's parameters and the order.
func (o *ordering) query() url.Values {
	query := url.Values{"sort": {o.sort}}
	maps.Copy(query, o.values)
	return query
}
