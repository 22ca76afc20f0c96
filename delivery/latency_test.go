package delivery_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/delivery"
)

func TestQuantileOfNothing(t *testing.T) {
	t.Parallel()
	_, ok := new(delivery.HourCounts).Quantile(0.5)
	require.False(t, ok)
}

// TestQuantileIsInItsClass holds quantiles to the naive ones of the times that were counted: both are in the same class.
func TestQuantileIsInItsClass(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.SliceOfN(rapid.Int64Range(1, 40_000_000), 1, 50).Draw(t, "micros")
		slices.Sort(micros)
		var first, second, whole delivery.HourCounts
		for i, us := range micros {
			class, _ := slices.BinarySearch(delivery.LatencyBounds[:], time.Duration(us)*time.Microsecond)
			for _, counts := range []*delivery.HourCounts{&whole, []*delivery.HourCounts{&first, &second}[i%2]} {
				counts.Attempts++
				counts.Latency[class]++
			}
		}
		first.Add(&second)
		require.Equal(t, whole, first)
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		got, ok := whole.Quantile(float64(percent) / 100)
		require.True(t, ok)
		naive := time.Duration(micros[(percent*len(micros)+99)/100-1]) * time.Microsecond
		want, _ := slices.BinarySearch(delivery.LatencyBounds[:], naive)
		class, _ := slices.BinarySearch(delivery.LatencyBounds[:], got)
		require.Equal(t, min(want, len(delivery.LatencyBounds)-1), class)
	})
}
