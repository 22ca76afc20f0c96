package delivery_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/payload"
	"portalhook/router"
	"portalhook/triggers"
)

func TestDirectoryLoadsWhatWasSaved(t *testing.T) {
	ctx := context.Background()
	queue := deliverytest.NewQueue(time.Now)
	h := reopen(t, queue, func(c *delivery.Config) { c.Transport = &wire{answer: always(200)} })
	on := h.subscribe("https://a.example.com/hook", nil)
	off := h.subscribe("https://b.example.com/hook", func(w *triggers.Webhook) { w.Enabled = false })
	byServer := h.subscribe("https://c.example.com/hook", func(w *triggers.Webhook) {
		w.Enabled, w.DisabledReasonCode, w.DisabledReason = false, "GONE", "gone"
	})

	table := router.NewTable()
	loaded, err := delivery.NewDirectory(ctx, delivery.DirectoryConfig{Store: queue, Table: table, MaxWebhooks: 10})
	require.NoError(t, err)
	uri := event(t, "/items/a/update").URI
	var keys []uint32
	for _, hit := range table.Match(h.tenant, &uri, nil) {
		keys = append(keys, hit.Webhook)
	}
	require.Equal(t, []uint32{on.Key, byServer.Key}, keys, "what the server switched off goes on listening")
	for _, w := range []*triggers.Webhook{on, off, byServer} {
		found, err := loaded.ByID(h.tenant, w.ID)
		require.NoError(t, err)
		require.Equal(t, w, found)
		require.Same(t, found, loaded.Get(w.Key))
	}
	require.Equal(t, "0123456789ABCDEF", loaded.Tenant(h.tenant).PortalID)
	require.Zero(t, loaded.Tenant(99))
	require.Nil(t, loaded.Get(99))
	require.Nil(t, loaded.Get(1<<31))
	_, err = loaded.ByID(h.tenant+1, on.ID)
	require.ErrorIs(t, err, triggers.ErrNotFound, "another tenant's is not there")
	count := 0
	for range loaded.Webhooks(h.tenant) {
		count++
	}
	require.Equal(t, 3, count)
	for range loaded.Webhooks(h.tenant + 1) {
		t.Fatal("nothing of another tenant's")
	}
}

func TestDirectorySaves(t *testing.T) {
	ctx := context.Background()
	queue := deliverytest.NewQueue(time.Now)
	h := reopen(t, queue, func(c *delivery.Config) { c.Transport = &wire{answer: always(200)} })
	w := h.subscribe("https://a.example.com/hook", nil)

	stop := errors.New("stop")
	_, err := h.directory.Update(ctx, h.tenant, w.ID, func(w *triggers.Webhook) error {
		w.Name = "never"
		return stop
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, w.Name, h.directory.Get(w.Key).Name)

	before := h.directory.Get(w.Key)
	changed, err := h.directory.Update(ctx, h.tenant, w.ID, func(w *triggers.Webhook) error {
		w.Name, w.Key, w.Tenant, w.ID = "new", 77, 77, triggers.WebhookID{1}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "new", changed.Name)
	require.Equal(t, []any{before.Key, before.Tenant, before.ID}, []any{changed.Key, changed.Tenant, changed.ID}, "who it is does not change")
	require.NotEqual(t, before.Revision, changed.Revision)
	require.NotEqual(t, "new", before.Name, "what was read before stays as it was")
	stored, err := queue.Webhook(ctx, h.tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, changed, stored)

	_, err = h.directory.Update(ctx, h.tenant+1, w.ID, func(*triggers.Webhook) error { return nil })
	require.ErrorIs(t, err, triggers.ErrNotFound)
	require.ErrorIs(t, h.directory.Delete(ctx, h.tenant+1, w.ID), triggers.ErrNotFound)

	limited, err := delivery.NewDirectory(ctx, delivery.DirectoryConfig{Store: queue, Table: router.NewTable(), MaxWebhooks: 1})
	require.NoError(t, err)
	second := *w
	second.ID = triggers.WebhookID{2}
	require.ErrorIs(t, limited.Create(ctx, &second), triggers.ErrLimit)
	_, err = limited.ByID(h.tenant, second.ID)
	require.ErrorIs(t, err, triggers.ErrNotFound)

	limited, err = delivery.NewDirectory(ctx, delivery.DirectoryConfig{Store: queue, Table: router.NewTable(), MaxWebhooksPerOwner: 1})
	require.NoError(t, err)
	second.Level, second.OwnerID = triggers.UserLevel, "ann"
	require.NoError(t, limited.Create(ctx, &second))
	third := second
	third.ID = triggers.WebhookID{3}
	require.ErrorIs(t, limited.Create(ctx, &third), triggers.ErrOwnerLimit)
	_, err = limited.Update(ctx, h.tenant, w.ID, func(w *triggers.Webhook) error {
		w.Level, w.OwnerID = triggers.UserLevel, "ann"
		return nil
	})
	require.ErrorIs(t, err, triggers.ErrOwnerLimit)
	present, err := limited.ByID(h.tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, triggers.TenantLevel, present.Level)
}

// auditing keeps the changes that webhooks are updated with.
type auditing struct {
	*deliverytest.Queue
	changes []*delivery.Change
}

func (a *auditing) UpdateWebhook(ctx context.Context, w *triggers.Webhook, limits delivery.WebhookLimits) error {
	a.changes = append(a.changes, delivery.ChangeIn(ctx))
	return a.Queue.UpdateWebhook(ctx, w, limits)
}

func TestAChangeWithoutAPersonIsTheServersOwn(t *testing.T) {
	ctx := context.Background()
	queue := deliverytest.NewQueue(time.Now)
	h := reopen(t, queue, func(c *delivery.Config) { c.Transport = &wire{answer: always(200)} })
	w := h.subscribe("https://a.example.com/hook", nil)
	store := &auditing{Queue: queue}
	var told [][2]*triggers.Webhook
	directory, err := delivery.NewDirectory(ctx, delivery.DirectoryConfig{
		Store: store, Table: router.NewTable(), MaxWebhooks: 10,
		Own: func(change *delivery.Change, before, after *triggers.Webhook) {
			change.Action = "own"
			told = append(told, [2]*triggers.Webhook{before, after})
		},
	})
	require.NoError(t, err)
	rename := func(ctx context.Context, name string) *triggers.Webhook {
		updated, err := directory.Update(ctx, h.tenant, w.ID, func(w *triggers.Webhook) error {
			w.Name = name
			return nil
		})
		require.NoError(t, err)
		return updated
	}
	ann := &delivery.Change{UserID: "ann"}
	rename(delivery.Audited(ctx, ann), "ann's")
	require.Empty(t, told)
	after := rename(ctx, "the server's")
	require.Equal(t, []*delivery.Change{ann, {Action: "own"}}, store.changes)
	require.Len(t, told, 1)
	require.Equal(t, "ann's", told[0][0].Name)
	require.Same(t, after, told[0][1])
}

// TestUpdatesOfOneWebhookAreNotLost adds to a counter in the name from many sides.
func TestUpdatesOfOneWebhookAreNotLost(t *testing.T) {
	h := open(t, func(c *delivery.Config) { c.Transport = &wire{answer: always(200)} })
	w := h.subscribe("https://a.example.com/hook", func(w *triggers.Webhook) { w.Name = "0" })
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 25 {
				_, err := h.directory.Update(context.Background(), h.tenant, w.ID, func(w *triggers.Webhook) error {
					n, err := strconv.Atoi(w.Name)
					w.Name = strconv.Itoa(n + 1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, "200", h.directory.Get(w.Key).Name)
}

// TestCase37AnAcknowledgedSaveIsHeardByTheNextEvent saves while events of others keep everything busy.
func TestCase37AnAcknowledgedSaveIsHeardByTheNextEvent(t *testing.T) {
	h := open(t, func(c *delivery.Config) { c.Transport = &wire{answer: always(200)} })
	h.subscribe("https://a.example.com/hook", nil)
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := h.Dispatch(context.Background(), h.tenant, []*triggers.Event{event(t, "/items/a/update")}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	defer group.Wait()
	defer close(stop)
	for range 50 {
		w := h.subscribe("https://b.example.com/hook", nil, "/groups")
		require.Equal(t, 2, h.emit(event(t, "/groups/g/update"))[0].Matched)
		set := func(change func(*triggers.Webhook)) {
			_, err := h.directory.Update(context.Background(), h.tenant, w.ID, func(w *triggers.Webhook) error {
				change(w)
				return nil
			})
			require.NoError(t, err)
		}
		set(func(w *triggers.Webhook) { w.Enabled = false })
		require.Equal(t, 1, h.emit(event(t, "/groups/g/update"))[0].Matched)
		set(func(w *triggers.Webhook) { w.Enabled = true })
		require.Equal(t, 2, h.emit(event(t, "/groups/g/update"))[0].Matched)
		require.NoError(t, h.directory.Delete(context.Background(), h.tenant, w.ID))
		require.Equal(t, 1, h.emit(event(t, "/groups/g/update"))[0].Matched)
	}
}

func TestANewPortalURLIsInTheNextPayload(t *testing.T) {
	ctx := context.Background()
	h := open(t, func(c *delivery.Config) { c.Transport = &wire{answer: always(200)} })
	h.subscribe("https://a.example.com/hook", nil)
	portalOf := func() string {
		record := h.delivered(h.emit(event(t, "/items/a/update"))[0].ID+1, ended)
		body, err := payload.Build(nil, &record.Revision, record.BuiltAt, record.Events)
		require.NoError(t, err)
		require.Contains(t, string(body), record.Revision.PortalURL)
		return record.Revision.PortalURL
	}
	require.Equal(t, "https://portal.example.com/", portalOf())
	tenant := h.directory.Tenant(h.tenant)
	tenant.PortalURL = "https://moved.example.com/"
	require.NoError(t, h.directory.SaveTenant(ctx, &tenant))
	require.Equal(t, "https://moved.example.com/", portalOf())

	other := triggers.Tenant{Name: "other", PortalID: "FEDCBA9876543210", PortalURL: "https://other.example.com/"}
	require.NoError(t, h.directory.SaveTenant(ctx, &other))
	require.NotZero(t, other.Key)
	require.Equal(t, other, h.directory.Tenant(other.Key))
}

func TestLegacyCloudIsInWhatIsPlannedFromThenOn(t *testing.T) {
	ctx := context.Background()
	queue := deliverytest.NewQueue(time.Now)
	h := reopen(t, queue, func(c *delivery.Config) { c.Transport = &wire{answer: always(200)} })
	w := h.subscribe("https://a.example.com/hook", nil)
	id := h.emit(event(t, "/items/a/update"))[0].ID + 1
	require.False(t, h.delivered(id, ended).Revision.LegacyCloud)

	for _, legacy := range []bool{true, false} {
		table := router.NewTable()
		directory, err := delivery.NewDirectory(ctx, delivery.DirectoryConfig{Store: queue, Table: table, MaxWebhooks: 10, LegacyCloud: legacy})
		require.NoError(t, err)
		revised := directory.Get(w.Key).Revision
		require.Greater(t, revised, w.Revision)
		w.Revision = revised
		stored, err := queue.Webhook(ctx, h.tenant, w.ID)
		require.NoError(t, err)
		require.Equal(t, revised, stored.Revision)
		dispatcher := delivery.New(delivery.Config{
			Queue: queue, Directory: directory, Table: table, Transport: &wire{answer: always(200)},
		})
		dispatcher.Start()
		receipts, err := dispatcher.Dispatch(ctx, h.tenant, []*triggers.Event{event(t, "/items/a/update")})
		require.NoError(t, err)
		record, err := queue.Delivery(ctx, h.tenant, receipts[0].ID+1)
		require.NoError(t, err)
		require.Equal(t, legacy, record.Revision.LegacyCloud)
		require.NoError(t, dispatcher.Shutdown(ctx))
	}
	require.False(t, h.delivered(id, ended).Revision.LegacyCloud, "what is planned stays as it was")
}

// TestAttemptsUseThePresentSettings changes URL and name between two attempts.
func TestAttemptsUseThePresentSettings(t *testing.T) {
	w := &wire{answer: func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
		if r.URL.Host == "old.example.com" {
			return 500, nil, 0, nil
		}
		return 200, nil, 0, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		hook := h.subscribe("https://old.example.com/hook", nil)
		id := h.emit(event(t, "/items/a/update"))[0].ID + 1
		pass(time.Second)
		_, err := h.directory.Update(context.Background(), h.tenant, hook.ID, func(w *triggers.Webhook) error {
			w.URL, w.Name = "https://new.example.com/hook", "renamed"
			return nil
		})
		require.NoError(t, err)
		pass(time.Minute)
		record := h.delivered(id, ended)
		require.Equal(t, delivery.Succeeded, record.State)
		require.Equal(t, hook.Name, record.Revision.WebhookName, "the bytes do not change")
		require.Len(t, record.Attempts, 2)
		require.NotEqual(t, record.Attempts[0].Revision, record.Attempts[1].Revision)
	})
}
