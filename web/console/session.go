package console

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	sessionCookie   = "portalhook_session"
	sessionKeyBytes = 32
	// sessionIdle is how long a session lasts without a request; each request begins it anew, until sessionLife is over.
	sessionIdle = 12 * time.Hour
	sessionLife = 7 * 24 * time.Hour
	// sessionRenewal is how old a cookie must be to be worth another.
	sessionRenewal = 5 * time.Minute
)

// session is somebody signed in. It names an API key by its id; whether that still opens anything is asked at each request.
type session struct {
	id     [16]byte
	begun  time.Time // when the key was given
	seen   time.Time // when the cookie was made
	keyID  string
	sealed bool // it came in a cookie, or goes out in one
}

// sealer makes cookies of sessions and reads them back. Nothing is kept on the server but which sessions were ended before their time.
type sealer struct {
	open   []cipher.AEAD // the first seals
	tokens [][]byte      // keys of the tokens against forged requests, one of each
	ended  endings
}

func newSealer(keys [][]byte) (*sealer, error) {
	s := new(sealer)
	for _, key := range keys {
		if len(key) != sessionKeyBytes {
			return nil, fmt.Errorf("a session key has %d bytes, not %d", len(key), sessionKeyBytes)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("session key: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("session key: %w", err)
		}
		s.open = append(s.open, aead)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("token key"))
		s.tokens = append(s.tokens, mac.Sum(nil))
	}
	return s, nil
}

// begin makes a session of a key.
func (s *sealer) begin(keyID string, now time.Time) session {
	made := session{begun: now, seen: now, keyID: keyID, sealed: true}
	_, _ = rand.Read(made.id[:]) // never fails
	return made
}

// seal writes a session as a cookie's value.
func (s *sealer) seal(of session) string {
	text := make([]byte, 0, 64)
	text = append(text, of.id[:]...)
	text = binary.BigEndian.AppendUint64(text, uint64(of.begun.UnixMilli()))
	text = binary.BigEndian.AppendUint64(text, uint64(of.seen.UnixMilli()))
	text = append(text, of.keyID...)
	return base64.RawURLEncoding.EncodeToString(s.open[0].Seal(nil, nil, text, []byte(sessionCookie))) //nolint:gosec // it draws its nonce itself
}

// maxSealed bounds a cookie's value that is looked at, in characters.
const maxSealed = 1024

// unseal reads a cookie's value; false for one that is not ours, is too old, or was ended.
func (s *sealer) unseal(value string, now time.Time) (session, bool) {
	if len(value) > maxSealed {
		return session{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return session{}, false
	}
	for _, aead := range s.open {
		text, err := aead.Open(nil, nil, sealed, []byte(sessionCookie))
		if err != nil || len(text) < 32 {
			continue
		}
		read := session{
			begun: time.UnixMilli(int64(binary.BigEndian.Uint64(text[16:]))), //nolint:gosec // what seal wrote
			seen:  time.UnixMilli(int64(binary.BigEndian.Uint64(text[24:]))), //nolint:gosec // the same
			keyID: string(text[32:]), sealed: true,
		}
		copy(read.id[:], text)
		alive := now.Before(read.seen.Add(sessionIdle)) && now.Before(read.begun.Add(sessionLife)) && !s.ended.has(read.id)
		return read, alive
	}
	return session{}, false
}

// token is what every form of a session carries, so that a page of somebody else cannot send it.
func (s *sealer) token(of session) string { return s.tokenBy(s.tokens[0], of) }

func (s *sealer) tokenBy(key []byte, of session) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(of.id[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// holds reports whether a token is the session's.
func (s *sealer) holds(of session, token string) bool {
	held := 0
	for _, key := range s.tokens {
		held |= subtle.ConstantTimeCompare([]byte(token), []byte(s.tokenBy(key, of)))
	}
	return held == 1
}

// maxEndings bounds how many ended sessions are remembered.
const maxEndings = 10_000

// endings are the sessions that were signed out of, until they would have ended by themselves.
type endings struct {
	mu    sync.Mutex
	until map[[16]byte]time.Time
}

func (e *endings) has(id [16]byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ended := e.until[id]
	return ended
}

// add remembers an ending. When there are too many, those go that are over anyway, or else any tenth: a copy of such a cookie ends with its time.
func (e *endings) add(id [16]byte, until, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until = make(map[[16]byte]time.Time)
	}
	if len(e.until) >= maxEndings {
		for other, until := range e.until {
			if now.After(until) {
				delete(e.until, other)
			}
		}
		for other := range e.until {
			if len(e.until) <= maxEndings-maxEndings/10 {
				break
			}
			delete(e.until, other)
		}
	}
	e.until[id] = until
}

// end has the visit's session be over, also for a copy of its cookie; one that never was in a cookie is over anyway.
func (v *visit) end() {
	if !v.session.sealed {
		return
	}
	until := v.session.begun.Add(sessionLife)
	v.console.sealer.ended.add(v.session.id, until, v.console.now())
	if told := v.console.config.Ended; told != nil {
		told(v.r.Context(), v.session.id, until)
	}
}

// keep sends a session's cookie.
func (v *visit) keep(s session) {
	v.setCookie(sessionCookie, v.console.sealer.seal(s), int(sessionIdle/time.Second), true)
}

// setCookie sets a cookie of the console's; with an age below zero it takes it away.
func (v *visit) setCookie(name, value string, age int, secret bool) {
	http.SetCookie(v.w, &http.Cookie{ //nolint:gosec // HttpOnly but for preferences, Secure wherever there is TLS
		Name: name, Value: value, Path: v.console.root, MaxAge: age, HttpOnly: secret, Secure: v.console.config.Secure(v.r),
		SameSite: http.SameSiteStrictMode,
	})
}
