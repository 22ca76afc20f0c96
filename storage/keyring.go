package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"portalhook/triggers"
)

// ErrSecrets says that the store holds secrets which the key file does not open.
var ErrSecrets = errors.New("the key file does not open the store's secrets")

const (
	keyLength   = 32 // AES-256
	keyIDLength = 4  // bytes; printed as hex
)

// keyRing is the keys that secrets are sealed under: the newest seals, all open.
type keyRing struct {
	keys   map[string]cipher.AEAD
	newest string
	// roots are the keys themselves, the newest first: others are derived from them.
	roots [][]byte
}

// openKeyRing reads the key file: a line for each key, its id and its 32 bytes in base64, the newest last; empty lines and those
// that begin with # are skipped. The error is fs.ErrNotExist when there is no such file.
func openKeyRing(path string) (*keyRing, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	ring := &keyRing{keys: make(map[string]cipher.AEAD)}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		id, encoded, _ := strings.Cut(line, " ")
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil || len(key) != keyLength {
			// The line itself must not be shown.
			return nil, fmt.Errorf("key file %s: line %d is not an id and 32 bytes in base64", path, n+1)
		}
		// A sealed secret begins with the id of its key and a colon: it would not open again under either of these.
		switch {
		case strings.Contains(id, ":"):
			return nil, fmt.Errorf("key file %s: line %d: there is a colon in the id", path, n+1)
		case ring.keys[id] != nil:
			return nil, fmt.Errorf("key file %s: line %d: the id is that of a key above", path, n+1)
		}
		if err := ring.add(id, key); err != nil {
			return nil, fmt.Errorf("key file %s: line %d: %w", path, n+1, err)
		}
	}
	if ring.newest == "" {
		return nil, fmt.Errorf("key file %s holds no key", path)
	}
	return ring, nil
}

// makeKeyRing writes a new key file, readable by its owner only, and on disk when it returns. The error is fs.ErrExist when there is
// such a file already.
func makeKeyRing(path string) (*keyRing, error) {
	var random [keyIDLength + keyLength]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	id, key := hex.EncodeToString(random[:keyIDLength]), random[keyIDLength:]
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(file, "# Keys of Portalhook's secrets, the newest last. A backup of the store is of little use without this file.\n%s %s\n",
		id, base64.StdEncoding.EncodeToString(key))
	if err = errors.Join(err, file.Sync(), file.Close(), syncDirectory(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	ring := &keyRing{keys: make(map[string]cipher.AEAD)}
	return ring, ring.add(id, key)
}

func syncDirectory(path string) error {
	directory, err := os.Open(path) //nolint:gosec // that of the operator's file
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func (r *keyRing) add(id string, key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	if r.keys[id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return err
	}
	r.newest = id
	r.roots = slices.Insert(r.roots, 0, key)
	return nil
}

// DeriveKey makes a key of 32 bytes from the key file: the same for the same purpose at every start and on every node that has the
// file, another for another purpose, and another once a newer key stands in the file.
func (s *base) DeriveKey(purpose string) ([]byte, error) {
	keys, err := s.ring.derive(purpose)
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// derive gives keys for another purpose, one of each root, the newest first: they are the same wherever the key file is, and say nothing
// of it.
func (r *keyRing) derive(purpose string) ([][]byte, error) {
	keys := make([][]byte, len(r.roots))
	for i, root := range r.roots {
		var err error
		if keys[i], err = hkdf.Key(sha256.New, root, nil, purpose, keyLength); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// sealPlace is where a sealed secret stands. It is sealed with it, so that a secret moved to another tenant, webhook or field does not
// open there.
type sealPlace struct {
	tenant  uint32
	webhook triggers.WebhookID
	field   string
}

func (p sealPlace) text() []byte { return fmt.Appendf(nil, "%d %s %s", p.tenant, p.webhook, p.field) }

// seal gives the key's id, a colon, and nonce and sealed text in base64. The zero secret is sealed as the empty text.
func (r *keyRing) seal(secret triggers.Secret, at sealPlace) string {
	if secret.IsZero() {
		return ""
	}
	sealed := r.keys[r.newest].Seal(nil, nil, []byte(secret.Reveal()), at.text()) //nolint:gosec // it draws its nonce itself
	return r.newest + ":" + base64.RawStdEncoding.EncodeToString(sealed)
}

// open is the other way; ErrSecrets when it does not succeed.
func (r *keyRing) open(sealed string, at sealPlace) (triggers.Secret, error) {
	if sealed == "" {
		return triggers.Secret{}, nil
	}
	id, encoded, _ := strings.Cut(sealed, ":")
	key := r.keys[id]
	if key == nil {
		return triggers.Secret{}, fmt.Errorf("%w: %s is sealed under key %q, which is not in it", ErrSecrets, at.field, id)
	}
	text, err := base64.RawStdEncoding.DecodeString(encoded)
	if err == nil {
		text, err = key.Open(nil, nil, text, at.text())
	}
	if err != nil {
		return triggers.Secret{}, fmt.Errorf("%w: %s: %w", ErrSecrets, at.field, err)
	}
	return triggers.NewSecret(string(text)), nil
}
