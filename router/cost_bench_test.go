package router_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"portalhook/router"
	"portalhook/triggers"
)

// BenchmarkBytes tells the heap that a million subscriptions hold on to, text of ids included. The triggers themselves, which their
// webhooks own, are there before and after.
func BenchmarkBytes(b *testing.B) {
	for _, s := range shapes {
		for _, who := range []struct {
			name  string
			build func(all []triggers.Trigger) any
		}{
			{"floor", func(all []triggers.Trigger) any { return newFloor(all) }},
			{"table", func(all []triggers.Trigger) any { return loadTable(all) }},
			{"table-by-saves", func(all []triggers.Trigger) any { return saveAll(all) }},
		} {
			b.Run(who.name+"/1M/"+s.name, func(b *testing.B) {
				all := s.triggers(b, 1_000_000)
				before := heap()
				start := time.Now()
				built := who.build(all)
				took := time.Since(start)
				b.ReportMetric(float64(heap()-before)/float64(len(all)), "B/sub")
				b.ReportMetric(float64(took.Nanoseconds())/float64(len(all)), "build-ns/sub")
				b.ReportMetric(0, "ns/op")
				runtime.KeepAlive(built)
				runtime.KeepAlive(all)
			})
		}
	}
}

// heap is what is alive, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// saveAll fills a table one save after the other and waits for the merges.
func saveAll(all []triggers.Trigger) *router.Table {
	t := router.NewTable()
	for webhook, ts := range oneEach(all) {
		t.Put(1, webhook, ts)
	}
	t.Settle()
	return t
}

// BenchmarkSave replaces one webhook after the other in a full table; each is heard when Put returns. Matching meanwhile goes on as
// BenchmarkMatch has it, with some layers more to look into: the second figure is for that.
func BenchmarkSave(b *testing.B) {
	s := shapes[0]
	for _, size := range sizes {
		all := s.triggers(b, size.n)
		events := s.events(b, size.n)
		b.Run(size.name, func(b *testing.B) {
			t := loadTable(all)
			took := make([]time.Duration, 0, b.N)
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				t.Put(1, uint32(i*7919%size.n), all[i%size.n:i%size.n+1])
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "p999-µs")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
		})
		b.Run("match-after/"+size.name, func(b *testing.B) {
			t := loadTable(all)
			for i := range 1000 {
				t.Put(1, uint32(i*7919%size.n), all[i%size.n:i%size.n+1])
			}
			t.Settle()
			hits := make([]router.Hit, 0, 64)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				hits = t.Match(1, &events[i%eventCount], hits[:0])
			}
		})
	}
}

// BenchmarkGlobs matches where every webhook has a glob of its own, which the plain map and the peers cannot have. Half of the events
// are heard.
func BenchmarkGlobs(b *testing.B) {
	s := shape{
		trigger: func(i int) string {
			if i%2 == 0 {
				return fmt.Sprintf("/users/*@dept%d.example/signIn", i)
			}
			return fmt.Sprintf("/groups/team%d-*/addUsers", i)
		},
		event: func(r *rand.Rand, n int) string {
			i := r.IntN(2 * n)
			if i%2 == 0 {
				return fmt.Sprintf("/users/ann@dept%d.example/signIn", i)
			}
			return fmt.Sprintf("/groups/team%d-field/addUsers", i)
		},
	}
	for _, size := range sizes[:2] {
		t, events := loadTable(s.triggers(b, size.n)), s.events(b, size.n)
		b.Run(size.name, func(b *testing.B) {
			hits := make([]router.Hit, 0, 64)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				hits = t.Match(1, &events[i%eventCount], hits[:0])
			}
		})
	}
}

// BenchmarkHostileGlob matches an id against a glob that were made for each other: a matcher that tries every combination of the
// alternatives needs some 50 ms.
func BenchmarkHostileGlob(b *testing.B) {
	runs := make([]string, 10)
	for i := range runs {
		runs[i] = strings.Repeat("a", i+1)
	}
	braces := "{" + strings.Join(runs, ",") + "}"
	table := router.NewTable()
	table.Put(1, 1, parse(b, "/users/*"+braces+braces+braces+"y/update"))
	uri := parseURI(b, "/users/"+strings.Repeat("a", 250)+"zy/update")
	for b.Loop() {
		table.Match(1, uri, nil)
	}
}
