package payload

import (
	"fmt"

	"portalhook/triggers"
)

// place is where a value stands in the sender's properties, for messages: an element of a member's array, or (index -1) its whole
// value.
type place struct {
	name  string
	index int
}

func whole(name string) place { return place{name, -1} }

func (p place) String() string {
	if p.index < 0 {
		return "properties." + p.name
	}
	return fmt.Sprintf("properties.%s[%d]", p.name, p.index)
}

// Whom an item is shared with, beside groups.
var (
	everyone     = []byte(`"Everyone"`)
	organization = []byte(`"Organization"`)
)

// array appends a property's array: the sender's order, duplicates removed.
type array struct {
	property *property
	dst      []byte
	length   int
	seen     seen
}

// build appends name and array from what the sender wrote under a name: an array, or a single element of one.
func (a *array) build(name string, value []byte) ([]byte, error) {
	a.open()
	if err := a.addAll(name, value); err != nil {
		return a.dst, err
	}
	if a.length == 0 && !a.property.sharing {
		return a.dst, triggers.Invalid(triggers.CodeOutOfRange, whole(name).String(), "must not be empty: it is an array of %s", a.property.things)
	}
	return a.close(), nil
}

// buildSharing appends name and array from the facts: whom the access names, then the groups as given. Nobody (private without
// groups) is an empty array, for the sender has said so; shared without a group says nothing and is refused.
func (a *array) buildSharing(access, groups []byte) ([]byte, error) {
	if access == nil && groups == nil {
		return a.dst, a.property.missing()
	}
	a.open()
	switch string(access) {
	case `"public"`:
		a.add(everyone)
	case `"org"`:
		a.add(organization)
	case `"shared"`, `"private"`, "":
	default:
		code := triggers.CodeOutOfRange
		if !isString(access) {
			code = triggers.CodeWrongType
		}
		return a.dst, triggers.Invalid(code, whole(accessFact).String(), "must be public, org, shared or private")
	}
	if groups != nil {
		if err := a.addAll(groupsFact, groups); err != nil {
			return a.dst, err
		}
	}
	if a.length == 0 && string(access) == `"shared"` {
		return a.dst, triggers.Invalid(triggers.CodeMissing, whole(groupsFact).String(), "must name the groups when access is shared")
	}
	return a.close(), nil
}

func (a *array) open() {
	a.dst = append(a.dst, '"')
	a.dst = append(a.dst, a.property.name...)
	a.dst = append(a.dst, `":[`...)
}

func (a *array) close() []byte { return append(a.dst, ']') }

func (a *array) addAll(name string, value []byte) error {
	if value[0] != '[' {
		return a.addOne(value, whole(name))
	}
	var room [16][]byte
	all, err := elements(room[:0], value)
	if err != nil {
		return triggers.Invalid(triggers.CodeNotJSON, whole(name).String(), "is not a JSON array: %v", err)
	}
	for i, element := range all {
		if err := a.addOne(element, place{name, i}); err != nil {
			return err
		}
	}
	return nil
}

// addOne judges one element and adds it.
func (a *array) addOne(element []byte, at place) error {
	switch {
	case a.property.items:
		return a.addItem(element, at)
	case !isString(element):
		return triggers.Invalid(triggers.CodeWrongType, at.String(), "must be a string: %s is an array of %s", a.property.name, a.property.things)
	case isEmptyString(element):
		return triggers.Invalid(triggers.CodeOutOfRange, at.String(), "must not be empty: %s is an array of %s", a.property.name, a.property.things)
	}
	a.add(element)
	return nil
}

// addItem adds an item, known by its id: itemId and itemType (or id and type, as the portal itself names them) first, further
// members after them.
func (a *array) addItem(element []byte, at place) error {
	if element[0] != '{' {
		return triggers.Invalid(triggers.CodeWrongType, at.String(), "must be an object with itemId and itemType")
	}
	var room [8]member
	all, err := members(room[:0], element)
	if err != nil {
		return triggers.Invalid(triggers.CodeNotJSON, at.String(), "is not a JSON object: %v", err)
	}
	id, err := takeText(all, at, "itemId", "id")
	if err != nil {
		return err
	}
	kind, err := takeText(all, at, "itemType", "type")
	if err != nil {
		return err
	}
	if a.seen.before(id) {
		return nil
	}
	a.comma()
	a.dst = append(a.dst, `{"itemId":`...)
	a.dst = append(a.dst, id...)
	a.dst = append(a.dst, `,"itemType":`...)
	a.dst = append(a.dst, kind...)
	a.dst = append(appendOthers(a.dst, 0, all), '}')
	return nil
}

// takeText takes the first of two members that is there; it must be a string that is not empty.
func takeText(all []member, at place, name, other string) ([]byte, error) {
	value := take(all, name)
	if value == nil {
		value = take(all, other)
		if value == nil {
			return nil, triggers.Invalid(triggers.CodeMissing, at.String()+"."+name, "an item has %s (or %s), a string", name, other)
		}
		name = other
	}
	switch {
	case !isString(value):
		return nil, triggers.Invalid(triggers.CodeWrongType, at.String()+"."+name, "must be a string")
	case isEmptyString(value):
		return nil, triggers.Invalid(triggers.CodeOutOfRange, at.String()+"."+name, "must not be empty")
	}
	return value, nil
}

// add appends a string unless it stands there already.
func (a *array) add(element []byte) {
	if a.seen.before(element) {
		return
	}
	a.comma()
	a.dst = append(a.dst, element...)
}

func (a *array) comma() {
	if a.length > 0 {
		a.dst = append(a.dst, ',')
	}
	a.length++
}

// seen remembers keys. The first few are looked through; an event of 256 KiB can hold tens of thousands, so the others are in a map.
type seen struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

// before reports whether the key was given before, and remembers it.
func (s *seen) before(key []byte) bool {
	for _, k := range s.few[:s.n] {
		if string(k) == string(key) {
			return true
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = key
		s.n++
		return false
	}
	if _, ok := s.many[string(key)]; ok {
		return true
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	s.many[string(key)] = struct{}{}
	return false
}
