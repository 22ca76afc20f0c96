package delivery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"portalhook/payload"
	"portalhook/triggers"
)

// Tests that run together. They are asked for by people and take no slots from deliveries; what one tenant's receivers hold up leaves
// half of the places to the others.
const (
	maxTrials       = 16
	maxTenantTrials = 8 // waiting for a place or running
	trialsPause     = 2 * time.Second
)

var errManyTrials = errors.New("as many tests of this tenant are running as may run together")

// trialPrefix is how the ids of tests begin, where those of deliveries begin with dlv_.
const trialPrefix = "test_"

// Trial is a test of a webhook: what was sent, and what came of it. It is told once and stored nowhere.
type Trial struct {
	// ID is the header webhook-id: test_ and 26 characters drawn at random.
	ID string
	// Revision, BuiltAt and Events make the body, as a delivery's do; Revision has the URL and the headers as history shows them.
	Revision payload.Revision
	BuiltAt  time.Time
	Events   []payload.Event
	Attempt  Attempt // Waited is how long it waited for a place among the tests
}

// Test sends one event to where a tenant's webhook points now, whether the webhook is on and hears such events or not, and returns when
// the attempt has ended. It is no delivery: nothing is stored, nothing speaks for or against the webhook and its host, and a 410
// switches nothing off. An event without an id of its own takes the test's, so that receivers of CloudEvents can tell tests apart.
//
// The attempt ends with ctx, too; then its outcome is Infrastructure. The errors are triggers.ErrNotFound, the *triggers.FieldError of
// an event that lacks what its operation needs, *Overload while the tenant has many tests running or the dispatcher stops, and ctx's own
// where it ended before anything was sent.
func (d *Dispatcher) Test(ctx context.Context, tenant uint32, webhook triggers.WebhookID, event *triggers.Event) (*Trial, error) {
	return d.try(ctx, tenant, event, func() (*target, error) {
		e, err := d.directory.find(tenant, webhook)
		if err != nil {
			return nil, err
		}
		return d.directory.targetOf(e), nil
	})
}

// TestDraft sends one event as Test does, to where a webhook would point that is stored nowhere. Its errors are those of Test but for
// triggers.ErrNotFound.
func (d *Dispatcher) TestDraft(ctx context.Context, draft *triggers.Webhook, event *triggers.Event) (*Trial, error) {
	return d.try(ctx, draft.Tenant, event, func() (*target, error) {
		tenant := d.directory.Tenant(draft.Tenant)
		return newTarget(draft, RevisionOf(draft, &tenant, d.directory.legacyCloud), tenant.SettingsFor(draft)), nil
	})
}

// try sends an event to the target that find gives when its turn has come.
func (d *Dispatcher) try(ctx context.Context, tenant uint32, event *triggers.Event, find func() (*target, error)) (*Trial, error) {
	asked := d.clock.Now()
	if !d.enter() {
		return nil, stopping()
	}
	defer d.active.Done()
	ctx, release := d.whileSending(ctx)
	defer release()
	leave, err := d.trials.enter(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer leave()

	to, err := find()
	if err != nil {
		return nil, err
	}
	t, a, err := d.send(ctx, to, event, asked)
	if err != nil {
		return nil, err
	}
	d.metrics.tested(a)
	return t, nil
}

// send sends one event to a target; see Test. The error is the *triggers.FieldError of an event that lacks what its operation needs.
func (d *Dispatcher) send(ctx context.Context, to *target, event *triggers.Event, asked time.Time) (*Trial, answer, error) {
	at := d.clock.Now().Truncate(time.Millisecond)
	body, err := payload.Render(event, at)
	if err != nil {
		return nil, answer{}, err
	}
	t := &Trial{ID: trialPrefix + strings.ToLower(rand.Text()), Revision: to.revision, BuiltAt: at}
	t.Events = []payload.Event{{EventID: cmp.Or(event.EventID, t.ID), Source: event.Source, URI: event.URI, Body: body}}
	a := d.sender.send(ctx, to, &shipment{name: t.ID, revision: &t.Revision, builtAt: at, events: t.Events, dueAt: asked})
	t.Attempt = *a.attempt
	return t, a, nil
}

// whileSending is ctx, ended too when a shutdown runs out of time. Release it.
func (d *Dispatcher) whileSending(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(d.sending, func() { cancel(errShutDown) })
	return ctx, func() {
		detach()
		cancel(nil)
	}
}

// trials bounds the tests that run together.
type trials struct {
	places chan struct{}
	mu     sync.Mutex
	of     map[uint32]int // by tenant: waiting for a place or running
}

func newTrials() *trials {
	return &trials{places: make(chan struct{}, maxTrials), of: make(map[uint32]int)}
}

// enter waits for a place, as long as ctx lasts; it is an *Overload at once when the tenant has its number. Leave gives the place back.
func (t *trials) enter(ctx context.Context, tenant uint32) (leave func(), err error) {
	if !t.count(tenant, 1) {
		return nil, overload(http.StatusTooManyRequests, trialsPause, errManyTrials)
	}
	select {
	case t.places <- struct{}{}:
		return func() {
			<-t.places
			t.count(tenant, -1)
		}, nil
	case <-ctx.Done():
		t.count(tenant, -1)
		if cause := context.Cause(ctx); !errors.Is(cause, errShutDown) {
			return nil, fmt.Errorf("test: %w", cause)
		}
		return nil, stopping()
	}
}

// count adds to the tenant's number, unless that would become too high.
func (t *trials) count(tenant uint32, n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[tenant]+n > maxTenantTrials {
		return false
	}
	if t.of[tenant] += n; t.of[tenant] == 0 {
		delete(t.of, tenant)
	}
	return true
}
