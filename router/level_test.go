package router_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/router"
	"portalhook/triggers"
)

// naiveNames are the names that lead to a trigger, by its text alone.
func naiveNames(t *triggers.Trigger) []string {
	switch {
	case t.Root:
		return nil
	case t.Resource == triggers.CloudTypes:
		return append([]string{"cloud"}, strings.Split(t.Text, ".")...)
	}
	return strings.Split(strings.ToLower(t.Resource.String())+t.Text[1+len(t.Resource.String()):], "/")
}

// naiveBranch is what the specification of a level knows of a branch.
type naiveBranch struct{ all, here map[uint32]bool }

// naiveLevel is the specification: it holds every branch of the whole tree in maps, and shares with Level the folding of names only.
func naiveLevel(webhooks map[uint32][]triggers.Trigger, path string) map[string]naiveBranch {
	found := map[string]naiveBranch{}
	for key, ts := range webhooks {
		for i := range ts {
			names := naiveNames(&ts[i])
			for n := range names {
				if n > 0 && names[0] != "cloud" && names[0] != "roles" {
					names[n] = triggers.Fold(names[n])
				}
			}
			for n := range names {
				if strings.Join(append([]string{""}, names[:n]...), "/") != path {
					continue
				}
				b, ok := found[names[n]]
				if !ok {
					b = naiveBranch{map[uint32]bool{}, map[uint32]bool{}}
					found[names[n]] = b
				}
				b.all[key] = true
				if n == len(names)-1 {
					b.here[key] = true
				}
			}
		}
	}
	return found
}

// TestLevelsAreTheTree opens the whole tree level by level and page by page, and compares each with the specification.
func TestLevelsAreTheTree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		webhooks := map[uint32][]triggers.Trigger{}
		for key := range rapid.Uint32Range(0, 8).Draw(t, "webhooks") {
			webhooks[key] = drawTriggers(t)
		}
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		ends := 0
		for open := []string{"/"}; len(open) > 0; open = open[1:] {
			path := open[0]
			want := naiveLevel(webhooks, strings.TrimSuffix(foldedPath(path), "/"))
			got := map[string]naiveCount{}
			last, after := "", ""
			for more := true; more; {
				var page []router.Branch
				level, ok := router.OpenLevel(path, after, limit)
				require.True(t, ok, path)
				for _, ts := range webhooks {
					if level.Add(ts) && path != "/" {
						ends++
					}
				}
				page, more = level.Branches()
				require.LessOrEqual(t, len(page), limit)
				require.False(t, more && len(page) < limit)
				for _, b := range page {
					require.Greater(t, b.Place(), last)
					last, after = b.Place(), b.Place()
					name := triggers.Fold(b.Name)
					if strings.HasPrefix(path, "/cloud") || strings.HasPrefix(path, "/roles") {
						name = b.Name
					}
					// A word may be an operation in one trigger and an id in another: these are two branches of one path.
					sum := got[name]
					got[name] = naiveCount{max(sum.most, b.Webhooks), sum.sum + b.Webhooks, sum.here + b.Here}
					if !b.Leaf && !slices.Contains(open, b.Path) {
						open = append(open, b.Path)
					}
				}
			}
			require.Len(t, got, len(want), "%s of %v", path, webhooks)
			for name, b := range want {
				require.LessOrEqual(t, got[name].most, len(b.all), "%s/%s", path, name)
				require.GreaterOrEqual(t, got[name].sum, len(b.all), "%s/%s", path, name)
				require.Equal(t, len(b.here) > 0, got[name].here > 0, "%s/%s", path, name)
			}
		}
	})
}

type naiveCount struct{ most, sum, here int }

// foldedPath is a path as naiveLevel spells it.
func foldedPath(path string) string {
	if strings.HasPrefix(path, "/cloud") || strings.HasPrefix(path, "/roles") {
		return path
	}
	return triggers.Fold(path)
}

func TestLevel(t *testing.T) {
	parse := func(texts ...string) (ts []triggers.Trigger) {
		for _, text := range texts {
			parsed, err := triggers.Default().ParseTrigger(text)
			require.NoError(t, err, text)
			ts = append(ts, parsed)
		}
		return ts
	}
	webhooks := [][]triggers.Trigger{
		parse("/"),
		parse("/items", "/items/share", "/items/*/share"),
		parse("/items/4adc/share", "/items/4ADC/update", "/items/qa-*"),
		parse("/users/bulkEnable", "/users/update/*", "/users/update"),
		parse("/services/Harbour/Berths/FeatureServer/FeaturesEdited", "/services/**", "/services/Print/GPServer"),
		parse("com.qlik.v1.app.created", "com.qlik.v1.**", "/webhooks/disable"),
	}
	open := func(path string) (*router.Level, []string) {
		level, ok := router.OpenLevel(path, "", 100)
		require.True(t, ok)
		for _, ts := range webhooks {
			level.Add(ts)
		}
		page, more := level.Branches()
		require.False(t, more)
		var lines []string
		for _, b := range page {
			line := fmt.Sprintf("%s %s %d/%d", b.Kind, b.Path, b.Webhooks, b.Here)
			if b.Leaf {
				line += " leaf"
			}
			lines = append(lines, line)
		}
		return level, lines
	}
	for _, c := range []struct {
		path           string
		webhooks, here int
		branches       []string
	}{
		{"/", 6, 1, []string{
			"family /cloud 1/0", "family /items 2/1", "family /services 1/0", "family /users 1/0", "family /webhooks 1/0",
		}},
		{"/items", 2, 1, []string{
			"operation /items/share 1/1 leaf", "glob /items/* 1/0", "glob /items/qa-* 1/1 leaf", "name /items/4ADC 1/0",
		}},
		{"/items/4adc", 1, 0, []string{"operation /items/4adc/share 1/1 leaf", "operation /items/4adc/update 1/1 leaf"}},
		{"/items/*", 1, 0, []string{"operation /items/*/share 1/1 leaf"}},
		{"/users", 1, 0, []string{"operation /users/bulkEnable 1/1 leaf", "operation /users/update 1/1 leaf", "name /users/update 1/0"}},
		{"/services", 1, 0, []string{"glob /services/** 1/1 leaf", "name /services/Harbour 1/0", "name /services/Print 1/0"}},
		{"/services/print", 1, 0, []string{"service /services/print/GPServer 1/1 leaf"}},
		{"/services/Harbour/Berths/FeatureServer", 1, 0, []string{"operation /services/Harbour/Berths/FeatureServer/FeaturesEdited 1/1 leaf"}},
		{"/cloud/com/qlik/v1", 1, 0, []string{"glob /cloud/com/qlik/v1/** 1/1 leaf", "name /cloud/com/qlik/v1/app 1/0"}},
		{"/cloud/com/qlik/V1", 0, 0, nil},
		{"/webhooks", 1, 0, []string{"operation /webhooks/disable 1/1 leaf"}},
		{"/groups", 0, 0, nil},
	} {
		level, branches := open(c.path)
		require.Equal(t, c.branches, branches, c.path)
		require.Equal(t, c.webhooks, level.Webhooks, c.path)
		require.Equal(t, c.here, level.Here, c.path)
	}
	for _, path := range []string{"", "items", "/items/"} {
		_, ok := router.OpenLevel(path, "", 10)
		require.False(t, ok, path)
	}
}

// BenchmarkLevel opens the widest level there is: that below /items, page in the middle.
func BenchmarkLevel(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			ts := shapes[0].triggers(b, size.n)
			random := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				level, _ := router.OpenLevel("/items", "4"+itemID(random.IntN(size.n)), 100)
				for i := range ts {
					level.Add(ts[i : i+1])
				}
				level.Branches()
			}
		})
	}
}
