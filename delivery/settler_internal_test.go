package delivery

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recordingQueue keeps what it is told to settle.
type recordingQueue struct {
	Queue

	settled []Settlement
}

func (q *recordingQueue) Settle(_ context.Context, batch []Settlement) (int, error) {
	q.settled = append(q.settled, batch...)
	return 0, nil
}

// A date that was worked out before the clock was set is moved before it is stored: what was stored already has moved, and this was not there.
func TestSettlementAcrossAStepOfTheClock(t *testing.T) {
	wall, mono := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), time.Hour
	clock := newClock(func() time.Time { return wall }, func() time.Duration { return mono })
	queue := new(recordingQueue)
	s := settler{queue: queue, clock: clock}
	wait := Settlement{State: Waiting, DueAt: clock.Now().Add(time.Minute), shift: clock.Shift()}
	steady := Settlement{State: Waiting, DueAt: clock.Steady().Add(time.Minute)} // as those of memory are
	attempt := &Attempt{StartedAt: clock.Now()}
	ended := Settlement{State: Exhausted, Attempt: attempt, shift: clock.Shift()}
	began := wall

	wall = wall.Add(40 * 24 * time.Hour)
	_, err := clock.Follow(func(time.Duration) error { return nil })
	require.NoError(t, err)
	batch := []Settlement{wait, steady, ended}
	for range 2 { // the second time as after a commit that failed
		_, err = s.store(batch)
		require.NoError(t, err)
	}
	for _, one := range []Settlement{queue.settled[0], queue.settled[1], queue.settled[3], queue.settled[4]} {
		require.True(t, one.DueAt.Equal(wall.Add(time.Minute)), one.DueAt)
	}
	for _, one := range []Settlement{queue.settled[2], queue.settled[5]} {
		require.True(t, one.DueAt.IsZero())
		require.True(t, one.Attempt.StartedAt.Equal(wall), "its webhook has not failed for forty days")
	}
	require.True(t, attempt.StartedAt.Equal(began), "who reads it meanwhile is not disturbed")
}
