package storage

import (
	"database/sql/driver"

	"portalhook/triggers"
)

// editor changes what people change, webhooks, tenants, keys and recoveries, and what the audit says of that, within one transaction.
type editor struct {
	*base
	db statements
	// nextID is the lowest id that an event may have which is accepted from now on, oldestID the first of the days that are kept.
	nextID, oldestID func() (triggers.ID, error)

	legacyCloud bool               // of the revisions that are made
	texts       map[int64][]string // the triggers of revisions, see heard.go
}

// statements runs statements in a transaction. Those about a day's tables have $day for the suffix.
type statements interface {
	// run executes a statement that gives no rows.
	run(text string, args ...driver.Value) error
	// each calls row with every row of the answer, which has columns values; the slice is only good until row returns.
	each(text, suffix string, columns int, row func([]driver.Value) error, args ...driver.Value) error
	// integer is the first column of the first row, 0 when there is none or it is null.
	integer(text string, args ...driver.Value) (int64, error)
}

// exists reports whether there is a webhook with the key.
func (e *editor) exists(webhook uint32) (bool, error) {
	found, err := e.db.integer(`SELECT 1 FROM webhook WHERE key = ?`, int64(webhook))
	return found != 0, err
}
