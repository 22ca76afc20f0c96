package router_test

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"portalhook/router"
	"portalhook/triggers"
)

// The specification of matching: a loop over all triggers, each compared token by token. It shares nothing with the table, not the
// glob library either, and is written to be believed, not to be fast.

// naiveTable is the triggers of one tenant by webhook.
type naiveTable map[uint32][]triggers.Trigger

func (n naiveTable) match(u *triggers.URI) []router.Hit {
	var hits []router.Hit
	for webhook, ts := range n {
		for i := range ts {
			if naiveMatches(&ts[i], u) {
				hits = append(hits, router.Hit{Webhook: webhook, Trigger: uint8(i)})
				break
			}
		}
	}
	slices.SortFunc(hits, func(a, b router.Hit) int { return cmp.Compare(a.Webhook, b.Webhook) })
	return hits
}

func naiveMatches(t *triggers.Trigger, u *triggers.URI) bool {
	if !t.OperationsOf(u.Resource).Has(u.Operation) {
		return false
	}
	if t.Root || t.Any {
		return true
	}
	return naivePath(t, u.Resource, t.Path, naiveSegments(u))
}

func naiveSegments(u *triggers.URI) []string {
	switch {
	case u.ID == "":
		return nil
	case u.Resource == triggers.CloudTypes:
		return strings.Split(u.Key(), ".")
	case u.Folder != "":
		return []string{u.FolderKey(), u.Key()}
	}
	return []string{u.Key()}
}

func naivePath(t *triggers.Trigger, r triggers.Resource, path []triggers.Segment, segments []string) bool {
	if len(path) == 0 {
		service := r == triggers.FeatureServices || r == triggers.Geoprocessing
		return len(segments) == 0 && (!t.Rest || service) || len(segments) > 0 && t.Rest
	}
	if len(segments) == 0 {
		return false
	}
	folds := r != triggers.Roles && r != triggers.CloudTypes
	return naiveSegment(path[0], []rune(segments[0]), folds) && naivePath(t, r, path[1:], segments[1:])
}

func naiveSegment(tokens []triggers.Token, text []rune, folds bool) bool {
	if len(tokens) == 0 {
		return len(text) == 0
	}
	token, after := tokens[0], tokens[1:]
	switch token.Kind {
	case triggers.Literal:
		want := []rune(token.Text)
		return len(text) >= len(want) && slices.Equal(text[:len(want)], want) && naiveSegment(after, text[len(want):], folds)
	case triggers.AnyOne:
		return len(text) > 0 && naiveSegment(after, text[1:], folds)
	case triggers.Class:
		return len(text) > 0 && naiveClass(token, text[0], folds) && naiveSegment(after, text[1:], folds)
	case triggers.AnyRun:
		for n := 1; n <= len(text); n++ {
			if naiveSegment(after, text[n:], folds) {
				return true
			}
		}
		return false
	case triggers.Alternatives:
		for _, choice := range token.Choices {
			if naiveSegment(slices.Concat(choice, after), text, folds) {
				return true
			}
		}
		return false
	}
	panic("no such token")
}

func naiveClass(class triggers.Token, r rune, folds bool) bool {
	within := func(r rune) bool {
		return slices.ContainsFunc(class.Ranges, func(x triggers.Range) bool { return x.Low <= r && r <= x.High })
	}
	in := within(r)
	for other := unicode.SimpleFold(r); folds && other != r; other = unicode.SimpleFold(other) {
		in = in || within(other)
	}
	return in != class.Negated
}
