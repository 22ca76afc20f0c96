package web_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// The part of memory that recovers: it counts the records that have not arrived, and never makes any.

// uncounted is the trigger of whose recoveries the count is not complete.
const uncounted = "/roles"

func (m *memory) Count(_ context.Context, asked delivery.RecoveryRequest) (*delivery.Recovery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := &delivery.Recovery{RecoveryRequest: asked, State: delivery.RecoveryCounting}
	for _, record := range m.records {
		if record.Webhook == asked.Webhook && slices.Contains(asked.States, record.State) {
			r.Counts.Add([]delivery.Recoverable{{State: record.State}})
		}
	}
	r.Counts.Complete = true
	if asked.Trigger == uncounted {
		r.Counts.Complete, r.CountedTo = false, m.nextID
		r.Spans = []delivery.Span{{From: time.UnixMilli(1), To: time.UnixMilli(2)}, {From: time.UnixMilli(3)}}
	}
	return r, nil
}

func (m *memory) Begin(ctx context.Context, counted *delivery.Recovery) (*delivery.Recovery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.recoveries {
		if r.Webhook == counted.Webhook && r.Open() {
			return nil, delivery.ErrRecoveryOpen
		}
	}
	started := *counted
	m.nextID++
	started.ID, started.State = m.nextID, delivery.RecoveryRunning
	started.CreatedAt = started.ID.Time()
	started.UpdatedAt = started.CreatedAt
	m.recoveries = append(m.recoveries, &started)
	if change := delivery.ChangeIn(ctx); change != nil {
		change.ObjectID = started.ID.Recovery()
	}
	m.note(ctx, started.Tenant)
	return &started, nil
}

func (m *memory) Control(ctx context.Context, tenant, webhook uint32, id triggers.ID, to delivery.RecoveryState) (*delivery.Recovery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.recovery(tenant, webhook, id)
	if err != nil {
		return nil, err
	}
	if r.Ended() {
		return nil, delivery.ErrRecoveryEnded
	}
	if r.State, r.PausedBy = to, ""; to == delivery.RecoveryPaused {
		r.PausedBy = delivery.PausedByRequest
	}
	if r.Ended() {
		r.EndedAt = r.CreatedAt
	}
	m.note(ctx, tenant)
	return r, nil
}

func (m *memory) Recovery(_ context.Context, tenant, webhook uint32, id triggers.ID) (*delivery.Recovery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.recovery(tenant, webhook, id)
}

func (m *memory) recovery(tenant, webhook uint32, id triggers.ID) (*delivery.Recovery, error) {
	for _, r := range m.recoveries {
		if r.ID == id && r.Tenant == tenant && r.Webhook == webhook {
			return r, nil
		}
	}
	return nil, triggers.ErrNotFound
}

func (m *memory) Recoveries(_ context.Context, q delivery.RecoveryQuery) ([]delivery.Recovery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []delivery.Recovery
	for _, r := range m.recoveries {
		after := q.After == 0 || (q.OldestFirst && r.ID > q.After) || (!q.OldestFirst && r.ID < q.After)
		if r.Tenant == q.Tenant && r.Webhook == q.Webhook && after {
			found = append(found, *r)
		}
	}
	slices.SortFunc(found, func(a, b delivery.Recovery) int {
		if q.OldestFirst {
			return cmp.Compare(a.ID, b.ID)
		}
		return cmp.Compare(b.ID, a.ID)
	})
	return found[:min(q.Limit, len(found))], nil
}

// Past catches every event whose trigger the draft would have had, the newest first.
func (m *memory) Past(_ context.Context, draft *triggers.Webhook, span delivery.Span, most int) (*delivery.PastCatch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	catch := &delivery.PastCatch{From: span.From, To: span.To, Complete: true}
	for _, record := range m.events {
		uri, err := triggers.Default().ParseURI(record.URI)
		if err != nil || record.Tenant != draft.Tenant {
			continue
		}
		if catch.Looked == most {
			catch.Complete = false
			break
		}
		catch.Looked++
		if draft.Triggers[0].Text == uri.AnyForm() && draft.Filter == "" {
			catch.Caught++
			event := delivery.PastEvent{ID: record.ID, URI: uri, Username: record.Username, AcceptedAt: record.AcceptedAt}
			catch.Samples = append(catch.Samples, delivery.PastSample{Event: event, Trigger: draft.Triggers[0].Text})
		}
	}
	return catch, nil
}

// recover begins a recovery of a webhook and gives its id.
func (e *edge) recover(tb testing.TB, webhook string) string {
	tb.Helper()
	a := e.as(tb, adminKey, "POST", "/api/v1/webhooks/"+webhook+"/actions/recover", "")
	require.Equal(tb, http.StatusAccepted, a.status, a.body)
	return a.json(tb)["id"].(string)
}

// told is how all recoveries stand. The lock is held.
func (m *memory) told() string {
	var text strings.Builder
	for _, r := range m.recoveries {
		fmt.Fprintln(&text, *r)
	}
	return text.String()
}
