package router

import (
	"math/bits"
	"slices"
	"strings"

	"portalhook/triggers"
)

// builder collects triggers and makes a layer of them.
type builder struct {
	overrules map[uint32]struct{} // nil for the oldest layer of a tenant
	root      []sub
	resources [triggers.ResourceCount]*parts
	matchers  map[string]*matcher // by text, so that equal globs are compiled and tried once
}

// parts are the triggers on one resource, sorted by where they are found.
type parts struct {
	any      []sub
	hex      []hexID
	names    []namedSub
	patterns []pattern
}

// newBuilder starts a layer. The oldest layer of a tenant has nothing to overrule.
func newBuilder(oldest bool) *builder {
	b := &builder{matchers: make(map[string]*matcher)}
	if !oldest {
		b.overrules = make(map[uint32]struct{})
	}
	return b
}

func (b *builder) parts(r triggers.Resource) *parts {
	if b.resources[r] == nil {
		b.resources[r] = &parts{}
	}
	return b.resources[r]
}

// webhook adds all triggers of a webhook, none when it has been removed.
func (b *builder) webhook(key uint32, ts []triggers.Trigger) {
	if b.overrules != nil {
		b.overrules[key] = struct{}{}
	}
	for i := range ts {
		b.trigger(key, i, &ts[i])
	}
}

func (b *builder) trigger(webhook uint32, i int, t *triggers.Trigger) {
	if t.Root {
		b.root = append(b.root, newSub(webhook, i, triggers.OpSet(opMask)))
		return
	}
	for _, r := range [...]triggers.Resource{t.Resource, t.Also} {
		if s := newSub(webhook, i, t.OperationsOf(r)); s.ops() != 0 {
			b.parts(r).add(b, r, t, s)
		}
	}
}

// add puts the sub where events of the resource will find it.
func (p *parts) add(b *builder, r triggers.Resource, t *triggers.Trigger, s sub) {
	if t.Any {
		p.any = append(p.any, s)
		return
	}
	if names, ok := literalNames(t); ok {
		for _, n := range names {
			if key, ok := n.hexKey(); ok {
				p.hex = append(p.hex, hexID{key: key, sub: s})
			} else {
				p.names = append(p.names, namedSub{name: n, sub: s})
			}
		}
		return
	}
	path := make([]*matcher, len(t.Path))
	for i, segment := range t.Path {
		path[i] = b.share(newMatcher(segment, folds(r)))
	}
	p.patterns = append(p.patterns, pattern{path: path, rest: restOf(r, t), sub: s})
}

func restOf(r triggers.Resource, t *triggers.Trigger) rest {
	switch {
	case !t.Rest:
		return nothing
	case isService(r):
		return anything
	}
	return something
}

func isService(r triggers.Resource) bool {
	return r == triggers.FeatureServices || r == triggers.Geoprocessing
}

// share gives the matcher of the same text that was first seen.
func (b *builder) share(m *matcher) *matcher {
	if m.kind == literal {
		return m
	}
	if first, ok := b.matchers[m.text]; ok {
		return first
	}
	b.matchers[m.text] = m
	return m
}

// layer adds what an older layer holds, but for the webhooks that the newer ones overrule.
func (b *builder) layer(l *layer, newer []*layer) {
	if b.overrules != nil {
		for webhook := range l.overrules {
			b.overrules[webhook] = struct{}{}
		}
	}
	g := gathering{newer: newer}
	keep := func(s sub) bool { return !g.overruled(s.webhook()) }
	b.root = appendKept(b.root, l.root, keep)
	for r, x := range l.resources {
		if x != nil {
			b.index(b.parts(triggers.Resource(r)), x, keep)
		}
	}
}

func (b *builder) index(p *parts, x *index, keep func(sub) bool) {
	p.any = appendKept(p.any, x.wide, keep)
	for op, list := range x.ops {
		// A sub stands under each of its operations: take it from the first.
		p.any = appendKept(p.any, list, func(s sub) bool { return bits.TrailingZeros32(uint32(s.ops())) == op && keep(s) })
	}
	for _, slot := range x.hex.slots {
		for s := range x.each(slot.sub) {
			if keep(s) {
				p.hex = append(p.hex, hexID{key: slot.key, sub: s})
			}
		}
	}
	for _, slot := range x.names.slots {
		for s := range x.each(slot.sub) {
			if keep(s) {
				p.names = append(p.names, namedSub{name: x.names.name(slot.ref), sub: s})
			}
		}
	}
	if x.patterns == nil {
		return
	}
	for _, q := range x.patterns.all {
		if keep(q.sub) {
			path := make([]*matcher, len(q.path))
			for i, m := range q.path {
				path[i] = b.share(m)
			}
			p.patterns = append(p.patterns, pattern{path: path, rest: q.rest, sub: q.sub})
		}
	}
}

// each gives the subs of a slot.
func (x *index) each(s sub) func(yield func(sub) bool) {
	return func(yield func(sub) bool) {
		switch {
		case s == 0:
		case !s.isList():
			yield(s)
		default:
			for _, t := range s.of(x.lists) {
				if !yield(t) {
					return
				}
			}
		}
	}
}

func appendKept(dst, list []sub, keep func(sub) bool) []sub {
	for _, s := range list {
		if keep(s) {
			dst = append(dst, s)
		}
	}
	return dst
}

// build makes the layer. The builder must not be used again.
func (b *builder) build() *layer {
	l := &layer{overrules: b.overrules, weight: len(b.overrules) + len(b.root), root: exact(b.root)}
	for r, p := range b.resources {
		if p == nil {
			continue
		}
		weight := len(p.any) + len(p.hex) + len(p.names) + len(p.patterns)
		if weight > 0 {
			l.weight += weight
			l.resources[r] = p.build()
		}
	}
	return l
}

func (p *parts) build() *index {
	x := &index{patterns: buildPatterns(p.patterns)}
	var few [][]sub
	for _, s := range p.any {
		if bits.OnesCount32(uint32(s.ops())) > fewOperations {
			x.wide = append(x.wide, s)
			continue
		}
		for ops := s.ops(); ops != 0; ops &= ops - 1 {
			op := bits.TrailingZeros32(uint32(ops))
			if op >= len(few) {
				few = slices.Grow(few, op+1-len(few))[:op+1]
			}
			few[op] = append(few[op], s)
		}
	}
	x.wide = exact(x.wide)
	for i := range few {
		few[i] = exact(few[i])
	}
	x.ops = few
	var lists []sub
	x.hex, lists = buildHexTable(p.hex, lists)
	x.names, lists = buildNameTable(p.names, lists)
	x.lists = slices.Clip(slices.Clone(lists))
	return x
}

// exact sorts a list and gives it a place of just its size.
func exact(list []sub) []sub {
	if len(list) == 0 {
		return nil
	}
	list = append(make([]sub, 0, len(list)), list...)
	slices.Sort(list)
	return list
}

// literalNames are all the names that a trigger stands for, as events of its resource spell them; false when it needs a pattern.
func literalNames(t *triggers.Trigger) ([]name, bool) {
	if t.Rest {
		return nil, false
	}
	names := []name{{}}
	for i, segment := range t.Path {
		texts, ok := spellings(segment)
		if !ok || len(names)*len(texts) > maxSpellings {
			return nil, false
		}
		longer := make([]name, 0, len(names)*len(texts))
		for _, text := range texts {
			if text == "" || t.Resource == triggers.CloudTypes && strings.Contains(text, ".") {
				return nil, false
			}
			for _, n := range names {
				n, ok := n.below(t.Resource, i, text)
				if !ok {
					return nil, false
				}
				longer = append(longer, n)
			}
		}
		names = longer
	}
	return names, len(t.Path) > 0
}

// below adds the segment at place i to a name; false when the name would be too long for a table.
func (n name) below(r triggers.Resource, i int, text string) (name, bool) {
	switch {
	case i == 0:
		n.id = text
	case r == triggers.CloudTypes:
		n.id += "." + text
	default:
		n.folder, n.id = n.id, text
	}
	return n, n.fits()
}

// folds says whether ids of the resource are compared without regard to case.
func folds(r triggers.Resource) bool { return r != triggers.Roles && r != triggers.CloudTypes }
