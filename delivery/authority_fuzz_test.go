package delivery_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// FuzzRevocation changes what an authority has signed, in any place, or puts something else in its place: whatever is made of it, it never
// says of a revoked certificate that it is not, and nothing that was not signed says anything.
func FuzzRevocation(f *testing.F) {
	root := issue(f, nil, "Root", authority)
	good := issue(f, root, "good", func(*x509.Certificate) {})
	bad := issue(f, root, "bad", func(*x509.Certificate) {})
	now := time.Now()
	list := revocationList(f, root, nil, bad.cert)
	answer := ocspAnswer(f, root, root, good.cert, nil)
	f.Add(false, 0, byte(0), []byte(nil))
	f.Add(true, 4, byte(1), []byte(nil))
	f.Add(true, -1, byte(0x80), []byte(nil))
	f.Add(false, 0, byte(0), []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, cut bool, where int, flip byte, other []byte) {
		change := func(der []byte) ([]byte, bool) {
			if len(other) > 0 {
				return other, false
			}
			at := int(uint(where) % uint(len(der)))
			changed := slices.Clone(der)
			changed[at] ^= flip
			if cut {
				changed = changed[:at]
			}
			return changed, flip == 0 && !cut
		}
		der, whole := change(list)
		for _, cert := range []*x509.Certificate{good.cert, bad.cert} {
			revoked, err := delivery.ReadRevocationList(der, cert, root.cert, now)
			require.Equal(t, whole, err == nil, "%v", err)
			require.Equal(t, whole && cert == bad.cert, revoked)
		}
		der, whole = change(answer)
		revoked, err := delivery.ReadOCSP(der, good.cert, root.cert, now)
		require.False(t, revoked)
		if whole {
			require.NoError(t, err)
		}
		// What the signature does not cover may be changed, as long as it says the same.
		_, err = delivery.ReadOCSP(der, bad.cert, root.cert, now)
		require.Error(t, err, "an answer about another certificate")
	})
}
