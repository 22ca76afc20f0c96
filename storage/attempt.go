package storage

import (
	"encoding/binary"
	"errors"
	"time"

	"portalhook/delivery"
)

// errAttempt says that a stored attempt cannot be read.
var errAttempt = errors.New("attempt cannot be read")

// attemptForm is the first byte of a stored attempt.
const attemptForm = 1

// appendAttempt writes an attempt compactly: numbers as varints, times in milliseconds, durations in microseconds, texts with their
// length before them. One is made for every delivery, so its size is much of what history costs.
func appendAttempt(dst []byte, a *delivery.Attempt) []byte {
	dst = append(dst, attemptForm)
	dst = binary.AppendVarint(dst, int64(a.Number))
	dst = binary.AppendVarint(dst, unixMilli(a.StartedAt))
	for _, d := range [...]time.Duration{a.Waited, a.DNS, a.Connect, a.TLS, a.FirstByte, a.Total} {
		dst = binary.AppendVarint(dst, d.Microseconds())
	}
	dst = binary.AppendVarint(dst, a.Revision)
	dst = appendPairs(dst, a.Signed)
	dst = appendText(dst, string(a.Outcome))
	dst = binary.AppendVarint(dst, int64(a.StatusCode))
	dst = appendPairs(dst, a.ResponseHeaders)
	dst = appendText(dst, a.ResponseBody)
	truncated := byte(0)
	if a.Truncated {
		truncated = 1
	}
	dst = append(dst, truncated)
	return appendText(dst, a.Error)
}

func appendText[T string | []byte](dst []byte, text T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

func appendPairs(dst []byte, pairs [][2]string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(pairs)))
	for i := range pairs {
		dst = appendText(appendText(dst, pairs[i][0]), pairs[i][1])
	}
	return dst
}

func parseAttempt(blob []byte) (delivery.Attempt, error) {
	d := decoder{rest: blob}
	if d.octet() != attemptForm {
		return delivery.Attempt{}, errAttempt
	}
	a := delivery.Attempt{Number: int(d.varint()), StartedAt: timeOf(d.varint())}
	for _, into := range [...]*time.Duration{&a.Waited, &a.DNS, &a.Connect, &a.TLS, &a.FirstByte, &a.Total} {
		*into = d.duration()
	}
	a.Revision = d.varint()
	a.Signed = d.pairs()
	a.Outcome = delivery.Outcome(d.text())
	a.StatusCode = int(d.varint())
	a.ResponseHeaders = d.pairs()
	if body := d.text(); len(body) > 0 {
		a.ResponseBody = []byte(body)
	}
	a.Truncated = d.octet() == 1
	a.Error = d.text()
	if d.bad || len(d.rest) > 0 {
		return delivery.Attempt{}, errAttempt
	}
	return a, nil
}

// decoder reads what the append functions wrote. After bad input it is bad and gives zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) skip(n int) {
	if n <= 0 || n > len(d.rest) {
		d.rest, d.bad = nil, true
		return
	}
	d.rest = d.rest[n:]
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	d.skip(n)
	return v
}

// duration is one in microseconds.
func (d *decoder) duration() time.Duration {
	v := time.Duration(d.varint())
	if v != v*time.Microsecond/time.Microsecond {
		d.bad = true
	}
	return v * time.Microsecond
}

func (d *decoder) octet() byte {
	if len(d.rest) == 0 {
		d.bad = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.rest, d.bad = nil, true
		return ""
	}
	text := string(d.rest[:n])
	d.rest = d.rest[n:]
	return text
}

func (d *decoder) pairs() [][2]string {
	n := d.uvarint()
	if n == 0 || n > uint64(len(d.rest)) {
		d.bad = d.bad || n > 0
		return nil
	}
	pairs := make([][2]string, n)
	for i := range pairs {
		pairs[i] = [2]string{d.text(), d.text()}
	}
	return pairs
}
