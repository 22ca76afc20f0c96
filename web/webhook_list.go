package web

import (
	"context"
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
var webhookSorts = []string{"createdAt", "name", "updatedAt", "url", "trigger", "level", "ownerId", "enabled", "lastDelivery", "successShare"}

// webhookFilters are the list's parameters beside the common ones. eventType is the name that eventTypes had before 2024.
var webhookFilters = []string{
	"name", "nameIs", "url", "urlIs", "enabled", "switchedOff", "eventTypes", "eventType", "trigger", "origins", "level", "ownerId", "owner",
	"createdByUserId", "updatedByUserId", "createdFrom", "createdTo", "lastDelivery", "minSuccessShare", "maxSuccessShare", "include",
}

// maxSummed bounds how many webhooks are looked at for an order or a filter by how they have fared.
const maxSummed = 10_000

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
	include := l.values.Get("include")
	if include != "" && include != "summary" {
		return triggers.Invalid(triggers.CodeOutOfRange, "include", "include is %q; it must be summary", include)
	}
	query.Tenant = key.Tenant
	var rows []delivery.SummedWebhook
	if narrow(query, key) {
		if rows, err = s.summedWebhooks(c.Request().Context(), query, include != ""); err != nil {
			return err
		}
	}
	page, next, prev := paged(l, rows, "", func(w *delivery.SummedWebhook) string { return webhookCursor(query.PlaceOfSummed(w)) })
	switch {
	case len(page) > 0:
	case l.back:
		next = wayBack(query)
	case l.cursor != "":
		prev = wayBack(query)
	}
	hooks := make([]*triggers.Webhook, len(page))
	for i := range page {
		hooks[i] = page[i].Webhook
	}
	health, err := s.healthOf(c.Request().Context(), hooks...)
	if err != nil {
		return err
	}
	o := openObject(nil)
	o.array("data", len(page), func(dst []byte, i int) []byte {
		row := s.appendWithHealth(dst, page[i].Webhook, health[page[i].Key])
		if include == "" {
			return row
		}
		return appendSummary(row, &page[i].Summary)
	})
	l.links(o, s.address(c), next, prev)
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// summedWebhooks are the rows that a query asks for, with their summaries where those are wanted or decide. The store finds the page by
// itself, unless summaries decide which webhooks are on it: then it finds those that all else holds of.
func (s *Server) summedWebhooks(ctx context.Context, query *delivery.WebhookQuery, wanted bool) ([]delivery.SummedWebhook, error) {
	if query.BySummary() {
		found, err := s.candidates(ctx, query)
		if err != nil {
			return nil, err
		}
		if err := s.sum(ctx, found); err != nil {
			return nil, err
		}
		return query.Pick(found), nil
	}
	rows, err := s.config.History.Webhooks(ctx, *query)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	found := make([]delivery.SummedWebhook, len(rows))
	for i := range rows {
		found[i].Webhook = rows[i]
	}
	if !wanted {
		return found, nil
	}
	return found, s.sum(ctx, found)
}

// candidates are the webhooks that a query's filters leave, but for those by summary.
func (s *Server) candidates(ctx context.Context, query *delivery.WebhookQuery) ([]delivery.SummedWebhook, error) {
	asked := *query
	asked.Limit = maxSummed + 1
	keys, err := s.config.History.WebhookKeys(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	if len(keys) > maxSummed {
		return nil, triggers.Invalid(triggers.CodeTooMany, "",
			"at most %d webhooks can be sorted or filtered by how they have fared; name another filter beside", maxSummed)
	}
	found := make([]delivery.SummedWebhook, 0, len(keys))
	for _, key := range keys {
		if w := s.config.Directory.Get(key); w != nil {
			found = append(found, delivery.SummedWebhook{Webhook: w})
		}
	}
	return found, nil
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
		Name: get("name"), URL: get("url"), WholeName: get("nameIs"), WholeURL: get("urlIs"), TriggerPart: get("trigger"), OwnerID: get("ownerId"),
		OwnerPart: get("owner"), CreatedBy: get("createdByUserId"), UpdatedBy: get("updatedByUserId"),
		Sort: delivery.WebhookSort(l.sort), Descending: l.down != l.back, Limit: l.limit + 1,
	}
	var err error
	if query.Enabled, err = l.flag("enabled"); err != nil {
		return nil, err
	}
	if query.SwitchedOff, err = l.flag("switchedOff"); err != nil {
		return nil, err
	}
	if query.Created.From, err = momentParam("createdFrom", get("createdFrom")); err != nil {
		return nil, err
	}
	if query.Created.To, err = momentParam("createdTo", get("createdTo")); err != nil {
		return nil, err
	}
	if err = readFared(l, &query.Fared); err != nil {
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

// neverDelivered stands in the place of a state for webhooks that have delivered nothing.
const neverDelivered = "never"

// lastStates are those that an attempt may leave a delivery in.
var lastStates = []delivery.State{delivery.Waiting, delivery.Succeeded, delivery.Exhausted, delivery.Cancelled}

// readFared reads what a webhook's summary must be like.
func readFared(l *listing, f *delivery.Fared) error {
	for _, bound := range []struct {
		name string
		into **float64
	}{{"minSuccessShare", &f.Least}, {"maxSuccessShare", &f.Most}} {
		text := l.values.Get(bound.name)
		if text == "" {
			continue
		}
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			return triggers.Invalid(triggers.CodeOutOfRange, bound.name, "%s is %q; it must be a number from 0 to 1", bound.name, text)
		}
		*bound.into = &share
	}
	const states = "lastDelivery"
	for _, name := range splitList(l.values.Get(states)) {
		switch state := delivery.State(name); {
		case state == neverDelivered:
			f.Last = append(f.Last, "")
		case slices.Contains(lastStates, state):
			f.Last = append(f.Last, state)
		default:
			return triggers.Invalid(triggers.CodeOutOfRange, states, "a state is %q; it must be one of waiting, succeeded, exhausted, cancelled, never", name)
		}
	}
	return nil
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
