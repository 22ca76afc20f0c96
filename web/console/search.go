package console

import (
	"net/url"
	"strings"
	"time"
)

// search is a form above a list, for what its columns have no room for. The list is put into Target, an element beside the form.
type search struct {
	Label  string
	Action string // address of the list
	Target string // selector
	Fields []field
}

// momentForm is how a field for a moment spells one, in UTC. A page's script turns it to the reader's zone, and what is typed back into UTC.
const momentForm = "2006-01-02T15:04"

// momentField is a field for a moment, with what a parameter of the list says.
func (v *visit) momentField(name, label, value string) field {
	f := field{Name: name, Type: "datetime-local", Label: v.T(label)}
	if at, err := time.Parse(time.RFC3339, wholeMoment(value)); err == nil {
		f.Value = at.UTC().Format(momentForm)
	}
	return f
}

// wholeMoment makes an RFC 3339 date of what a field for a moment sends without scripts; any other text stays what it is.
func wholeMoment(text string) string {
	if _, err := time.Parse(momentForm, text); err != nil {
		return text
	}
	return text + ":00Z"
}

// searched is what the API's list is asked for, with whole moments and without blanks around what was typed.
func (o *ordering) searched() url.Values {
	query := o.query()
	for name, values := range query {
		value := strings.TrimSpace(values[0])
		if name == "from" || name == "to" {
			value = wholeMoment(value)
		}
		query[name] = []string{value}
	}
	return query
}
