package web

import (
	"bytes"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A body may repeat what only the server sets, so that clients can put back what they have read. It may be what they read a while
// ago: see judgeRepeated.

// readRepeated keeps what the body says of a member that only the server sets. secretKeyAdded: true without a secret keeps the stored
// one, so that a GET's answer put back as it was does not turn signing off behind its sender's back.
func (d *draft) readRepeated(name string, value jsontext.Value) error {
	switch {
	case name == "secretKeyAdded":
		var err error
		d.keepsSecret, err = boolOf(name, value)
		return err
	case name != "id" && name != healthMember && !isReadOnly(name):
		return unknownMember(name)
	case d.before == nil:
		return &problem{Code: codeReadOnly, Status: 400, Field: name, Index: -1, Detail: "the server sets this member: leave it out"}
	case name == healthMember:
		return nil
	}
	if d.repeated == nil {
		d.repeated = map[string]jsontext.Value{}
	}
	d.repeated[name] = slices.Clone(value)
	return nil
}

func isReadOnly(name string) bool {
	return slices.ContainsFunc(readOnlyMembers, func(m readOnlyMember) bool { return m.name == name })
}

// judgeRepeated refuses a body that would change what only the server sets. What an earlier answer showed is no such change: of a body
// that was read before the webhook was last updated, what moves with each update is passed over; and so is an empty reason, since the
// server switches webhooks off without updating them.
func (d *draft) judgeRepeated() error {
	if id, said := d.repeated["id"]; said {
		if err := judgeRepeat("id", textValue(d.before.ID.String()), id); err != nil {
			return err
		}
	}
	earlier := d.readEarlier()
	for _, m := range readOnlyMembers {
		given, said := d.repeated[m.name]
		if !said || m.moves && (earlier || string(given) == `""`) {
			continue
		}
		if err := judgeRepeat(m.name, m.value(d.before), given); err != nil {
			return err
		}
	}
	return nil
}

func judgeRepeat(name string, stored, given jsontext.Value) error {
	if sameText(stored, given) {
		return nil
	}
	return &problem{Code: codeReadOnly, Field: name, Index: -1, Detail: "the stored value is " + string(stored) + "; leave the member out or repeat that"}
}

// readEarlier says whether the body has the date of an update before the last one.
func (d *draft) readEarlier() bool {
	text, err := textOf("", d.repeated["updatedAt"])
	if err != nil {
		return false
	}
	date, err := time.Parse(time.RFC3339, text)
	return err == nil && date.Before(d.before.UpdatedAt) && !date.Before(d.before.CreatedAt)
}

// sameText compares two JSON strings by their text, dates among them by their moment.
func sameText(stored, given jsontext.Value) bool {
	a, errA := textOf("", stored)
	b, errB := textOf("", given)
	if errA != nil || errB != nil {
		return bytes.Equal(stored, given)
	}
	if a == b {
		return true
	}
	dateA, errA := time.Parse(time.RFC3339, a)
	dateB, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil && dateA.Equal(dateB)
}
