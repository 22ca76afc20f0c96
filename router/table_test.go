package router_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/router"
	"portalhook/triggers"
)

// cases is how many comparisons with the specification the property test makes at least, unless -short.
const cases = 100_000

func TestMain(m *testing.M) {
	flag.Parse()
	// What is given on the command line stands. A failure prints its seed, so that no file of it is needed.
	defaults := map[string]string{"rapid.checks": "3000", "rapid.nofailfile": "true"}
	if testing.Short() {
		defaults["rapid.checks"] = "300"
	}
	flag.Visit(func(f *flag.Flag) { delete(defaults, f.Name) })
	for name, value := range defaults {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// TestCase37TableMatchesAsTheSpecificationDoes holds the table to the naive loop over all triggers, while webhooks come, change and go.
func TestCase37TableMatchesAsTheSpecificationDoes(t *testing.T) {
	t.Parallel()
	var compared, heard int
	rapid.Check(t, func(t *rapid.T) {
		table := router.NewTable()
		if rapid.Bool().Draw(t, "eager") {
			table = router.NewMergingTable(rapid.IntRange(1, 3).Draw(t, "fan out"), rapid.IntRange(0, 4).Draw(t, "small"), rapid.IntRange(1, 6).Draw(t, "many"))
		}
		spec := map[uint32]naiveTable{1: {}, 2: {}, 257: {}}
		tenants := rapid.SampledFrom([]uint32{1, 2, 257})
		webhooks := rapid.Uint32Range(1, 12)
		var events []triggers.URI
		for len(events) < 8 {
			if uri, err := triggers.Default().ParseURI(drawEventText(t)); err == nil {
				events = append(events, uri)
			}
		}
		compare := func(tenant uint32) {
			for i := range events {
				want := spec[tenant].match(&events[i])
				got := table.Match(tenant, &events[i], []router.Hit{{Webhook: 99}})
				require.Equal(t, router.Hit{Webhook: 99}, got[0], "what was in dst stays")
				require.Equal(t, want, append([]router.Hit(nil), got[1:]...), "%s in %v", events[i].String(), spec[tenant])
				if compared%5 == 0 { // explaining is slow: every trigger is compiled anew
					for webhook, ts := range spec[tenant] {
						requireExplained(t, ts, &events[i], want, webhook)
					}
				}
				compared++
				heard += len(want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"load": func(t *rapid.T) {
				tenant := tenants.Draw(t, "tenant")
				spec[tenant] = naiveTable{}
				for range rapid.IntRange(0, 12).Draw(t, "webhooks") {
					spec[tenant][webhooks.Draw(t, "webhook")] = drawTriggers(t)
				}
				table.Load(tenant, maps.All(spec[tenant]))
				compare(tenant)
			},
			"put": func(t *rapid.T) {
				tenant, webhook, ts := tenants.Draw(t, "tenant"), webhooks.Draw(t, "webhook"), drawTriggers(t)
				spec[tenant][webhook] = ts
				table.Put(tenant, webhook, ts)
				compare(tenant)
			},
			"remove": func(t *rapid.T) {
				tenant, webhook := tenants.Draw(t, "tenant"), webhooks.Draw(t, "webhook")
				delete(spec[tenant], webhook)
				table.Remove(tenant, webhook)
				compare(tenant)
			},
			"settle": func(t *rapid.T) {
				table.Settle()
				compare(tenants.Draw(t, "tenant"))
			},
		})
	})
	t.Logf("%d events compared, %d hits", compared, heard)
	if !testing.Short() {
		require.Greater(t, compared, cases)
	}
	require.Greater(t, heard, compared/10, "too few hits to prove anything")
}

// FuzzMatch compares one trigger and one event, as texts.
func FuzzMatch(f *testing.F) {
	for _, e := range triggers.Default().Entries() {
		f.Add(e.Name, "/items/a/share", "/users/bulkEnable")
	}
	for _, glob := range globs {
		f.Add("/users/x"+glob+"y/update", "/users/xay/update", "/users/x\u212ay/update")
		f.Add("/services/"+glob+"/**", "/services/a/FeatureServer/FeaturesCreated", "/services/a/b/GPServer")
	}
	f.Add("com.*.v1.**", "com.qlik.v1.app.created", "com.qlik.v1.app.reload.finished")
	f.Fuzz(func(t *testing.T, trigger, event, other string) {
		parsed, err := triggers.Default().ParseTrigger(trigger)
		if err != nil {
			return
		}
		ts := []triggers.Trigger{parsed}
		table := router.NewTable()
		table.Put(1, 1, ts)
		for _, text := range []string{event, other} {
			uri, err := triggers.Default().ParseURI(text)
			if err != nil {
				continue
			}
			want := naiveTable{1: ts}.match(&uri)
			require.Equal(t, want, table.Match(1, &uri, nil))
			requireExplained(t, ts, &uri, want, 1)
		}
	})
}

func parse(tb testing.TB, texts ...string) []triggers.Trigger {
	tb.Helper()
	ts, err := triggers.Default().ParseTriggers("eventTypes", texts)
	require.NoError(tb, err)
	return ts
}

func parseURI(tb testing.TB, text string) *triggers.URI {
	tb.Helper()
	uri, err := triggers.Default().ParseURI(text)
	require.NoError(tb, err)
	return &uri
}

func TestMatchGivesEachWebhookOnceByItsFirstTrigger(t *testing.T) {
	t.Parallel()
	table := router.NewTable()
	table.Put(1, 7, parse(t, "/groups", "/items/*/{share,unshare}", "/items/share", "/items", "/"))
	table.Put(1, 3, parse(t, "/items/ab", "/items/a?/share"))
	table.Put(1, 9, parse(t, "/", "/items/ab/share"))
	table.Put(2, 1, parse(t, "/"))
	got := table.Match(1, parseURI(t, "/items/AB/share"), nil)
	require.Equal(t, []router.Hit{{Webhook: 3}, {Webhook: 7, Trigger: 1}, {Webhook: 9}}, got)
	require.Empty(t, table.Match(3, parseURI(t, "/items/ab/share"), nil), "a tenant unknown to the table")
}

func TestAHundredTriggersAreAllHeard(t *testing.T) {
	t.Parallel()
	var texts []string
	for i := range triggers.MaxTriggers {
		texts = append(texts, "/users/"+userName(i)+"/update")
	}
	table := router.NewTable()
	table.Put(1, 1, parse(t, texts...))
	for i := range triggers.MaxTriggers {
		got := table.Match(1, parseURI(t, "/users/"+userName(i)+"/update"), nil)
		require.Equal(t, []router.Hit{{Webhook: 1, Trigger: uint8(i)}}, got)
	}
}

// Every glob of the alphabet, alone, beside a letter and beside every other, against every short id of it.
func TestGlobsMatchAsTheSpecificationDoes(t *testing.T) {
	t.Parallel()
	patterns := slices.Clone(globs)
	for _, g := range globs {
		patterns = append(patterns, "a"+g, g+"k")
		for _, h := range globs {
			patterns = append(patterns, g+h)
		}
	}
	var ids []string
	for _, a := range atoms {
		ids = append(ids, a, a+"k", "a"+a)
	}
	accepted := 0
	for _, pattern := range patterns {
		parsed, err := triggers.Default().ParseTrigger("/users/" + pattern + "/update")
		if err != nil {
			continue // too many wildcards
		}
		accepted++
		table, ts := router.NewTable(), []triggers.Trigger{parsed}
		table.Put(1, 1, ts)
		for _, id := range ids {
			uri := parseURI(t, "/users/"+id+"/update")
			require.Equal(t, naiveTable{1: ts}.match(uri), table.Match(1, uri, nil), "%s and %s", pattern, id)
		}
	}
	require.Greater(t, accepted, len(patterns)*3/4)
}

// A merge that began before a Load must not bring back what the Load has replaced.
func TestLoadIsNotUndoneByAMerge(t *testing.T) {
	t.Parallel()
	const webhooks = 50_000 // the merge takes far longer than what is done beside it
	uri := parseURI(t, "/items/ab/share")
	loud, quiet := parse(t, "/items/share"), parse(t, "/items/move")
	table := router.NewMergingTable(webhooks, 0, 1)
	table.Load(1, func(yield func(uint32, []triggers.Trigger) bool) {
		for i := range uint32(webhooks) {
			if !yield(i, loud) {
				return
			}
		}
	})
	table.Put(1, 1, loud)
	table.AwaitMerge(1)
	table.Load(1, maps.All(map[uint32][]triggers.Trigger{1: quiet}))
	table.Put(1, 1, quiet)
	table.Put(1, 2, loud)
	table.Settle()
	require.Equal(t, []router.Hit{{Webhook: 2}}, table.Match(1, uri, nil))
}

func TestOperationsFitASub(t *testing.T) {
	t.Parallel()
	for r := range triggers.ResourceCount {
		require.Less(t, triggers.AllOperations(triggers.Resource(r)), triggers.OpSet(1<<24))
	}
}

// A save is heard by the next match, a webhook that is replaced is always there exactly once, and saves by the thousand are merged
// meanwhile.
func TestCase37MatchingWhileTriggersChange(t *testing.T) {
	t.Parallel()
	const saves = 4000
	uri := parseURI(t, "/items/ab/share")
	first, second := parse(t, "/groups", "/items/ab/share"), parse(t, "/items/share", "/items/*/{share,move}", "/items/a*")
	fresh := parse(t, "/items/ab")
	table := router.NewMergingTable(4, 16, 8)
	table.Load(1, maps.All(map[uint32][]triggers.Trigger{1: first, 2: fresh}))
	var saved atomic.Uint32 // webhooks up to this number are there
	saved.Store(2)
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			var hits []router.Hit
			for {
				select {
				case <-done:
					return
				default:
				}
				least := saved.Load()
				hits = table.Match(1, uri, hits[:0])
				if !inOrder(hits, least) {
					t.Errorf("saved %d, heard %v", least, hits)
					return
				}
			}
		})
	}
	for i := range uint32(saves) {
		webhook := i%200 + 3
		table.Put(1, webhook, fresh)
		saved.Store(max(saved.Load(), webhook))
		if i%2 == 0 {
			table.Put(1, 1, second)
		} else {
			table.Put(1, 1, first)
		}
	}
	close(done)
	readers.Wait()
	table.Settle()
	require.True(t, inOrder(table.Match(1, uri, nil), 202))
}

// inOrder says whether the webhooks from 1 on are there without gap, the first of them by one of the triggers that it may have.
func inOrder(hits []router.Hit, least uint32) bool {
	if len(hits) < int(least) || hits[0].Trigger > 1 {
		return false
	}
	return !slices.ContainsFunc(hits, func(h router.Hit) bool {
		i := h.Webhook - 1
		return int(i) >= len(hits) || hits[i] != h || i > 0 && h.Trigger != 0
	})
}

func TestTenantsAreLoadedSideBySide(t *testing.T) {
	t.Parallel()
	table := router.NewTable()
	uri := parseURI(t, "/items/ab/share")
	ts := parse(t, "/items/share")
	var all sync.WaitGroup
	for tenant := range uint32(2000) {
		all.Go(func() {
			table.Load(tenant, maps.All(map[uint32][]triggers.Trigger{tenant: ts}))
			table.Put(tenant, tenant+1, ts)
		})
	}
	all.Wait()
	for tenant := range uint32(2000) {
		require.Equal(t, []router.Hit{{Webhook: tenant}, {Webhook: tenant + 1}}, table.Match(tenant, uri, nil))
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table := router.NewTable()
	table.Put(1, 1, parse(t, "/items/ab/share", "/items/a*/*", "/services/f/*/FeatureServer", "com.*.v1.**"))
	table.Put(1, 2, parse(t, "/", "/users/*a{b,c}"))
	dst := make([]router.Hit, 0, 8)
	for _, text := range []string{"/items/ab/share", "/users/xab/update", "/services/f/n/FeatureServer/FeaturesCreated", "com.qlik.v1.app.created"} {
		uri := parseURI(t, text)
		require.NotEmpty(t, table.Match(1, uri, dst))
		require.Zero(t, testing.AllocsPerRun(1000, func() { dst = table.Match(1, uri, dst[:0]) }), text)
	}
}
