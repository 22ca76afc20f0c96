package router_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"portalhook/triggers"
)

// What is drawn comes from small alphabets, so that hits are frequent, and holds what is known to go wrong: letters that fold oddly
// (Kelvin sign, long s, dotted İ, both sigmas), characters special to globs, to URIs or to the glob library, words of the catalogue as
// ids, ids of 32 hexadecimal digits.

var (
	atoms = []string{
		"a", "b", "A", "B", "k", "K", "\u212a", "s", "\u017f", "S", "i", "I", "\u0130", "\u0131", "\u03c3", "\u03c2", "\u03a3", "é", "É",
		"-", "!", ",", ".", "\\", " ", "^", "%2A", "%3F", "%5B", "%5D", "%7B", "%7D", "%2F", "%25", "%C3%A9", "日", "\uE000", "\uE001",
	}
	wholeIDs = []string{
		"ab", "qa-1", "qa-2", "update", "share", "add", "bulkEnable", "FeatureServer", "complete", "x.y",
		"0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcde0",
		"0123456789abcdef0123456789abcde", "{0123456789abcdef0123456789abcdef,a}", "01234567-89ab-cdef-0123-456789abcdef",
	}
	globs = []string{
		"*", "?", "[a-k]", "[A-K]", "[!a]", "[!a-k]", "[!A-Z_]", "[ab_]", "[!-,]", "[!!]", "[a!]", "[ac]", "[%21-%2C]", "[k%21-%2C]", "[%5D-]", "[%5C]",
		"[a-zé-\u03c9]", "[\u212a]", "[!\u212a\u0131]", "[!\u0131\uD7FB-\uD7FF]", "[!\u0131\uE000]", "[%20-%7E]", "[ -^]",
		"[\u0100-\U0010FFFF]", "{a,b}", "{a,b}{k,s}", "{ab,a*,k?}", "{a,[!b]}", "{%2C,!}",
	}
	portalWords = []string{"items", "groups", "users", "roles", "webhooks"}
	operations  = map[string][]string{}
	cloudTypes  []string
)

func init() {
	for r := triggers.Items; int(r) < triggers.ResourceCount; r++ {
		for op := triggers.Operation(0); triggers.AllOperations(r).Has(op); op++ {
			word := r.String()
			operations[word] = append(operations[word], triggers.OperationName(r, op))
		}
	}
	for _, e := range triggers.Default().Entries() {
		if e.Resource == triggers.CloudTypes.String() {
			cloudTypes = append(cloudTypes, e.Name)
		}
	}
}

// anyCase sometimes writes a word in another case.
func anyCase(t *rapid.T, word string) string {
	switch rapid.IntRange(0, 5).Draw(t, "case") {
	case 0:
		return strings.ToUpper(word)
	case 1:
		return strings.ToLower(word)
	}
	return word
}

// drawID draws an id without globs, percent-encoded where it must be.
func drawID(t *rapid.T) string {
	if rapid.IntRange(0, 3).Draw(t, "id kind") == 0 {
		return rapid.SampledFrom(wholeIDs).Draw(t, "id")
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(atoms), 1, 3).Draw(t, "atoms"), "")
}

// drawSegment draws a segment of a trigger.
func drawSegment(t *rapid.T) string {
	switch rapid.IntRange(0, 3).Draw(t, "segment kind") {
	case 0:
		return drawID(t)
	case 1:
		return "*"
	}
	pieces := rapid.SampledFrom([]string{"a", "b", "k", "qa-", "s", "é", "-"})
	globs := rapid.SampledFrom(globs)
	return strings.Join(rapid.SliceOfN(rapid.OneOf(globs, globs, pieces), 1, 3).Draw(t, "pieces"), "")
}

func drawOperation(t *rapid.T, word string) string {
	if rapid.IntRange(0, 3).Draw(t, "operation kind") == 0 {
		return rapid.SampledFrom([]string{"*", "{add,update,share,FeaturesEdited}", "*d*", "[a-s]*", "**", "{enable,bulkEnable,disable}"}).Draw(t, "glob")
	}
	return anyCase(t, rapid.SampledFrom(operations[word]).Draw(t, "operation"))
}

// drawTriggerText draws what is mostly a trigger.
func drawTriggerText(t *rapid.T) string {
	switch rapid.IntRange(0, 9).Draw(t, "family") {
	case 0:
		return "/"
	case 1, 2:
		return drawServiceTrigger(t)
	case 3:
		return drawCloudTrigger(t)
	}
	word := rapid.SampledFrom(portalWords).Draw(t, "resource")
	text := "/" + anyCase(t, word)
	switch rapid.IntRange(0, 5).Draw(t, "form") {
	case 0:
		return text
	case 1:
		return text + "/" + drawOperation(t, word)
	case 2:
		return text + "/" + drawSegment(t)
	}
	return text + "/" + drawSegment(t) + "/" + drawOperation(t, word)
}

func drawServiceTrigger(t *rapid.T) string {
	text := "/services"
	for range rapid.IntRange(0, 2).Draw(t, "segments") {
		text += "/" + drawSegment(t)
	}
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return text + "/**"
	case 1:
		return text + "/" + anyCase(t, "GPServer")
	case 2:
		return text + "/FeatureServer"
	}
	return text + "/" + anyCase(t, "FeatureServer") + "/" + rapid.OneOf(
		rapid.SampledFrom([]string{"*", "Features*", "{FeaturesEdited,FeaturesPosted}", "*Created", "FeaturesEdited"}),
		rapid.SampledFrom(operations["services"][:len(operations["services"])-1]),
	).Draw(t, "change")
}

func drawCloudTrigger(t *rapid.T) string {
	words := strings.Split(rapid.SampledFrom(cloudTypes).Draw(t, "type"), ".")
	for i := range words {
		if rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
			words[i] = rapid.SampledFrom([]string{"*", "?*", words[i][:1] + "*", "{app,user,reload}", "[a-r]*", words[i]}).Draw(t, "word")
		}
	}
	if rapid.Bool().Draw(t, "rest") {
		words = append(words[:rapid.IntRange(0, len(words)-1).Draw(t, "stop")], "**")
	}
	return strings.Join(words, ".")
}

// drawEventText draws the URI of an event.
func drawEventText(t *rapid.T) string {
	switch rapid.IntRange(0, 9).Draw(t, "family") {
	case 0:
		return rapid.SampledFrom(cloudTypes).Draw(t, "type")
	case 1, 2:
		text := "/services/" + drawID(t)
		if rapid.Bool().Draw(t, "folder") {
			text += "/" + drawID(t)
		}
		if rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
			return text + "/GPServer"
		}
		changes := operations["services"]
		return text + "/FeatureServer/" + rapid.SampledFrom(changes[:len(changes)-1]).Draw(t, "change")
	case 3:
		return rapid.SampledFrom([]string{"/users/bulkEnable", "/users/bulkDisable"}).Draw(t, "bulk")
	}
	word := rapid.SampledFrom(portalWords).Draw(t, "resource")
	return fmt.Sprintf("/%s/%s/%s", anyCase(t, word), drawID(t), anyCase(t, rapid.SampledFrom(operations[word]).Draw(t, "operation")))
}

// drawTriggers draws the triggers of a webhook; what the parser refuses is left out.
func drawTriggers(t *rapid.T) []triggers.Trigger {
	var ts []triggers.Trigger
	for range rapid.IntRange(0, 3).Draw(t, "triggers") {
		if parsed, err := triggers.Default().ParseTrigger(drawTriggerText(t)); err == nil {
			ts = append(ts, parsed)
		}
	}
	return ts
}
