package triggers_test

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"portalhook/triggers"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"ascii", "Jane.DOE@[Z]`{", "jane.doe@[z]`{"},
		{"hex", "4ADC30BB03054812A846FA592DE105DE", "4adc30bb03054812a846fa592de105de"},
		{"Kelvin sign is k", "\u212a", "k"},
		{"long s is s", "meſſage", "message"},
		{"Ångström sign is a ring", "\u212b", "\u00c5"},
		{"accents stay", "é", "É"},
		{"final sigma is sigma", "ς", "Σ"},
		{"Turkish dotted I is itself", "İ", "İ"},
		{"Turkish dotless i is itself", "ı", "ı"},
		{"sharp s is not two s", "ß", "ß"},
		{"not UTF-8 stays", "A\xffB\xc3", "a\xffb\xc3"},
		{"late in a long text", "abcdefghijklmnopqrstuvwxyz0123456789-É-Z", "abcdefghijklmnopqrstuvwxyz0123456789-É-z"},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, triggers.Fold(c.text)) })
	}
}

// textToFold draws characters that have much to do with folding, and any others.
func textToFold() *rapid.Generator[string] {
	return rapid.StringOf(rapid.OneOf(
		rapid.RuneFrom([]rune("azAZ09kKsS@[`{\u212aſẞßıİiIéÉσςΣǅǆǄµμ")), rapid.Rune(),
	))
}

// Two texts fold to the same exactly when they are equal character by character within folding orbits.
func TestFoldMeansSimpleFolding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := textToFold().Draw(t, "a")
		folded := triggers.Fold(a)
		require.Equal(t, folded, triggers.Fold(folded), "folding twice changes nothing")
		var b []rune
		for i, c := range []rune(a) {
			members := orbit(c, true)
			require.Contains(t, members, []rune(folded)[i])
			for _, member := range members {
				if 'a' <= member && member <= 'z' {
					require.Equal(t, member, []rune(folded)[i], "the ASCII letter stands for its orbit")
				}
			}
			b = append(b, rapid.SampledFrom(members).Draw(t, "member"))
		}
		require.Equal(t, folded, triggers.Fold(string(b)))

		other := textToFold().Draw(t, "other")
		same := utf8.RuneCountInString(a) == utf8.RuneCountInString(other)
		for i, c := range []rune(a) {
			same = same && slices.Contains(orbit(c, true), []rune(other)[i])
		}
		require.Equal(t, same, folded == triggers.Fold(other))
	})
}

func TestFoldOfFoldedDoesNotAllocate(t *testing.T) {
	for _, text := range []string{anItem, "jane.doe@example.com", "ÄRGER", "", "x"} {
		folded := triggers.Fold(text)
		require.Zero(t, testing.AllocsPerRun(100, func() { triggers.Fold(folded) }), text)
	}
}
