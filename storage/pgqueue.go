package storage

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// queue is statements that travel to the database together.
type queue struct{ batch *pgx.Batch }

func newQueue() *queue { return &queue{new(pgx.Batch)} }

// add adds a statement of which nothing is read.
func (q *queue) add(text string, args ...any) { q.batch.Queue(text, args...) }

// rows adds a statement of which every row is read.
func (q *queue) rows(row func(scan func(...any) error) error, text string, args ...any) {
	q.batch.Queue(text, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := row(rows.Scan); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// send runs the statements, one after another, and reads what they give.
func (q *queue) send(ctx context.Context, tx pgx.Tx) error {
	if q.batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, q.batch).Close()
}
