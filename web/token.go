package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// How long a token lives, in minutes: as long as it is asked for, and at most as long as a portal's.
const (
	defaultTokenMinutes = 60
	maxTokenMinutes     = 14 * 24 * 60
)

const (
	// tokenPrefix tells a token from a key.
	tokenPrefix = "pht_"
	// tokenKeySize is the length of Config.TokenKey.
	tokenKeySize = 32
)

// A token stands for an API key until its end. Nothing of it is stored: it is the code of Config.TokenKey over its end, in milliseconds
// since 1970, and the id of the key; then these two.

// newToken makes a token of the key with the id.
func (s *Server) newToken(id string, ends time.Time) string {
	said := binary.BigEndian.AppendUint64(nil, uint64(ends.UnixMilli()))
	said = append(said, id...)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(s.tokenCode(said), said...))
}

func (s *Server) tokenCode(said []byte) []byte {
	code := hmac.New(sha256.New, s.config.TokenKey)
	code.Write(said)
	return code.Sum(nil)
}

// tokenHolder is the API key that a token stands for; nil when it is none of ours, or has ended. Known says that it is one of ours.
func (s *Server) tokenHolder(token string, at time.Time) (key *heldKey, known bool) {
	text, _ := strings.CutPrefix(token, tokenPrefix)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) > maxKeyLength || len(raw) < sha256.Size+8 {
		return nil, false
	}
	code, said := raw[:sha256.Size], raw[sha256.Size:]
	if !hmac.Equal(code, s.tokenCode(said)) {
		return nil, false
	}
	if uint64(at.UnixMilli()) >= binary.BigEndian.Uint64(said) {
		return nil, true
	}
	return s.keys.byName(string(said[8:])), true
}

// tokenOf finds a request's token: in the header that is left to it where another stands in front of a portal, in a parameter, or in the
// standard header.
func tokenOf(header http.Header, p *parameters) (string, error) {
	for _, name := range []string{"X-Esri-Authorization", "Authorization"} {
		if len(header[name]) > 1 {
			return "", triggers.Invalid(triggers.CodeDuplicateKey, name, "the header %s is given twice", name)
		}
	}
	if text, ok := bearerOf(header.Get("X-Esri-Authorization")); ok {
		return text, nil
	}
	if text, _, err := p.get("token"); text != "" || err != nil {
		return text, err
	}
	text, _ := bearerOf(header.Get("Authorization"))
	return text, nil
}

// authenticateToken gives the key that a request on an ArcGIS surface was made with: by a token of generateToken, or by the key itself.
func (s *Server) authenticateToken(c echo.Context, allowed roles) (*triggers.APIKey, error) {
	return s.authenticateForm(c.Request(), parametersOf(c), allowed)
}

// authenticateAdministrator is authenticateToken, but that a POST which changes something must not have its token in the address.
func (s *Server) authenticateAdministrator(c echo.Context, allowed roles) (*triggers.APIKey, error) {
	p := parametersOf(c)
	if c.Request().Method == http.MethodPost {
		p = &parameters{body: p.body}
	}
	return s.authenticateForm(c.Request(), p, allowed)
}

func (s *Server) authenticateForm(r *http.Request, p *parameters, allowed roles) (*triggers.APIKey, error) {
	text, err := tokenOf(r.Header, p)
	switch {
	case err != nil:
		return nil, err
	case text == "":
		return nil, &problem{
			Code: codeUnauthorized, Status: statusNoToken, Index: -1,
			Detail: "send a token of generateToken, or an API key, as the parameter token or in the header X-Esri-Authorization: Bearer <token>; " +
				"to the server's administration a POST sends it in its body or in a header",
		}
	}
	key := s.keys.find(text)
	known := key != nil
	if strings.HasPrefix(text, tokenPrefix) {
		key, known = s.tokenHolder(text, time.Now())
	}
	if err := s.screen(r, text, known, key); err != nil {
		return nil, err
	}
	found, err := s.permit(key, allowed)
	if err != nil && problemOf(err).Code == codeUnauthorized {
		refused := *problemOf(err)
		refused.Status = statusInvalidToken
		if key == nil {
			refused.Detail = "the token is not known, or has ended"
		}
		return nil, &refused
	}
	return found, err
}

// generateToken makes a token of an API key, which is taken for the password; the user name may be any. It is asked for in a body, so that
// no key stands in an address, which proxies write down. A GET gives the form that asks for it.
func (s *Server) generateToken(c echo.Context, _ *triggers.APIKey) error {
	v := view{title: "Generate Token", up: []link{rootLink}}
	p := parametersOf(c)
	if p.query.Has("password") {
		return triggers.Invalid(triggers.CodeNotAllowed, "password", "the password must not stand in the address: send it in the body of a POST")
	}
	if c.Request().Method != http.MethodPost {
		if f, err := formatOf(p); err != nil || f != formatHTML {
			return triggers.Invalid(triggers.CodeRequired, "password", "send username and password in the body of a POST; the password is an API key")
		}
		v.login = true
		return s.writePage(c, []byte(`""`), v)
	}
	password, _, err := p.get("password")
	if err != nil {
		return err
	}
	minutes := defaultTokenMinutes
	if err := p.whole("expiration", &minutes); err != nil {
		return err
	}
	if minutes < 1 {
		return triggers.Invalid(triggers.CodeOutOfRange, "expiration", "expiration is from 1 to %d minutes, not %d", maxTokenMinutes, minutes)
	}
	at := time.Now()
	key := s.keys.find(password)
	if err := s.screen(c.Request(), password, key != nil, key); err != nil {
		return err
	}
	if key == nil || !live(&key.APIKey, at) {
		return &problem{
			Code: codeUnauthorized, Status: http.StatusBadRequest, Index: -1,
			Detail: "Unable to generate token: invalid username or password; the password is an API key",
		}
	}
	key.use.note(at)
	ends := at.Add(time.Duration(min(minutes, maxTokenMinutes)) * time.Minute).Truncate(time.Millisecond)
	if !key.Expires.IsZero() && key.Expires.Before(ends) {
		ends = key.Expires
	}
	token := s.newToken(key.ID, ends)
	o := openObject(nil)
	o.text("token", token)
	o.number("expires", ends.UnixMilli())
	o.flag("ssl", s.scheme(c) == "https")
	if f, err := formatOf(p); err == nil && f == formatHTML {
		p.query.Set("token", token) // the links of the page go on with it
		v.down = []link{{"Portal", sharingRoot + "/portals/" + ownPortal}}
	}
	return s.reply(c, o.close(), v)
}
