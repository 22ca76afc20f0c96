package delivery

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// Others is how the nodes of one store tell each other of what passes. Nothing of it is kept: who does not listen at the time misses it.
type Others interface {
	// Tell hands texts, of at most MaxTold bytes and without the character zero, to all other nodes that listen now.
	Tell(ctx context.Context, texts []string) error
}

// MaxTold is the length of what Others hands on in one piece, in bytes.
const MaxTold = 7000

const (
	// relayPause is between two looks at what is to be told to others: what happens in it goes out together.
	relayPause = 250 * time.Millisecond
	// watchAgain is how often a node whose tail is listened to says so, and watchLasts how long that is believed.
	watchAgain = 2 * time.Second
	watchLasts = 3 * watchAgain
	// relayMost bounds what is told of at once, in texts; what is beyond is counted as missed.
	relayMost    = 64
	relayTimeout = 5 * time.Second
	// tailTopic is what the texts begin with, since others use Others, too.
	tailTopic = "tail "
)

// relay has those who listen to the tail here hear what happens on other nodes, and the other way round. While nobody listens anywhere, nothing is
// told and nothing is asked.
type relay struct {
	others  Others
	tail    *Tail
	catalog *triggers.Catalog
	now     func() time.Time
	voice   string        // names this node to others
	changed chan struct{} // those who listen here have changed

	mu      sync.Mutex
	watches map[string]watch     // of other nodes, by their voices
	sent    map[uint32]*Listener // by tenant: what is to be told to others
	failing bool                 // of the loop alone
}

// watch is what another node's listeners want.
type watch struct {
	until   time.Time
	tenants map[uint32][]uint32 // to the webhooks that some ask for
}

func newRelay(others Others, tail *Tail, catalog *triggers.Catalog, now func() time.Time) *relay {
	r := &relay{
		others: others, tail: tail, catalog: catalog, now: now, voice: rand.Text(), changed: make(chan struct{}, 1),
		watches: make(map[string]watch), sent: make(map[uint32]*Listener),
	}
	tail.changed = func() {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	}
	return r
}

// relayLoop tells others until the dispatcher stops.
func (d *Dispatcher) relayLoop() {
	r := d.relay
	tick := time.NewTicker(relayPause)
	defer tick.Stop()
	var said time.Time // when it was last said that somebody listens here; zero: that nobody does
	for {
		again := false
		select {
		case <-d.stop:
			return
		case <-r.changed:
			again = true
		case <-tick.C:
		}
		texts := r.news()
		wanted := d.tail.wanted()
		if again || len(wanted) > 0 && !r.now().Before(said.Add(watchAgain)) {
			if len(wanted) > 0 || !said.IsZero() {
				texts = append(texts, encodeTold(&told{Voice: r.voice, Wanted: wanted}))
			}
			if said = r.now(); len(wanted) == 0 {
				said = time.Time{}
			}
		}
		if len(texts) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(d.sending, relayTimeout)
		err := r.others.Tell(ctx, texts)
		cancel()
		if err != nil && !r.failing && d.sending.Err() == nil {
			d.log.Warn("the live tails of other nodes miss what happens here", "err", err)
		}
		r.failing = err != nil
	}
}

// HearOther takes in a text that another node has told.
func (d *Dispatcher) HearOther(text string) {
	rest, ours := strings.CutPrefix(text, tailTopic)
	var heard told
	if !ours || d.relay == nil || json.Unmarshal([]byte(rest), &heard) != nil {
		return // another topic, or of a version that says it otherwise
	}
	if heard.Voice != "" {
		d.relay.follow(heard.Voice, heard.Wanted)
	}
	for i := range heard.Moments {
		m, about := heard.Moments[i].moment(d.catalog)
		d.tail.tellHere(&m, about)
	}
	for tenant, n := range heard.Missed {
		d.tail.missHere(tenant, n)
	}
}

// follow notes what a node's listeners want.
func (r *relay) follow(voice string, wanted map[uint32][]uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(wanted) == 0 {
		delete(r.watches, voice)
	} else {
		r.watches[voice] = watch{r.now().Add(watchLasts), wanted}
	}
	r.settle()
}

// settle has exactly those tenants' moments kept that some node wants. The lock is held.
func (r *relay) settle() {
	now := r.now()
	maps.DeleteFunc(r.watches, func(_ string, w watch) bool { return !now.Before(w.until) })
	wanted := make(map[uint32]map[uint32]bool)
	for _, w := range r.watches {
		for tenant, webhooks := range w.tenants {
			if wanted[tenant] == nil {
				wanted[tenant] = make(map[uint32]bool)
			}
			for _, webhook := range webhooks {
				wanted[tenant][webhook] = true
			}
		}
	}
	for tenant, l := range r.sent {
		if wanted[tenant] == nil {
			l.Close()
			delete(r.sent, tenant)
		}
	}
	for tenant, asked := range wanted {
		before := r.sent[tenant]
		if before != nil && maps.Equal(asked, before.relays) {
			continue
		}
		l := r.tail.relayTo(tenant, asked)
		if l == nil {
			continue
		}
		if r.sent[tenant] = l; before != nil {
			before.Close()
			l.inherit(before)
		}
	}
}

// news is what has happened that others want to hear.
func (r *relay) news() (texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sent) == 0 {
		return nil
	}
	r.settle()
	missed := make(map[uint32]int)
	for _, tenant := range slices.Sorted(maps.Keys(r.sent)) {
		moments, lost := r.sent[tenant].Take(nil)
		missed[tenant] += lost
		next := told{}
		size := 0
		put := func() {
			if len(next.Moments) > 0 {
				texts = append(texts, encodeTold(&next))
			}
			next, size = told{}, 0
		}
		for i := range moments {
			one := tellMoment(&moments[i])
			length := len(encodeTold(&told{Moments: []toldMoment{one}}))
			if length > MaxTold || len(texts) >= relayMost {
				missed[tenant]++
				continue
			}
			if size+length > MaxTold {
				put()
			}
			next.Moments, size = append(next.Moments, one), size+length
		}
		put()
	}
	maps.DeleteFunc(missed, func(_ uint32, n int) bool { return n == 0 })
	if len(missed) > 0 {
		texts = append(texts, encodeTold(&told{Missed: missed}))
	}
	return texts
}

// told is one text: of what listeners want, or of what has happened.
type told struct {
	Voice   string              `json:"n,omitzero"`
	Wanted  map[uint32][]uint32 `json:"w,omitempty"`
	Moments []toldMoment        `json:"m,omitempty"`
	Missed  map[uint32]int      `json:"x,omitempty"` // by tenant
}

// encodeTold writes texts without the character zero, and without bytes that are no UTF-8, which the reason of an end may hold.
func encodeTold(t *told) string {
	text, err := json.Marshal(t, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err != nil {
		return tailTopic // of such fields it never fails
	}
	return tailTopic + strings.ToValidUTF8(string(text), "\uFFFD")
}

// toldMoment is a Moment as it is told to others: what the tail shows of it.
type toldMoment struct {
	Kind     MomentKind       `json:"k"`
	At       int64            `json:"at"` // milliseconds since 1970
	Tenant   uint32           `json:"t"`
	URI      string           `json:"u"`
	Event    triggers.ID      `json:"e"`
	EventID  string           `json:"i,omitzero"`
	Username string           `json:"b,omitzero"`
	Matched  int              `json:"c,omitzero"`
	About    []uint32         `json:"a,omitempty"`
	Delivery triggers.ID      `json:"d,omitzero"`
	Webhook  *toldWebhook     `json:"w,omitzero"`
	State    State            `json:"s,omitzero"`
	Attempts int              `json:"n,omitzero"`
	Attempt  *toldMomentOfTry `json:"y,omitzero"`
	DueAt    int64            `json:"z,omitzero"` // milliseconds since 1970
	Reason   string           `json:"r,omitzero"`
}

type toldWebhook struct {
	Key   uint32             `json:"k"`
	ID    triggers.WebhookID `json:"i"`
	Name  string             `json:"n"`
	Level triggers.Level     `json:"l"`
	Owner string             `json:"o,omitzero"`
}

type toldMomentOfTry struct {
	Outcome Outcome `json:"o"`
	Status  int     `json:"c,omitzero"`
	Total   int64   `json:"t"` // microseconds
}

func tellMoment(m *Moment) toldMoment {
	t := toldMoment{
		Kind: m.Kind, At: m.At.UnixMilli(), Tenant: m.Tenant, URI: m.URI.String(), Event: m.Event, EventID: m.EventID, Username: m.Username,
		Matched: m.Matched, About: m.about, Delivery: m.Delivery, State: m.State, Attempts: m.Attempts, Reason: m.Reason,
	}
	if w := m.Webhook; w != nil {
		t.Webhook = &toldWebhook{w.Key, w.ID, w.Name, w.Level, w.OwnerID}
	}
	if a := m.Attempt; a != nil {
		t.Attempt = &toldMomentOfTry{a.Outcome, a.StatusCode, a.Total.Microseconds()}
	}
	if !m.DueAt.IsZero() {
		t.DueAt = m.DueAt.UnixMilli()
	}
	return t
}

// moment is what was told, and the webhooks that an event is about.
func (t *toldMoment) moment(catalog *triggers.Catalog) (m Moment, about []Planned) {
	m = Moment{
		Kind: t.Kind, At: time.UnixMilli(t.At).UTC(), Tenant: t.Tenant, Event: t.Event, EventID: t.EventID, Username: t.Username, Matched: t.Matched,
		Delivery: t.Delivery, State: t.State, Attempts: t.Attempts, Reason: t.Reason,
	}
	uri, err := catalog.ParseURI(t.URI)
	if err != nil { // of a type that only the other node knows
		uri = triggers.URI{Resource: triggers.CloudTypes, ID: t.URI}
	}
	m.URI = uri
	if w := t.Webhook; w != nil {
		m.Webhook = &triggers.Webhook{Key: w.Key, Tenant: t.Tenant, ID: w.ID, Name: w.Name, Level: w.Level, OwnerID: w.Owner}
	}
	if a := t.Attempt; a != nil {
		m.Attempt = &Attempt{Number: t.Attempts, Outcome: a.Outcome, StatusCode: a.Status, Total: time.Duration(a.Total) * time.Microsecond}
	}
	if t.DueAt != 0 {
		m.DueAt = time.UnixMilli(t.DueAt).UTC()
	}
	for _, webhook := range t.About {
		about = append(about, Planned{Webhook: webhook})
	}
	return m, about
}
