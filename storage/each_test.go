package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/storagetest"
	"portalhook/triggers"
)

// eachStore is a store of either kind.
type eachStore interface {
	storagetest.Store
	DeriveKey(purpose string) ([]byte, error)
	Close() error
	// Script does to the tables what no method does.
	Script(t *testing.T, statements string)
}

// openAt opens the store at a place of either kind.
func openAt(t *testing.T, config storage.Config) eachStore {
	t.Helper()
	store, err := tryOpenAt(t, config)
	require.NoError(t, err)
	return store
}

func tryOpenAt(t *testing.T, config storage.Config) (eachStore, error) {
	t.Helper()
	if config.URL != "" {
		return storage.OpenPostgres(t.Context(), config)
	}
	return storage.OpenSQLite(t.Context(), config)
}

// keyFileOf is where a store's keys lie.
func keyFileOf(config storage.Config) string {
	if config.KeyFile != "" {
		return config.KeyFile
	}
	return strings.TrimSuffix(config.Path, ".db") + ".key"
}

// seeded is a new store of SQLite's with a tenant and a webhook.
func seeded(t *testing.T, config storage.Config) (*storage.Store, *triggers.Webhook) {
	t.Helper()
	store, w := seededAt(t, config)
	return store.(*storage.Store), w
}

// seededAt is a new store of either kind with a tenant and a webhook.
func seededAt(t *testing.T, config storage.Config) (eachStore, *triggers.Webhook) {
	t.Helper()
	store := openAt(t, config)
	tenant := triggers.Tenant{Name: "default", PortalID: "0123456789ABCDEF", PortalURL: "https://portal.example.com/"}
	require.NoError(t, store.SaveTenant(t.Context(), &tenant))
	all, err := triggers.Default().ParseTrigger("/items")
	require.NoError(t, err)
	w := &triggers.Webhook{
		ID: triggers.WebhookID{1}, Tenant: tenant.Key, Name: "webhook", URL: "https://receiver.example.com/", Enabled: true,
		Triggers: []triggers.Trigger{all},
	}
	require.NoError(t, store.CreateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	return store, w
}

func acceptance(t *testing.T, w *triggers.Webhook, n int, eventID string, size int) delivery.Acceptance {
	t.Helper()
	uri, err := triggers.Default().ParseURI(fmt.Sprintf("/items/%032x/share", n))
	require.NoError(t, err)
	a := delivery.Acceptance{
		Tenant: w.Tenant, AcceptedAt: time.Now(), Event: &triggers.Event{URI: uri, EventID: eventID},
		Body:    fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, n, strings.Repeat("x", size)),
		Planned: []delivery.Planned{{Webhook: w.Key, Revision: w.Revision, State: delivery.Waiting}},
	}
	copy(a.Digest[:], fmt.Sprint(n))
	return a
}

func TestClosedStoreSaysSo(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testClosedStoreSaysSo)
}

func testClosedStoreSaysSo(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	store, w := seededAt(t, place(t))
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for {
				_, err := store.Enqueue(context.Background(), []delivery.Acceptance{acceptance(t, w, n, "", 10)})
				if err != nil {
					if !errors.Is(err, storage.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	require.NoError(t, store.Close())
	group.Wait()
	require.ErrorIs(t, store.Close(), storage.ErrClosed)
	require.ErrorIs(t, store.Ping(t.Context()), storage.ErrClosed)
	_, err := store.Event(t.Context(), w.Tenant, 1)
	require.Error(t, err)
}

func TestCancelledContextAsksNothing(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testCancelledContextAsksNothing)
}

func testCancelledContextAsksNothing(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	store, w := seededAt(t, place(t))
	defer func() { require.NoError(t, store.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Enqueue(ctx, []delivery.Acceptance{acceptance(t, w, 1, "", 10)})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, store.Open())
}

// A process may end after a webhook was deleted and before all of its work was cancelled.
func TestWorkOfDeletedWebhooksIsCancelledAtStart(t *testing.T) {
	t.Parallel()
	storagetest.OnEach(t, testWorkOfDeletedWebhooksIsCancelledAtStart)
}

func testWorkOfDeletedWebhooksIsCancelledAtStart(t *testing.T, place func(testing.TB) storage.Config) {
	t.Helper()
	config := place(t)
	store, w := seededAt(t, config)
	var batch []delivery.Acceptance
	for n := range 1200 {
		batch = append(batch, acceptance(t, w, n, "", 10))
	}
	receipts, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	store.Script(t, `DELETE FROM webhook`)
	require.NoError(t, store.Close())
	store = openAt(t, config)
	require.Zero(t, store.Open())
	for _, receipt := range receipts {
		record, err := store.Delivery(t.Context(), w.Tenant, receipt.ID+1)
		require.NoError(t, err)
		require.Equal(t, delivery.Cancelled, record.State)
	}
	require.NoError(t, store.Close())
}
