package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"portalhook/triggers"
)

// found is the candidates that a source has for a range of events, or of deliveries.
type found struct {
	ids []triggers.ID // in any order, some perhaps twice or outside the range
	// covered is the number up to which, in the query's direction, there are no others; zero when that is so for the whole range.
	covered triggers.ID
}

// source proposes events, or deliveries, from first to last, the newest first unless the query says otherwise, about n of them.
type source func(ctx context.Context, first, last triggers.ID, n int) (found, error)

// lookup reads what proposes events or deliveries: between two numbers, in one direction.
type lookup struct {
	store       *base
	tx          querier
	tail        searchTailReader // of the search index, as it was before tx began or as tx sees it
	oldestFirst bool
}

// ordered is the candidates within the range and what is covered, each once, in the query's direction.
func (l *lookup) ordered(batch found, first, last triggers.ID) []triggers.ID {
	if batch.covered != 0 && l.oldestFirst {
		last = min(last, batch.covered)
	}
	if batch.covered != 0 && !l.oldestFirst {
		first = max(first, batch.covered)
	}
	ids := slices.DeleteFunc(batch.ids, func(id triggers.ID) bool { return id < first || id > last })
	slices.SortFunc(ids, l.compare)
	return slices.Compact(ids)
}

func (l *lookup) compare(a, b triggers.ID) int {
	if l.oldestFirst {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

// nearer is which of two sources has covered less; zero is all.
func (l *lookup) nearer(a, b triggers.ID) triggers.ID {
	if a == 0 || b != 0 && l.compare(b, a) < 0 {
		return b
	}
	return a
}

// first joins sources: what they all cover is covered. Beyond what one of them covers the others need not look.
func (l *lookup) first(sources ...source) source {
	return func(ctx context.Context, first, last triggers.ID, n int) (found, error) {
		var joined found
		for _, s := range sources {
			one, err := s(ctx, first, last, n)
			if err != nil {
				return found{}, err
			}
			joined.ids = append(joined.ids, one.ids...)
			joined.covered = l.nearer(joined.covered, one.covered)
			switch {
			case joined.covered == 0:
			case l.oldestFirst:
				last = min(last, joined.covered)
			default:
				first = max(first, joined.covered)
			}
		}
		return joined, nil
	}
}

func (l *lookup) direction() string {
	if l.oldestFirst {
		return "ASC"
	}
	return "DESC"
}

// column reads the numbers that a statement of one column gives.
func (l *lookup) column(ctx context.Context, statement, suffix string, args ...any) ([]triggers.ID, error) {
	var ids []triggers.ID
	err := each(ctx, l.tx, withDirection(forDay(statement, suffix), l.direction()), args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, triggers.ID(id))
		return err
	})
	return ids, err
}

// fixed reads a table that is not of a day.
func (l *lookup) fixed(ctx context.Context, statement string, first, last triggers.ID, n int) (found, error) {
	ids, err := l.column(ctx, statement, "", int64(first), int64(last), n)
	if err != nil || len(ids) < n {
		return found{ids: ids}, err
	}
	return found{ids, ids[n-1]}, nil
}

// byDay asks the tables of one day after another until there are enough.
func (l *lookup) byDay(ctx context.Context, statement string, first, last triggers.ID, n int, more ...any) (found, error) {
	var all found
	for _, suffix := range l.store.tables.suffixes(first, last, l.oldestFirst) {
		ids, err := l.column(ctx, statement, suffix, slices.Concat([]any{int64(first), int64(last)}, more, []any{n})...)
		if err != nil {
			return found{}, err
		}
		all.ids = append(all.ids, ids...)
		if len(ids) == n {
			all.covered = ids[n-1]
			break
		}
	}
	return all, nil
}

// hashed proposes what the search index has under the hash: what is in memory, which is the newest, and what is in segments.
func (l *lookup) hashed(hash uint64) source {
	return func(ctx context.Context, first, last triggers.ID, n int) (found, error) {
		var all found
		if !l.oldestFirst {
			if enough, err := l.inTail(ctx, &all, hash, first, last, n); enough || err != nil {
				return all, err
			}
		}
		for _, suffix := range l.store.tables.suffixes(first, last, l.oldestFirst) {
			if err := l.inSegments(ctx, &all, suffix, hash, first, last, n); err != nil || all.covered != 0 {
				return all, err
			}
		}
		if l.oldestFirst {
			if _, err := l.inTail(ctx, &all, hash, first, last, n); err != nil {
				return found{}, err
			}
		}
		return all, nil
	}
}

// add takes in numbers that rise, the first of them in the direction, until there are n; then it is enough.
func (l *lookup) add(all *found, ids []triggers.ID, n int) (enough bool) {
	room := n - len(all.ids)
	switch {
	case len(ids) < room:
		room = len(ids)
	case l.oldestFirst:
		all.covered = ids[room-1]
	default:
		all.covered = ids[len(ids)-room]
	}
	if !l.oldestFirst {
		ids = ids[len(ids)-room:]
	}
	all.ids = append(all.ids, ids[:room]...)
	return all.covered != 0
}

// inTail adds what the tail has under the hash.
func (l *lookup) inTail(ctx context.Context, all *found, hash uint64, first, last triggers.ID, n int) (enough bool, err error) {
	tail, err := l.tail(ctx, l.tx)
	if err != nil {
		return false, err
	}
	var ids []triggers.ID
	for _, e := range tail {
		if e.hash == hash && e.event >= first && e.event <= last {
			ids = append(ids, e.event)
		}
	}
	return l.add(all, ids, n), nil
}

// inSegments adds what the segments of a day have under the hash.
func (l *lookup) inSegments(ctx context.Context, all *found, suffix string, hash uint64, first, last triggers.ID, n int) error {
	bucket := bucketOf(hash)
	args := []any{segmentRow(bucket, 0), segmentRow(bucket+1, 0), int64(first), int64(last)}
	err := each(ctx, l.tx, withDirection(forDay(searchSegments, suffix), l.direction()), args, func(rows *sql.Rows) error {
		var low int64
		var body sql.RawBytes
		if err := rows.Scan(&low, &body); err != nil {
			return err
		}
		ids, err := readSegment(body, triggers.ID(low), hash)
		if err != nil {
			return err
		}
		if l.add(all, slices.DeleteFunc(ids, func(id triggers.ID) bool { return id < first || id > last }), n) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

// errEnough ends the reading of rows when there are enough.
var errEnough = errors.New("enough")
