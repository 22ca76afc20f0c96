package deliverytest_test

import (
	"testing"
	"time"

	"portalhook/delivery/deliverytest"
)

func TestQueueInMemory(t *testing.T) {
	t.Parallel()
	deliverytest.TestQueue(t, func(_ *testing.T, now func() time.Time) deliverytest.Harness {
		q := deliverytest.NewQueue(now)
		return deliverytest.Harness{Store: q, Reopen: func() deliverytest.Store { q.Restart(); return q }}
	})
}
