package storage

import (
	"context"
	"errors"
	"runtime"

	"github.com/mattn/go-sqlite3"

	"portalhook/delivery"
	"portalhook/triggers"
)

// ErrClosed says that the store is closed.
var ErrClosed = errors.New("the store is closed")

// maxGroupRows bounds what one transaction takes on, so that its callers do not wait long for each other.
const maxGroupRows = 4096

// writer owns the connection that writes, and what is known of open work without asking the database: the file is locked by this
// process, so that memory and database agree as long as memory changes after the commit.
type writer struct {
	editor   // of its transactions
	store    *Store
	db       *conn
	ids      sequence
	leases   map[triggers.ID]lease
	turns    turns
	ordered  map[uint32]*lines   // of the webhooks that are
	webhooks map[uint32]struct{} // those that exist
	known    knownEvents         // within one group
	scratch  []byte              // of searchHash

	hours      map[hourKey]*hourRow
	dirtyHours []hourKey // those to be written in this transaction
	// tenantHours are the same of tenants, whose keys stand in the place of webhooks.
	tenantHours  map[hourKey]*tenantHourRow
	dirtyTenants []hourKey

	ailing map[uint32]delivery.Health // healths that change in this transaction
	open   map[uint32]int64           // deliveries that have not ended, by tenant

	enqueues []*enqueueRequest
	settles  []*settleRequest
	solos    []*soloRequest
}

// request is work for the writer. Its caller waits until answer has been sent to, whatever becomes of its context: until then the
// writer reads what the caller gave.
type request interface {
	rows() int // about how many rows it writes
}

// soloRequest is anything with transactions of its own.
type soloRequest struct {
	do     func(*writer) error
	answer chan error
}

func (r *soloRequest) rows() int { return 1 }

// write has the writer run do, which makes its own transactions, and waits for it.
func (s *Store) write(ctx context.Context, do func(*writer) error) error {
	r := &soloRequest{do, make(chan error, 1)}
	if err := s.send(ctx, r); err != nil {
		return err
	}
	return <-r.answer
}

// editAlone is base's edit: the writer does one thing after the other.
func (s *Store) editAlone(ctx context.Context, do func(*editor) error) error {
	return s.write(ctx, func(w *writer) error {
		return w.db.transaction(func() error { return do(&w.editor) })
	})
}

func (s *Store) send(ctx context.Context, r request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return ErrClosed
	}
	s.requests <- r
	return nil
}

// run serves requests until their channel is closed and empty.
func (w *writer) run() {
	for first := range w.store.requests {
		w.serve(first)
	}
}

// serve commits in groups: all that waits when it begins shares a transaction with its kind.
func (w *writer) serve(first request) {
	w.enqueues, w.settles, w.solos = w.enqueues[:0], w.settles[:0], w.solos[:0]
	rows := w.sort(first)
	// Whoever was about to ask gets the processor once, and so into this group. It costs nothing when nobody was.
	runtime.Gosched()
	for rows < maxGroupRows {
		select {
		case r, ok := <-w.store.requests:
			if ok {
				rows += w.sort(r)
				continue
			}
		default:
		}
		break
	}
	w.enqueueGroup(w.enqueues)
	w.settleGroup(w.settles)
	for _, r := range w.solos {
		r.answer <- r.do(w)
	}
	w.sealDue()
	clear(w.enqueues)
	clear(w.settles)
	clear(w.solos)
}

func (w *writer) sort(r request) int {
	switch r := r.(type) {
	case *enqueueRequest:
		w.enqueues = append(w.enqueues, r)
	case *settleRequest:
		w.settles = append(w.settles, r)
	case *soloRequest:
		w.solos = append(w.solos, r)
	}
	return r.rows()
}

// commitError makes what a failed transaction says to those outside.
func commitError(err error) error {
	if err == nil {
		return nil
	}
	var failed sqlite3.Error
	full := errors.As(err, &failed) && failed.Code == sqlite3.ErrFull
	return &delivery.CommitError{Full: full, Err: err}
}
