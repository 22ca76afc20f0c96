package web

import (
	"strconv"
	"time"
)

// object writes a JSON object member by member. Answers are written this way rather than marshalled because what they hold is
// partly JSON already, and must come out as it is stored.
type object struct {
	buf   []byte
	after bool // a member has been written
}

func openObject(dst []byte) *object { return &object{buf: append(dst, '{')} }

func (o *object) close() []byte { return append(o.buf, '}') }

func (o *object) name(name string) {
	if o.after {
		o.buf = append(o.buf, ',')
	}
	o.after = true
	o.buf = appendText(o.buf, name)
	o.buf = append(o.buf, ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	o.buf = appendText(o.buf, value)
}

func (o *object) number(name string, value int64) {
	o.name(name)
	o.buf = strconv.AppendInt(o.buf, value, 10)
}

func (o *object) flag(name string, value bool) {
	o.name(name)
	o.buf = strconv.AppendBool(o.buf, value)
}

// time writes a date in UTC with milliseconds; nothing when it is zero.
func (o *object) time(name string, value time.Time) {
	if value.IsZero() {
		return
	}
	o.text(name, stamp(value))
}

// raw writes a value that is JSON already; null when there is none.
func (o *object) raw(name string, value []byte) {
	o.name(name)
	if len(value) == 0 {
		o.buf = append(o.buf, "null"...)
		return
	}
	o.buf = append(o.buf, value...)
}

func (o *object) object(name string, fill func(o *object)) {
	o.name(name)
	inner := openObject(o.buf)
	fill(inner)
	o.buf = inner.close()
}

func (o *object) array(name string, length int, item func(dst []byte, i int) []byte) {
	o.name(name)
	o.buf = append(o.buf, '[')
	for i := range length {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = item(o.buf, i)
	}
	o.buf = append(o.buf, ']')
}

func (o *object) texts(name string, values []string) {
	o.array(name, len(values), func(dst []byte, i int) []byte { return appendText(dst, values[i]) })
}

// stamp is how every date is printed: RFC 3339, UTC, milliseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
