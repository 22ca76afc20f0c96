package payload

// PropertiesOf is the object properties of what Render gave, as receivers will read it; nil when the event has none. It points into body.
func PropertiesOf(body []byte) []byte {
	var room [12]member
	all, err := members(room[:0], body)
	if err != nil {
		return nil // cannot be: Render wrote it
	}
	return find(all, "properties")
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
