package delivery

import "time"

// When a breaker opens, and for how long.
const (
	breakerConsecutive = 10               // failures in a row that open it
	breakerWindow      = 5 * time.Minute  // in which the share of failures is taken
	breakerSample      = 10               // attempts in the window before the share means anything
	breakerShare       = 0.7              // of failures that opens it
	breakerOpenFirst   = 30 * time.Second // doubling with every probe that fails
	breakerOpenMost    = 15 * time.Minute
	breakerCloses      = 3 // probes in a row that close it
	breakerBuckets     = 10
	breakerBucketWidth = breakerWindow / breakerBuckets
)

// breaker keeps a host that is down from taking slots: it lets nothing through for a while, then one probe at a time. It has no
// clock and no lock of its own; the zero value is closed.
type breaker struct {
	open        bool
	until       time.Time     // while open: when a probe may go
	openFor     time.Duration // how long it was opened for last
	consecutive int           // failures in a row
	probes      int           // successful probes in a row, while open
	buckets     [breakerBuckets]breakerBucket
}

// breakerBucket counts the attempts that ended within one slice of the window.
type breakerBucket struct {
	slice             int64 // number of the slice since 1970; a bucket of another one is empty
	succeeded, failed int
}

// admits says how many attempts may be under way together: any number while closed (-1), one or none while open.
func (b *breaker) admits(now time.Time) int {
	switch {
	case !b.open:
		return -1
	case now.Before(b.until):
		return 0
	}
	return 1
}

// record notes how an attempt ended.
func (b *breaker) record(succeeded bool, now time.Time) {
	bucket := b.bucket(now)
	switch {
	case b.open:
		b.recordProbe(succeeded, now)
	case succeeded:
		bucket.succeeded++
		b.consecutive = 0
	default:
		bucket.failed++
		b.consecutive++
		if b.consecutive >= breakerConsecutive || b.mostlyFails(now) {
			b.trip(breakerOpenFirst, now)
		}
	}
}

// recordProbe is record while open. What ends before the probe's time began before the breaker opened, and tells nothing new.
func (b *breaker) recordProbe(succeeded bool, now time.Time) {
	switch {
	case now.Before(b.until):
	case !succeeded:
		b.trip(min(2*b.openFor, breakerOpenMost), now)
	default:
		b.probes++
		if b.probes >= breakerCloses {
			*b = breaker{}
		}
	}
}

func (b *breaker) trip(openFor time.Duration, now time.Time) {
	*b = breaker{open: true, openFor: openFor, until: now.Add(openFor)}
}

// shift moves all dates, since the clock that they were told by was set.
func (b *breaker) shift(by time.Duration) {
	if b.open {
		b.until = b.until.Add(by)
	}
	slices := int64(by / breakerBucketWidth)
	before := b.buckets
	b.buckets = [breakerBuckets]breakerBucket{}
	for _, bucket := range before {
		if bucket.slice += slices; bucket.slice >= 0 && bucket.succeeded+bucket.failed > 0 {
			b.buckets[bucket.slice%breakerBuckets] = bucket
		}
	}
}

func (b *breaker) bucket(now time.Time) *breakerBucket {
	slice := now.UnixNano() / int64(breakerBucketWidth)
	bucket := &b.buckets[slice%breakerBuckets]
	if bucket.slice != slice {
		*bucket = breakerBucket{slice: slice}
	}
	return bucket
}

func (b *breaker) mostlyFails(now time.Time) bool {
	oldest := now.UnixNano()/int64(breakerBucketWidth) - breakerBuckets
	succeeded, failed := 0, 0
	for i := range b.buckets {
		if b.buckets[i].slice > oldest {
			succeeded += b.buckets[i].succeeded
			failed += b.buckets[i].failed
		}
	}
	return succeeded+failed >= breakerSample && float64(failed) >= breakerShare*float64(succeeded+failed)
}
