package console

import (
	"net/http"
	"net/url"
	"time"
)

// streamTail hands on the API's stream of what happens as it comes. The rows are made by the page's script, from templates in the page: a
// stream of HTML would repeat their words a thousand times a second.
func streamTail(v *visit) error {
	r, err := v.request(v.asVisitor(), "", http.MethodGet, "/tail", nil, nil)
	if err != nil {
		return err
	}
	v.console.config.API.ServeHTTP(v.w, r)
	return nil
}

// maxMissed is up to how many events are counted that came while nobody listened.
const maxMissed = 100

// missed is a time without a stream.
type missed struct {
	From, To moment
	Address  string // of the events of that time
	Count    int64
	More     bool // there are more than Count
}

// tellMissed says how many events were accepted while the page had no stream.
func tellMissed(v *visit) error {
	given := v.r.URL.Query()
	from, to := given.Get("from"), given.Get("to")
	var got struct {
		Data  []*eventView `json:"data"`
		Links links        `json:"links"`
	}
	if err := v.get("/events", url.Values{"from": {from}, "to": {to}, "limit": {"100"}}, &got); err != nil {
		return err
	}
	m := missed{Address: v.Link("/events", "from", from, "to", to), Count: int64(len(got.Data)), More: len(got.Data) == maxMissed && got.Links.Next.Href != ""}
	// The API has read both dates.
	m.From.Time, _ = time.Parse(time.RFC3339, from)
	m.To.Time, _ = time.Parse(time.RFC3339, to)
	return v.part(http.StatusOK, "tail/missed", m)
}

// Outcomes are the choices of what the tail shows.
func (overviewPage) Outcomes() []string {
	return []string{"event", "succeeded", "waiting", "exhausted", "skipped", "cancelled"}
}
