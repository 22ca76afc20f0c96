package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// webhookSorts are the columns that webhooks can be sorted by.
var webhookSorts = []string{"createdAt", "name", "updatedAt", "url", "level", "ownerId", "enabled"}

// webhookFilters are the list's parameters beside the common ones. eventType is the name that eventTypes had before 2024.
var webhookFilters = []string{
	"name", "url", "enabled", "eventTypes", "eventType", "trigger", "origins", "level", "ownerId", "createdByUserId", "updatedByUserId",
	"include",
}

// listWebhooks answers a page of webhooks with links to the pages around it.
func (s *Server) listWebhooks(c echo.Context, key *triggers.APIKey) error {
	l, err := readListing(c, "-createdAt", webhookSorts, webhookFilters)
	if err != nil {
		return err
	}
	query, err := s.webhookQuery(l)
	if err != nil {
		return err
	}
	query.Tenant = key.Tenant
	var rows []*triggers.Webhook
	if narrow(query, key) {
		if rows, err = s.config.History.Webhooks(c.Request().Context(), *query); err != nil {
			return fmt.Errorf("list webhooks: %w", err)
		}
	}
	page, hasNext, hasPrev := paged(l, rows)
	var next, prev string
	switch {
	case len(page) > 0 && hasNext:
		next = webhookCursor(query.PlaceOf(page[len(page)-1]))
	case len(page) == 0 && l.back:
		next = wayBack(query)
	}
	switch {
	case len(page) > 0 && hasPrev:
		prev = webhookCursor(query.PlaceOf(page[0]))
	case len(page) == 0 && hasPrev:
		prev = wayBack(query)
	}
	summaries, err := s.summaries(c.Request().Context(), l.values.Get("include"), page)
	if err != nil {
		return err
	}
	health, err := s.healthOf(c.Request().Context(), page...)
	if err != nil {
		return err
	}
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte {
		row := s.appendWithHealth(dst, page[i], health[page[i].Key])
		if summaries == nil {
			return row
		}
		return appendSummary(row, &summaries[i])
	})
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// wayBack is the cursor by which one returns from a page that has become empty, all that was on it having been deleted since its link
// was made: to the rows up to the query's own place, the one at that place included.
func wayBack(query *delivery.WebhookQuery) string {
	place := *query.After
	if query.Descending {
		place.Key--
	} else {
		place.Key++
	}
	return webhookCursor(place)
}

// narrow keeps a query to the webhooks that the key owns, and reports whether there can be any.
func narrow(query *delivery.WebhookQuery, key *triggers.APIKey) bool {
	if key.Role != triggers.RoleUser {
		return true
	}
	others := query.Level == triggers.TenantLevel || query.OwnerID != "" && query.OwnerID != key.UserID
	query.Level, query.OwnerID = triggers.UserLevel, key.UserID
	return !others && key.UserID != ""
}

// webhookQuery turns the list's parameters into the store's question.
func (s *Server) webhookQuery(l *listing) (*delivery.WebhookQuery, error) {
	get := l.values.Get
	query := &delivery.WebhookQuery{
		Name: get("name"), URL: get("url"), TriggerPart: get("trigger"), OwnerID: get("ownerId"), CreatedBy: get("createdByUserId"), UpdatedBy: get("updatedByUserId"),
		Sort: delivery.WebhookSort(l.sort), Descending: l.down != l.back, Limit: l.limit + 1,
	}
	var err error
	if query.Enabled, err = l.flag("enabled"); err != nil {
		return nil, err
	}
	for _, name := range []string{"eventTypes", "eventType"} {
		for _, text := range splitList(get(name)) {
			trigger, err := s.config.Catalog.ParseTrigger(text)
			if err != nil {
				return nil, inField(name, err)
			}
			query.Triggers = append(query.Triggers, trigger.Text)
		}
	}
	for _, origin := range splitList(get("origins")) {
		if !slices.Contains(origins, origin) {
			return nil, triggers.Invalid(triggers.CodeOutOfRange, "origins", "an origin is %q; it must be one of %s", origin, strings.Join(origins, ", "))
		}
		query.Origins = append(query.Origins, origin)
	}
	switch level := triggers.Level(get("level")); level {
	case "", triggers.TenantLevel, triggers.UserLevel:
		query.Level = level
	default:
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "level", "the level is %q; it must be tenant or user", level)
	}
	if l.cursor != "" {
		if query.After = parseWebhookCursor(l.cursor); query.After == nil {
			return nil, badCursor(l.cursorField())
		}
	}
	return query, nil
}

// webhookCursor writes a place in a list of webhooks: the store's key, which settles ties, the date and the text.
func webhookCursor(place delivery.WebhookPlace) string {
	at := int64(0)
	if !place.At.IsZero() {
		at = place.At.UnixMilli()
	}
	return fmt.Sprintf("%d %d %s", place.Key, at, place.Text)
}

// parseWebhookCursor reads what webhookCursor writes; nil for anything else.
func parseWebhookCursor(text string) *delivery.WebhookPlace {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return nil
	}
	key, errKey := strconv.ParseUint(parts[0], 10, 32)
	at, errAt := strconv.ParseInt(parts[1], 10, 64)
	if errKey != nil || errAt != nil {
		return nil
	}
	place := &delivery.WebhookPlace{Key: uint32(key), Text: parts[2]}
	if at != 0 {
		place.At = time.UnixMilli(at)
	}
	return place
}

// splitList cuts a comma list; a comma within braces belongs to a trigger. Empty items are left out.
func splitList(text string) []string {
	depth := 0
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		return r == ',' && depth <= 0
	}), func(item string) bool { return strings.TrimSpace(item) == "" })
}

// inField gives an error of a parser the name of the member or parameter that it is about.
func inField(field string, err error) error {
	if p := problemOf(err); p.status() == http.StatusBadRequest {
		p.Field = field
		return p
	}
	return err
}

// origins are what a webhook's origin may be.
var origins = []string{"api", "automations", "management-console"}
