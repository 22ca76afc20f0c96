package storage

import (
	"cmp"
	"slices"
	"strings"
)

// sharedMidnight is for how long after midnight a name is unique within both days: longer than any transaction takes.
const sharedMidnight = 4 * transactionTime

type identityColumns struct {
	tenant       []int64
	job          []int32
	name, source []string
}

// identityColumnsOf writes identities as their table has them.
func identityColumnsOf(names []identity) (c identityColumns) {
	for _, name := range names {
		job, text, source := int32(0), name.ID, name.Source
		if name.OfJob() {
			job, text = 1, name.Job
			source = jobSource(name.Folder, name.Service)
		}
		c.tenant, c.job = append(c.tenant, int64(name.tenant)), append(c.job, job)
		c.name, c.source = append(c.name, pgText(text)), append(c.source, pgText(source))
	}
	return c
}

// insertIdentities adds the names in one order, so that nobody waits for each other who stores the same. That another has been quicker is an
// error, after which all is looked up again.
func (a *acceptor) insertIdentities(q *queue) {
	if len(a.identities) == 0 {
		return
	}
	slices.SortFunc(a.identities, func(x, y namedEvent) int {
		return cmp.Or(cmp.Compare(x.name.tenant, y.name.tenant), strings.Compare(x.name.ID, y.name.ID), strings.Compare(x.name.Source, y.name.Source),
			strings.Compare(x.name.Job, y.name.Job), strings.Compare(x.name.Service, y.name.Service), strings.Compare(x.name.Folder, y.name.Folder))
	})
	names := make([]identity, len(a.identities))
	var events, matched []int64
	var digests [][]byte
	for i := range a.identities {
		one := &a.identities[i]
		names[i] = one.name
		events, matched, digests = append(events, int64(one.id)), append(matched, int64(one.matched)), append(digests, one.digest[:])
	}
	c := identityColumnsOf(names)
	days := []int64{a.today}
	if sinceMidnight := a.identities[0].id.Time().Sub(firstOf(a.today).Time()); sinceMidnight < sharedMidnight && a.pgTx.store.days.has(a.today-1) {
		days = []int64{a.today - 1, a.today}
	}
	for _, day := range days {
		q.add(pgInsertIdentities, day, c.tenant, c.job, c.name, c.source, events, digests, matched)
	}
}
