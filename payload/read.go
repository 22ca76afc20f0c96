package payload

import "github.com/go-json-experiment/json/jsontext"

// PropertiesOf is the object properties of what Render gave, as receivers will read it; nil when the event has none. It points into body.
func PropertiesOf(body []byte) []byte {
	var room [12]member
	all, err := members(room[:0], body)
	if err != nil {
		return nil // cannot be: Render wrote it
	}
	return find(all, "properties")
}

// DataIDOf is data.id of what Render gave for an event of a cloud type, the id of what it is about, as JSON; nil when there is none, or it is
// not a text. It points into body.
func DataIDOf(body []byte) []byte {
	var room, inner [12]member
	all, err := members(room[:0], body)
	if err != nil {
		return nil // cannot be: Render wrote it
	}
	data := find(all, "data")
	if jsontext.Value(data).Kind() != jsontext.KindBeginObject {
		return nil
	}
	if all, err = members(inner[:0], data); err != nil {
		return nil // cannot be: it was read before
	}
	id := find(all, "id")
	if jsontext.Value(id).Kind() != jsontext.KindString || len(id) == len(`""`) {
		return nil
	}
	return id
}

// CloudPartsOf are the extensions and the data of what Render gave of an event of a cloud type; nil what it has none of. They point
// into body.
func CloudPartsOf(body []byte) (extensions, data []byte) {
	var room [12]member
	all, err := members(room[:0], body)
	if err != nil {
		return nil, nil // cannot be: Render wrote it
	}
	return find(all, "extensions"), find(all, "data")
}
