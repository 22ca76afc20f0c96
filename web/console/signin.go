package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"portalhook/triggers"
)

// door is what the sign-in page shows.
type door struct {
	Back  string // where to go then
	Error string // why it was not opened
}

func showSignIn(v *visit) error {
	if v.SignedIn() {
		return v.redirect("/")
	}
	return v.atDoor(http.StatusOK, "")
}

func (v *visit) atDoor(status int, why string) error {
	back := v.r.URL.Query().Get("back")
	if v.r.Method == http.MethodPost {
		back = v.r.PostForm.Get("back")
	}
	return v.show(status, page{Title: "signin.title", Template: "signin", Data: door{Back: back, Error: why}})
}

// tooManyGuesses is the API's code for an address that has guessed too often.
const tooManyGuesses = "TOO_MANY_WRONG_KEYS"

// signIn opens a session with a key's text, which is then forgotten. The API slows down who guesses, here as anywhere.
func signIn(v *visit) error {
	text := strings.TrimSpace(v.r.PostForm.Get("key"))
	if text == "" {
		return v.atDoor(http.StatusUnprocessableEntity, v.T("signin.empty"))
	}
	var key ownKey
	err := v.ask(v.r.Context(), text, http.MethodGet, "/api-keys/self", nil, nil, &key)
	if _, wrong := asRefusal(err, http.StatusUnauthorized); wrong {
		return v.atDoor(http.StatusUnauthorized, v.T("signin.wrong"))
	}
	if refused, early := asRefusal(err, http.StatusTooManyRequests); early && refused.Code == tooManyGuesses {
		seconds, _ := strconv.ParseInt(refused.Wait, 10, 64) // the API's own number
		v.w.Header().Set("Retry-After", refused.Wait)
		return v.atDoor(http.StatusTooManyRequests, v.T("signin.wait", "count", seconds))
	}
	if err != nil {
		return err
	}
	if key.Role == triggers.RoleEmitter {
		return v.atDoor(http.StatusForbidden, v.T("signin.emitter"))
	}
	v.end()
	v.keep(v.console.sealer.begin(key.ID, v.console.now()))
	return v.redirectTo(v.r.PostForm.Get("back"))
}

// signOut ends the session, also for a copy of its cookie.
func signOut(v *visit) error {
	v.end()
	v.setCookie(sessionCookie, "", -1, true)
	v.say("good", v.T("signin.out"))
	return v.redirect("/login")
}

const themeCookie = "portalhook_theme"

// preferenceAge is how long a browser keeps language and theme, in seconds.
const preferenceAge = 365 * 24 * 60 * 60

// savePreferences keeps the theme or the language in a cookie, and leads back.
func savePreferences(v *visit) error {
	if theme := v.r.PostForm.Get("theme"); theme == "light" || theme == "dark" || theme == "auto" {
		v.setCookie(themeCookie, theme, preferenceAge, false)
	}
	for _, tag := range tags {
		if v.r.PostForm.Get("language") == tag {
			v.setCookie(languageCookie, tag, preferenceAge, false)
		}
	}
	return v.redirectTo(v.r.PostForm.Get("back"))
}

// redirectTo leads to a path below /console that a form named; elsewhere it does not lead.
func (v *visit) redirectTo(back string) error {
	to, err := url.Parse(back)
	if err != nil || to.IsAbs() || to.Host != "" || !strings.HasPrefix(to.Path, "/") || strings.HasPrefix(back, "//") || strings.Contains(back, `\`) ||
		slices.Contains(strings.Split(to.Path, "/"), "..") {
		return v.redirect("/")
	}
	path := to.EscapedPath()
	if to.RawQuery != "" {
		path += "?" + to.RawQuery
	}
	return v.redirect(path)
}

// here is the request's path below /console, with its query.
func here(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/console")
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	return path
}

// asVisitor is the context of a request to the API that is made as whoever visits.
func (v *visit) asVisitor() context.Context {
	return v.console.config.SignedIn(v.r.Context(), v.session.keyID)
}
