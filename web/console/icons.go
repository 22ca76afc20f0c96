package console

import (
	"fmt"
	"html/template"
)

// icons are drawn with a stroke in a square of 24, by SVG paths.
var icons = map[string]string{
	"alert":     "M12 8v5m0 3.5v.01M10.3 3.9 2.5 17.5A2 2 0 0 0 4.2 20.5h15.6a2 2 0 0 0 1.7-3L13.7 3.9a2 2 0 0 0-3.4 0z",
	"audit":     "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h7",
	"back":      "m15 5-7 7 7 7",
	"catalogue": "M4 5a2 2 0 0 1 2-2h14v16H6a2 2 0 0 0-2 2zM4 19V5M8 7h8M8 11h6",
	"check":     "m4.5 12.5 5 5 10-11",
	"close":     "m6 6 12 12M18 6 6 18",
	"copy":      "M9 9h11v11H9zM5 15H4V4h11v1",
	"delete":    "M4 7h16M9 7V4h6v3m-8 0 1 13h8l1-13M10 11v6m4-6v6",
	"down":      "m6 9 6 6 6-6",
	"edit":      "m4 20 1-4L16.5 4.5a2.1 2.1 0 0 1 3 3L8 19zM14 7l3 3",
	"events":    "M3 12h4l3-8 4 16 3-8h4",
	"filter":    "M4 5h16l-6.5 8v5l-3 1.5V13z",
	"history":   "M4 12a8 8 0 1 1 2.5 5.8M4 18v-4h4M12 8v4.5l3 2",
	"key":       "M14.5 9.5a4.5 4.5 0 1 0-3.9 4.4L13 16.5h2.5V19H18v2h3v-3.2l-6.8-6.8c.2-.5.3-1 .3-1.5zM8.5 8.5v.01",
	"language":  "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3.5 9h17M3.5 15h17M12 3c-5 5-5 13 0 18 5-5 5-13 0-18z",
	"more":      "M4.2 12a.9.9 0 1 0 1.8 0 .9.9 0 1 0-1.8 0zm6.9 0a.9.9 0 1 0 1.8 0 .9.9 0 1 0-1.8 0zm6.9 0a.9.9 0 1 0 1.8 0 .9.9 0 1 0-1.8 0z",
	"next":      "m9 5 7 7-7 7",
	"off":       "M12 3v9M6.5 6.5a8 8 0 1 0 11 0",
	"overview":  "M4 20V10m5.3 10V4m5.4 16v-7M20 20V8",
	"pause":     "M8 5v14m8-14v14",
	"play":      "M7 4.5v15l12-7.5z",
	"plus":      "M12 5v14M5 12h14",
	"receiver":  "M3 13h5l1.5 3h5L16 13h5M5.5 5h13L21 13v6H3v-6z",
	"resend":    "M20 12a8 8 0 1 1-2.5-5.8M20 4v5h-5",
	"routes":    "M6 4v6a4 4 0 0 0 4 4h8M6 10v10m9-9 3 3-3 3",
	"settings":  "M4 7h9m4 0h3M4 17h3m4 0h9M15 5v4M9 15v4",
	"signout":   "M10 4H5v16h5M15 8l4 4-4 4M19 12H9",
	"sort":      "m8 10 4-4 4 4M8 14l4 4 4-4",
	"sortdown":  "m8 13 4 4 4-4M12 17V6",
	"sortup":    "m8 11 4-4 4 4M12 7v11",
	"test":      "m4 12 16-8-6 16-3-6.5z",
	"theme":     "M12 3a9 9 0 1 0 9 9c-5 2-11-3-9-9z",
	"webhooks":  "M12 8.5a3.5 3.5 0 1 0-3-1.7L6 12.5M12 8.5l3.5 6M6 12.5a3.5 3.5 0 1 0 3.4 4.3H16m-.5-2.3a3.5 3.5 0 1 1-.3 4",
}

// icon draws an icon, which screen readers pass over: what it means is said beside it.
func icon(name string) (template.HTML, error) {
	path, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("there is no icon %s", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="` + path + `"/></svg>`), nil //nolint:gosec // constants
}
