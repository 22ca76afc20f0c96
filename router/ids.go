package router

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"

	"portalhook/triggers"
)

// The literal ids of one resource stand in two open-addressing tables with linear probing. Go's own map would do; these take two
// thirds of its memory, hold no pointer for the collector to follow, and answer faster. The hash is seeded anew for every table, so
// that nobody can choose ids that collide.

// slotsPerTen is how many slots a table has for ten ids.
const slotsPerTen = 16

func slotCount(ids int) int { return ids*slotsPerTen/10 + 1 }

// scale maps a hash evenly onto 0 to n-1.
func scale(hash uint64, n int) int {
	i, _ := bits.Mul64(hash, uint64(n)) //nolint:gosec // a length
	return int(i)                       //nolint:gosec // below n
}

// hexID is an id of 32 hexadecimal digits, as portals number items and groups, with a sub.
type hexID struct {
	key [16]byte
	sub sub // zero: the slot is free
}

// hexTable finds the subs of ids of 32 hexadecimal digits.
type hexTable struct {
	seed  maphash.Seed
	slots []hexID
}

// find gives the lone sub of the id or a reference to its list, zero when it has none.
func (t *hexTable) find(key *[16]byte) sub {
	if len(t.slots) == 0 {
		return 0
	}
	return t.slot(key).sub
}

// slot is where the id stands, or the free slot where it would stand. There is always a free one.
func (t *hexTable) slot(key *[16]byte) *hexID {
	for i := scale(maphash.Bytes(t.seed, key[:]), len(t.slots)); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		if s := &t.slots[i]; s.sub == 0 || s.key == *key {
			return s
		}
	}
}

func newHexTable(ids int) hexTable {
	return hexTable{seed: maphash.MakeSeed(), slots: make([]hexID, slotCount(ids))}
}

// buildHexTable makes the table of the items; ids with several subs get a list, appended to lists.
func buildHexTable(items []hexID, lists []sub) (hexTable, []sub) {
	if len(items) == 0 {
		return hexTable{}, lists
	}
	t, chain := newHexTable(len(items)), newChain(len(items))
	for i := range items {
		s := t.slot(&items[i].key)
		s.key = items[i].key
		chain.push(&s.sub)
	}
	if chain.heads < len(items)/2 { // many share an id: do not keep room for all
		small := newHexTable(chain.heads)
		for _, s := range t.slots {
			if s.sub != 0 {
				*small.slot(&s.key) = s
			}
		}
		t = small
	}
	for i := range t.slots {
		lists = chain.resolve(&t.slots[i].sub, lists, func(item int) sub { return items[item].sub })
	}
	return t, lists
}

// name is any other literal: a user name, a role id, a service in its folder, a cloud event type.
type name struct {
	folder, id string
}

type namedSub struct {
	name
	sub sub
}

// nameTable finds the subs of names. Their text lies end to end in one string.
type nameTable struct {
	seed  maphash.Seed
	text  string
	slots []nameSlot
}

type nameSlot struct {
	sub sub // zero: the slot is free
	ref nameRef
}

// nameRef says where a name's text is, in bytes: offset (36 bits), length of the folder (10), length of the id (11). The low 7 bits
// are of its hash, so that a look-up seldom reads the text of another name.
type nameRef uint64

const (
	hashBits         = 7
	idLengthBits     = 11
	folderLengthBits = 10
	offsetShift      = folderLengthBits + idLengthBits + hashBits
	nameRefMask      = 1<<offsetShift - 1 // all but the offset
)

// newNameRef describes a name that lies at offset.
func newNameRef(offset int, n name, hash uint64) nameRef {
	lengths := nameRef(len(n.folder))<<idLengthBits | nameRef(len(n.id))
	return nameRef(offset)<<offsetShift | lengths<<hashBits | nameRef(hash&(1<<hashBits-1)) //nolint:gosec // not negative
}

// hexKey is the name in 16 bytes when it is 32 hexadecimal digits, as the portals number items and groups.
func (n name) hexKey() (key [16]byte, ok bool) {
	if n.folder != "" {
		return key, false
	}
	return triggers.HexKey(n.id)
}

// fits says whether the reference can express the name's lengths. Names that are too long for it are treated as patterns.
func (n name) fits() bool { return len(n.folder) < 1<<folderLengthBits && len(n.id) < 1<<idLengthBits }

func (t *nameTable) hash(n name) uint64 {
	h := maphash.String(t.seed, n.id)
	if n.folder != "" {
		h ^= bits.RotateLeft64(maphash.String(t.seed, n.folder), 32)
	}
	return h
}

func (t *nameTable) name(r nameRef) name {
	start := int(r >> offsetShift)
	middle := start + int(r>>(idLengthBits+hashBits)&(1<<folderLengthBits-1))
	return name{folder: t.text[start:middle], id: t.text[middle : middle+int(r>>hashBits&(1<<idLengthBits-1))]}
}

// find gives the lone sub of the name or a reference to its list, zero when it has none.
func (t *nameTable) find(n name) sub {
	if len(t.slots) == 0 || !n.fits() {
		return 0
	}
	return t.slot(n, t.hash(n)).sub
}

// slot is where the name stands, or the free slot where it would stand. There is always a free one.
func (t *nameTable) slot(n name, hash uint64) *nameSlot {
	ref := newNameRef(0, n, hash)
	for i := scale(hash, len(t.slots)); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		if s := &t.slots[i]; s.sub == 0 || s.ref&nameRefMask == ref && t.name(s.ref) == n {
			return s
		}
	}
}

// buildNameTable makes the table of the items; names with several subs get a list, appended to lists.
func buildNameTable(items []namedSub, lists []sub) (nameTable, []sub) {
	if len(items) == 0 {
		return nameTable{}, lists
	}
	size := 0
	for _, it := range items {
		size += len(it.folder) + len(it.id)
	}
	// The text is first that of all items, repetitions too, since slots are compared by it while they are filled.
	var text strings.Builder
	text.Grow(size)
	for _, it := range items {
		text.WriteString(it.folder)
		text.WriteString(it.id)
	}
	t := nameTable{seed: maphash.MakeSeed(), text: text.String(), slots: make([]nameSlot, slotCount(len(items)))}
	chain, offset := newChain(len(items)), 0
	for _, it := range items {
		hash := t.hash(it.name)
		s := t.slot(it.name, hash)
		if s.sub == 0 {
			s.ref = newNameRef(offset, it.name, hash)
		}
		chain.push(&s.sub)
		offset += len(it.folder) + len(it.id)
	}
	if chain.heads < len(items) {
		t = t.compact(chain.heads)
	}
	for i := range t.slots {
		lists = chain.resolve(&t.slots[i].sub, lists, func(item int) sub { return items[item].sub })
	}
	return t, lists
}

// compact gives the same table with room for its names and no more.
func (t *nameTable) compact(names int) nameTable {
	var text strings.Builder
	small := nameTable{seed: t.seed, slots: make([]nameSlot, slotCount(names))}
	for _, s := range t.slots {
		if s.sub != 0 {
			n := t.name(s.ref)
			hash := t.hash(n)
			// All names differ, so that the search for a free slot need not see the new text.
			*small.free(hash) = nameSlot{sub: s.sub, ref: newNameRef(text.Len(), n, hash)}
			text.WriteString(n.folder)
			text.WriteString(n.id)
		}
	}
	small.text = text.String()
	return small
}

// free is the slot where a name that the table does not hold would stand.
func (t *nameTable) free(hash uint64) *nameSlot {
	for i := scale(hash, len(t.slots)); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		if t.slots[i].sub == 0 {
			return &t.slots[i]
		}
	}
}

// chain gathers, while a table is built, the items that fall on one slot: the slot holds one more than the number of the newest
// item, and next the one before it.
type chain struct {
	next  []uint32
	heads int // slots taken
}

func newChain(items int) *chain { return &chain{next: make([]uint32, 0, items)} }

// push puts the next item onto the slot.
func (c *chain) push(slot *sub) {
	if *slot == 0 {
		c.heads++
	}
	c.next = append(c.next, uint32(*slot)) //nolint:gosec // an index
	*slot = sub(len(c.next))
}

// resolve replaces the number in the slot by the item's sub, or by a reference to the list of its items' subs.
func (c *chain) resolve(slot *sub, lists []sub, item func(int) sub) []sub {
	if *slot == 0 {
		return lists
	}
	i := int(*slot) - 1 //nolint:gosec // an index
	if c.next[i] == 0 {
		*slot = item(i)
		return lists
	}
	start := len(lists)
	for {
		lists = append(lists, item(i))
		if c.next[i] == 0 {
			break
		}
		i = int(c.next[i]) - 1
	}
	slices.Sort(lists[start:])
	*slot = newList(start, len(lists)-start)
	return lists
}
