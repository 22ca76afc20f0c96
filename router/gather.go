package router

import (
	"cmp"
	"slices"

	"portalhook/triggers"
)

// gathering collects the hits of one event behind what the caller already had, in hits[from:]. They rise by webhook and hold each
// webhook once, but for the time between scatter and settle.
type gathering struct {
	hits []Hit
	from int
	op   triggers.Operation
	// newer are the layers that overrule the one being read.
	newer []*layer
}

// wants says whether the sub hears the operation and no newer layer speaks for its webhook.
func (g *gathering) wants(s sub) bool {
	return s.hears(g.op) && (len(g.newer) == 0 || !g.overruled(s.webhook()))
}

func (g *gathering) overruled(webhook uint32) bool {
	for _, l := range g.newer {
		if l.speaksFor(webhook) {
			return true
		}
	}
	return false
}

// scatter appends the wanted of a list in whatever order; settle must follow.
func (g *gathering) scatter(list []sub) {
	for _, s := range list {
		if g.wants(s) {
			g.hits = append(g.hits, s.hit())
		}
	}
}

// settle puts scattered hits in order.
func (g *gathering) settle() {
	scattered := g.hits[g.from:]
	slices.SortFunc(scattered, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(a.Webhook, b.Webhook), cmp.Compare(a.Trigger, b.Trigger))
	})
	// The first of a webhook is that of its lowest trigger.
	kept := slices.CompactFunc(scattered, func(a, b Hit) bool { return a.Webhook == b.Webhook })
	g.hits = g.hits[:g.from+len(kept)]
}

// one adds a single sub.
func (g *gathering) one(s sub) {
	if !g.wants(s) {
		return
	}
	h := s.hit()
	i := len(g.hits)
	for i > g.from && g.hits[i-1].Webhook > h.Webhook {
		i--
	}
	if i > g.from && g.hits[i-1].Webhook == h.Webhook {
		g.hits[i-1].Trigger = min(g.hits[i-1].Trigger, h.Trigger)
		return
	}
	g.hits = append(g.hits, h)
	if last := len(g.hits) - 1; i < last {
		copy(g.hits[i+1:], g.hits[i:last])
		g.hits[i] = h
	}
}

// list adds the wanted of a list that rises and is not empty.
func (g *gathering) list(list []sub) {
	if n := len(g.hits); n > g.from && g.hits[n-1].Webhook >= list[0].webhook() {
		g.merge(list)
		return
	}
	for _, s := range list {
		if !g.wants(s) {
			continue
		}
		// A webhook may stand in the list with several triggers, the lowest first.
		if n := len(g.hits); n > g.from && g.hits[n-1].Webhook == s.webhook() {
			continue
		}
		g.hits = append(g.hits, s.hit())
	}
}

// merge adds a list whose webhooks do not all come after those gathered. It makes room for all of the list and fills it from the back,
// so that nothing needs a second buffer.
func (g *gathering) merge(list []sub) {
	wanted := 0
	for _, s := range list {
		if g.wants(s) {
			wanted++
		}
	}
	if wanted == 0 {
		return
	}
	old := len(g.hits) - 1 // the last of those gathered that has not been moved
	g.hits = slices.Grow(g.hits, wanted)[:len(g.hits)+wanted]
	free := len(g.hits) // where the last one written stands
	for _, s := range slices.Backward(list) {
		if !g.wants(s) {
			continue
		}
		h := s.hit()
		for old >= g.from && g.hits[old].Webhook > h.Webhook {
			free--
			g.hits[free] = g.hits[old]
			old--
		}
		switch {
		case old >= g.from && g.hits[old].Webhook == h.Webhook:
			g.hits[old].Trigger = min(g.hits[old].Trigger, h.Trigger)
		case free < len(g.hits) && g.hits[free].Webhook == h.Webhook:
			g.hits[free].Trigger = h.Trigger // the list falls by trigger too, seen from its end
		default:
			free--
			g.hits[free] = h
		}
	}
	// Webhooks that were there twice leave a gap between those not moved and those written.
	moved := copy(g.hits[old+1:], g.hits[free:])
	g.hits = g.hits[:old+1+moved]
}
