package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/triggers"
)

// webhookFilters leave a condition out when its parameter is null, so that one statement serves every combination. The lists come
// as JSON arrays.
const webhookFilters = `
  WHERE tenant = ?1
    AND (?2 IS NULL OR instr(name_folded, ?2) > 0)
    AND (?3 IS NULL OR instr(url_folded, ?3) > 0)
    AND (?4 IS NULL OR enabled = ?4)
    AND (?5 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?5) AS wanted
           WHERE wanted.value NOT IN (SELECT own.value FROM json_each(webhook.triggers) AS own)))
    AND (?6 IS NULL OR origin IN (SELECT value FROM json_each(?6)))
    AND (?7 IS NULL OR level = ?7)
    AND (?8 IS NULL OR owner_id = ?8)
    AND (?9 IS NULL OR created_by = ?9)
    AND (?10 IS NULL OR updated_by = ?10)
    AND (?11 IS NULL OR EXISTS (SELECT 1 FROM json_each(webhook.triggers) AS own WHERE instr(lower(own.value), ?11) > 0))
    AND (?12 IS NULL OR name_folded = ?12)
    AND (?13 IS NULL OR url_folded = ?13)
    AND (?14 IS NULL OR (enabled = 0 AND coalesce(json_extract(settings, '$.disabledReasonCode'), '') <> '') = ?14)
    AND (?15 IS NULL OR instr(lower(owner_id), ?15) > 0)
    AND (?16 IS NULL OR created_ms >= ?16)
    AND (?17 IS NULL OR created_ms < ?17)
`

const (
	filterWebhooks = `SELECT ` + webhookColumns + ` FROM webhook` + webhookFilters + `
    AND (?18 IS NULL OR ($sort, key) $after (?18, ?19))
  ORDER BY $sort $direction, key $direction LIMIT ?20`
	filterWebhookKeys = `SELECT key FROM webhook` + webhookFilters + ` LIMIT ?18`
)

// sortColumns are the columns of the orders in SQLite.
var sortColumns = map[delivery.WebhookSort]string{
	"": "created_ms", delivery.SortCreatedAt: "created_ms", delivery.SortUpdatedAt: "updated_ms",
	delivery.SortName: "name_folded", delivery.SortURL: "url_folded",
	delivery.SortTrigger: "coalesce(json_extract(triggers, '$[0]'), '')",
	delivery.SortLevel:   "level", delivery.SortOwner: "owner_id", delivery.SortEnabled: "CAST(enabled AS TEXT)",
}

// Webhooks is a page of a tenant's webhooks.
func (s *Store) Webhooks(ctx context.Context, q delivery.WebhookQuery) ([]*triggers.Webhook, error) {
	return s.listWebhooks(ctx, filterWebhooks, q)
}

// listWebhooks runs a statement that has filterWebhooks's parameters.
func (s *base) listWebhooks(ctx context.Context, filter string, q delivery.WebhookQuery) ([]*triggers.Webhook, error) {
	column, ok := s.sorts[q.Sort]
	if !ok {
		return nil, fmt.Errorf("webhooks cannot be sorted by %q", q.Sort)
	}
	after, direction := ">", "ASC"
	if q.Descending {
		after, direction = "<", "DESC"
	}
	query := strings.NewReplacer("$sort", column, "$after", after, "$direction", direction).Replace(filter)
	args, err := webhookArgs(q)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	var list []*triggers.Webhook
	err = each(ctx, s.direct(), query, append(args, placeArgs(q)...), func(rows *sql.Rows) error {
		row := new(webhookRow)
		if err := rows.Scan(row.scan()...); err != nil {
			return err
		}
		w, err := s.webhookOf(row)
		list = append(list, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return list, nil
}

// WebhookKeys are the keys of a tenant's webhooks that the query's filters leave, in no order and no more than its limit; what it says of
// summaries, order and place is passed over.
func (s *Store) WebhookKeys(ctx context.Context, q delivery.WebhookQuery) ([]uint32, error) {
	return s.listWebhookKeys(ctx, filterWebhookKeys, q)
}

// listWebhookKeys runs a statement that has filterWebhookKeys's parameters.
func (s *base) listWebhookKeys(ctx context.Context, filter string, q delivery.WebhookQuery) ([]uint32, error) {
	args, err := webhookArgs(q)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	var keys []uint32
	err = each(ctx, s.direct(), filter, append(args, q.Limit), func(rows *sql.Rows) error {
		var key uint32
		err := rows.Scan(&key)
		keys = append(keys, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return keys, nil
}

// webhookArgs are the parameters of webhookFilters, in order.
func webhookArgs(q delivery.WebhookQuery) ([]any, error) {
	wanted, err := arrayOrNull(q.Triggers)
	if err != nil {
		return nil, err
	}
	origins, err := arrayOrNull(q.Origins)
	if err != nil {
		return nil, err
	}
	return []any{
		q.Tenant, wordOrNull(triggers.Fold(q.Name)), wordOrNull(triggers.Fold(q.URL)), flagOrNull(q.Enabled), wanted, origins,
		wordOrNull(string(q.Level)), wordOrNull(q.OwnerID), wordOrNull(q.CreatedBy), wordOrNull(q.UpdatedBy), wordOrNull(lowerASCII(q.TriggerPart)),
		wordOrNull(triggers.Fold(q.WholeName)), wordOrNull(triggers.Fold(q.WholeURL)), flagOrNull(q.SwitchedOff), wordOrNull(lowerASCII(q.OwnerPart)),
		momentOrNull(q.Created.From), momentOrNull(q.Created.To),
	}, nil
}

// placeArgs are the parameters of filterWebhooks behind those of the filters.
func placeArgs(q delivery.WebhookQuery) []any {
	switch {
	case q.After == nil:
		return []any{nil, nil, q.Limit}
	case q.Sort.IsDate():
		return []any{unixMilli(q.After.At), q.After.Key, q.Limit}
	}
	return []any{q.After.Text, q.After.Key, q.Limit}
}

func flagOrNull(flag *bool) any {
	if flag == nil {
		return nil
	}
	return *flag
}

// momentOrNull is a bound in milliseconds, rounded up: what is stored is cut to milliseconds.
func momentOrNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return unixMilli(at.Add(time.Millisecond - time.Nanosecond))
}

// lowerASCII folds as SQLite's lower does.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

func wordOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// arrayOrNull is the list as a JSON array, null when it is empty.
func arrayOrNull[T any](list []T) (any, error) {
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // null is the answer
	}
	array, err := json.Marshal(list)
	return string(array), err
}
