package storage_test

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/storage"
	"portalhook/storage/postgrestest"
)

// transferred histories take databases of their own, so there are fewer of them than of others.
const transferredHistories = "8"

// What a store has been told before it was transferred, and what it is told after, there and back: it goes on as the queue in memory does,
// to which a transfer is no more than a restart. The test is alone, since it sets how many histories are tried.
func TestTransferredStoreDoesAsTheQueueInMemory(t *testing.T) { //nolint:paralleltest // see above
	if testing.Short() {
		t.Skip("each history takes databases of its own")
	}
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", transferredHistories))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	rapid.Check(t, func(rt *rapid.T) {
		at := new(movingStore)
		m := newModel(t, rt, func(now func() time.Time) func() modelled {
			folder := t.TempDir()
			at.config = storage.Config{Path: filepath.Join(folder, "first.db"), KeyFile: filepath.Join(folder, "test.key"), Now: now}
			return func() modelled { return at.open(t) }
		})
		defer m.close()
		rt.Repeat(m.actions())
		m.transfer(rt, at, storage.Config{URL: postgrestest.Database(t, "migrated", migrated)})
		rt.Repeat(m.actions())
		m.transfer(rt, at, storage.Config{Path: filepath.Join(t.TempDir(), "back.db")})
		rt.Repeat(m.actions())
	})
}

// movingStore is where the store is at present.
type movingStore struct{ config storage.Config }

func (s *movingStore) open(t *testing.T) modelled {
	t.Helper()
	if s.config.URL != "" {
		return openPostgres(t, s.config)
	}
	return open(t, s.config)
}

// transfer takes the store to another database, and opens it there.
func (m *model) transfer(rt *rapid.T, at *movingStore, to storage.Config) {
	require.NoError(rt, m.real.Close())
	to.Now = at.config.Now
	_, err := storage.Transfer{From: at.config, To: to}.Run(m.Context())
	require.NoError(rt, err)
	to.KeyFile = at.config.KeyFile
	at.config = to
	m.real = m.open()
	m.plain.Restart()
	m.compare(rt)
}
