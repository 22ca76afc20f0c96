package web

import (
	"context"
	"errors"
	"strconv"

	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Handshaker asks receivers whether they are there and have the secret: it is met by *delivery.Dispatcher. Its errors are
// *delivery.HandshakeError, *delivery.Overload, and that of a context which ended.
type Handshaker interface {
	// Reach asks for any answer at all.
	Reach(ctx context.Context, w *triggers.Webhook) error
	// Challenge asks for the proof of crcCheck.
	Challenge(ctx context.Context, w *triggers.Webhook) error
}

// Reachability says what is done about a receiver that does not answer when its webhook is made, switched on, or sent elsewhere.
type Reachability string

// What is done: it is not asked; it is told of; the webhook is refused.
const (
	ReachabilityOff     Reachability = "off"
	ReachabilityWarn    Reachability = "warn"
	ReachabilityRequire Reachability = "require"
)

// toBeReached reports whether the receiver is asked for any answer; before is nil of a new webhook.
func (s *Server) toBeReached(before, w *triggers.Webhook) bool {
	if s.config.Reachability != ReachabilityWarn && s.config.Reachability != ReachabilityRequire {
		return false
	}
	return before == nil || w.URL != before.URL || w.Enabled && !before.Enabled
}

// toBeChallenged reports whether the receiver has to prove now that it has the secret.
func toBeChallenged(before, w *triggers.Webhook) bool {
	if !w.Enabled || !w.CRCCheck {
		return false
	}
	return before == nil || !before.Enabled || !before.CRCCheck || w.URL != before.URL || w.Secret != before.Secret
}

// askReceiver asks a receiver what is to be asked before its webhook is stored as w; before is the stored one, nil of a new one. It may
// take seconds: nothing is locked meanwhile. A receiver that does not answer as it must is a *problem on the field url.
func (s *Server) askReceiver(c echo.Context, before, w *triggers.Webhook) error {
	ctx := c.Request().Context()
	if s.toBeReached(before, w) {
		err := s.config.Handshaker.Reach(ctx, w)
		failed, ok := errors.AsType[*delivery.HandshakeError](err)
		switch {
		case ok && s.config.Reachability == ReachabilityRequire:
			return &problem{Code: codeUnreachable, Field: "url", Index: -1, Detail: "the receiver could not be reached: " + failed.Reason}
		case ok:
			s.log.Warn("receiver not reached", "webhook", w.ID, "reason", failed.Reason)
			c.Response().Header().Set("Warning", "199 portalhook "+strconv.QuoteToASCII("the receiver could not be reached: "+failed.Reason))
		case err != nil:
			return err
		}
	}
	if !toBeChallenged(before, w) {
		return nil
	}
	err := s.config.Handshaker.Challenge(ctx, w)
	if failed, ok := errors.AsType[*delivery.HandshakeError](err); ok {
		return &problem{Code: codeChallenge, Field: "url", Index: -1, Detail: failed.Reason}
	}
	return err
}

// tryOut applies a change to a copy of the webhook with the id, and asks the receiver what is then to be asked. It gives the copy.
func (s *Server) tryOut(
	c echo.Context, key *triggers.APIKey, id triggers.WebhookID, apply func(w *triggers.Webhook) error,
) (*triggers.Webhook, error) {
	before, err := s.config.Directory.ByID(key.Tenant, id)
	if err == nil && !owns(key, before) {
		err = triggers.ErrNotFound
	}
	if err != nil {
		return nil, s.webhookError("update", err)
	}
	w := *before
	if err := apply(&w); err != nil {
		return nil, s.webhookError("update", err)
	}
	if err := staysOwned(key, &w); err != nil {
		return nil, err
	}
	return &w, s.askReceiver(c, before, &w)
}

// wasAsked refuses a change whose receiver would have to be asked and was not: somebody has changed the webhook since it was tried out.
func (s *Server) wasAsked(before, w, tried *triggers.Webhook) error {
	if (s.toBeReached(before, w) || toBeChallenged(before, w)) && (w.URL != tried.URL || w.Secret != tried.Secret || w.Enabled != tried.Enabled || w.CRCCheck != tried.CRCCheck) {
		return fault(codeUnavailable, "the webhook has been changed meanwhile, and its receiver would have to be asked again: send the same once more")
	}
	return nil
}
