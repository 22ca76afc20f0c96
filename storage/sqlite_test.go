package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/storage"
	"portalhook/triggers"
)

// seeded is a new store at path with a tenant and a webhook.
func seeded(t *testing.T, config storage.Config) (*storage.Store, *triggers.Webhook) {
	t.Helper()
	store := open(t, config)
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

func TestOpenIsForOneProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store := open(t, storage.Config{Path: path})
	_, err := storage.OpenSQLite(t.Context(), storage.Config{Path: path})
	require.ErrorIs(t, err, storage.ErrLocked)
	require.ErrorContains(t, err, path)
	require.NoError(t, store.Ping(t.Context()), "the other attempt did no harm")
	require.NoError(t, store.Close())
	require.NoError(t, open(t, storage.Config{Path: path}).Close())
}

func TestOpenNamesWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "no", "such", "folder", "test.db")
	_, err := storage.OpenSQLite(t.Context(), storage.Config{Path: missing})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, missing)
	other := filepath.Join(t.TempDir(), "test.db")
	require.NoError(t, os.WriteFile(other, bytes.Repeat([]byte("no database "), 1000), 0o600))
	_, err = storage.OpenSQLite(t.Context(), storage.Config{Path: other})
	require.ErrorContains(t, err, other)
	require.ErrorContains(t, err, "not a database")
}

func TestOpenTakesAnyFileName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "50% off? #1 & more ü.db")
	store, w := seeded(t, storage.Config{Path: path})
	require.NoError(t, store.Close())
	require.FileExists(t, path)
	store = open(t, storage.Config{Path: path})
	found, err := store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found)
	require.NoError(t, store.Close())
}

func TestClosedStoreSaysSo(t *testing.T) {
	t.Parallel()
	store, w := seeded(t, storage.Config{Path: filepath.Join(t.TempDir(), "test.db")})
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
	store, w := seeded(t, storage.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	defer func() { require.NoError(t, store.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Enqueue(ctx, []delivery.Acceptance{acceptance(t, w, 1, "", 10)})
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, store.Open())
}

// What was acknowledged must be in the files of that moment: they are copied while the store writes, in the order that a machine
// which stops would leave them at worst, and opened elsewhere.
func TestCase03AcknowledgedIsOnDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store, w := seeded(t, storage.Config{Path: path})
	var acknowledged sync.Map
	var count atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	for c := range 8 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				receipts, err := store.Enqueue(context.Background(), []delivery.Acceptance{acceptance(t, w, n, fmt.Sprintf("%d-%d", c, n), 100)})
				if err != nil {
					t.Error(err)
					return
				}
				acknowledged.Store(receipts[0].ID, true)
				count.Add(1)
			}
		})
	}
	for round := range 5 {
		for goal := count.Load() + 50; count.Load() < goal; {
			_, _, err := store.Claim(t.Context(), time.Now(), 10, func(uint32) int { return 10 })
			require.NoError(t, err)
		}
		var known []triggers.ID
		acknowledged.Range(func(id, _ any) bool { known = append(known, id.(triggers.ID)); return true })
		copied := filepath.Join(t.TempDir(), "copy.db")
		copyStore(t, path, copied)
		after := open(t, storage.Config{Path: copied})
		for _, id := range known {
			event, err := after.Event(t.Context(), w.Tenant, id)
			require.NoError(t, err, "round %d, %d acknowledged", round, len(known))
			require.Equal(t, delivery.Waiting, event.Matches[0].Delivery.State)
		}
		require.GreaterOrEqual(t, after.Open(), len(known))
		require.NoError(t, after.Close())
	}
	close(stop)
	group.Wait()
	require.NoError(t, store.Close())
}

// copyStore copies a database that is being written, as it is on disk: with no checkpoint in between, so that the log, copied last,
// belongs to the file.
func copyStore(t *testing.T, from, to string) {
	t.Helper()
	for {
		before, err := os.ReadFile(from)
		require.NoError(t, err)
		log, err := os.ReadFile(from + "-wal")
		require.NoError(t, err)
		after, err := os.ReadFile(from)
		require.NoError(t, err)
		if !bytes.Equal(before, after) {
			continue
		}
		require.NoError(t, os.WriteFile(to, before, 0o600))
		require.NoError(t, os.WriteFile(to+"-wal", log, 0o600))
		key, err := os.ReadFile(strings.TrimSuffix(from, ".db") + ".key")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(strings.TrimSuffix(to, ".db")+".key", key, 0o600))
		return
	}
}

func TestCase05FullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store, w := seeded(t, storage.Config{Path: path})
	defer func() { require.NoError(t, store.Close()) }()
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	require.NoError(t, store.Limit(t.Context(), 1))

	var stored, refused atomic.Int64
	var group sync.WaitGroup
	for c := range 8 {
		group.Go(func() {
			for n := range 20 {
				batch := []delivery.Acceptance{
					acceptance(t, w, n, fmt.Sprintf("%d-%d", c, n), 3000), acceptance(t, w, n, fmt.Sprintf("%d-%d-b", c, n), 3000),
				}
				_, err := store.Enqueue(context.Background(), batch)
				var failed *delivery.CommitError
				switch {
				case err == nil:
					stored.Add(1)
				case errors.As(err, &failed) && failed.Full:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.NotZero(t, refused.Load())
	require.Equal(t, 1+2*int(stored.Load()), store.Open(), "nothing is half stored")
	claimed, _, err := store.Claim(t.Context(), time.Now(), 1, func(uint32) int { return 1 })
	if err == nil {
		require.Len(t, claimed, 1)
	}

	require.NoError(t, store.Limit(t.Context(), 0))
	for c := range 8 {
		for n := range 20 {
			_, err := store.Enqueue(t.Context(), []delivery.Acceptance{
				acceptance(t, w, n, fmt.Sprintf("%d-%d", c, n), 3000), acceptance(t, w, n, fmt.Sprintf("%d-%d-b", c, n), 3000),
			})
			require.NoError(t, err, "what was sent again under its id is stored once")
		}
	}
	require.Equal(t, 1+2*8*20, store.Open())
}

func TestCase05SettleOnFullDisk(t *testing.T) {
	t.Parallel()
	store, w := seeded(t, storage.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	defer func() { require.NoError(t, store.Close()) }()
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	claimed, _, err := store.Claim(t.Context(), time.Now(), 1, func(uint32) int { return 1 })
	require.NoError(t, err)
	settlement := delivery.Settlement{
		Delivery: claimed[0].ID, Fence: claimed[0].Fence, State: delivery.Succeeded,
		Attempt: &delivery.Attempt{StartedAt: time.Now(), ResponseBody: bytes.Repeat([]byte("x"), 16<<10)},
	}
	require.NoError(t, store.Limit(t.Context(), 1))
	_, err = store.Settle(t.Context(), []delivery.Settlement{settlement})
	var failed *delivery.CommitError
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Full)
	require.Equal(t, 1, store.Open())
	require.NoError(t, store.Limit(t.Context(), 0))
	stale, err := store.Settle(t.Context(), []delivery.Settlement{settlement})
	require.NoError(t, err)
	require.Zero(t, stale, "the lease is still held")
	counts, err := store.Hourly(t.Context(), w.Tenant, w.Key, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, 1, counts[len(counts)-1].Attempts, "counted once")
	require.Zero(t, store.Open())
}

const canary = "canary-0a1b2c3d4e5f"

func secretive(w *triggers.Webhook) *triggers.Webhook {
	secret := *w
	secret.Secret = triggers.NewSecret(canary + "-secret")
	secret.OldSecrets = []triggers.OldSecret{{Secret: triggers.NewSecret(canary + "-old"), Until: time.UnixMilli(1e12).UTC()}}
	secret.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret(canary + "-header")}}
	return &secret
}

func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "test.db")
	store, w := seeded(t, storage.Config{Path: path})
	w = secretive(w)
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	second := *w
	second.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), &second, delivery.WebhookLimits{}))
	_, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 0, "", 100)})
	require.NoError(t, err)
	noCanary := func() {
		files, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(folder, file.Name()))
			require.NoError(t, err)
			require.NotContains(t, string(text), canary, file.Name())
		}
	}
	noCanary()
	require.NoError(t, store.Close())
	noCanary()
	for _, name := range []string{path, filepath.Join(folder, "test.key")} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), name)
	}
	store = open(t, storage.Config{Path: path})
	found, err := store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found)
	require.NoError(t, store.Close())
}

// A key that is derived comes out the same at every start, and tells nothing of another.
func TestDerivedKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store, _ := seeded(t, storage.Config{Path: path})
	derive := func(purpose string) []byte {
		key, err := store.DeriveKey(purpose)
		require.NoError(t, err)
		require.Len(t, key, 32)
		return key
	}
	first, second := derive("tokens"), derive("other things")
	require.NotEqual(t, first, second)
	require.NoError(t, store.Close())
	store = open(t, storage.Config{Path: path})
	require.Equal(t, first, derive("tokens"))
	require.NoError(t, store.Close())
	store, _ = seeded(t, storage.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	require.NotEqual(t, first, derive("tokens"))
	require.NoError(t, store.Close())
}

func TestStoreWithoutItsKeyIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path, key := filepath.Join(folder, "test.db"), filepath.Join(folder, "elsewhere", "keys")
	require.NoError(t, os.Mkdir(filepath.Dir(key), 0o700))
	config := storage.Config{Path: path, KeyFile: key}
	store, plain := seeded(t, config)
	w := secretive(plain)
	w.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	require.NoError(t, store.Close())
	good, err := os.ReadFile(key)
	require.NoError(t, err)

	refused := func(why string) {
		t.Helper()
		_, err := storage.OpenSQLite(t.Context(), config)
		require.ErrorIs(t, err, storage.ErrSecrets)
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), canary)
	}
	require.NoError(t, os.Remove(key))
	refused(key + " is missing")
	require.NoFileExists(t, key, "no key is made for secrets that it does not open")
	other := storage.Config{Path: filepath.Join(folder, "other.db"), KeyFile: key}
	require.NoError(t, open(t, other).Close())
	refused("1 webhooks")
	another, err := os.ReadFile(key)
	require.NoError(t, err)

	for name, text := range map[string]string{
		"empty": "", "comment only": "# nothing\n", "no key": "abcd\n", "short key": "abcd AAAA\n", "no base64": "abcd ***\n",
	} {
		require.NoError(t, os.WriteFile(key, []byte(text), 0o600))
		_, err := storage.OpenSQLite(t.Context(), config)
		require.ErrorContains(t, err, key, name)
		require.NotContains(t, err.Error(), "AAAA")
	}

	// A new key is added at the end; the old one still opens what it sealed.
	require.NoError(t, os.WriteFile(key, append(append([]byte{}, good...), another...), 0o600))
	store = open(t, config)
	found, err := store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found)
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	require.NoError(t, store.Close())
	require.NoError(t, os.WriteFile(key, another, 0o600))
	store = open(t, config)
	found, err = store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.Equal(t, w, found, "it was sealed anew under the newest")
	require.NoError(t, store.Close())
}

func TestForgottenSecretsSwitchOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store, plain := seeded(t, storage.Config{Path: path})
	w := secretive(plain)
	w.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	require.NoError(t, store.Close())
	require.NoError(t, os.Remove(strings.TrimSuffix(path, ".db")+".key"))
	told := func(change *delivery.Change, before, after *triggers.Webhook) {
		require.True(t, before.Enabled)
		change.Action, change.ObjectID, change.After = "forgotten", after.ID.String(), []byte(`{"enabled":false}`)
	}
	store = open(t, storage.Config{Path: path, ForgetSecrets: true, Own: told})
	changes, err := store.Changes(t.Context(), delivery.ChangeQuery{Tenant: w.Tenant, Limit: 9})
	require.NoError(t, err)
	require.Equal(t, []delivery.Change{
		{ID: changes[0].ID, Tenant: w.Tenant, Action: "forgotten", ObjectID: w.ID.String(), After: []byte(`{"enabled":false}`)},
	}, changes)
	found, err := store.Webhook(t.Context(), w.Tenant, w.ID)
	require.NoError(t, err)
	require.False(t, found.Enabled)
	require.Equal(t, storage.SecretsForgotten, found.DisabledReasonCode)
	require.NotEmpty(t, found.DisabledReason)
	require.True(t, found.Secret.IsZero())
	require.Empty(t, found.EncryptedHeaders)
	untouched, err := store.Webhook(t.Context(), plain.Tenant, plain.ID)
	require.NoError(t, err)
	require.Equal(t, plain, untouched)
	require.NoError(t, store.Close())
	require.NoError(t, open(t, storage.Config{Path: path}).Close(), "afterwards it opens as any")
}

func TestSecretsOpenInTheirPlaceOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	store, w := seeded(t, storage.Config{Path: path})
	w = secretive(w)
	require.NoError(t, store.UpdateWebhook(t.Context(), w, delivery.WebhookLimits{}))
	second := secretive(w)
	second.ID = triggers.WebhookID{2}
	require.NoError(t, store.CreateWebhook(t.Context(), second, delivery.WebhookLimits{}))
	store.Exec(t, `UPDATE webhook SET secrets = (SELECT secrets FROM webhook WHERE key = 1) WHERE key = 2`)
	_, err := store.Webhook(t.Context(), second.Tenant, second.ID)
	require.ErrorIs(t, err, storage.ErrSecrets)
	require.NoError(t, store.Close())
}

// A process may end after a webhook was deleted and before all of its work was cancelled.
func TestWorkOfDeletedWebhooksIsCancelledAtStart(t *testing.T) {
	t.Parallel()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "test.db")}
	store, w := seeded(t, config)
	var batch []delivery.Acceptance
	for n := range 1200 {
		batch = append(batch, acceptance(t, w, n, "", 10))
	}
	receipts, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	store.Exec(t, `DELETE FROM webhook`)
	require.NoError(t, store.Close())
	store = open(t, config)
	require.Zero(t, store.Open())
	for _, receipt := range receipts {
		record, err := store.Delivery(t.Context(), w.Tenant, receipt.ID+1)
		require.NoError(t, err)
		require.Equal(t, delivery.Cancelled, record.State)
	}
	require.NoError(t, store.Close())
}

// A process may end while it empties the tables of a day.
func TestRetentionIsFinishedLater(t *testing.T) {
	t.Parallel()
	clock := deliverytest.NewClock()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "test.db"), Now: clock.Now}
	store, w := seeded(t, config)
	var batch []delivery.Acceptance
	for n := range 5000 {
		a := acceptance(t, w, n, "", 10)
		a.Planned = nil
		batch = append(batch, a)
	}
	_, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	clock.Advance(48 * time.Hour)
	ctx := &countdown{Context: t.Context(), left: 4}
	require.ErrorIs(t, store.Retain(ctx, clock.Now()), context.Canceled)
	require.NotEmpty(t, store.Tables(t, "dropped_"))
	require.NoError(t, store.Close())
	store = open(t, config)
	require.NoError(t, store.Retain(t.Context(), clock.Now()))
	require.Empty(t, store.Tables(t, "dropped_"))
	require.Empty(t, store.Tables(t, "event_20261122"))
	require.NoError(t, store.Close())
}

// countdown is a context that is cancelled after it was asked so many times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}
