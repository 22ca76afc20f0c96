package router_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/nats-io/nats-server/v2/server/gsl"

	"portalhook/router"
	"portalhook/triggers"
)

// The benchmarks match the same events against the same subscriptions, one a webhook, in the table and in its yardsticks:
//
//   - floor: a plain Go map asked for the four candidate keys /items, /items/share, /items/<id>, /items/<id>/share. The keys are
//     strings put together in a buffer, which measured faster than structs of resource, operation and id. It knows no globs, keeps no
//     order, does not say which trigger matched, and cannot be changed while it is read.
//   - nats: nats-server's subject list in its generic form, which hands on values and allocates less than the older one.
//   - mochi: mochi-mqtt's topic index.
//
// The two peers get each event's subject or topic ready made. Everybody else starts from a parsed event; all end at webhook numbers.

var sizes = []struct {
	name string
	n    int
}{{"1k", 1_000}, {"100k", 100_000}, {"1M", 1_000_000}}

// eventCount is how many different events a benchmark goes round in: enough that they do not all stay in the nearest cache.
const eventCount = 1 << 14

// shape is a mix of triggers and events. Ids of events below n are those of subscriptions.
type shape struct {
	name    string
	trigger func(i int) string
	event   func(r *rand.Rand, n int) string
}

var itemOps = []string{"share", "update", "delete", "unshare", "publish", "move"}

// itemID is an id as portals make them, 32 hexadecimal digits: the same for the same number.
func itemID(i int) string {
	var raw [16]byte
	r := rand.New(rand.NewPCG(uint64(i), 1))
	binary.LittleEndian.PutUint64(raw[:], r.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], r.Uint64())
	return hex.EncodeToString(raw[:])
}

func userName(i int) string { return fmt.Sprintf("user%d@example", i) }

var shapes = []shape{
	{
		// Every webhook watches one item, half of them for one operation only; half of the events are about watched items.
		name: "items",
		trigger: func(i int) string {
			if i%2 == 0 {
				return "/items/" + itemID(i)
			}
			return "/items/" + itemID(i) + "/" + itemOps[i%len(itemOps)]
		},
		event: func(r *rand.Rand, n int) string {
			return "/items/" + itemID(r.IntN(2*n)) + "/" + itemOps[r.IntN(len(itemOps))]
		},
	},
	{
		// All the documented forms: mostly one item, group or user, and a dozen webhooks that hear any.
		name: "documented",
		trigger: func(i int) string {
			switch {
			case i < 12:
				return []string{"/items/add", "/groups/invite", "/users/signin", "/items/move"}[i%4]
			case i%4 == 0:
				return "/items/" + itemID(i)
			case i%4 == 1:
				return "/items/" + itemID(i) + "/" + itemOps[i%len(itemOps)]
			case i%4 == 2:
				return "/groups/" + itemID(i) + "/addUsers"
			}
			return "/users/" + userName(i) + "/signIn"
		},
		event: func(r *rand.Rand, n int) string {
			switch i := r.IntN(2 * n); i % 4 {
			case 0, 1:
				return "/items/" + itemID(i) + "/" + itemOps[r.IntN(len(itemOps))]
			case 2:
				return "/groups/" + itemID(i) + "/addUsers"
			default:
				return "/users/" + userName(i) + "/signIn"
			}
		},
	},
	{
		// User names only: text of no fixed length.
		name:    "users",
		trigger: func(i int) string { return "/users/" + userName(i) + "/signIn" },
		event:   func(r *rand.Rand, n int) string { return "/users/" + userName(r.IntN(2*n)) + "/signIn" },
	},
}

func (s *shape) triggers(tb testing.TB, n int) []triggers.Trigger {
	tb.Helper()
	all := make([]triggers.Trigger, n)
	for i := range all {
		t, err := triggers.Default().ParseTrigger(s.trigger(i))
		if err != nil {
			tb.Fatal(err)
		}
		all[i] = t
	}
	return all
}

func (s *shape) events(tb testing.TB, n int) []triggers.URI {
	tb.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	all := make([]triggers.URI, eventCount)
	for i := range all {
		u, err := triggers.Default().ParseURI(s.event(r, n))
		if err != nil {
			tb.Fatal(err)
		}
		all[i] = u
	}
	return all
}

// oneEach gives every webhook one trigger.
func oneEach(all []triggers.Trigger) iter.Seq2[uint32, []triggers.Trigger] {
	return func(yield func(uint32, []triggers.Trigger) bool) {
		for i := range all {
			if !yield(uint32(i), all[i:i+1]) {
				return
			}
		}
	}
}

func loadTable(all []triggers.Trigger) *router.Table {
	t := router.NewTable()
	t.Load(1, oneEach(all))
	return t
}

// idAndOperation is a documented trigger as a pair: an id or empty for any, an operation or -1 for every.
func idAndOperation(t *triggers.Trigger) (id string, op int) {
	if !t.Any {
		id, _ = t.Path[0].Literal()
	}
	if t.Operations.Len() > 1 {
		return id, -1
	}
	return id, bits.TrailingZeros32(uint32(t.Operations))
}

// floor is the plain map.
type floor map[string][]uint32

func appendFloorKey(dst []byte, r triggers.Resource, id string, op int) []byte {
	dst = append(dst, byte(r))
	if id != "" {
		dst = append(append(dst, '/'), id...)
	}
	if op >= 0 {
		dst = append(dst, '/', byte(op))
	}
	return dst
}

func newFloor(all []triggers.Trigger) floor {
	m := make(floor, len(all))
	for i := range all {
		id, op := idAndOperation(&all[i])
		k := string(appendFloorKey(nil, all[i].Resource, id, op))
		m[k] = append(m[k], uint32(i))
	}
	return m
}

func (m floor) match(u *triggers.URI, dst []uint32) []uint32 {
	var buf [128]byte
	k := appendFloorKey(buf[:0], u.Resource, "", int(u.Operation))
	dst = append(dst, m[string(k[:1])]...)
	dst = append(dst, m[string(k)]...)
	k = appendFloorKey(buf[:0], u.Resource, u.Key(), int(u.Operation))
	dst = append(dst, m[string(k[:len(k)-2])]...)
	return append(dst, m[string(k)]...)
}

// peerPattern spells a documented trigger for a peer: one is its wildcard for a segment, every that for all that follow.
func peerPattern(t *triggers.Trigger, separator, one, every string) string {
	id, op := idAndOperation(t)
	if id == "" {
		id = one
	}
	last := every
	if op >= 0 {
		last = triggers.OperationName(t.Resource, triggers.Operation(op))
	}
	return strings.Join([]string{t.Resource.String(), id, last}, separator)
}

// peerTopics spells the events for a peer.
func peerTopics(events []triggers.URI, separator string) []string {
	topics := make([]string, len(events))
	for i := range events {
		u := &events[i]
		topics[i] = strings.Join([]string{u.Resource.String(), u.Key(), triggers.OperationName(u.Resource, u.Operation)}, separator)
	}
	return topics
}

func newNATS(tb testing.TB, all []triggers.Trigger) *gsl.GenericSublist[uint32] {
	tb.Helper()
	s := gsl.NewSublist[uint32]()
	for i := range all {
		if err := s.Insert(peerPattern(&all[i], ".", "*", "*"), uint32(i)); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func newMochi(all []triggers.Trigger) *mqtt.TopicsIndex {
	x := mqtt.NewTopicsIndex()
	for i := range all {
		x.InlineSubscribe(mqtt.InlineSubscription{
			Subscription: packets.Subscription{Filter: peerPattern(&all[i], "/", "+", "+"), Identifier: i},
			Handler:      func(*mqtt.Client, packets.Subscription, packets.Packet) {},
		})
	}
	return x
}

func BenchmarkMatch(b *testing.B) {
	for _, s := range shapes {
		for _, size := range sizes {
			all := s.triggers(b, size.n)
			events := s.events(b, size.n)
			name := size.name + "/" + s.name
			floorTime := 0.0
			run := func(who string, start func(b *testing.B) func(i int)) {
				b.Run(who+"/"+name, func(b *testing.B) {
					match := start(b)
					runtime.GC()
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						match(i % eventCount)
					}
					took := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
					if who == "floor" {
						floorTime = took
					} else if floorTime > 0 {
						b.ReportMetric(took/floorTime, "of-floor")
					}
				})
			}
			ids := make([]uint32, 0, 64)
			run("floor", func(*testing.B) func(int) {
				m := newFloor(all)
				return func(i int) { ids = m.match(&events[i], ids[:0]) }
			})
			run("table", func(*testing.B) func(int) {
				t, hits := loadTable(all), make([]router.Hit, 0, 64)
				return func(i int) { hits = t.Match(1, &events[i], hits[:0]) }
			})
			if s.name != "documented" {
				continue // one mix shows how far the peers are
			}
			run("nats", func(b *testing.B) func(int) {
				b.Helper()
				list, topics := newNATS(b, all), peerTopics(events, ".")
				add := func(id uint32) { ids = append(ids, id) }
				return func(i int) {
					ids = ids[:0]
					list.Match(topics[i], add)
				}
			})
			run("mochi", func(*testing.B) func(int) {
				index, topics := newMochi(all), peerTopics(events, "/")
				return func(i int) {
					ids = ids[:0]
					for id := range index.Subscribers(topics[i]).InlineSubscriptions {
						ids = append(ids, uint32(id))
					}
				}
			})
		}
	}
}

// BenchmarkBesideFloor matches all events in the floor and in the table by turns and tells the medians, so that what else the machine
// does falls on both. This is the figure to quote.
func BenchmarkBesideFloor(b *testing.B) {
	for _, s := range shapes {
		for _, size := range sizes {
			all := s.triggers(b, size.n)
			events := s.events(b, size.n)
			b.Run(size.name+"/"+s.name, func(b *testing.B) {
				m, t := newFloor(all), loadTable(all)
				ids, hits := make([]uint32, 0, 64), make([]router.Hit, 0, 64)
				var floorTimes, tableTimes []time.Duration
				runtime.GC()
				for b.Loop() {
					start := time.Now()
					for i := range events {
						ids = m.match(&events[i], ids[:0])
					}
					middle := time.Now()
					for i := range events {
						hits = t.Match(1, &events[i], hits[:0])
					}
					floorTimes = append(floorTimes, middle.Sub(start))
					tableTimes = append(tableTimes, time.Since(middle))
				}
				floorTime, tableTime := median(floorTimes), median(tableTimes)
				b.ReportMetric(floorTime/eventCount, "floor-ns/match")
				b.ReportMetric(tableTime/eventCount, "table-ns/match")
				b.ReportMetric(tableTime/floorTime, "of-floor")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// median is in nanoseconds.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds())
}
