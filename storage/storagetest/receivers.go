package storagetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// TestReceivers holds what keeps built-in receivers to its promises. What is asked of one of the stores is to be seen at all: they are of one database, or one.
func TestReceivers(t *testing.T, stores ...delivery.BuiltIns) {
	t.Helper()
	ctx := t.Context()
	began := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	ago := began.Add(-time.Hour)
	turn := 0
	next := func() delivery.BuiltIns {
		turn++
		return stores[turn%len(stores)]
	}
	add := func(token string, tenant uint32, made time.Time) bool {
		r := &delivery.BuiltIn{Token: token, Tenant: tenant, Made: made, Used: made, Body: []byte("body of " + token + "\x00\xff")}
		added, err := next().AddReceiver(ctx, r, delivery.BuiltInLimits{Tenant: 2, All: 3, Since: made.Add(-time.Hour)})
		require.NoError(t, err)
		return added
	}
	tokens := func(tenant uint32, since time.Time) (list []string) {
		found, err := next().Receivers(ctx, tenant, since)
		require.NoError(t, err)
		for i := range found {
			require.Equal(t, tenant, found[i].Tenant)
			list = append(list, found[i].Token)
		}
		return list
	}
	require.True(t, add("b", 1, began.Add(time.Minute)))
	require.True(t, add("a", 1, began.Add(2*time.Minute)))
	require.False(t, add("c", 1, began.Add(3*time.Minute)), "as many as a tenant may have")
	require.True(t, add("c", 2, began.Add(3*time.Minute)))
	require.False(t, add("d", 3, began.Add(3*time.Minute)), "as many as there may be")
	require.Equal(t, []string{"b", "a"}, tokens(1, ago))
	require.Equal(t, []string{"c"}, tokens(2, ago))
	require.Empty(t, tokens(3, ago))

	got, err := next().Receiver(ctx, "a", ago)
	require.NoError(t, err)
	at := began.Add(2 * time.Minute)
	require.Equal(t, delivery.BuiltIn{Token: "a", Tenant: 1, Made: at, Used: at, Body: []byte("body of a\x00\xff")}, got)
	missing := func(token string, since time.Time) {
		_, err := next().Receiver(ctx, token, since)
		require.ErrorIs(t, err, triggers.ErrNotFound)
		err = next().ChangeReceiver(ctx, token, since, delivery.ArrivedLimits{}, func(*delivery.BuiltIn) (*delivery.Arrived, error) {
			return nil, errors.New("of one that is not there")
		})
		require.ErrorIs(t, err, triggers.ErrNotFound)
	}
	missing("nobody", ago)
	missing("with \x00 in it", ago)
	missing("a", at)

	// Whoever changes one is alone with it.
	const arrivals = 30
	limits := delivery.ArrivedLimits{Count: 20, Bytes: 1000}
	var all sync.WaitGroup
	failed := make(chan error, arrivals)
	for range arrivals {
		store := next()
		all.Go(func() {
			failed <- store.ChangeReceiver(ctx, "a", ago, limits, func(r *delivery.BuiltIn) (*delivery.Arrived, error) {
				r.Received++
				r.Used = began.Add(time.Hour + time.Duration(r.Received)*time.Second)
				return &delivery.Arrived{Number: r.Received, Size: 10, Body: fmt.Append(nil, "arrived ", r.Received)}, nil
			})
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
	numbers := func(token string, after int64) (list []int64) {
		found, err := next().Arrivals(ctx, token, after)
		require.NoError(t, err)
		for _, a := range found {
			require.Equal(t, fmt.Sprint("arrived ", a.Number), string(a.Body))
			list = append(list, a.Number)
		}
		return list
	}
	require.Len(t, numbers("a", 0), limits.Count)
	require.Equal(t, []int64{30, 29}, numbers("a", 28))
	require.Empty(t, numbers("b", 0))
	got, err = next().Receiver(ctx, "a", ago)
	require.NoError(t, err)
	require.EqualValues(t, arrivals, got.Received)
	require.Equal(t, limits.Count, got.Kept)
	require.Equal(t, began.Add(time.Hour+arrivals*time.Second), got.Used)

	// A refusal changes nothing.
	refusal := errors.New("refused")
	err = next().ChangeReceiver(ctx, "a", ago, limits, func(r *delivery.BuiltIn) (*delivery.Arrived, error) {
		r.Body, r.Received = []byte("changed"), 99
		return nil, refusal
	})
	require.ErrorIs(t, err, refusal)
	again, err := next().Receiver(ctx, "a", ago)
	require.NoError(t, err)
	require.Equal(t, got, again)

	// One that is large drives out the others, and is kept itself however large it is.
	put := func(size int) {
		require.NoError(t, next().ChangeReceiver(ctx, "a", ago, limits, func(r *delivery.BuiltIn) (*delivery.Arrived, error) {
			r.Received++
			r.Body = []byte(strings.Repeat("b", 3))
			return &delivery.Arrived{Number: r.Received, Size: size, Body: fmt.Append(nil, "arrived ", r.Received)}, nil
		}))
	}
	put(975)
	require.Equal(t, []int64{31, 30, 29}, numbers("a", 0))
	put(2000)
	require.Equal(t, []int64{32}, numbers("a", 0))
	got, err = next().Receiver(ctx, "a", ago)
	require.NoError(t, err)
	require.Equal(t, "bbb", string(got.Body))

	// Those that nobody uses make room.
	require.True(t, add("d", 3, began.Add(time.Hour+10*time.Minute)))
	require.Empty(t, tokens(2, ago))
	require.Equal(t, []string{"a"}, tokens(1, ago))
	require.NoError(t, next().RemoveReceiver(ctx, "a"))
	require.NoError(t, next().RemoveReceiver(ctx, "a"))
	require.Empty(t, tokens(1, ago))
	require.Empty(t, numbers("a", 0))
	missing("a", ago)
}
