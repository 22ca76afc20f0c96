package router_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"testing"

	"portalhook/router"
	"portalhook/triggers"
)

// The benchmarks match the same events against the same subscriptions, one a webhook, in our table and in its yardsticks. A shape is
// a mix of triggers and events; sizes are numbers of subscriptions.

var sizes = []struct {
	name string
	n    int
}{{"1k", 1_000}, {"100k", 100_000}, {"1M", 1_000_000}}

// eventCount is how many different events a benchmark goes round in: enough that they do not all stay in the nearest cache.
const eventCount = 1 << 14

// shape makes the trigger of a webhook and the URI of an event. Ids of events below n are those of subscriptions.
type shape struct {
	name    string
	trigger func(i int) string
	event   func(r *rand.Rand, n int) string
}

var itemOps = []string{"share", "update", "delete", "unshare", "publish", "move"}

// itemID is a portal's id: 32 hexadecimal digits, the same for the same number.
func itemID(i int) string {
	var raw [16]byte
	r := rand.New(rand.NewPCG(uint64(i), 1))
	binary.LittleEndian.PutUint64(raw[:], r.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], r.Uint64())
	return hex.EncodeToString(raw[:])
}

func userName(i int) string { return fmt.Sprintf("user%d.name@example.com", i) }

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
		// The documented forms together: mostly specific items, groups and users, and some dozen webhooks that hear any.
		name: "documented",
		trigger: func(i int) string {
			if i < 12 {
				return []string{"/items/add", "/groups/invite", "/users/signin", "/items/move"}[i%4]
			}
			switch i % 4 {
			case 0:
				return "/items/" + itemID(i)
			case 1:
				return "/items/" + itemID(i) + "/" + itemOps[i%len(itemOps)]
			case 2:
				return "/groups/" + itemID(i) + "/addUsers"
			default:
				return "/users/" + userName(i) + "/signIn"
			}
		},
		event: func(r *rand.Rand, n int) string {
			i := r.IntN(2 * n)
			switch i % 4 {
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
		// User names only, which are no numbers.
		name:    "users",
		trigger: func(i int) string { return "/users/" + userName(i) + "/signIn" },
		event:   func(r *rand.Rand, n int) string { return "/users/" + userName(r.IntN(2*n)) + "/signIn" },
	},
}

func parseTriggers(tb testing.TB, s shape, n int) []triggers.Trigger {
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

func parseEvents(tb testing.TB, s shape, n int) []triggers.URI {
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
			if !yield(uint32(i+1), all[i:i+1]) {
				return
			}
		}
	}
}

// floorKey is a candidate key of the floor: a plain Go map asked four times.
type floorKey struct {
	resource triggers.Resource
	op       int8 // -1: every operation
	id       string
}

type structFloor map[floorKey][]uint32

func newStructFloor(all []triggers.Trigger) structFloor {
	m := make(structFloor, len(all))
	for i := range all {
		k := floorKey{resource: all[i].Resource, op: -1}
		if all[i].Operations.Len() == 1 {
			for !all[i].Operations.Has(triggers.Operation(k.op + 1)) {
				k.op++
			}
			k.op++
		}
		if !all[i].Any {
			k.id, _ = all[i].Path[0].Literal()
		}
		m[k] = append(m[k], uint32(i+1))
	}
	return m
}

func (m structFloor) match(u *triggers.URI, dst []uint32) []uint32 {
	k := floorKey{resource: u.Resource, op: -1}
	dst = append(dst, m[k]...)
	k.op = int8(u.Operation)
	dst = append(dst, m[k]...)
	k.id = u.Key()
	dst = append(dst, m[k]...)
	k.op = -1
	return append(dst, m[k]...)
}

// stringFloor has the same keys as text: /items, /items/share, /items/<id>, /items/<id>/share, put together in a buffer.
type stringFloor map[string][]uint32

func floorText(dst []byte, r triggers.Resource, id string, op int) []byte {
	dst = append(dst, byte(r))
	if id != "" {
		dst = append(append(dst, '/'), id...)
	}
	if op >= 0 {
		dst = append(dst, '/', byte(op))
	}
	return dst
}

func newStringFloor(all []triggers.Trigger) stringFloor {
	m := make(stringFloor, len(all))
	for i := range all {
		op := -1
		if all[i].Operations.Len() == 1 {
			for op = 0; !all[i].Operations.Has(triggers.Operation(op)); op++ {
			}
		}
		id := ""
		if !all[i].Any {
			id, _ = all[i].Path[0].Literal()
		}
		k := string(floorText(nil, all[i].Resource, id, op))
		m[k] = append(m[k], uint32(i+1))
	}
	return m
}

func (m stringFloor) match(u *triggers.URI, dst []uint32) []uint32 {
	var buf [128]byte
	op := int(u.Operation)
	k := floorText(buf[:0], u.Resource, "", op)
	dst = append(dst, m[string(k[:1])]...)
	dst = append(dst, m[string(k)]...)
	k = floorText(buf[:0], u.Resource, u.Key(), op)
	dst = append(dst, m[string(k[:len(k)-2])]...)
	return append(dst, m[string(k)]...)
}

func BenchmarkMatch(b *testing.B) {
	for _, s := range shapes {
		for _, size := range sizes {
			all := parseTriggers(b, s, size.n)
			events := parseEvents(b, s, size.n)
			b.Run(fmt.Sprintf("floor-struct/%s/%s", s.name, size.name), func(b *testing.B) {
				m := newStructFloor(all)
				benchmarkMatch(b, events, m.match)
			})
			b.Run(fmt.Sprintf("floor-string/%s/%s", s.name, size.name), func(b *testing.B) {
				m := newStringFloor(all)
				benchmarkMatch(b, events, m.match)
			})
			b.Run(fmt.Sprintf("table/%s/%s", s.name, size.name), func(b *testing.B) {
				t := router.NewTable()
				t.Load(1, oneEach(all))
				benchmarkMatch(b, events, func(u *triggers.URI, dst []router.Hit) []router.Hit { return t.Match(1, u, dst) })
			})
		}
	}
}

func benchmarkMatch[H any](b *testing.B, events []triggers.URI, match func(*triggers.URI, []H) []H) {
	b.Helper()
	dst := make([]H, 0, 64)
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		dst = match(&events[i%len(events)], dst[:0])
	}
}
