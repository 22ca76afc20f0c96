package web

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"portalhook/router"
	"portalhook/triggers"
)

// shownSubscribers is how many of the webhooks whose trigger ends at a branch are named.
const shownSubscribers = 20

// getBranches opens one level of the tree that the triggers in force make, counting what the caller may see. It goes once over the tenant's
// webhooks in memory, without a lock, and keeps no more than the page.
func (s *Server) getBranches(c echo.Context, key *triggers.APIKey) error {
	l, err := readListing(c, "name", []string{"name"}, []string{"path"})
	switch {
	case err != nil:
		return err
	case l.down:
		return triggers.Invalid(triggers.CodeOutOfRange, "sort", "branches are sorted by name, upwards only")
	case l.back:
		return triggers.Invalid(triggers.CodeOutOfRange, "prev", "branches are paged forwards only")
	}
	path := cmp.Or(l.values.Get("path"), "/")
	level, ok := router.OpenLevel(path, l.cursor, l.limit)
	if !ok {
		return triggers.Invalid(triggers.CodeOutOfRange, "path", "the path is %q; it must be / or a branch such as /items", path)
	}
	var here subscribers
	for w := range s.config.Directory.Webhooks(key.Tenant) {
		// Those are matched that are on, or that the server itself has switched off: what they would get is kept as skipped.
		if owns(key, w) && (w.Enabled || w.DisabledReasonCode != "") && level.Add(w.Triggers) {
			here.add(w)
		}
	}
	page, more := level.Branches()
	next := ""
	if more {
		next = page[len(page)-1].Place()
	}
	o := openObject(nil)
	o.text("path", path)
	o.number("webhooks", int64(level.Webhooks))
	o.number("here", int64(level.Here))
	o.array("subscribers", len(here), func(dst []byte, i int) []byte { return openWebhook(dst, here[i]).close() })
	o.array("data", len(page), func(dst []byte, i int) []byte { return appendBranch(dst, &page[i]) })
	l.links(o, s.address(c), next, "")
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

func appendBranch(dst []byte, b *router.Branch) []byte {
	o := openObject(dst)
	o.text("name", b.Name)
	o.text("path", b.Path)
	o.text("kind", string(b.Kind))
	o.number("webhooks", int64(b.Webhooks))
	o.number("here", int64(b.Here))
	o.flag("leaf", b.Leaf)
	return o.close()
}

// subscribers are the first webhooks by name.
type subscribers []*triggers.Webhook

func (s *subscribers) add(w *triggers.Webhook) {
	at, _ := slices.BinarySearchFunc(*s, w, func(a, b *triggers.Webhook) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key))
	})
	if at < shownSubscribers {
		*s = slices.Insert(*s, at, w)
		*s = (*s)[:min(len(*s), shownSubscribers)]
	}
}
