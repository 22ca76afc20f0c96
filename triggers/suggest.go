package triggers

import (
	"strings"
	"unicode/utf8"
)

// nearest is the trigger of the catalogue that text is least far from, a cloud type if text has no slash; ties go to the one listed first.
func (c *Catalog) nearest(text string) string {
	if !strings.Contains(text, "/") {
		return nearestOf(text, c.cloudNames)
	}
	return nearestOf(text, c.names)
}

// nearCloud is the cloud type least far from text, or empty when none is near: more than half of it would have to change.
func (c *Catalog) nearCloud(text string) string { return nearWithin(text, c.cloudNames, len(text)/2) }

// nearestOf is the candidate with the least edit distance to text, case not counted; the first of several. Empty without candidates.
func nearestOf(text string, candidates []string) string {
	best, least := "", -1
	// What is far longer than any candidate is near none, and may be as long as a body: its beginning will do.
	text = strings.ToLower(text[:min(len(text), MaxPatternCharacters)])
	for _, candidate := range candidates {
		if d := editDistance(text, strings.ToLower(candidate)); least < 0 || d < least {
			best, least = candidate, d
		}
	}
	return best
}

// nearWithin is nearestOf, or empty when that is more than most edits away.
func nearWithin(text string, candidates []string, most int) string {
	best := nearestOf(text, candidates)
	if len(text) > MaxPatternCharacters || editDistance(strings.ToLower(text), strings.ToLower(best)) > most {
		return ""
	}
	return best
}

// editDistance counts the bytes to insert, delete, change or swap with their neighbour to make b of a.
func editDistance(a, b string) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			change := previous[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			current[j] = min(previous[j]+1, current[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}

// clip shortens what a sender wrote so that it can be quoted in a message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
