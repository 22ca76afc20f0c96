package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"portalhook/delivery"
	"portalhook/triggers"
)

// The statements about an event's own deliveries, which have the numbers behind the event's. Of those that ended otherwise than well, and of open
// work, there are few: neither reads what was delivered.
const (
	countMissed = `SELECT count(*) FROM delivery_$day WHERE tenant = ? AND state = ? AND event = ? AND id > ? AND id <= ? AND state > 2`
	listMissed  = `SELECT id FROM delivery_$day WHERE tenant = ? AND state = ? AND event = ? AND id > ? AND id <= ? AND state > 2 ORDER BY id LIMIT ?`
	countOpen   = `SELECT count(*), count(due_ms) FROM work WHERE id > ? AND id <= ? AND tenant = ?`
	listOpen    = `SELECT id FROM work WHERE id > ? AND id <= ? AND tenant = ? ORDER BY id LIMIT ?`
)

// missedStates are those that the index of what was not delivered holds.
var missedStates = [...]delivery.State{delivery.Exhausted, delivery.Skipped, delivery.Cancelled}

// matched reads what became of the webhooks that one event matched. Deliveries made later, by a resend, are not among them.
type matched struct {
	store *base
	tx    querier
	event *delivery.EventRecord
	list  []match
	// ended are the deliveries that intervals' ends made of the event, by webhook: of each the first, since others are resends. Nil
	// until one is asked for.
	ended map[uint32]*recordRow
}

func (s *base) newMatched(tx querier, event *delivery.EventRecord, blob []byte) (*matched, error) {
	list, err := parseMatches(blob)
	if err != nil {
		return nil, err
	}
	return &matched{store: s, tx: tx, event: event, list: list}, nil
}

// places are those of all matches, from 0.
func (m *matched) places() []int {
	all := make([]int, len(m.list))
	for i := range all {
		all[i] = i
	}
	return all
}

// at reads the matches at the places.
func (m *matched) at(ctx context.Context, places []int) ([]delivery.Match, error) {
	ids := make([]triggers.ID, len(places))
	for i, place := range places {
		ids[i] = deliveryID(m.event.ID, place)
	}
	rows, err := m.store.rows(ctx, m.tx, ids)
	if err != nil {
		return nil, err
	}
	var found []delivery.Match
	for i, place := range places {
		var own *recordRow
		if row, ok := rows[ids[i]]; ok && row.tenant == m.event.Tenant {
			own = &row
		}
		shown, err := m.shown(ctx, place, own)
		if err != nil {
			return nil, err
		}
		found = append(found, shown)
	}
	return found, nil
}

// shown is the match at a place, which may have a delivery of its own.
func (m *matched) shown(ctx context.Context, place int, own *recordRow) (shown delivery.Match, err error) {
	planned := &m.list[place]
	revision, err := m.store.revision(ctx, m.tx, planned.revision)
	if err != nil {
		return shown, err
	}
	shown = delivery.Match{Place: place + 1, WebhookID: revision.WebhookID, WebhookName: revision.WebhookName}
	if int(planned.trigger) < len(revision.Triggers) {
		shown.Trigger = revision.Triggers[planned.trigger]
	}
	var record *delivery.Record
	switch {
	case own != nil:
		record, err = m.store.record(ctx, m.tx, own)
	case planned.until != 0:
		record, err = m.ofInterval(ctx, planned)
	}
	if err != nil {
		return shown, err
	}
	if record != nil {
		shown.Delivery = *record
	}
	shown.Delivery.URI, shown.Delivery.WebhookID = m.event.URI, revision.WebhookID
	if record != nil && record.EventID != m.event.ID { // of an interval that another event began
		shown.Delivery.URI, err = m.store.uriOf(ctx, m.tx, record.EventID)
	}
	return shown, err
}

// ofInterval is the delivery that the end of a match's interval made. Before that it is one without an id that waits for the end, and
// when the webhook was deleted meanwhile, a cancelled one.
func (m *matched) ofInterval(ctx context.Context, planned *match) (*delivery.Record, error) {
	if m.ended == nil {
		if err := m.findEnded(ctx); err != nil {
			return nil, err
		}
	}
	if row := m.ended[planned.webhook]; row != nil {
		return m.store.record(ctx, m.tx, row)
	}
	record := &delivery.Record{Tenant: m.event.Tenant, Webhook: planned.webhook, EventID: m.event.ID, State: delivery.Waiting}
	var until int64 // the clock may have been set since
	err := m.tx.QueryRowContext(ctx, `SELECT until_ms FROM member WHERE event = ? AND webhook = ?`, int64(m.event.ID), planned.webhook).Scan(&until)
	switch {
	case err == nil:
		record.DueAt = timeOf(until)
	case errors.Is(err, sql.ErrNoRows):
		err = nil
		record.State, record.Reason = delivery.Cancelled, reasonDeleted
	}
	return record, err
}

func (m *matched) findEnded(ctx context.Context) error {
	ids, err := idsOf(ctx, m.tx, `SELECT delivery FROM delivery_event WHERE event = ? ORDER BY delivery`, m.event.ID)
	if err != nil {
		return err
	}
	rows, err := m.store.rows(ctx, m.tx, ids)
	if err != nil {
		return err
	}
	m.ended = make(map[uint32]*recordRow)
	for _, id := range ids {
		row, ok := rows[id]
		if ok && row.tenant == m.event.Tenant && m.ended[row.webhook] == nil {
			m.ended[row.webhook] = &row
		}
	}
	return nil
}

// isPlain reports whether every match has a delivery of its own: none waits for the end of an interval, and none has been forgotten with its
// day.
func (m *matched) isPlain() bool {
	return m.store.tables.suffix(m.event.ID) != kept && !slices.ContainsFunc(m.list, func(planned match) bool { return planned.until != 0 })
}

// count is the summary of the event but for the matches that it shows.
func (m *matched) count(ctx context.Context) (*delivery.EventSummary, error) {
	if !m.isPlain() {
		// Such events are few, or their deliveries lie elsewhere.
		whole := *m.event
		var err error
		whole.Matches, err = m.at(ctx, m.places())
		return delivery.Summarize(&whole), err
	}
	summary := &delivery.EventSummary{EventRecord: *m.event, Matched: len(m.list), States: map[delivery.State]int{}}
	delivered := len(m.list)
	note := func(state delivery.State, n int) {
		if n > 0 {
			summary.States[state] = n
			delivered -= n
		}
	}
	if delivered > 0 {
		suffix := m.store.tables.suffix(m.event.ID)
		first, last := m.bounds()
		for _, state := range missedStates {
			n := 0
			err := m.tx.QueryRowContext(ctx, forDay(countMissed, suffix), m.event.Tenant, codeOf(state), int64(m.event.ID), first, last).Scan(&n)
			if err != nil {
				return nil, err
			}
			note(state, n)
		}
		var open, waiting int
		if err := m.tx.QueryRowContext(ctx, countOpen, first, last, m.event.Tenant).Scan(&open, &waiting); err != nil {
			return nil, err
		}
		note(delivery.Waiting, waiting)
		note(delivery.Sending, open-waiting)
	}
	note(delivery.Succeeded, delivered)
	return summary, nil
}

// bounds are the numbers between which the event's own deliveries lie, the first left out.
func (m *matched) bounds() (first, last int64) {
	return int64(m.event.ID), int64(deliveryID(m.event.ID, len(m.list)-1))
}

// addListed puts the matches that a list shows to what count gave.
func (m *matched) addListed(ctx context.Context, summary *delivery.EventSummary) error {
	if !m.isPlain() || summary.Matched == 0 {
		return nil // count has put them there
	}
	first, last := m.bounds()
	var missed []int
	add := func(query string, args ...any) error {
		return each(ctx, m.tx, query, append(args, delivery.ListedMatches), func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			missed = append(missed, int(id-first-1))
			return err
		})
	}
	for _, state := range missedStates {
		if summary.States[state] == 0 {
			continue
		}
		query := forDay(listMissed, m.store.tables.suffix(m.event.ID))
		if err := add(query, m.event.Tenant, codeOf(state), first, first, last); err != nil {
			return err
		}
	}
	if summary.States[delivery.Waiting]+summary.States[delivery.Sending] > 0 {
		if err := add(listOpen, first, last, m.event.Tenant); err != nil {
			return err
		}
	}
	slices.Sort(missed)
	shown := missed[:min(delivery.ListedMatches, len(missed))]
	// When there is room for what was delivered, all that was not is among those shown.
	for place := 0; place < len(m.list) && len(shown) < delivery.ListedMatches; place++ {
		if _, is := slices.BinarySearch(missed, place); !is {
			shown = append(shown, place)
		}
	}
	var err error
	summary.Matches, err = m.at(ctx, shown)
	return err
}

// EventSummary is a tenant's event with the number of its matches and some of them; triggers.ErrNotFound when there is none, or no more.
func (s *base) EventSummary(ctx context.Context, tenant uint32, id triggers.ID) (*delivery.EventSummary, error) {
	var summary *delivery.EventSummary
	err := s.view(ctx, func(tx querier) error {
		event, blob, err := s.findEvent(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		all, err := s.newMatched(tx, event, blob)
		if err != nil {
			return err
		}
		if summary, err = all.count(ctx); err != nil {
			return err
		}
		return all.addListed(ctx, summary)
	})
	if err != nil {
		return nil, fmt.Errorf("summary of event %s: %w", id.Event(), err)
	}
	return summary, nil
}

// Matches is a page of the webhooks that an event matched; triggers.ErrNotFound when there is no such event, or no more.
func (s *base) Matches(ctx context.Context, q delivery.MatchQuery) (*delivery.MatchPage, error) {
	page := &delivery.MatchPage{}
	err := s.view(ctx, func(tx querier) error {
		event, blob, err := s.findEvent(ctx, tx, q.Tenant, q.Event)
		if err != nil {
			return err
		}
		all, err := s.newMatched(tx, event, blob)
		if err != nil {
			return err
		}
		return all.page(ctx, &q, page)
	})
	if err != nil {
		return nil, fmt.Errorf("matches of event %s: %w", q.Event.Event(), err)
	}
	return page, nil
}

// Matched are the keys of the webhooks that an event matched, in the order of their places; triggers.ErrNotFound when there is no such event, or no
// more.
func (s *base) Matched(ctx context.Context, tenant uint32, event triggers.ID) (webhooks []uint32, err error) {
	err = s.view(ctx, func(tx querier) error {
		_, blob, err := s.findEvent(ctx, tx, tenant, event)
		if err != nil {
			return err
		}
		list, err := parseMatches(blob)
		for i := range list {
			webhooks = append(webhooks, list[i].webhook)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("webhooks that event %s matched: %w", event.Event(), err)
	}
	return webhooks, nil
}

func (m *matched) page(ctx context.Context, q *delivery.MatchQuery, page *delivery.MatchPage) error {
	places := m.places()
	if q.Backwards {
		if q.After != 0 {
			places = places[:min(max(q.After-1, 0), len(places))]
		}
		slices.Reverse(places)
	} else {
		places = places[min(max(q.After, 0), len(places)):]
	}
	for looked := 0; len(places) > 0; {
		// As many are read at once as are still wanted: mostly they are those that are asked for.
		n := min(len(places), max(q.Limit-len(page.Matches), rowsAtOnce), maxLooked-looked)
		var named []int
		for _, place := range places[:n] {
			revision, err := m.store.revision(ctx, m.tx, m.list[place].revision)
			if err != nil {
				return err
			}
			if q.AsksName(revision.WebhookName) {
				named = append(named, place)
			}
		}
		found, err := m.at(ctx, named)
		if err != nil {
			return err
		}
		for i := range found {
			if q.Asks(&found[i]) {
				page.Matches = append(page.Matches, found[i])
			}
		}
		if len(page.Matches) >= q.Limit {
			page.Matches = page.Matches[:q.Limit]
			return nil
		}
		if looked += n; looked == maxLooked && n < len(places) {
			page.Stopped = places[n-1] + 1
			return nil
		}
		places = places[n:]
	}
	return nil
}
