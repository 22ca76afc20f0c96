package router_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/router"
	"portalhook/triggers"
)

// TestCase38HostilePatterns matches the worst patterns that are admitted against the worst ids: each fails only at the end, after as much going
// back as there can be; on short ones it says the same as the specification. What has more wildcards, segments or characters is refused before it gets
// here.
func TestCase38HostilePatterns(t *testing.T) {
	long := strings.Repeat("a", triggers.MaxNameCharacters)
	for _, text := range []string{
		"/users/*a*a*a*b/signIn", "/users/*a*a*a*", "/users/" + strings.Repeat("a", 100) + "*" + strings.Repeat("a", 100) + "*/signIn", "/users/*" + strings.Repeat("aaaaaaaaab", 20) + "*/signIn",
		"/users/{" + strings.Repeat("a,", 100) + "b}/signIn", "/users/{*a,a*a,aa}/signIn", "/users/*{a,aa}*{a,b}/signIn", "/users/[a-z]*[!b]*/signIn", "/users/????/signIn", "/users/*%2A*/signIn",
		"/users/%2F*/signIn", "/users/ſ*/signIn", "/users/\u212a*/signIn", "/users/e\u0301*/signIn", "/users/\u202e*/signIn",
	} {
		trigger, err := triggers.Default().ParseTrigger(text)
		require.NoError(t, err, text)
		table := router.NewTable()
		heard := 0
		table.Put(1, 7, []triggers.Trigger{trigger})
		for _, id := range []string{long, long[1:] + "b", long[2:] + "ba", long[:30], long[:30] + "b", "*", "/", "S", "k", "K", "\u00e9", "e\u0301x", "\u202ea", strings.Repeat("a", 100) + strings.Repeat("a", 100) + "x", "", "aaaa", strings.Repeat("aaaaaaaaab", 25)} {
			uri, err := triggers.Default().ParseURI("/users/" + strings.NewReplacer("/", "%2F", "%", "%25").Replace(id) + "/signIn")
			if err != nil {
				continue // no such user can be
			}
			heard++
			// The specification goes back without end on the long ones, which is what the table must not do.
			if got := table.Match(1, &uri, nil); len(id) <= 40 {
				require.Equal(t, naiveMatches(&trigger, &uri), len(got) == 1, "%s hears %s", text, id)
			}
		}
		require.Greater(t, heard, 8)
	}
}
