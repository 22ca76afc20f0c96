package delivery

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClock(t *testing.T) {
	wall, mono := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Hour
	c := newClock(func() time.Time { return wall }, func() time.Duration { return mono })
	follow := func() time.Duration {
		step, err := c.Follow(func(time.Duration) error { return nil })
		require.NoError(t, err)
		return step
	}
	pass := func(d time.Duration) { wall, mono = wall.Add(d), mono+d }

	require.True(t, c.Now().Equal(wall))
	pass(time.Minute)
	require.True(t, c.Now().Equal(wall))

	wall = wall.Add(-20 * time.Second)
	require.Zero(t, follow(), "a small step is not followed")
	require.True(t, c.Now().Equal(wall.Add(20*time.Second)))

	wall = wall.Add(-time.Hour)
	before := c.Now()
	require.Equal(t, -time.Hour-20*time.Second, follow())
	require.True(t, c.Now().Equal(wall))
	require.Equal(t, time.Hour+20*time.Second, before.Sub(c.Now()))
	require.Zero(t, follow())

	wall = wall.Add(31 * time.Second)
	require.Equal(t, 31*time.Second, follow())
	require.True(t, c.Now().Equal(wall))

	require.True(t, c.Steady().Add(c.Shift()).Equal(c.Now()))
	steady := c.Steady()
	wall = wall.Add(-24 * time.Hour)
	_, err := c.Follow(func(step time.Duration) error {
		require.Equal(t, -24*time.Hour, step)
		return errors.New("not moved")
	})
	require.Error(t, err)
	require.True(t, c.Now().Equal(wall.Add(24*time.Hour)), "what is stored has not moved either")
	require.Equal(t, -24*time.Hour, follow())
	require.True(t, c.Now().Equal(wall))
	require.True(t, c.Steady().Equal(steady), "no step moves it")
}
