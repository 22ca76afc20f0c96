package main

import (
	"context"
	"time"

	"portalhook/delivery"
)

// clock is the one that all servers of a store go by, nil for this machine's.
func (s *server) clock() *delivery.Clock {
	if s.shared == nil {
		return nil
	}
	return delivery.NewClockOf(s.shared.Now)
}

// leads says whether what one server does for all is done by this one, nil when there are no others.
func (s *server) leads() func() bool {
	if s.shared == nil {
		return nil
	}
	return s.shared.Leads
}

// now is the date by the clock that retention goes by.
func (s *server) now() time.Time {
	if s.shared == nil {
		return time.Now()
	}
	return s.shared.Now()
}

// follow takes up what another server has changed in the store.
func (s *server) follow(ctx context.Context, changes *delivery.Changes) error {
	if err := s.directory.Follow(ctx, changes); err != nil {
		return err
	}
	if changes.Keys {
		return s.web.ReloadKeys(ctx)
	}
	return nil
}

// hear takes in what another server of the store tells of what passes there.
func (s *server) hear(text string) {
	s.dispatcher.HearOther(text)
	s.web.HearOther(text)
}

// others is how servers of the store tell each other what passes, nil when there are no others.
func (s *server) others() delivery.Others {
	if s.shared == nil {
		return nil
	}
	return s.shared
}
