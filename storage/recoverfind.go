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

// What a webhook did not get is found by its event, the oldest first. Its own deliveries propose an event when they did not succeed, and
// those made later by a resend or a recovery always; events without a delivery are proposed by what the triggers hear.
const (
	recoverEnded = `SELECT event, webhook FROM delivery_$day WHERE event >= ?1 AND event <= ?2 AND tenant = ?3 AND state = ?4 AND state > 2
  ORDER BY event $direction LIMIT ?5`
	recoverLater = `SELECT event FROM redelivery WHERE event >= ?1 AND event <= ?2 AND webhook = ?3 ORDER BY event $direction LIMIT ?4`
	laterOfEvent = `SELECT delivery FROM redelivery WHERE webhook = ? AND event = ? ORDER BY delivery`
)

// endedStates are those in which a delivery has ended without success.
var endedStates = [...]delivery.State{delivery.Exhausted, delivery.Skipped, delivery.Cancelled}

// recoverRead is how many rows of ended deliveries are read at once: those of all the tenant's webhooks stand together.
const recoverRead = 1000

// finder answers one RecoverySearch.
type finder struct {
	search
	asked  *delivery.RecoverySearch
	answer delivery.RecoveryFound
}

// FindRecoverable implements delivery.RecoveryStore.
func (s *base) FindRecoverable(ctx context.Context, asked delivery.RecoverySearch) (delivery.RecoveryFound, error) {
	f := finder{asked: &asked}
	// The tail is taken before the database's state, so that what moves from the one to the other meanwhile is seen.
	f.search = search{lookup: lookup{store: s, tail: s.newTail(), oldestFirst: true}, query: delivery.EventQuery{Tenant: asked.Recovery.Tenant, OldestFirst: true}}
	f.answer.To = asked.After
	err := s.view(ctx, func(tx querier) error {
		f.tx = tx
		return f.find(ctx)
	})
	if err != nil {
		return delivery.RecoveryFound{}, fmt.Errorf("find what webhook %d did not get: %w", asked.Recovery.Webhook, err)
	}
	return f.answer, nil
}

// eventRange is the events of a span, both ends included.
type eventRange struct{ first, last triggers.ID }

// rangesOf are the events of a recovery's spans.
func rangesOf(r *delivery.Recovery) []eventRange {
	spans := r.Spans
	if len(spans) == 0 {
		spans = []delivery.Span{{}}
	}
	ranges := make([]eventRange, 0, len(spans))
	for _, span := range spans {
		first, last := bounds(delivery.HistoryQuery{From: span.From, To: span.To})
		ranges = append(ranges, eventRange{first, min(last, r.Until-1)})
	}
	return ranges
}

func (f *finder) find(ctx context.Context) error {
	for _, span := range rangesOf(f.asked.Recovery) {
		first := max(span.first, f.asked.After+1)
		for first <= span.last {
			covered, err := f.step(ctx, first, span.last)
			if err != nil {
				return err
			}
			f.answer.To = covered
			if len(f.answer.Found) == f.asked.Most || f.answer.Looked >= maxLooked {
				return nil
			}
			first = covered + 1
		}
	}
	f.answer.Done = true
	return nil
}

// step looks at the next events of a range, and says how far it came.
func (f *finder) step(ctx context.Context, first, last triggers.ID) (covered triggers.ID, err error) {
	own, err := f.first(f.ended, f.later, f.inIntervals)(ctx, first, last, searchStep)
	if err != nil {
		return 0, err
	}
	all := found{ids: slices.Clone(own.ids), covered: own.covered}
	if f.asked.Recovery.Missed {
		heard, err := f.hearing(f.asked.Webhook.Triggers)(ctx, first, last, searchStep)
		if err != nil {
			return 0, err
		}
		all.ids = append(all.ids, heard.ids...)
		if heard.covered != 0 && (all.covered == 0 || heard.covered < all.covered) {
			all.covered = heard.covered
		}
	}
	slices.Sort(own.ids)
	ids := f.ordered(all, first, last)
	f.answer.Looked += max(len(ids), 1)
	for chunk := range slices.Chunk(ids, rowsAtOnce) {
		rows, err := f.store.pastRows(ctx, f.tx, f.query.Tenant, chunk)
		if err != nil {
			return 0, err
		}
		for i := range rows {
			_, delivered := slices.BinarySearch(own.ids, rows[i].ID)
			if err := f.look(ctx, &rows[i], delivered); err != nil {
				return 0, err
			}
			if len(f.answer.Found) == f.asked.Most {
				return rows[i].ID, nil
			}
		}
	}
	if all.covered == 0 {
		return last, nil
	}
	return all.covered, nil
}

// look takes an event when the webhook did not get it. Delivered is true when a delivery of it to the webhook may be of use; when one is
// not, and there is one all the same, it has succeeded or is open.
func (f *finder) look(ctx context.Context, row *pastRow, delivered bool) error {
	asked := f.asked.Recovery
	matches, err := parseMatches(row.matches)
	if err != nil {
		return fmt.Errorf("event %s: %w", row.ID.Event(), err)
	}
	place := slices.IndexFunc(matches, func(m match) bool { return m.webhook == asked.Webhook })
	if !delivered && place >= 0 {
		return nil
	}
	var all []*recordRow
	if delivered {
		if all, err = f.deliveries(ctx, row.ID, matches, place); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		if place < 0 && asked.Missed {
			f.match(row)
		}
		return nil
	}
	newest := all[len(all)-1]
	for _, r := range all {
		if !slices.Contains(endedStates[:], stateOf(r.state)) || triggers.ID(r.event) != row.ID {
			return nil // under way, or arrived; or part of a delivery that another event began
		}
	}
	state := stateOf(newest.state)
	if !slices.Contains(asked.States, state) {
		return nil
	}
	revision, err := f.store.revision(ctx, f.tx, newest.revision)
	if err != nil {
		return err
	}
	trigger := ""
	if newest.trigger < len(revision.Triggers) {
		trigger = revision.Triggers[newest.trigger]
	}
	if f.isKind(&row.URI, trigger) {
		f.answer.Found = append(f.answer.Found, delivery.Recoverable{Event: row.ID, Delivery: triggers.ID(newest.id), State: state})
	}
	return nil
}

// match takes an event without a delivery when the webhook would get it now.
func (f *finder) match(row *pastRow) {
	place, wanted := f.asked.Wants(&row.PastEvent)
	if wanted && f.isKind(&row.URI, f.asked.Webhook.Triggers[place].Text) {
		f.answer.Found = append(f.answer.Found, delivery.Recoverable{Event: row.ID, Trigger: place})
	}
}

// isKind reports whether an event is of the kind asked for: by the trigger that matched, or the one that hears all of its kind.
func (f *finder) isKind(uri *triggers.URI, trigger string) bool {
	kind := f.asked.Recovery.Trigger
	return kind == "" || kind == trigger || kind == uri.AnyForm()
}

// deliveries are those of an event to the webhook, the oldest first, as far as history and open work have them.
func (f *finder) deliveries(ctx context.Context, event triggers.ID, matches []match, place int) ([]*recordRow, error) {
	var ids []triggers.ID
	if place >= 0 && matches[place].until == 0 {
		ids = append(ids, deliveryID(event, place))
	}
	var err error
	if place >= 0 && matches[place].until != 0 {
		if ids, err = idsOf(ctx, f.tx, `SELECT delivery FROM delivery_event WHERE event = ?`, event); err != nil {
			return nil, err
		}
	}
	err = each(ctx, f.tx, laterOfEvent, []any{f.asked.Recovery.Webhook, int64(event)}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, triggers.ID(id))
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	var all []*recordRow
	for _, id := range slices.Compact(ids) {
		row, err := f.store.findDelivery(ctx, f.tx, f.query.Tenant, id)
		if errors.Is(err, triggers.ErrNotFound) {
			continue // its history is past
		}
		if err != nil {
			return nil, err
		}
		if row.webhook == f.asked.Recovery.Webhook {
			all = append(all, row)
		}
	}
	return all, nil
}

// ended proposes the events of the webhook's ended deliveries, of a day those whose event is of the same day: others were made later,
// or at the end of an interval. Days that were dropped left theirs among the kept.
func (f *finder) ended(ctx context.Context, first, last triggers.ID, _ int) (found, error) {
	var all found
	for _, suffix := range f.store.tables.suffixes(first, last, true) {
		low, high := first, last
		if day, err := dayOfSuffix(suffix); err == nil {
			low, high = max(low, firstOf(day)), min(high, firstOf(day+1)-1)
		} else if suffix == kept {
			high = min(high, f.store.tables.oldest()-1)
		}
		if low > high {
			continue
		}
		for _, state := range endedStates {
			ids, covered, err := f.endedIn(ctx, suffix, state, low, high)
			if err != nil {
				return found{}, err
			}
			all.ids = append(all.ids, ids...)
			if covered != 0 && (all.covered == 0 || covered < all.covered) {
				all.covered = covered
			}
		}
		if all.covered == 0 && len(all.ids) >= searchStep && high < last {
			all.covered = high
		}
		if all.covered != 0 {
			break
		}
	}
	return all, nil
}

// endedIn reads rows of one day and state; covered is the event of the last of them when there are more.
func (f *finder) endedIn(
	ctx context.Context, suffix string, state delivery.State, low, high triggers.ID,
) (ids []triggers.ID, covered triggers.ID, err error) {
	read, newest := 0, triggers.ID(0)
	args := []any{int64(low), int64(high), f.query.Tenant, codeOf(state), recoverRead}
	err = each(ctx, f.tx, withDirection(forDay(recoverEnded, suffix), f.direction()), args, func(rows *sql.Rows) error {
		var event int64
		var webhook uint32
		if err := rows.Scan(&event, &webhook); err != nil {
			return err
		}
		read, newest = read+1, triggers.ID(event)
		if webhook == f.asked.Recovery.Webhook {
			ids = append(ids, newest)
		}
		return nil
	})
	f.answer.Looked += read / rowsAtOnce // an entry of an index costs little beside an event
	if read == recoverRead {
		covered = newest
		ids = append(ids, newest) // the webhook's own may stand behind it
	}
	return ids, covered, err
}

// later proposes the events whose deliveries to the webhook were made later.
func (f *finder) later(ctx context.Context, first, last triggers.ID, n int) (found, error) {
	ids, err := f.column(ctx, recoverLater, "", int64(first), int64(last), f.asked.Recovery.Webhook, n)
	if err != nil || len(ids) < n {
		return found{ids: ids}, err
	}
	return found{ids, ids[n-1]}, nil
}
