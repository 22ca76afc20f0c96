package storage

import (
	"fmt"
	"time"

	"portalhook/triggers"
)

// sequence draws ids. It belongs to the writer.
type sequence struct {
	now  func() time.Time
	last triggers.ID
}

// draw takes n consecutive ids and returns the first. They are above all that were drawn before, whatever the clock says, and lie in
// one day, so that an event's deliveries are found in the tables of its own day.
func (s *sequence) draw(n int) triggers.ID {
	first := s.next()
	last := first + triggers.ID(n) - 1
	if day := dayOf(last); day != dayOf(first) {
		first = firstOf(day)
		last = first + triggers.ID(n) - 1
	}
	s.last = last
	return first
}

// next is the lowest id that draw may give now.
func (s *sequence) next() triggers.ID { return max(s.last+1, firstID(s.now().UnixMilli())) }

// firstID is the lowest id of a millisecond since 1970.
func firstID(ms int64) triggers.ID { return triggers.ID(ms) << triggers.IDSequenceBits }

const dayLength = int64(24 * time.Hour / time.Millisecond)

// dayOf is the UTC day of an id, in days since 1970.
func dayOf(id triggers.ID) int64 { return int64(id) >> triggers.IDSequenceBits / dayLength }

// firstOf is the lowest id of a day.
func firstOf(day int64) triggers.ID { return firstID(day * dayLength) }

// suffixOf names the tables of a day.
func suffixOf(day int64) string { return time.UnixMilli(day * dayLength).UTC().Format("20060102") }

// dayOfSuffix is the other way.
func dayOfSuffix(suffix string) (int64, error) {
	date, err := time.Parse("20060102", suffix)
	if err != nil {
		return 0, fmt.Errorf("table of an unknown day: %w", err)
	}
	return date.UnixMilli() / dayLength, nil
}
