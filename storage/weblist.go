package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"portalhook/delivery"
	"portalhook/triggers"
)

// filterWebhooks leaves a condition out when its parameter is null, so that one statement serves every combination. The lists come
// as JSON arrays.
const filterWebhooks = `SELECT ` + webhookColumns + ` FROM webhook
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
    AND (?11 IS NULL OR ($sort, key) $after (?11, ?12))
    AND (?14 IS NULL OR EXISTS (SELECT 1 FROM json_each(webhook.triggers) AS own WHERE instr(lower(own.value), ?14) > 0))
  ORDER BY $sort $direction, key $direction LIMIT ?13`

// sortColumns are the columns of the orders.
var sortColumns = map[delivery.WebhookSort]string{
	"": "created_ms", delivery.SortCreatedAt: "created_ms", delivery.SortUpdatedAt: "updated_ms",
	delivery.SortName: "name_folded", delivery.SortURL: "url_folded",
	delivery.SortLevel: "level", delivery.SortOwner: "owner_id", delivery.SortEnabled: "CAST(enabled AS TEXT)",
}

// Webhooks is a page of a tenant's webhooks.
func (s *Store) Webhooks(ctx context.Context, q delivery.WebhookQuery) ([]*triggers.Webhook, error) {
	return s.listWebhooks(ctx, filterWebhooks, q)
}

// listWebhooks runs a statement that has filterWebhooks's parameters.
func (s *base) listWebhooks(ctx context.Context, filter string, q delivery.WebhookQuery) ([]*triggers.Webhook, error) {
	column, ok := sortColumns[q.Sort]
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
	err = each(ctx, s.direct(), query, args, func(rows *sql.Rows) error {
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

// webhookArgs are the parameters of filterWebhooks, in order.
func webhookArgs(q delivery.WebhookQuery) ([]any, error) {
	wanted, err := arrayOrNull(q.Triggers)
	if err != nil {
		return nil, err
	}
	origins, err := arrayOrNull(q.Origins)
	if err != nil {
		return nil, err
	}
	args := []any{
		q.Tenant, wordOrNull(triggers.Fold(q.Name)), wordOrNull(triggers.Fold(q.URL)), nil, wanted, origins, wordOrNull(string(q.Level)),
		wordOrNull(q.OwnerID), wordOrNull(q.CreatedBy), wordOrNull(q.UpdatedBy), nil, nil, q.Limit,
		wordOrNull(lowerASCII(q.TriggerPart)),
	}
	if q.Enabled != nil {
		args[3] = *q.Enabled
	}
	if q.After != nil {
		args[10], args[11] = unixMilli(q.After.At), q.After.Key
		if !q.Sort.IsDate() {
			args[10] = q.After.Text
		}
	}
	return args, nil
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
