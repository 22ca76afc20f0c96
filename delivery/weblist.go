package delivery

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"portalhook/triggers"
)

// WebhookSort is what a list of webhooks is ordered by; equal ones stand in the order of their keys.
type WebhookSort string

// The orders. Names and URLs are ordered without regard to case; SortTrigger is by the first trigger as it is written. SortLastDelivery and
// SortSuccessShare are by summaries, which a store does not sort by: see Pick.
const (
	SortCreatedAt    WebhookSort = "createdAt"
	SortUpdatedAt    WebhookSort = "updatedAt"
	SortName         WebhookSort = "name"
	SortURL          WebhookSort = "url"
	SortTrigger      WebhookSort = "trigger"
	SortLevel        WebhookSort = "level"
	SortOwner        WebhookSort = "ownerId"
	SortEnabled      WebhookSort = "enabled"
	SortLastDelivery WebhookSort = "lastDelivery"
	SortSuccessShare WebhookSort = "successShare"
)

// IsDate reports whether the order is by a date; the others are by text.
func (s WebhookSort) IsDate() bool {
	return s == "" || s == SortCreatedAt || s == SortUpdatedAt || s == SortLastDelivery
}

// WebhookQuery asks for a page of a tenant's webhooks. What is empty or nil does not restrict.
type WebhookQuery struct {
	Tenant    uint32
	Name, URL string // substrings, without regard to case
	// WholeName and WholeURL are the whole of it, without regard to case.
	WholeName, WholeURL string
	Enabled             *bool
	SwitchedOff         *bool    // by the server, and off still
	Triggers            []string // as stored: the webhook has every one of them
	// TriggerPart is a substring, without regard to the case of ASCII letters, of one of its triggers at least.
	TriggerPart string
	Origins     []string // the webhook has one of them
	Level       triggers.Level
	OwnerID     string
	OwnerPart   string // a substring of the owner, without regard to the case of ASCII letters
	CreatedBy   string
	UpdatedBy   string
	Created     Span // from From on and before To; a zero time is no bound

	// What a summary must be like. Lists of a store pass over it.
	Fared Fared

	Sort       WebhookSort // empty: SortCreatedAt
	Descending bool
	// After is the place of the last webhook of the page before, nil for the first page. The page before a webhook is asked for by
	// its place in the other direction.
	After *WebhookPlace
	Limit int
}

// Fared is how webhooks must have fared to be listed. What is nil or empty does not restrict.
type Fared struct {
	// Least and Most bound the share of attempts that did not fail; a webhook without attempts has no share, and is within no bounds.
	Least, Most *float64
	// Last are the states that the attempt which ended last may have left its delivery in; the empty state is of webhooks without one.
	Last []State
}

// BySummary reports whether summaries decide which webhooks are on the page.
func (q *WebhookQuery) BySummary() bool {
	return q.Sort == SortLastDelivery || q.Sort == SortSuccessShare || q.Fared.Least != nil || q.Fared.Most != nil || len(q.Fared.Last) > 0
}

// WebhookPlace is where a webhook stands in a sorted list. It holds what it was sorted by, so that a page can be continued after
// the webhook has gone.
type WebhookPlace struct {
	Text string    // of an order by text; names and URLs folded
	At   time.Time // of an order by a date, in milliseconds
	Key  uint32
}

// PlaceOf is the place of a webhook in the query's order, where that is not by summary.
func (q *WebhookQuery) PlaceOf(w *triggers.Webhook) WebhookPlace {
	place := WebhookPlace{Key: w.Key}
	switch q.Sort {
	case SortName:
		place.Text = triggers.Fold(w.Name)
	case SortURL:
		place.Text = triggers.Fold(w.URL)
	case SortTrigger:
		if len(w.Triggers) > 0 {
			place.Text = w.Triggers[0].Text
		}
	case SortLevel:
		place.Text = string(w.Level)
	case SortOwner:
		place.Text = w.OwnerID
	case SortEnabled:
		place.Text = "0"
		if w.Enabled {
			place.Text = "1"
		}
	case SortUpdatedAt:
		place.At = w.UpdatedAt
	case SortCreatedAt, "":
		place.At = w.CreatedAt
	case SortLastDelivery, SortSuccessShare:
	}
	return place
}

// SummedWebhook is a webhook and how it has fared.
type SummedWebhook struct {
	*triggers.Webhook
	Summary WebhookSummary
}

// PlaceOfSummed is the place of a webhook in the query's order, whatever that is by. Webhooks that never delivered anything, and those
// without attempts, stand before all others.
func (q *WebhookQuery) PlaceOfSummed(w *SummedWebhook) WebhookPlace {
	place := q.PlaceOf(w.Webhook)
	switch {
	case q.Sort == SortLastDelivery && w.Summary.Last != nil:
		place.At = w.Summary.Last.At
	case q.Sort == SortSuccessShare:
		if share, ok := w.Summary.Share(); ok {
			place.Text = strconv.FormatFloat(share, 'f', shareDigits, 64) // from 0 to 1, so that texts sort as numbers do
		}
	}
	return place
}

// shareDigits are those behind the point that shares are told with.
const shareDigits = 4

// Pick gives the query's page of webhooks of which all else is known to hold: those that have fared as is asked for, sorted, after the
// place and no more than the limit. List is changed.
func (q *WebhookQuery) Pick(list []SummedWebhook) []SummedWebhook {
	type placed struct {
		place WebhookPlace
		SummedWebhook
	}
	order := func(a, b WebhookPlace) int {
		c := cmp.Or(cmp.Compare(a.Text, b.Text), a.At.Compare(b.At), cmp.Compare(a.Key, b.Key))
		if q.Descending {
			return -c
		}
		return c
	}
	var found []placed
	for i := range list {
		place := q.PlaceOfSummed(&list[i])
		if q.Fared.holds(&list[i].Summary) && (q.After == nil || order(place, *q.After) > 0) {
			found = append(found, placed{place, list[i]})
		}
	}
	slices.SortFunc(found, func(a, b placed) int { return order(a.place, b.place) })
	list = list[:0]
	for _, row := range found[:min(len(found), q.Limit)] {
		list = append(list, row.SummedWebhook)
	}
	return list
}

func (f *Fared) holds(s *WebhookSummary) bool {
	share, tried := s.Share()
	if f.Least != nil && (!tried || share < *f.Least) || f.Most != nil && (!tried || share > *f.Most) {
		return false
	}
	if len(f.Last) == 0 {
		return true
	}
	var last State
	if s.Last != nil {
		last = s.Last.State
	}
	return slices.Contains(f.Last, last)
}

// Share is the share of the attempts that did not fail; false without any.
func (s *WebhookSummary) Share() (float64, bool) {
	if s.Counts.Attempts == 0 {
		return 0, false
	}
	return float64(s.Counts.Attempts-s.Counts.Failed) / float64(s.Counts.Attempts), true
}
