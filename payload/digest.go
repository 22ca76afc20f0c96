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
	d.text(ev.URI.Resource.String())
	d.text(triggers.OperationName(ev.URI.Resource, ev.URI.Operation))
	d.text(ev.URI.Folder)
	d.text(ev.URI.ID)
	d.text(ev.Username)
	d.text(ev.UserID)
	d.optional(ev.When, ev.HasWhen)
	d.text(ev.OwnerID)
	d.number(int64(len(ev.Audience)))
	for _, user := range ev.Audience {
		d.text(user)
	}
	d.raw(ev.Properties)
	d.raw(ev.Data)
	d.raw(ev.Extensions)
	if s := ev.Service; s != nil {
		d.service(s)
	}
	sum := sha256.Sum256(d)
	return [DigestSize]byte(sum[:])
}

// digest is the encoding that is summed: fields in a fixed order, each text after its length, so that no two events share one.
type digest []byte

func (d *digest) number(n int64) { *d = binary.AppendVarint(*d, n) }

func (d *digest) optional(n int64, is bool) {
	if !is {
		*d = append(*d, 0)
		return
	}
	*d = append(*d, 1)
	d.number(n)
}

func (d *digest) text(t string) {
	d.number(int64(len(t)))
	*d = append(*d, t...)
}

func (d *digest) raw(t []byte) {
	d.number(int64(len(t)))
	*d = append(*d, t...)
}

func (d *digest) service(s *triggers.ServiceFacts) {
	d.text(s.ServiceName)
	d.text(s.FolderName)
	if s.LayerID != nil {
		d.optional(*s.LayerID, true)
	} else {
		d.optional(0, false)
	}
	d.number(int64(len(s.ServerGens)))
	for _, gen := range s.ServerGens {
		d.number(gen)
	}
	d.text(s.ChangesURL)
	d.text(s.JobID)
	d.text(s.TaskName)
	d.text(s.StatusURL)
	d.text(s.Status)
}
