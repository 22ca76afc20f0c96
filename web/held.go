package web

import "slices"

// held is a page of rows that are all in memory. They come in rising order and are never taken out again, so that the id of the row
// beside a page is its cursor; keep says which of them the list's filters leave.
func held[T any](l *listing, rows []T, id func(row T) string, keep func(row T) bool) (page []T, next, prev string, err error) {
	rows = slices.Clone(rows)
	if l.down {
		slices.Reverse(rows)
	}
	var before, after []T
	if l.cursor == "" {
		after = rows
	} else {
		at := slices.IndexFunc(rows, func(row T) bool { return id(row) == l.cursor })
		if at < 0 {
			return nil, "", "", badCursor(l.cursorField())
		}
		before, after = rows[:at+1], rows[at+1:]
		if l.back {
			before, after = rows[:at], rows[at:]
		}
	}
	drop := func(row T) bool { return !keep(row) }
	before, after = slices.DeleteFunc(before, drop), slices.DeleteFunc(after, drop)
	if l.back {
		from := max(0, len(before)-l.limit)
		page, before = before[from:], before[:from]
	} else {
		page = after[:min(l.limit, len(after))]
		after = after[len(page):]
	}
	if len(page) > 0 && len(after) > 0 {
		next = id(page[len(page)-1])
	}
	if len(page) > 0 && len(before) > 0 {
		prev = id(page[0])
	}
	return page, next, prev, nil
}
