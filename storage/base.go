package storage

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// base is what the stores of both databases have in common: how things are read, and what people change. Tables and columns are named
// alike in both, and statements are written once, with ? for what is given; a base says how its database wants them.
type base struct {
	catalog *triggers.Catalog
	now     func() time.Time
	log     *slog.Logger
	ring    *keyRing

	readers   *sql.DB
	isolation sql.IsolationLevel       // at which a transaction sees one state of the database
	bind      func(text string) string // gives a statement as the database wants it
	tables    tables
	sorts     map[delivery.WebhookSort]string // what lists of webhooks are ordered by
	// newTail gives what reads the entries of the search index that are in no segment yet, by a state of the database that begins later.
	newTail func() searchTailReader
	// edit runs do in a transaction of its own, and waits for it. No other edit runs at the same time.
	edit func(ctx context.Context, do func(*editor) error) error

	// oldestOpen is the id of each tenant's oldest open delivery as it was found last: none is older.
	oldestOpen sync.Map
	revisions  struct {
		sync.Mutex
		byNumber map[int64]*payload.Revision
	}
}

func (s *base) init(config Config) {
	s.catalog, s.now, s.log = config.Catalog, config.Now, config.Log
	s.revisions.byNumber = make(map[int64]*payload.Revision)
}

// searchTailReader reads entries of the search index, the oldest first.
type searchTailReader func(ctx context.Context, tx querier) ([]searchEntry, error)

// tables says in which tables rows lie: suffixes stand for the tables of a day where each has its own.
type tables interface {
	// hold keeps the tables there are until release.
	hold() (release func())
	// suffix names the tables that hold an id, suffixes those of the days from first to last, in either order.
	suffix(id triggers.ID) string
	suffixes(from, to triggers.ID, oldestFirst bool) []string
	// endOf is the last id, in the direction, that the tables with the suffix hold; zero when there are no tables beyond them.
	endOf(suffix string, oldestFirst bool) triggers.ID
	// oldest is the lowest id of the days that are kept; what is lower outlived its day.
	oldest() triggers.ID
}

// querier reads: in a transaction, or without one.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// bound is a querier that is asked as its database wants it.
type bound struct {
	querier
	bind func(text string) string
}

func (b bound) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return b.querier.QueryContext(ctx, b.bind(query), args...)
}

func (b bound) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return b.querier.QueryRowContext(ctx, b.bind(query), args...)
}

// direct reads without a transaction.
func (s *base) direct() querier { return bound{s.readers, s.bind} }

// SessionKeys seal the console's sessions, the newest first. They are derived from the key file, so they are the same on every node
// that has it, and sessions outlive a restart.
func (s *base) SessionKeys() ([][]byte, error) {
	keys, err := s.ring.derive("portalhook console session")
	if err != nil {
		return nil, fmt.Errorf("derive session keys: %w", err)
	}
	return keys, nil
}
