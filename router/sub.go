package router

import "portalhook/triggers"

// sub is one trigger of one webhook in eight bytes, from the highest bit down: webhook (32), index of the trigger (7), a mark (1),
// operations heard (24). Subs in rising order are therefore by webhook, then by trigger, and zero is no sub.
//
// With the mark set it is no trigger but a reference into a layer's lists: where the list starts (32) and how long it is (7 high
// bits where the trigger stands, 24 low ones where the operations stand).
type sub uint64

const (
	webhookShift     = 32
	triggerShift     = 25
	maxTrigger       = 1<<7 - 1
	listMark     sub = 1 << 24
	opMask       sub = listMark - 1
)

func newSub(webhook uint32, trigger int, ops triggers.OpSet) sub {
	// A webhook has at most 100 triggers; should that ever grow, the last ones are still heard and only share a number.
	trigger = min(trigger, maxTrigger)
	return sub(webhook)<<webhookShift | sub(trigger)<<triggerShift | sub(ops)&opMask //nolint:gosec // 0 to maxTrigger
}

func newList(start, length int) sub {
	n := sub(length)                                                            //nolint:gosec // a length
	return sub(start)<<webhookShift | n>>24<<triggerShift | listMark | n&opMask //nolint:gosec // an index
}

func (s sub) webhook() uint32 { return uint32(s >> webhookShift) }

func (s sub) ops() triggers.OpSet { return triggers.OpSet(s & opMask) }

func (s sub) hears(op triggers.Operation) bool { return s>>op&1 != 0 }

func (s sub) isList() bool { return s&listMark != 0 }

// of gives the subs that a reference stands for.
func (s sub) of(lists []sub) []sub {
	start := int(s >> webhookShift)
	length := int(s>>triggerShift&maxTrigger<<24 | s&opMask) //nolint:gosec // 31 bits
	return lists[start : start+length]
}

func (s sub) hit() Hit {
	return Hit{Webhook: s.webhook(), Trigger: uint8(s >> triggerShift & maxTrigger)}
}
