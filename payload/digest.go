package payload

import (
	"crypto/sha256"
	"encoding/binary"

	"portalhook/triggers"
)

// DigestSize is the length of a Digest in bytes.
const DigestSize = 16

// Digest tells whether a second event under one identity says the same as the first: the beginning of the SHA-256 of all that the
// sender told, in the spelling that was sent, but for the identity itself. A date that the server filled in is left out, for it
// would differ each time. Digests are stored and compared across upgrades, so the encoding never changes.
func Digest(ev *triggers.Event) [DigestSize]byte {
	var room [1024]byte
	d := digest(room[:0])
	d = d.text(ev.URI.Resource.String())
	d = d.text(triggers.OperationName(ev.URI.Resource, ev.URI.Operation))
	d = d.text(ev.URI.Folder)
	d = d.text(ev.URI.ID)
	d = d.text(ev.Username)
	d = d.text(ev.UserID)
	d = d.optional(ev.When, ev.HasWhen)
	d = d.text(ev.OwnerID)
	d = d.number(int64(len(ev.Audience)))
	for _, user := range ev.Audience {
		d = d.text(user)
	}
	d = d.raw(ev.Properties)
	d = d.raw(ev.Data)
	d = d.raw(ev.Extensions)
	if ev.Service != nil {
		d = d.service(ev.Service)
	}
	sum := sha256.Sum256(d)
	return [DigestSize]byte(sum[:])
}

// digest is the encoding that is summed: fields in a fixed order, each text after its length, so that no two events share one.
type digest []byte

func (d digest) number(n int64) digest { return binary.AppendVarint(d, n) }

func (d digest) text(t string) digest { return append(d.number(int64(len(t))), t...) }

func (d digest) raw(t []byte) digest { return append(d.number(int64(len(t))), t...) }

// optional tells a number from its absence, zero included.
func (d digest) optional(n int64, is bool) digest {
	if !is {
		return append(d, 0)
	}
	return append(d, 1).number(n)
}

func (d digest) service(s *triggers.ServiceFacts) digest {
	d = d.text(s.ServiceName)
	d = d.text(s.FolderName)
	layer, is := int64(0), s.LayerID != nil
	if is {
		layer = *s.LayerID
	}
	d = d.optional(layer, is)
	d = d.number(int64(len(s.ServerGens)))
	for _, gen := range s.ServerGens {
		d = d.number(gen)
	}
	d = d.text(s.ChangesURL)
	d = d.text(s.JobID)
	d = d.text(s.TaskName)
	d = d.text(s.StatusURL)
	return d.text(s.Status)
}
