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
