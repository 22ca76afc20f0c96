package triggers

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// FilterValues gives the values that the event has of a filter's attributes. properties is the JSON object that receivers will read,
// as payload builds it; nil when there is none.
//
// An array has the values of its elements, a string its text, any other scalar its JSON text. Objects, and what is empty or absent among
// the event's own members, have none. Of an event of a cloud type id is data.id, spaceId the extension spaceid or else data.spaceId,
// topLevelResourceId that extension. Of a service id is its name, source is services, and the end of a job is the operation complete.
func (ev *Event) FilterValues(properties []byte) func(FilterAttribute) []string {
	if ev.URI.Resource == CloudTypes {
		return ev.cloudValues
	}
	return func(a FilterAttribute) []string {
		if name, ok := a.Property(); ok {
			return valuesOf(find(properties, func(found string) bool { return found == name }))
		}
		switch a {
		case FilterID:
			return present(ev.URI.ID)
		case FilterUsername:
			return present(ev.Username)
		case FilterSource:
			return present(ev.URI.Resource.String())
		case FilterOperation:
			return present(PayloadOperation(ev.URI.Resource, ev.URI.Operation))
		case FilterSpaceID, FilterTopLevelResourceID, FilterDataStatus:
		}
		return nil
	}
}

func (ev *Event) cloudValues(a FilterAttribute) []string {
	extension := func(name string) []byte {
		return find(ev.Extensions, func(found string) bool { return equalFoldASCII(found, name) })
	}
	data := func(name string) []string {
		return valuesOf(find(ev.Data, func(found string) bool { return found == name }))
	}
	switch a {
	case FilterID:
		return data("id")
	case FilterSpaceID:
		if space := extension(attributeSpaceID); space != nil {
			return valuesOf(space)
		}
		return data("spaceId")
	case FilterTopLevelResourceID:
		return valuesOf(extension(attributeTopLevelResourceID))
	case FilterDataStatus:
		return data("status")
	case FilterUsername, FilterSource, FilterOperation:
	}
	return nil
}

func present(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// errFound ends a search.
var errFound = errors.New("found")

// find is the value of the first member of a JSON object whose name is the one; nil when there is none, or no object.
func find(object []byte, is func(name string) bool) (found []byte) {
	if len(object) == 0 {
		return nil
	}
	r := (*Catalog)(nil).newReader(object)
	defer r.release()
	_ = r.members(func(name string, value []byte) error {
		if !is(name) {
			return nil
		}
		found = value
		return errFound
	})
	return found
}

// valuesOf are the values of a JSON value for comparison with text.
func valuesOf(raw []byte) []string {
	if jsontext.Value(raw).Kind() != '[' {
		return appendScalar(nil, raw)
	}
	r := (*Catalog)(nil).newReader(raw)
	defer r.release()
	if _, err := r.dec.ReadToken(); err != nil {
		return nil
	}
	var values []string
	for r.dec.PeekKind() != ']' {
		element, err := r.value()
		if err != nil {
			return values
		}
		values = appendScalar(values, element)
	}
	return values
}

// appendScalar appends the text of a string, the JSON text of another scalar, and nothing of arrays, of objects and of what is absent.
func appendScalar(values []string, raw []byte) []string {
	switch kind := jsontext.Value(raw).Kind(); {
	case len(raw) == 0 || kind == '{' || kind == '[':
		return values
	case kind != '"':
		return append(values, string(raw))
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return values
	}
	return append(values, string(text))
}
