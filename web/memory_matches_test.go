package web_test

import (
	"context"
	"slices"

	"portalhook/delivery"
	"portalhook/triggers"
)

func (m *memory) EventSummary(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventSummary, error) {
	ev, err := m.Event(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	return delivery.Summarize(ev), nil
}

func (m *memory) Matched(ctx context.Context, tenant uint32, id triggers.ID) (webhooks []uint32, err error) {
	ev, err := m.Event(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	for i := range ev.Matches {
		webhooks = append(webhooks, ev.Matches[i].Delivery.Webhook)
	}
	return webhooks, nil
}

// Matches looks at no more than m.looks matches at once, when that is set.
func (m *memory) Matches(ctx context.Context, q delivery.MatchQuery) (*delivery.MatchPage, error) {
	ev, err := m.Event(ctx, q.Tenant, q.Event)
	if err != nil {
		return nil, err
	}
	page := &delivery.MatchPage{}
	list := slices.Clone(ev.Matches)
	if q.Backwards {
		slices.Reverse(list)
	}
	looked := 0
	for _, match := range list {
		if q.After != 0 && (match.Place <= q.After) != q.Backwards || q.After == match.Place {
			continue
		}
		if q.Asks(&match) {
			page.Matches = append(page.Matches, match)
		}
		if len(page.Matches) == q.Limit {
			break
		}
		if looked++; looked == m.looks {
			page.Stopped = match.Place
			break
		}
	}
	return page, nil
}
