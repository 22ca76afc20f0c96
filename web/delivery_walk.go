package web

import (
	"context"
	"slices"
	"strings"

	"portalhook/delivery"
	"portalhook/triggers"
)

// What a delivery's status can be. There is no third: a delivery that is still trying has failed so far.
const (
	statusSuccess = "success"
	statusFail    = "fail"
)

func statusOf(r *delivery.Record) string {
	if r.State == delivery.Succeeded {
		return statusSuccess
	}
	return statusFail
}

// statesOf are the states that a status stands for.
var statesOf = map[string][]delivery.State{
	"":            nil,
	statusSuccess: {delivery.Succeeded},
	statusFail:    {delivery.Waiting, delivery.Sending, delivery.Exhausted, delivery.Skipped, delivery.Cancelled},
}

var (
	deliverySorts   = []string{"triggeredAt", "status"}
	deliveryFilters = []string{"eventType", "status", "state", "from", "to"}
)

// walk goes through a webhook's deliveries in the order of a list. The order by status is that of two queries, one after the other,
// each newest first.
type walk struct {
	server *Server
	query  delivery.HistoryQuery
	phases []string         // the statuses in turn; one empty text is all
	only   []delivery.State // nil: of any state
	want   int
	// stopped is the place where the store gave up because too few of the rows it looked at were wanted; empty when it did not.
	stopped string
}

func (s *Server) newWalk(l *listing, w *triggers.Webhook) (*walk, error) {
	only := l.values.Get("status")
	if _, known := statesOf[only]; !known {
		return nil, triggers.Invalid(triggers.CodeOutOfRange, "status", "the status is %q; it must be success or fail", only)
	}
	states, err := statesParam(l.values.Get("state"))
	if err != nil {
		return nil, err
	}
	from, to, err := spanParams(l.values.Get("from"), l.values.Get("to"))
	if err != nil {
		return nil, err
	}
	k := &walk{
		server: s, want: l.limit + 1, only: states,
		// Who asks for states is shown those before their first attempt, too.
		query: delivery.HistoryQuery{Tenant: w.Tenant, Webhook: w.Key, FinishedOnly: states == nil, From: from, To: to},
	}
	if text := l.values.Get("eventType"); text != "" {
		trigger, err := s.config.Catalog.ParseTrigger(text)
		if err != nil {
			return nil, inField("eventType", err)
		}
		k.query.EventType = trigger.Text
	}
	switch {
	case l.sort == "triggeredAt":
		k.phases = []string{only}
		k.query.OldestFirst = l.down == l.back
	case only != "":
		k.phases = []string{only}
		k.query.OldestFirst = l.back
	default:
		k.phases = []string{statusFail, statusSuccess}
		if l.down != l.back {
			slices.Reverse(k.phases)
		}
		k.query.OldestFirst = l.back
	}
	if l.cursor == "" {
		return k, nil
	}
	status, text, _ := strings.Cut(l.cursor, " ")
	id, ok := triggers.ParseDeliveryID(text)
	if !ok {
		return nil, badCursor(l.cursorField())
	}
	k.query.After = id
	if at := slices.Index(k.phases, status); at > 0 {
		k.phases = k.phases[at:]
	}
	return k, nil
}

// states are what a delivery's state can be.
var states = []delivery.State{
	delivery.Waiting, delivery.Sending, delivery.Succeeded, delivery.Exhausted, delivery.Skipped, delivery.Cancelled,
}

// statesParam reads a comma list of states; nil when there is none.
func statesParam(text string) ([]delivery.State, error) {
	var list []delivery.State
	for _, name := range splitList(text) {
		if !slices.Contains(states, delivery.State(name)) {
			return nil, triggers.Invalid(triggers.CodeOutOfRange, "state", "a state is %q; it must be one of %s", name, joined(states))
		}
		list = append(list, delivery.State(name))
	}
	return list, nil
}

func joined(states []delivery.State) string {
	names := make([]string, len(states))
	for i, state := range states {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}

// both are the states in either list; nil is every state.
func both(a, b []delivery.State) []delivery.State {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return slices.DeleteFunc(slices.Clone(a), func(s delivery.State) bool { return !slices.Contains(b, s) })
}

// rows reads as many deliveries as are wanted, or all there are. A delivery whose status changes between two pages may show on both
// or on neither of them when the list is sorted by status.
func (k *walk) rows(ctx context.Context) ([]delivery.Record, error) {
	var found []delivery.Record
	for _, status := range k.phases {
		k.query.States = both(statesOf[status], k.only)
		if k.only != nil && len(k.query.States) == 0 {
			continue
		}
		k.query.Limit = k.want - len(found)
		page, err := k.server.config.History.Deliveries(ctx, k.query)
		if err != nil {
			return nil, err
		}
		found = append(found, page.Deliveries...)
		if page.Stopped != 0 {
			k.stopped = place(status, page.Stopped)
			break
		}
		if len(found) == k.want {
			break
		}
		k.query.After = 0
	}
	return found, nil
}

// deliveryCursor is the place of a delivery in either order.
func deliveryCursor(r *delivery.Record) string { return place(statusOf(r), r.ID) }

// place is a status, then an id. The status matters where the list is ordered by it.
func place(status string, id triggers.ID) string { return status + " " + id.Delivery() }
