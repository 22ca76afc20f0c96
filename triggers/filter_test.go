package triggers_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

func attributes(set map[triggers.FilterAttribute][]string) func(triggers.FilterAttribute) []string {
	return func(name triggers.FilterAttribute) []string { return set[name] }
}

func TestFilterHolds(t *testing.T) {
	event := attributes(map[triggers.FilterAttribute][]string{
		"id": {"id789"}, "spaceId": {"s1"}, "operation": {"share"}, "properties.sharedToGroups": {"Everyone", "g1"},
	})
	for _, test := range []struct {
		name, filter string
		want         bool
	}{
		{"empty holds", "", true},
		{"equal", `id eq "id789"`, true},
		{"another value", `id eq "id780"`, false},
		{"values compare with case", `id eq "ID789"`, false},
		{"names and operators without case", `ID EQ "id789" AND SPACEID ne "x"`, true},
		{"the documented example", `id eq "id123" or spaceId eq "spaceId123" or spaceId eq "s1" or topLevelResourceId eq "id789"`, true},
		{"and binds tighter", `id eq "id789" or id eq "x" and id eq "y"`, true},
		{"parentheses", `(id eq "id789" or id eq "x") and id eq "y"`, false},
		{"ne of an absent attribute", `username ne "jdoe"`, true},
		{"eq of an absent attribute", `username eq ""`, false},
		{"array contains", `properties.sharedToGroups eq "g1"`, true},
		{"ne of an array", `properties.sharedToGroups ne "g1"`, false},
		{"escapes", `id eq "\u0069d789"`, true},
		{"no blanks around parentheses", `(id eq "id789")and(operation eq "share")`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			filter, err := triggers.ParseFilter(test.filter)
			require.NoError(t, err)
			require.Equal(t, test.want, filter.Holds(event))
		})
	}
}

func TestFilterRefused(t *testing.T) {
	for filter, detail := range map[string]string{
		`id`:                        `at character 3: expected eq or ne, not ""; other operators are not part of the filter language`,
		`id co "x"`:                 `at character 4: expected eq or ne, not "co"; other operators are not part of the filter language`,
		`id eq x`:                   `at character 7: expected a value in double quotes`,
		`id eq "x`:                  `at character 7: the value's closing quote is missing`,
		`id eq "x" or`:              `at character 13: expected an attribute`,
		`id eq "x" id eq "y"`:       `at character 11: expected and, or, or the end`,
		`(id eq "x"`:                `at character 11: expected )`,
		`not (id eq "x")`:           `at character 1: not is not part of the filter language; ne says that an attribute differs`,
		`é eq "x"`:                  `at character 1: "é" is no attribute; there are id, spaceId, topLevelResourceId, data.status, username, source, operation and properties.<name>`,
		`properties. eq "x"`:        `at character 1: "properties." is no attribute; there are id, spaceId, topLevelResourceId, data.status, username, source, operation and properties.<name>`,
		strings.Repeat("(", 17):     `at character 17: more than 16 parentheses within each other`,
		strings.Repeat("x", 2049):   `a filter is at most 2048 characters of valid text`,
		"id eq \"\xff\"":            `a filter is at most 2048 characters of valid text`,
		`id eq "x" or or id eq "y"`: `at character 14: "or" is no attribute; there are id, spaceId, topLevelResourceId, data.status, username, source, operation and properties.<name>`,
	} {
		_, err := triggers.ParseFilter(filter)
		var field *triggers.FieldError
		require.ErrorAs(t, err, &field, filter)
		require.Equal(t, "FILTER", field.Code)
		require.Equal(t, detail, field.Detail, filter)
	}
}

// naiveFilter is the specification: a tree drawn at random, printed with or without needless parentheses, and its own meaning.
type naiveFilter struct {
	text  string
	atom  bool
	holds func(map[triggers.FilterAttribute][]string) bool
}

func drawFilter(t *rapid.T, depth int) naiveFilter {
	names := []triggers.FilterAttribute{"id", "spaceId", "username", "properties.tags"}
	if depth == 0 || rapid.Bool().Draw(t, "leaf") {
		name, value := rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom([]string{"a", "b", `c"\`}).Draw(t, "value")
		quoted, err := json.Marshal(value)
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "eq") {
			return naiveFilter{string(name) + " eq " + string(quoted), true, func(e map[triggers.FilterAttribute][]string) bool { return slices.Contains(e[name], value) }}
		}
		return naiveFilter{string(name) + " ne " + string(quoted), true, func(e map[triggers.FilterAttribute][]string) bool { return !slices.Contains(e[name], value) }}
	}
	left, right := drawFilter(t, depth-1), drawFilter(t, depth-1)
	wrap := func(f naiveFilter) string {
		if f.atom {
			return f.text
		}
		return "(" + f.text + ")"
	}
	if rapid.Bool().Draw(t, "and") {
		return naiveFilter{wrap(left) + " and " + wrap(right), false, func(e map[triggers.FilterAttribute][]string) bool { return left.holds(e) && right.holds(e) }}
	}
	return naiveFilter{left.text + " or " + right.text, false, func(e map[triggers.FilterAttribute][]string) bool { return left.holds(e) || right.holds(e) }}
}

func TestFilterMeansWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawFilter(t, 4)
		if len(want.text) > 2000 {
			t.Skip("longer than a filter may be")
		}
		filter, err := triggers.ParseFilter(want.text)
		require.NoError(t, err, want.text)
		event := map[triggers.FilterAttribute][]string{}
		for _, name := range []triggers.FilterAttribute{"id", "spaceId", "username", "properties.tags"} {
			if values := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", `c"\`}), 0, 2).Draw(t, string(name)); len(values) > 0 {
				event[name] = values
			}
		}
		require.Equal(t, want.holds(event), filter.Holds(attributes(event)), want.text)
	})
}

func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"", `id eq "x"`, `(id eq "a" or spaceId ne "b") and properties.x eq "\u00e9"`, `((((`, `id eq "`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := triggers.ParseFilter(text)
		if err != nil {
			var field *triggers.FieldError
			require.ErrorAs(t, err, &field)
			return
		}
		again, err := triggers.ParseFilter(filter.String())
		require.NoError(t, err)
		require.Equal(t, filter.Attributes(), again.Attributes())
		nothing := func(triggers.FilterAttribute) []string { return nil }
		require.Equal(t, filter.Holds(nothing), again.Holds(nothing))
	})
}
