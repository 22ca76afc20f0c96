package web

import (
	"encoding/base64"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// Page sizes of every list.
const (
	defaultLimit = 20
	maxLimit     = 100
)

// listing is a list request: its parameters, the first value of each. Links are built from it again, so that they do not grow when a
// client appends what it finds in them.
type listing struct {
	values  url.Values
	filters []string // the list's own parameters, in the order links print them
	limit   int
	sort    string // the column
	down    bool
	cursor  string // opaque text within next or prev; empty on the first page
	back    bool   // the page before the cursor is asked for
}

// readListing reads what all lists share. Parameters that are not known are left alone: clients send odd ones.
func readListing(c echo.Context, defaultSort string, sorts, filters []string) (*listing, error) {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "", "the query string cannot be read")
	}
	l := &listing{values: values, filters: filters, limit: defaultLimit}
	if text := values.Get("limit"); text != "" {
		if l.limit, err = strconv.Atoi(text); err != nil || l.limit < 1 || l.limit > maxLimit {
			return nil, triggers.Invalid(triggers.CodeOutOfRange, "limit", "the limit is %q; it must be a number from 1 to %d", text, maxLimit)
		}
	}
	text := values.Get("sort")
	if text == "" {
		text = defaultSort
	}
	// A plus sign that a client did not escape arrives as a space.
	l.down = strings.HasPrefix(text, "-")
	l.sort = strings.TrimLeft(text, "+- ")
	if !slices.Contains(sorts, l.sort) || len(text)-len(l.sort) > 1 {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "sort", "the sort is %q; it must be one of %s, with + or - before it", text, strings.Join(sorts, ", "))
	}
	field := "next"
	if l.cursor = values.Get("next"); l.cursor == "" {
		field = "prev"
		l.cursor = values.Get("prev")
		l.back = l.cursor != ""
	}
	if l.cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(l.cursor)
		order, rest, ok := strings.Cut(string(raw), "\x00")
		if err != nil || !ok || order != l.order() {
			return nil, badCursor(field)
		}
		l.cursor = rest
	}
	return l, nil
}

// flag reads a parameter that is true or false; nil when it is empty.
func (l *listing) flag(name string) (*bool, error) {
	switch text := l.values.Get(name); text {
	case "":
		return nil, nil //nolint:nilnil // neither is an answer
	case "true", "false":
		is := text == "true"
		return &is, nil
	default:
		return nil, triggers.Invalid(triggers.CodeOutOfRange, name, "%s is %q; it must be true or false", name, text)
	}
}

func badCursor(field string) error {
	return triggers.Invalid(triggers.CodeOutOfRange, field, "the cursor is not one of this list in this order; follow the links as they are")
}

// cursorField is the parameter that the cursor came in.
func (l *listing) cursorField() string {
	if l.back {
		return "prev"
	}
	return "next"
}

// order is the sort as links print it.
func (l *listing) order() string {
	if l.down {
		return "-" + l.sort
	}
	return "+" + l.sort
}

// token makes a cursor opaque. It holds the order it belongs to, since it means nothing in another.
func (l *listing) token(cursor string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(l.order() + "\x00" + cursor))
}

// links writes the links of a page: self always; next and prev, given as cursors, where there is such a page.
func (l *listing) links(o *object, address, next, prev string) {
	o.object("links", func(o *object) {
		query := []string{"limit=" + strconv.Itoa(l.limit), "sort=" + url.QueryEscape(l.order())}
		for _, name := range l.filters {
			if value := l.values.Get(name); value != "" {
				query = append(query, name+"="+url.QueryEscape(value))
			}
		}
		first := address + "?" + strings.Join(query, "&")
		own := first
		if l.cursor != "" {
			own += "&" + l.cursorField() + "=" + l.token(l.cursor)
		}
		href(o, "self", own)
		if next != "" {
			href(o, "next", first+"&next="+l.token(next))
		}
		if prev != "" {
			href(o, "prev", first+"&prev="+l.token(prev))
		}
	})
}

func href(o *object, name, address string) {
	o.object(name, func(o *object) { o.text("href", address) })
}

// paged turns the rows of a query that asked for one more than the limit into a page: its rows in the list's order, and the cursors of
// the pages behind and before it, empty where there is none. A search that gave up early goes on from where it stopped, even when it found
// nothing on the way; stopped is empty of others.
func paged[T any](l *listing, rows []T, stopped string, cursor func(*T) string) (page []T, next, prev string) {
	more := len(rows) > l.limit
	if more {
		rows = rows[:l.limit]
	}
	hasNext, hasPrev := more, l.cursor != ""
	if l.back {
		slices.Reverse(rows)
		hasNext, hasPrev = true, more
	}
	if hasNext && len(rows) > 0 {
		next = cursor(&rows[len(rows)-1])
	}
	if hasPrev && len(rows) > 0 {
		prev = cursor(&rows[0])
	}
	switch {
	case stopped == "":
	case l.back:
		prev = stopped
	default:
		next = stopped
	}
	return rows, next, prev
}

// address is the absolute address of the request's path, as the client sees it.
func (s *Server) address(c echo.Context) string {
	return s.root(c) + c.Request().URL.Path
}

// root is the absolute address, without a slash at its end, below which everything is served, as the client sees it.
func (s *Server) root(c echo.Context) string {
	if public := s.config.PublicURL; public != nil {
		return public.Scheme + "://" + public.Host + s.prefix
	}
	return c.Scheme() + "://" + s.host(c)
}

// scheme is that of root.
func (s *Server) scheme(c echo.Context) string {
	scheme, _, _ := strings.Cut(s.root(c), ":")
	return scheme
}

// host is the name under which the client reached us; a trusted proxy's word counts.
func (s *Server) host(c echo.Context) string {
	r := c.Request()
	if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" && s.trusts(r.RemoteAddr) {
		if nearest := strings.TrimSpace(forwarded[strings.LastIndexByte(forwarded, ',')+1:]); canBeHost(nearest) {
			return nearest
		}
	}
	return r.Host
}

// canBeHost keeps out of links what would make another address of them, or none.
func canBeHost(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(".-_:[]", r)
	})
}

func (s *Server) trusts(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.config.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap().WithZone("")) })
}
