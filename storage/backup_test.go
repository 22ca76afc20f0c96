package storage_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/triggers"
)

// TestBackupWhileOthersWrite copies a store under load. What was acknowledged before is in the copy, and of each batch all or nothing.
func TestBackupWhileOthersWrite(t *testing.T) {
	t.Parallel()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "test.db")}
	store, w := seeded(t, config)
	const batch = 20
	var mu sync.Mutex
	var acknowledged []triggers.ID
	stop, busy := make(chan struct{}), make(chan struct{})
	var emitters sync.WaitGroup
	var once sync.Once
	for e := range 4 {
		emitters.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				var events []delivery.Acceptance
				for i := range batch {
					events = append(events, acceptance(t, w, e<<24|n*batch+i, "", 1000))
				}
				receipts, err := store.Enqueue(context.Background(), events)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, r := range receipts {
					acknowledged = append(acknowledged, r.ID)
				}
				if len(acknowledged) > 8000 {
					once.Do(func() { close(busy) })
				}
				mu.Unlock()
			}
		})
	}
	<-busy
	mu.Lock()
	before := acknowledged
	mu.Unlock()
	made, err := store.Backup(t.Context())
	require.NoError(t, err)
	_, err = store.Backup(t.Context())
	var refused *delivery.BackupError
	require.ErrorAs(t, err, &refused, "one at a time")
	require.NoFileExists(t, config.Path+".backup")
	close(stop)
	emitters.Wait()

	copied := storage.Config{Path: filepath.Join(t.TempDir(), "copy.db"), KeyFile: config.Path[:len(config.Path)-3] + ".key"}
	file, err := os.Create(copied.Path)
	require.NoError(t, err)
	n, err := io.Copy(file, made)
	require.NoError(t, err)
	require.Equal(t, made.Size, n)
	require.NoError(t, file.Close())
	require.NoError(t, made.Close())
	require.ErrorIs(t, made.Close(), os.ErrClosed)
	again, err := store.Backup(t.Context())
	require.NoError(t, err, "the next one when that has been read")
	require.NoError(t, again.Close())
	require.NoError(t, store.Close())

	opened := open(t, copied)
	inCopy := 0
	for i, id := range acknowledged {
		_, err := opened.Event(t.Context(), w.Tenant, id)
		switch {
		case err == nil:
			inCopy++
		case i < len(before):
			require.NoError(t, err, "event %d of %d that were acknowledged before", i, len(before))
		default:
			require.ErrorIs(t, err, triggers.ErrNotFound)
		}
	}
	t.Logf("%d acknowledged before, %d in the copy, %d in all", len(before), inCopy, len(acknowledged))
	require.Zero(t, inCopy%batch, "batches are whole")
	require.Equal(t, inCopy, opened.Open(), "each with its delivery")
	require.NoError(t, opened.Close())
}

// TestBackupEndsEarly gives up with whoever asked, and with the store.
func TestBackupEndsEarly(t *testing.T) {
	t.Parallel()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "test.db")}
	store, _ := seeded(t, config)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	_, err := store.Backup(ctx)
	require.ErrorIs(t, err, gone)
	require.NoFileExists(t, config.Path+".backup")
	made, err := store.Backup(t.Context())
	require.NoError(t, err)
	require.NoError(t, made.Close())
	require.NoError(t, store.Close())
	_, err = store.Backup(t.Context())
	require.ErrorIs(t, err, storage.ErrClosed)
	// What a crash left goes.
	require.NoError(t, os.WriteFile(config.Path+".backup", []byte("half"), 0o600))
	require.NoError(t, open(t, config).Close())
	require.NoFileExists(t, config.Path+".backup")
}

// TestCopyOfAStoreThatNobodyHasOpen copies what a crash has left in the log, too.
func TestCopyOfAStoreThatNobodyHasOpen(t *testing.T) {
	t.Parallel()
	config := storage.Config{Path: filepath.Join(t.TempDir(), "test.db")}
	store, w := seeded(t, config)
	receipts, err := store.Enqueue(t.Context(), []delivery.Acceptance{acceptance(t, w, 1, "a", 10)})
	require.NoError(t, err)
	crashed := filepath.Join(t.TempDir(), "crashed.db")
	copyStore(t, config.Path, crashed)

	to, err := os.Create(filepath.Join(t.TempDir(), "copy.db"))
	require.NoError(t, err)
	defer to.Close()
	require.ErrorIs(t, storage.CopySQLite(t.Context(), config.Path, to), storage.ErrLocked)
	require.NoError(t, store.Close())
	require.ErrorIs(t, storage.CopySQLite(t.Context(), config.Path+".not", to), os.ErrNotExist)
	require.NoFileExists(t, config.Path+".not")
	strange := filepath.Join(t.TempDir(), "strange.db")
	require.NoError(t, os.WriteFile(strange, nil, 0o600))
	require.ErrorContains(t, storage.CopySQLite(t.Context(), strange, to), "is no store")

	require.NoError(t, storage.CopySQLite(t.Context(), crashed, to))
	opened := open(t, storage.Config{Path: to.Name(), Now: func() time.Time { return time.Now().Add(time.Hour) }})
	_, err = opened.Event(t.Context(), w.Tenant, receipts[0].ID)
	require.NoError(t, err)
	claimed, _, err := opened.Claim(t.Context(), time.Now().Add(time.Hour), 10, func(uint32) int { return 10 })
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	require.NoError(t, opened.Close())
}
