package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"portalhook/triggers"
)

// The challenge of a webhook that is on is repeated every hour; after a start they are spread over the first.
const (
	challengeInterval = time.Hour
	challengePoll     = time.Minute
	// challengesAtOnce is how many receivers are asked together: those that hang must not hold up the others for long.
	challengesAtOnce = 8
)

// crcCode is why a webhook is off whose receiver did not prove that it has the secret.
const crcCode = "CRC"

// challengeLoop repeats challenges.
func (d *Dispatcher) challengeLoop() {
	due := make(map[uint32]time.Time) // by webhook
	ticker := time.NewTicker(challengePoll)
	defer ticker.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-ticker.C:
		}
		if d.leads() {
			d.repeatChallenges(due)
		}
	}
}

// repeatChallenges asks the receivers whose time has come. Due is when each is to be asked again; those that need not be are forgotten.
func (d *Dispatcher) repeatChallenges(due map[uint32]time.Time) {
	now := d.clock.Now()
	var asked []*triggers.Webhook
	listed := make(map[uint32]bool)
	d.directory.byKey.each(func(e *entry) {
		w := e.webhook.Load()
		if !w.Enabled || !w.CRCCheck {
			return
		}
		listed[w.Key] = true
		at, known := due[w.Key]
		switch {
		case !known:
			due[w.Key] = now.Add(time.Duration(d.random() * float64(challengeInterval)))
		case at.Sub(now) > challengeInterval: // the clock was set
			due[w.Key] = now.Add(challengeInterval)
		case !at.After(now):
			due[w.Key] = now.Add(challengeInterval)
			asked = append(asked, w)
		}
	})
	for key := range due {
		if !listed[key] {
			delete(due, key)
		}
	}
	var asking sync.WaitGroup
	places := make(chan struct{}, challengesAtOnce)
	for _, w := range asked {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			d.repeatChallenge(w)
		})
	}
	asking.Wait()
}

// repeatChallenge asks one receiver, and switches its webhook off when it does not answer as it should. Trouble of our own is not charged to it.
func (d *Dispatcher) repeatChallenge(w *triggers.Webhook) {
	ctx, cancel := context.WithTimeout(d.sending, challengeTimeout)
	defer cancel()
	err := d.challenge(ctx, w)
	failed, ok := errors.AsType[*HandshakeError](err)
	if !ok || failed.ours {
		return
	}
	d.switchOff(w, false, func(_ context.Context, present *triggers.Webhook) (code, reason string, err error) {
		if !present.CRCCheck || present.URL != w.URL || present.Secret != w.Secret {
			return "", "", errChanged
		}
		return crcCode, fmt.Sprintf("the receiver did not prove that it has the secret: %s", failed.Reason), nil
	})
}
