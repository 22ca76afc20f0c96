package delivery

import (
	"context"
	"log/slog"
	"time"
)

const (
	settleBatch = 512
	// settleBuffer is how many ended attempts may wait for the store; workers wait when it is full, so that a store that does not
	// settle is not fed with attempts that would have to be made again.
	settleBuffer = 1024
	settlePause  = time.Second // between two tries at a batch that could not be stored
)

// settler records ended attempts, as many together as have come while the last batch was stored.
type settler struct {
	queue   Queue
	metrics *metrics
	log     *slog.Logger
	room    *room
	clock   *Clock
	in      chan settling
	done    chan struct{} // closed when all is recorded
	giveUp  chan struct{} // closed when there is no more time
}

// settling is a settlement on its way.
type settling struct {
	Settlement
	// settled, when not nil, is called when it is recorded, with false when it could not be. It must not wait for anything.
	settled func(recorded bool)
}

func newSettler(queue Queue, m *metrics, log *slog.Logger, r *room, clock *Clock) *settler {
	return &settler{
		queue: queue, metrics: m, log: log, room: r, clock: clock,
		in: make(chan settling, settleBuffer), done: make(chan struct{}), giveUp: make(chan struct{}),
	}
}

func (s *settler) start() { go s.run() }

// put hands a settlement over. It must not be called after stop.
func (s *settler) put(one Settlement) { s.putThen(one, nil) }

// putThen is put, with something to do when the settlement is recorded; nil for nothing.
func (s *settler) putThen(one Settlement, settled func(recorded bool)) {
	s.in <- settling{one, settled}
}

// putAndWait is putThen that returns when the settlement is recorded, or when ctx ends.
func (s *settler) putAndWait(ctx context.Context, one Settlement, settled func(recorded bool)) {
	done := make(chan struct{})
	s.putThen(one, func(recorded bool) {
		if settled != nil {
			settled(recorded)
		}
		close(done)
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// stop records what has been handed over and ends the settler, within ctx as far as the store answers. What it cannot record is done
// again after the next start.
func (s *settler) stop(ctx context.Context) error {
	close(s.in)
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	close(s.giveUp)
	<-s.done
	return ctx.Err()
}

func (s *settler) run() {
	defer close(s.done)
	var (
		batch   = make([]Settlement, 0, settleBatch)
		waiting []func(bool)
	)
	for first := range s.in {
		batch, waiting = s.gather(append(batch[:0], first.Settlement), append(waiting[:0], first.settled))
		recorded := s.settle(batch)
		for _, settled := range waiting {
			if settled != nil {
				settled(recorded)
			}
		}
		clear(batch)
	}
}

// gather adds what else has come.
func (s *settler) gather(batch []Settlement, waiting []func(bool)) ([]Settlement, []func(bool)) {
	for len(batch) < settleBatch {
		select {
		case one, ok := <-s.in:
			if !ok {
				return batch, waiting
			}
			batch, waiting = append(batch, one.Settlement), append(waiting, one.settled)
		default:
			return batch, waiting
		}
	}
	return batch, waiting
}

// store hands a batch to the queue, with dates as the clock is set now: a webhook's health is worked out from those of its attempts.
func (s *settler) store(batch []Settlement) (stale int, err error) {
	defer s.clock.Hold()()
	shift := s.clock.Shift()
	for i := range batch {
		one := &batch[i]
		step := shift - one.shift
		if step == 0 {
			continue
		}
		if one.State == Waiting {
			one.DueAt = one.DueAt.Add(step)
		}
		if one.Attempt != nil {
			moved := *one.Attempt // others read theirs
			moved.StartedAt = moved.StartedAt.Add(step)
			one.Attempt = &moved
		}
		one.shift = shift
	}
	return s.queue.Settle(context.Background(), batch)
}

// settle records a batch, however often it takes; false when there was no more time.
func (s *settler) settle(batch []Settlement) bool {
	for failures := 0; ; failures++ {
		stale, err := s.store(batch)
		if err == nil {
			s.metrics.settled(batch, stale)
			return true
		}
		s.metrics.settleFailed()
		s.room.failed(err)
		if failures == 0 {
			s.log.Error("attempts not recorded; trying again", "count", len(batch), "err", err)
		}
		pause := time.NewTimer(settlePause)
		select {
		case <-pause.C:
		case <-s.giveUp:
			pause.Stop()
			s.log.Error("attempts not recorded; they will be made again", "count", len(batch), "err", err)
			return false
		}
	}
}
