package router

import (
	"cmp"
	"slices"
	"strings"

	"portalhook/triggers"
)

// pattern is a trigger that no table of literals can hold: it has a glob, or `**`.
type pattern struct {
	path []*matcher
	rest rest
	sub  sub
}

// rest says what may follow a pattern's path.
type rest uint8

const (
	nothing rest = iota
	something
	// anything is `**` in a service trigger: the service's kind follows even where neither folder nor name does.
	anything
)

// patternTree finds the patterns that an event's segments match, one segment at a time.
type patternTree struct {
	all  []pattern // as they were added: what a later layer is built from
	root patternNode
}

// patternNode is where the patterns that begin alike part.
type patternNode struct {
	literals map[string]*patternNode
	// Each glob stands once: with those that begin, or end, with the same literal text, whichever is longer, or else in globs.
	starts, ends fixes
	globs        []globEdge

	here []sub // patterns that end here
	rest []sub // patterns that end here and let more follow
	ops  triggers.OpSet
}

type globEdge struct {
	*matcher
	node *patternNode
}

// fixes finds globs by the literal text that they begin or end with, so that an event tries few of many.
type fixes struct {
	lengths []int // of the texts, rising
	globs   map[string][]globEdge
}

func (f *fixes) add(text string, e globEdge) {
	if f.globs == nil {
		f.globs = make(map[string][]globEdge)
	}
	f.globs[text] = append(f.globs[text], e)
	if i, ok := slices.BinarySearch(f.lengths, len(text)); !ok {
		f.lengths = slices.Insert(f.lengths, i, len(text))
	}
}

// buildPatterns makes the tree of patterns in which equal globs are one matcher (builder.share).
func buildPatterns(all []pattern) *patternTree {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b pattern) int { return cmp.Compare(a.sub, b.sub) })
	t := &patternTree{all: all}
	edges := make(map[globEdge]*patternNode) // by parent and matcher
	for _, p := range all {
		n := &t.root
		for _, m := range p.path {
			n.ops |= p.sub.ops()
			if m.kind == literal {
				n = n.literal(m.text)
				continue
			}
			edge := globEdge{matcher: m, node: n}
			next := edges[edge]
			if next == nil {
				next = &patternNode{}
				edges[edge] = next
				n.glob(globEdge{matcher: m, node: next})
			}
			n = next
		}
		n.ops |= p.sub.ops()
		if p.rest != something {
			n.here = append(n.here, p.sub)
		}
		if p.rest != nothing {
			n.rest = append(n.rest, p.sub)
		}
	}
	return t
}

// literal gives the child for a literal segment, made when there is none.
func (n *patternNode) literal(text string) *patternNode {
	next := n.literals[text]
	if next == nil {
		if n.literals == nil {
			n.literals = make(map[string]*patternNode)
		}
		next = &patternNode{}
		n.literals[text] = next
	}
	return next
}

func (n *patternNode) glob(e globEdge) {
	switch {
	case len(e.suffix) > len(e.prefix):
		n.ends.add(e.suffix, e)
	case e.prefix != "":
		n.starts.add(e.prefix, e)
	default:
		n.globs = append(n.globs, e)
	}
}

// scatter adds the hits of patterns, in no order.
func (t *patternTree) scatter(uri *triggers.URI, g *gathering) {
	var buf [maxSegments]string
	// Bulk events have no id, and only triggers on any id hear them.
	if segments := appendSegments(buf[:0], uri); len(segments) > 0 {
		t.root.find(segments, uri.Operation, g)
	}
}

// find hands on every list of subs at which the segments arrive. A list also holds subs that do not hear the operation.
func (n *patternNode) find(segments []string, op triggers.Operation, found *gathering) {
	if !n.ops.Has(op) {
		return
	}
	if len(segments) == 0 {
		found.scatter(n.here)
		return
	}
	found.scatter(n.rest)
	segment := segments[0]
	if next := n.literals[segment]; next != nil {
		next.find(segments[1:], op, found)
	}
	for _, length := range n.starts.lengths {
		if length > len(segment) {
			break
		}
		follow(n.starts.globs[segment[:length]], segments, op, found)
	}
	for _, length := range n.ends.lengths {
		if length > len(segment) {
			break
		}
		follow(n.ends.globs[segment[len(segment)-length:]], segments, op, found)
	}
	follow(n.globs, segments, op, found)
}

// follow goes on along the globs that match the first segment.
func follow(globs []globEdge, segments []string, op triggers.Operation, found *gathering) {
	for i := range globs {
		e := &globs[i]
		if e.node.ops.Has(op) && e.matches(segments[0]) {
			e.node.find(segments[1:], op, found)
		}
	}
}

// maxSegments is more than any pattern has: an event of more segments can only match a pattern that ends in `**`.
const maxSegments = 24

// appendSegments gives what a trigger's path is matched against. A cloud event type longer than any pattern keeps its end whole.
func appendSegments(dst []string, uri *triggers.URI) []string {
	if uri.Key() == "" {
		return dst
	}
	if uri.Resource != triggers.CloudTypes {
		if uri.FolderKey() != "" {
			dst = append(dst, uri.FolderKey())
		}
		return append(dst, uri.Key())
	}
	rest := uri.Key()
	for len(dst) < maxSegments-1 {
		segment, after, more := strings.Cut(rest, ".")
		dst = append(dst, segment)
		if !more {
			return dst
		}
		rest = after
	}
	return append(dst, rest)
}
