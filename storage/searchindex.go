package storage

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"portalhook/triggers"
)

// The search index of a day is a log of segments. What the newest events can be found by is kept in memory; when that is much, it
// is written as one segment: a row for each of 256 buckets of hashes. So an event costs next to nothing when it is accepted, and
// looking one value up reads one small row a segment. Every segment has a row of its own as well, of bucket 0, which says how far
// the index reaches: what came later is read again when the store is opened. A hash only proposes events; they are looked at.

// searchTables make what a day is searched by.
const searchTables = `
CREATE TABLE search_$day (
  id    INTEGER PRIMARY KEY, -- bucket, then the number of the segment in 32 bits
  first INTEGER NOT NULL,    -- the lowest event of the segment
  last  INTEGER NOT NULL,    -- its highest
  body  BLOB NOT NULL        -- of each entry four bytes of its hash and how much higher its event is than that before
) STRICT;
-- Nearly empty: what was not delivered.
CREATE INDEX delivery_$day_missed ON delivery_$day (tenant, state, event) WHERE state > 2;
`

const (
	searchBuckets = 256
	// segmentBits is the width of a segment's number within its day.
	segmentBits = 32
	// sealEntries is how many entries are held in memory before they are written: about 16,000 events, 1 MiB.
	sealEntries = 1 << 16

	insertSearch  = `INSERT INTO search_$day (id, first, last, body) VALUES `
	newestSegment = `SELECT id, last FROM search_$day WHERE id < 4294967296 ORDER BY id DESC LIMIT 1`
)

// errSegment says that a row of the search index cannot be read.
var errSegment = errors.New("segment of the search index cannot be read")

// searchEntry says that an event, or a delivery, can be found by what the hash is of.
type searchEntry struct {
	hash  uint64
	event triggers.ID
}

// searchTail is the entries that are in no segment yet, the oldest event first, all committed. The writer alone changes it, holding
// the lock; entries once written to the slice stay as they are, so that whoever has copied it may read it without.
type searchTail struct {
	sync.Mutex
	entries []searchEntry
	sealAt  int // the number of entries at which the next segment is written
}

// readTail takes the entries as they stand.
func (s *Store) readTail() searchTailReader {
	s.search.Lock()
	defer s.search.Unlock()
	entries := s.search.entries
	return func(context.Context, querier) ([]searchEntry, error) { return entries, nil }
}

// searchKind is what a hash is of. Stored hashes depend on the values: they are never changed.
type searchKind byte

const (
	byOperation searchKind = 'o' // resource and operation
	byThing     searchKind = 't' // resource, folder and id
	byURI       searchKind = 'u' // all of them
	byUsername  searchKind = 'n'
	byUnmatched searchKind = 'm' // events that matched nothing
	byHeard     searchKind = 'h' // a webhook's deliveries of an event type
)

// searchHash is the hash of a value. The texts hold no zero byte. Scratch is room for them that can be used again.
func searchHash(scratch []byte, tenant uint32, kind searchKind, texts ...string) (hash uint64, used []byte) {
	used = binary.LittleEndian.AppendUint32(scratch[:0], tenant)
	used = append(used, byte(kind))
	for _, text := range texts {
		used = append(append(used, text...), 0)
	}
	return xxhash.Sum64(used), used
}

// uriHash is the hash of as much of a URI as the kind says.
func uriHash(scratch []byte, tenant uint32, kind searchKind, uri *triggers.URI) (hash uint64, used []byte) {
	resource, operation := uri.Resource.String(), triggers.OperationName(uri.Resource, uri.Operation)
	switch kind {
	case byOperation:
		return searchHash(scratch, tenant, kind, resource, operation)
	case byThing:
		return searchHash(scratch, tenant, kind, resource, uri.FolderKey(), uri.Key())
	case byURI, byUsername, byUnmatched, byHeard:
	}
	return searchHash(scratch, tenant, kind, resource, operation, uri.FolderKey(), uri.Key())
}

// indexed is an event as the index sees it.
type indexed struct {
	id        triggers.ID
	tenant    uint32
	uri       *triggers.URI
	username  string
	unmatched bool
}

// index notes what a committed event can be found by.
func (w *writer) index(e indexed) {
	tail := &w.store.search
	tail.Lock()
	defer tail.Unlock()
	tail.entries, w.scratch = appendEvent(tail.entries, w.scratch, e)
}

// appendEvent adds the entries of an event. Scratch is room that can be used again.
func appendEvent(entries []searchEntry, scratch []byte, e indexed) ([]searchEntry, []byte) {
	add := func(hash uint64, used []byte) {
		scratch = used
		entries = append(entries, searchEntry{hash, e.id})
	}
	add(uriHash(scratch, e.tenant, byOperation, e.uri))
	if e.uri.Key() != "" {
		add(uriHash(scratch, e.tenant, byThing, e.uri))
		add(uriHash(scratch, e.tenant, byURI, e.uri))
	}
	if e.username != "" {
		add(searchHash(scratch, e.tenant, byUsername, triggers.Fold(e.username)))
	}
	if e.unmatched {
		add(searchHash(scratch, e.tenant, byUnmatched))
	}
	return entries, scratch
}

// sealDue writes segments while the tail is long, or reaches back to an earlier day. One that cannot be written stays in memory and
// is tried again when it has grown.
func (w *writer) sealDue() {
	tail := &w.store.search
	for {
		entries := tail.entries
		n := len(entries)
		if n == 0 || n < tail.sealAt && dayOf(entries[0].event) == dayOf(entries[n-1].event) {
			return
		}
		if err := w.seal(); err != nil {
			if n >= tail.sealAt {
				w.store.log.Warn("events could not be indexed for search", "err", err)
				tail.sealAt = n + sealEntries/4
			}
			return
		}
	}
}

// seal writes the tail's entries of one day, the oldest, as a segment.
func (w *writer) seal() error {
	tail := &w.store.search
	day := dayOf(tail.entries[0].event)
	n := len(tail.entries)
	if at := slices.IndexFunc(tail.entries, func(e searchEntry) bool { return dayOf(e.event) != day }); at >= 0 {
		n = at
	}
	// A day that was dropped meanwhile is not searched any more.
	if _, ok := slices.BinarySearch(w.store.calendar.days, day); ok {
		if err := w.db.transaction(func() error { return w.writeSegment(tail.entries[:n], suffixOf(day)) }); err != nil {
			return fmt.Errorf("index day %s: %w", suffixOf(day), err)
		}
	}
	tail.Lock()
	defer tail.Unlock()
	tail.entries = append(make([]searchEntry, 0, sealEntries), tail.entries[n:]...)
	tail.sealAt = sealEntries
	return nil
}

// writeSegment writes entries that are in the order of their events.
func (w *writer) writeSegment(entries []searchEntry, suffix string) error {
	var number int64
	err := w.db.each(newestSegment, suffix, 2, func(row []driver.Value) error {
		number = integer(row[0])
		return nil
	})
	if err != nil {
		return err
	}
	number++
	first, last := entries[0].event, entries[len(entries)-1].event
	rows, err := w.db.insert(insertSearch, suffix, 4)
	if err != nil {
		return err
	}
	if err := rows.add(number, int64(first), int64(last), []byte{}); err != nil {
		return err
	}
	for bucket, body := range segmentBodies(entries) {
		if body != nil {
			if err := rows.add(segmentRow(bucket, number), int64(first), int64(last), body); err != nil {
				return err
			}
		}
	}
	return nil
}

// segmentBodies are the rows of a segment, nil for buckets without an entry.
func segmentBodies(entries []searchEntry) (bodies [searchBuckets][]byte) {
	var before [searchBuckets]triggers.ID
	for _, e := range entries {
		bucket := bucketOf(e.hash)
		if bodies[bucket] == nil {
			bodies[bucket] = make([]byte, 0, 8*len(entries)/searchBuckets)
			before[bucket] = entries[0].event
		}
		bodies[bucket] = binary.LittleEndian.AppendUint32(bodies[bucket], uint32(e.hash))     //nolint:gosec // its lower half
		bodies[bucket] = binary.AppendUvarint(bodies[bucket], uint64(e.event-before[bucket])) //nolint:gosec // they rise
		before[bucket] = e.event
	}
	return bodies
}

func bucketOf(hash uint64) int { return int(hash >> 56) }

// segmentRow is the id of the row of a bucket in a segment.
func segmentRow(bucket int, number int64) int64 { return int64(bucket+1)<<segmentBits | number }

// readSegment gives the events of a bucket that have the hash, the oldest first.
func readSegment(body []byte, first triggers.ID, hash uint64) ([]triggers.ID, error) {
	var found []triggers.ID
	event := first
	for len(body) > 0 {
		if len(body) < 4 {
			return nil, errSegment
		}
		low := binary.LittleEndian.Uint32(body)
		step, n := binary.Uvarint(body[4:])
		if n <= 0 {
			return nil, errSegment
		}
		body = body[4+n:]
		event += triggers.ID(step)                                                        //nolint:gosec // written by writeSegment
		if low == uint32(hash) && !slices.Contains(found[max(0, len(found)-1):], event) { //nolint:gosec // its lower half
			found = append(found, event)
		}
	}
	return found, nil
}
