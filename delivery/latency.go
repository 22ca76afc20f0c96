package delivery

import "time"

// Add adds the counts of another hour; Hour stays.
func (c *HourCounts) Add(other *HourCounts) {
	c.Attempts += other.Attempts
	c.Succeeded += other.Succeeded
	c.Failed += other.Failed
	c.Exhausted += other.Exhausted
	c.Took += other.Took
	for class, n := range other.Latency {
		c.Latency[class] += n
	}
}

// Mean is how long an attempt took in the mean, 0 when there was none.
func (c *HourCounts) Mean() time.Duration {
	if c.Attempts == 0 {
		return 0
	}
	return c.Took / time.Duration(c.Attempts)
}

// Quantile is the time within which the given share (above 0, at most 1) of the attempts ended, false when there were none. Within
// its class attempts count as evenly spread, so it is as exact as LatencyBounds are close; above the last bound it is that bound.
func (c *HourCounts) Quantile(share float64) (took time.Duration, ok bool) {
	all := int64(0)
	for _, n := range c.Latency {
		all += n
	}
	if all == 0 {
		return 0, false
	}
	rank := share * float64(all)
	below, low := 0.0, time.Duration(0)
	for class, high := range LatencyBounds {
		n := float64(c.Latency[class])
		if n > 0 && below+n >= rank {
			return low + time.Duration((rank-below)/n*float64(high-low)), true
		}
		below, low = below+n, high
	}
	return low, true
}
