package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClock(t *testing.T) {
	wall, mono := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Hour
	c := newClock(func() time.Time { return wall }, func() time.Duration { return mono })
	pass := func(d time.Duration) { wall, mono = wall.Add(d), mono+d }

	require.True(t, c.Now().Equal(wall))
	pass(time.Minute)
	require.True(t, c.Now().Equal(wall))

	wall = wall.Add(-20 * time.Second)
	require.Zero(t, c.Check(), "a small step is not followed")
	require.True(t, c.Now().Equal(wall.Add(20*time.Second)))

	wall = wall.Add(-time.Hour)
	before := c.Now()
	require.Equal(t, -time.Hour-20*time.Second, c.Check())
	require.True(t, c.Now().Equal(wall))
	require.Equal(t, time.Hour+20*time.Second, before.Sub(c.Now()))
	require.Zero(t, c.Check())

	wall = wall.Add(31 * time.Second)
	require.Equal(t, 31*time.Second, c.Check())
	require.True(t, c.Now().Equal(wall))
}
