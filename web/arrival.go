package web

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"portalhook/payload"
	"portalhook/triggers"
)

// arrival is a request that a built-in receiver was sent.
type arrival struct {
	number    int64
	at        time.Time
	inside    bool // handed over within the process
	method    string
	header    http.Header // Host among them
	body      []byte      // at most keptArrivalBody
	length    int64       // of the whole body; -1 when it is not known
	truncated bool
	answered  answerTold
	checked   []payload.Checked
}

// newArrival keeps what there is room for. Length is that of the whole body, -1 when it is not known.
func newArrival(method string, header http.Header, host string, body []byte, length int64) *arrival {
	header.Set("Host", host)
	a := &arrival{method: method, header: header, body: body, length: length}
	if len(body) > keptArrivalBody {
		a.body, a.truncated = slices.Clone(body[:keptArrivalBody]), true
	}
	return a
}

// errGivenUp ends the waiting before an answer that was to come late.
var errGivenUp = errors.New("given up before the answer")

// errCut is why the signatures of a body that was cut cannot be judged, errNoSecret why those of a receiver without a secret cannot.
var (
	errCut      = errors.New("the body is longer than is kept, so it cannot be checked")
	errNoSecret = errors.New("the receiver has no secret to check it with")
)

// verify judges each signature by the receiver's secret, as of the time of arrival.
func (a *arrival) verify(secret triggers.Secret) {
	a.checked = payload.Check(payload.Received{
		Secrets: []triggers.Secret{secret}, Header: a.header.Get, Body: a.body, Now: a.at,
	})
	for i := range a.checked {
		switch {
		case secret.IsZero():
			a.checked[i].Err = errNoSecret
		case a.truncated:
			a.checked[i].Err = errCut
		}
	}
}

// size is about what it takes in memory.
func (a *arrival) size() int {
	const each = 256 // of itself
	n := each + len(a.body)
	for name, values := range a.header {
		for _, value := range values {
			n += len(name) + len(value)
		}
	}
	return n
}

// signatureFamilies name whose signature a header is.
var signatureFamilies = map[string]string{
	payload.HeaderSignature: "standard-webhooks", payload.HeaderEsri: "esri", payload.HeaderQlik: "qlik", payload.HeaderSecret: "plain",
}

func appendArrival(dst []byte, a *arrival) []byte {
	o := openObject(dst)
	o.number("number", a.number)
	o.time("at", a.at)
	via := "http"
	if a.inside {
		via = "delivery"
	}
	o.text("via", via)
	o.text("method", a.method)
	o.object("headers", func(o *object) {
		for _, name := range slices.Sorted(maps.Keys(a.header)) {
			o.text(name, strings.Join(a.header[name], ", "))
		}
	})
	o.text("body", string(a.body))
	if !utf8.Valid(a.body) {
		o.flag("binary", true)
	}
	if a.length >= 0 {
		o.number("bodyBytes", a.length)
	}
	if a.truncated {
		o.flag("truncated", true)
	}
	verified := len(a.checked) > 0
	o.array("signatures", len(a.checked), func(dst []byte, i int) []byte {
		c := &a.checked[i]
		o := openObject(dst)
		o.text("header", c.Header)
		o.text("family", signatureFamilies[c.Header])
		o.flag("verified", c.Err == nil)
		if c.Err != nil {
			verified = false
			o.text("reason", c.Err.Error())
		}
		return o.close()
	})
	o.flag("verified", verified)
	o.object("answered", a.answered.write)
	return o.close()
}

func (t answerTold) write(o *object) {
	o.number("status", int64(t.status))
	o.number("delayMs", t.delay.Milliseconds())
}
