package router

import "portalhook/triggers"

// layer is an immutable index of the triggers of some webhooks: the base of a tenant, or what has been saved since.
type layer struct {
	// overrules are the webhooks that the layer speaks for, whatever older layers say of them, removed ones included. The oldest
	// layer needs none.
	overrules map[uint32]struct{}
	// weight is about how much work it is to merge the layer: its subs and the webhooks it overrules.
	weight int

	root      []sub // the trigger `/`
	resources [triggers.ResourceCount]*index
}

// index holds the triggers on one resource.
type index struct {
	// wide are the triggers on any id that hear many operations, ops those that hear few, by operation. Both rise.
	wide []sub
	ops  [][]sub
	// hex and names are the triggers on literal ids; ids with several refer into lists.
	hex   hexTable
	names nameTable
	lists []sub
	// patterns is nil when no trigger has a glob.
	patterns *patternTree
}

// fewOperations is the largest number of operations for which a trigger on any id is kept once per operation, so that an event need
// not pass over triggers on other operations. A trigger with more hears most of what passes anyway.
const fewOperations = 3

func (l *layer) speaksFor(webhook uint32) bool {
	_, ok := l.overrules[webhook]
	return ok
}

// gather adds the hits of all triggers that are no patterns.
func (l *layer) gather(uri *triggers.URI, g *gathering) {
	if len(l.root) > 0 && uri.Resource.IsPortal() {
		g.list(l.root)
	}
	x := l.resources[uri.Resource]
	if x == nil {
		return
	}
	if len(x.wide) > 0 {
		g.list(x.wide)
	}
	if int(uri.Operation) < len(x.ops) && len(x.ops[uri.Operation]) > 0 {
		g.list(x.ops[uri.Operation])
	}
	switch s := x.literal(uri); {
	case s == 0:
	case s.isList():
		g.list(s.of(x.lists))
	default:
		g.one(s)
	}
}

// literal finds the lone sub on the event's id, a reference to several, or zero.
func (x *index) literal(uri *triggers.URI) sub {
	if uri.FolderKey() == "" {
		if key, ok := uri.HexKey(); ok {
			return x.hex.find(&key)
		}
	}
	if uri.Key() == "" {
		return 0
	}
	return x.names.find(name{folder: uri.FolderKey(), id: uri.Key()})
}
