package web

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"portalhook/router"
	"portalhook/triggers"
)

// maxJudged bounds how many webhooks a dry run puts in the order of how near the event came: some microseconds each.
const maxJudged = 10_000

// choice is which webhooks a dry run tells of.
type choice struct {
	others  bool            // those too that would not get the event
	nearest bool            // those to which the event came nearest stand first
	limit   int             // of those that would get it, and of the others; maxExplained is for both together
	name    string          // a part of the name, folded; empty: any
	except  map[uint32]bool // left out, by key
}

// readChoice reads the query of a dry run.
func (s *Server) readChoice(c echo.Context, tenant uint32) (*choice, error) {
	chosen := &choice{limit: maxExplained, name: triggers.Fold(c.QueryParam("name"))}
	switch explain := c.QueryParam("explain"); explain {
	case "", "all":
		chosen.others = true
	case "matches":
	default:
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "explain", "explain is %q; it must be all or matches", explain)
	}
	switch order := c.QueryParam("order"); order {
	case "", "name":
	case "nearest":
		chosen.nearest = true
	default:
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "order", "the order is %q; it must be name or nearest", order)
	}
	if text := c.QueryParam("limit"); text != "" {
		var err error
		if chosen.limit, err = strconv.Atoi(text); err != nil || chosen.limit < 1 || chosen.limit > maxLimit {
			return nil, triggers.Invalid(triggers.CodeOutOfRange, "limit", "the limit is %q; it must be a number from 1 to %d", text, maxLimit)
		}
	}
	if text := c.QueryParam("except"); text != "" {
		id, ok := triggers.ParseEventID(text)
		if !ok {
			return nil, noException(text)
		}
		keys, err := s.config.History.Matched(c.Request().Context(), tenant, id)
		switch {
		case errors.Is(err, triggers.ErrNotFound):
			return nil, noException(text)
		case err != nil:
			return nil, fmt.Errorf("whom event %s matched: %w", id.Event(), err)
		}
		chosen.except = make(map[uint32]bool, len(keys))
		for _, key := range keys {
			chosen.except[key] = true
		}
	}
	return chosen, nil
}

func noException(text string) error {
	return triggers.Invalid(triggers.CodeOutOfRange, "except", "there is no event %q, or its history is past", text)
}

func (c *choice) has(w *triggers.Webhook) bool {
	return !c.except[w.Key] && (c.name == "" || strings.Contains(triggers.Fold(w.Name), c.name))
}

// nearestFirst puts those webhooks first that a trigger hears the event of, then those of which most segments of a trigger fit, and keeps the order
// otherwise; near is of how many anything fits. No more than maxJudged are looked at.
func nearestFirst(list []*triggers.Webhook, uri *triggers.URI) (ordered []*triggers.Webhook, near int) {
	type scored struct {
		webhook *triggers.Webhook
		score   int
	}
	const heard = 1000 // more than a trigger has segments
	all := make([]scored, min(maxJudged, len(list)))
	for i := range all {
		all[i].webhook = list[i]
		e := router.Explain(list[i].Triggers, uri)
		for _, verdict := range e.Triggers {
			fits := 0
			for _, segment := range verdict.Segments {
				if segment.Matched {
					fits++
				}
			}
			all[i].score = max(all[i].score, fits)
		}
		if e.Matched {
			all[i].score = heard
		}
		if all[i].score > 0 {
			near++
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	ordered = make([]*triggers.Webhook, len(all))
	for i := range all {
		ordered[i] = all[i].webhook
	}
	return ordered, near
}
