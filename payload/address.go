package payload

import (
	"net/url"
	"strconv"
	"strings"
)

// changesURL is the address where the changes can be read that the events tell of. One event has its own changesUrl, or else one
// that is built from the tenant's server URL and its serverGens. That of several spans all their serverGens, at the address of the
// first changesUrl; without serverGens it is the last changesUrl. It is empty where there is nothing to make it of.
func changesURL(rev *Revision, services []serviceEvent) string {
	var first, last string
	var all generations
	for i := range services {
		if own := services[i].changesURL; own != "" {
			last = own
			if first == "" {
				first = own
			}
		}
		all = all.union(services[i].generations)
	}
	if !all.known || last != "" && len(services) == 1 {
		return last
	}
	address, _, _ := strings.Cut(first, "?")
	if address == "" {
		if rev.ServerURL == "" {
			return ""
		}
		address = services[0].address(rev) + "/extractChanges"
	}
	return address + "?serverGens=" + all.query()
}

// generations are those of a service before and after some changes, both in milliseconds since 1970.
type generations struct {
	from, to int64
	known    bool
}

func (g generations) union(other generations) generations {
	switch {
	case !other.known:
		return g
	case !g.known:
		return other
	}
	return generations{min(g.from, other.from), max(g.to, other.to), true}
}

// query is [from,to] as Enterprise escapes it: the brackets and not the comma.
func (g generations) query() string {
	return "%5B" + strconv.FormatInt(g.from, 10) + "," + strconv.FormatInt(g.to, 10) + "%5D"
}

// jobURL is the address of the job: the event's own statusURL, or else one that is built from the tenant's server URL, the task and
// the job. It is empty where one of them is unknown.
func (s *serviceEvent) jobURL(rev *Revision) string {
	if s.statusURL != "" || rev.ServerURL == "" || s.taskName == "" || s.jobID == "" {
		return s.statusURL
	}
	return s.address(rev) + "/" + url.PathEscape(s.taskName) + "/jobs/" + url.PathEscape(s.jobID)
}

// address is where the service itself is on the tenant's server.
func (s *serviceEvent) address(rev *Revision) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(rev.ServerURL, "/"))
	b.WriteString("/rest/services/")
	if s.uri.Folder != "" {
		b.WriteString(url.PathEscape(s.uri.Folder))
		b.WriteByte('/')
	}
	b.WriteString(url.PathEscape(s.uri.ID))
	b.WriteByte('/')
	b.WriteString(s.kind())
	return b.String()
}
