package router

import (
	"cmp"
	"slices"
	"strings"

	"portalhook/triggers"
)

// BranchKind says what a branch of the tree of triggers stands for.
type BranchKind string

// The kinds.
const (
	FamilyBranch    BranchKind = "family"    // items, groups, users, roles, services, cloud or webhooks
	OperationBranch BranchKind = "operation" // share, FeaturesEdited, or a glob of operations
	ServiceBranch   BranchKind = "service"   // FeatureServer or GPServer
	GlobBranch      BranchKind = "glob"      // ids, names or words, by a pattern; ** among them
	NameBranch      BranchKind = "name"      // one id, user, folder or service, or one word of a cloud type
)

// branchPlace is where a branch stands in its level: by kind, then by folded name.
type branchPlace struct {
	rank byte
	key  string
}

func placeOf(kind BranchKind, key string) branchPlace {
	switch kind {
	case FamilyBranch:
		return branchPlace{'0', key}
	case OperationBranch:
		return branchPlace{'1', key}
	case ServiceBranch:
		return branchPlace{'2', key}
	case GlobBranch:
		return branchPlace{'3', key}
	case NameBranch:
	}
	return branchPlace{'4', key}
}

func (p branchPlace) compare(other branchPlace) int {
	return cmp.Or(cmp.Compare(p.rank, other.rank), cmp.Compare(p.key, other.key))
}

// Branch is one branch of a level.
type Branch struct {
	Name string // as one of the triggers spells it
	Path string // by which its own level is opened
	Kind BranchKind
	// Webhooks is how many have a trigger on the branch, Here how many have one that ends with it. A branch is a leaf when all do.
	Webhooks, Here int
	Leaf           bool

	place    branchPlace
	seen     int // the last webhook counted in Webhooks, and in Here
	seenHere int
}

// Place is where the branch stands in its level: what OpenLevel goes on after.
func (b *Branch) Place() string { return string(b.place.rank) + b.place.key }

// Level is one level of the tree that a tenant's triggers make, whose paths are those of the triggers: /items, /items/share,
// /services/<folder>/<name>/FeatureServer, and /cloud/com/qlik/v1 for cloud types, whose words are branches. Names that compare equal are one
// branch. The webhooks are given one after the other, in no order, and the memory taken is that of one page however many there are.
type Level struct {
	// Webhooks is how many have a trigger at the path or below it, Here how many have one that ends there.
	Webhooks, Here int

	path  []string    // the names that lead here, as the triggers are compared
	text  string      // the same as it was given
	after branchPlace // the zero value is before all
	limit int
	given int       // webhooks so far
	kept  []*Branch // the first limit+1 behind after, in order
}

// OpenLevel begins the level at a path, / for the families; a page has the limit first branches behind the place after, empty for the first page.
// False says that the path is none.
func OpenLevel(path, after string, limit int) (*Level, bool) {
	if !strings.HasPrefix(path, "/") || path != "/" && strings.HasSuffix(path, "/") {
		return nil, false
	}
	l := &Level{text: strings.TrimSuffix(path, "/"), limit: limit}
	if after != "" {
		l.after = branchPlace{after[0], after[1:]}
	}
	if path != "/" {
		l.path = strings.Split(path[1:], "/")
	}
	for i, name := range l.path {
		l.path[i] = branchKey(l.path[0], name)
	}
	return l, true
}

// branchKey is a name as it is compared within its family: the catalogue's words and most ids without regard to case.
func branchKey(family, name string) string {
	if family == triggers.CloudTypes.String() || family == triggers.Roles.String() {
		return name
	}
	return triggers.Fold(name)
}

// Add takes the triggers of a webhook, and reports whether one of them ends at the path.
func (l *Level) Add(ts []triggers.Trigger) (here bool) {
	l.given++
	within := false
	for i := range ts {
		w := newBranchWalk(&ts[i])
		if !l.leadsHere(&w) {
			continue
		}
		within = true
		if name, kind, ok := w.next(); ok {
			l.count(w.family, name, kind, w.ended())
		} else {
			here = true
		}
	}
	if within {
		l.Webhooks++
	}
	if here {
		l.Here++
	}
	return here
}

// leadsHere walks along the path, as far as the trigger goes along.
func (l *Level) leadsHere(w *branchWalk) bool {
	for _, want := range l.path {
		name, _, ok := w.next()
		if !ok || name != want && branchKey(w.family, name) != want {
			return false
		}
	}
	return true
}

// count adds the webhook to one of the level's branches, unless that is not on the page.
func (l *Level) count(family, name string, kind BranchKind, ends bool) {
	place := placeOf(kind, branchKey(family, name))
	if place.compare(l.after) <= 0 {
		return
	}
	if n := len(l.kept); n > l.limit && place.compare(l.kept[n-1].place) > 0 {
		return // most of a wide level
	}
	at, found := slices.BinarySearchFunc(l.kept, place, func(b *Branch, place branchPlace) int { return b.place.compare(place) })
	if !found {
		// What falls off the end does not come back: the end only moves towards the beginning.
		l.kept = slices.Insert(l.kept, at, &Branch{Name: name, Kind: kind, Leaf: true, place: place})
		l.kept = l.kept[:min(len(l.kept), l.limit+1)]
	}
	b := l.kept[at]
	b.Name = min(b.Name, name)
	if b.seen != l.given {
		b.seen = l.given
		b.Webhooks++
	}
	switch {
	case !ends:
		b.Leaf = false
	case b.seenHere != l.given:
		b.seenHere = l.given
		b.Here++
	}
}

// Branches is the page, and whether there is more behind it.
func (l *Level) Branches() (page []Branch, more bool) {
	for _, b := range l.kept[:min(len(l.kept), l.limit)] {
		b.Path = l.text + "/" + b.Name
		page = append(page, *b)
	}
	return page, len(l.kept) > l.limit
}

// branchWalk goes down a trigger name by name.
type branchWalk struct {
	t      *triggers.Trigger
	family string
	rest   string // what has not been walked
	left   bool   // there is something of it, be it empty
	depth  int    // names so far
}

func newBranchWalk(t *triggers.Trigger) branchWalk {
	switch {
	case t.Root:
		return branchWalk{t: t}
	case t.Resource == triggers.CloudTypes:
		return branchWalk{t: t, family: t.Resource.String(), rest: t.Text, left: true}
	}
	_, rest, left := strings.Cut(t.Text[1:], "/")
	return branchWalk{t: t, family: t.Resource.String(), rest: rest, left: left}
}

func (w *branchWalk) ended() bool { return !w.left }

// next is the next name and what it stands for; false at the trigger's end.
func (w *branchWalk) next() (name string, kind BranchKind, ok bool) {
	if w.depth == 0 && !w.t.Root {
		w.depth++
		return w.family, FamilyBranch, true
	}
	if !w.left {
		return "", "", false
	}
	separator := "/"
	if w.t.Resource == triggers.CloudTypes {
		separator = "."
	}
	name, w.rest, w.left = strings.Cut(w.rest, separator)
	kind = w.kind(name, w.depth-1)
	w.depth++
	return name, kind, true
}

// kind is what the name at a place below the family stands for.
func (w *branchWalk) kind(name string, at int) BranchKind {
	t := w.t
	switch {
	case at < len(t.Path):
		if _, literal := t.Path[at].Literal(); literal {
			return NameBranch
		}
		return GlobBranch
	case name == "**", name == "*" && t.Any && at == 0:
		return GlobBranch
	case !isService(t.Resource):
		return OperationBranch
	case at == len(t.Path) && (name == "FeatureServer" || name == "GPServer"):
		return ServiceBranch
	}
	return OperationBranch
}
