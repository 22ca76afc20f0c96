package storage_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/storage/postgrestest"
)

// unsteady is a way to the database that loses things.
type unsteady struct {
	listener net.Listener
	to       string
	// answers to commits are lost, and the connection with them; refused ones do not even get there.
	losing, refusing atomic.Bool
	// silent swallows whatever is sent, on new connections too; those that were there then stay so.
	silent atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]*atomic.Bool // to whether it is dead
}

// unsteadily has a configuration reach its database that way.
func unsteadily(t *testing.T, config *storage.Config) *unsteady {
	t.Helper()
	parsed, err := url.Parse(postgrestest.Loopback(t, config.URL))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u := &unsteady{listener: listener, to: parsed.Host, conns: map[net.Conn]*atomic.Bool{}}
	parsed.Host = listener.Addr().String()
	config.URL = parsed.String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { u.carry(near) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		u.mu.Lock()
		for conn := range u.conns {
			_ = conn.Close()
		}
		u.mu.Unlock()
		running.Wait()
	})
	return u
}

func (u *unsteady) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", u.to)
	if err != nil {
		return
	}
	defer far.Close()
	dead := new(atomic.Bool)
	dead.Store(u.silent.Load())
	u.mu.Lock()
	u.conns[near], u.conns[far] = dead, dead
	u.mu.Unlock()
	var lost atomic.Bool
	go func() {
		defer near.Close()
		u.copy(near, far, dead, func([]byte) bool { return !lost.Load() })
	}()
	u.copy(far, near, dead, func(sent []byte) bool {
		if !bytes.Contains(sent, []byte("commit\x00")) {
			return true
		}
		if u.losing.Load() {
			lost.Store(true)
		}
		return !u.refusing.Load()
	})
}

// copy takes over what comes, as long as goesOn says so, or until what is lost has been answered.
func (u *unsteady) copy(to io.Writer, from io.Reader, dead *atomic.Bool, goesOn func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		switch {
		case err != nil:
			return
		case dead.Load():
			continue
		case !goesOn(buffer[:n]):
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// fallSilent has nothing come through, until it speaks again.
func (u *unsteady) fallSilent() {
	u.silent.Store(true)
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, dead := range u.conns {
		dead.Store(true)
	}
}

// What a commit has claimed is due again when its answer is lost, whether it took place or not, and the count of what is open is right.
func TestCommitsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	config := postgresConfig(t, nil)
	way := unsteadily(t, &config)
	store := openPostgres(t, config)
	defer func() { require.NoError(t, store.Close()) }()
	w := sharedHook(t, store)
	claimed := func() (all []delivery.Claimed) {
		require.Eventually(t, func() bool {
			store.Look()
			some, _, err := store.Claim(t.Context(), store.Now(), 1000, func(uint32) int { return 1000 })
			all = append(all, some...)
			return err == nil && len(all) > 0
		}, time.Minute, 10*time.Millisecond)
		return all
	}
	settled := func(all []delivery.Claimed) {
		for _, c := range all {
			stale, err := store.Settle(t.Context(), []delivery.Settlement{succeeded(c)})
			require.NoError(t, err)
			require.Zero(t, stale)
		}
	}
	n := 0
	enqueue := func(lease bool) error {
		n++
		planned := waitingFor(w)
		planned.Lease = lease
		_, err := store.Enqueue(t.Context(), []delivery.Acceptance{shared(t, store, w, n, "", planned)})
		return err
	}
	require.NoError(t, enqueue(false)) // the day has its tables
	settled(claimed())
	for _, fault := range []*atomic.Bool{&way.losing, &way.refusing} {
		fault.Store(true)
		_, failed := errors.AsType[*delivery.CommitError](enqueue(true))
		require.True(t, failed)
		fault.Store(false)
		if fault == &way.losing {
			settled(claimed())
		}

		require.NoError(t, enqueue(false))
		fault.Store(true)
		store.Look()
		_, _, err := store.Claim(t.Context(), store.Now(), 1000, func(uint32) int { return 1000 })
		require.Error(t, err)
		fault.Store(false)
		all := claimed()
		require.Len(t, all, 1)
		settled(all)
		require.Eventually(t, func() bool { return store.Open() == 0 }, time.Minute, 10*time.Millisecond)
	}
	require.Zero(t, store.Number(t, `SELECT count(*) FROM work`))
}

// A database that says nothing, and does not say that it is not there either, is found out: what needs it is refused, and goes on when it answers again.
func TestSilentDatabase(t *testing.T) {
	t.Parallel()
	config := postgresConfig(t, nil)
	way := unsteadily(t, &config)
	store := openPostgres(t, config)
	defer func() { require.NoError(t, store.Close()) }()
	w := sharedHook(t, store)
	batch := []delivery.Acceptance{shared(t, store, w, 1, "one", waitingFor(w))}
	_, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)

	way.fallSilent()
	underWay, another := make(chan error, 1), []delivery.Acceptance{shared(t, store, w, 2, "two", waitingFor(w))}
	go func() {
		_, err := store.Enqueue(t.Context(), another)
		underWay <- err
	}()
	require.Eventually(t, func() bool { return storage.IsSilent(store.Ping(t.Context())) }, time.Minute, 10*time.Millisecond)
	_, failed := errors.AsType[*delivery.CommitError](<-underWay)
	require.True(t, failed)
	_, err = store.Enqueue(t.Context(), batch)
	require.True(t, storage.IsSilent(err))
	_, err = store.Tenants(t.Context())
	require.True(t, storage.IsSilent(err), "and so is what only reads")

	way.silent.Store(false)
	require.Eventually(t, func() bool { return store.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
	receipts, err := store.Enqueue(t.Context(), batch)
	require.NoError(t, err)
	require.True(t, receipts[0].Duplicate)
	require.Len(t, claimAll(t, store), 1)
}
