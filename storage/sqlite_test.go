package storage_test

import (
	"bytes"
	"context"
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
