package router_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/router"
	"portalhook/triggers"
)

// FuzzOpenLevel: whatever path is opened behind whatever place, the level has no more branches than the specification has there, each of them
// leads to a level of its own, and none stands before the place.
func FuzzOpenLevel(f *testing.F) {
	for _, seed := range [][2]string{{"/", ""}, {"/items", "\x00share"}, {"/items/", ""}, {"", ""}, {"//", "x"}, {"/cloud/com", ""}, {"/ITEMS/4ADC", "\xff"}, {"/services/a//", ""}, {"/cloud", "\x01"}} {
		f.Add(seed[0], seed[1])
	}
	webhooks := map[uint32][]triggers.Trigger{}
	for i, text := range []string{"/", "/items", "/items/*/share", "/items/4adc/share", "/users/{a,b}/signIn", "/services/a/b/FeatureServer/*", "com.qlik.v1.**", "/roles/X/**", "/webhooks/disable"} {
		trigger, err := triggers.Default().ParseTrigger(text)
		if err != nil {
			continue // seeds need not all be triggers
		}
		webhooks[uint32(i)] = []triggers.Trigger{trigger}
	}
	require.Greater(f, len(webhooks), 6)
	f.Fuzz(func(t *testing.T, path, after string) {
		level, ok := router.OpenLevel(path, after, 100)
		require.Equal(t, strings.HasPrefix(path, "/") && (path == "/" || !strings.HasSuffix(path, "/")), ok)
		if !ok {
			return
		}
		for _, ts := range webhooks {
			level.Add(ts)
		}
		branches, more := level.Branches()
		require.False(t, more)
		want := naiveLevel(webhooks, strings.TrimSuffix(foldedPath(path), "/"))
		var names []string
		for _, b := range branches {
			require.Greater(t, b.Place(), after)
			require.LessOrEqual(t, b.Webhooks, len(webhooks))
			name := triggers.Fold(b.Name)
			if strings.HasPrefix(path, "/cloud") || strings.HasPrefix(path, "/roles") {
				name = b.Name
			}
			names = append(names, name)
			require.Contains(t, want, name)
			_, ok := router.OpenLevel(b.Path, "", 1)
			require.True(t, ok, b.Path)
		}
		if after == "" {
			slices.Sort(names)
			require.Len(t, slices.Compact(names), len(want), path)
		}
	})
}
