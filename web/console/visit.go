package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"portalhook/triggers"
)

// visit is one request to the console and who makes it. Handlers are given one, and answer through it.
type visit struct {
	console *Console
	w       http.ResponseWriter
	r       *http.Request
	words   *words
	theme   string
	session session
	// Key is whose visit it is; the zero value before sign-in.
	Key ownKey
}

// ownKey is what the API says of the key that asks.
type ownKey struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Tenant   string        `json:"tenant"`
	Role     triggers.Role `json:"role"`
	Operator bool          `json:"operator"`
	UserID   string        `json:"userId"`
	UserName string        `json:"userName"`
}

// Initial stands for a key where there is little room.
func (k ownKey) Initial() string {
	for _, r := range k.Name + k.UserName + k.UserID {
		return string(r)
	}
	return "·"
}

func (c *Console) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{console: c, w: w, r: r, theme: "auto"}
	v.words = c.speech.choose(cookieOf(r, languageCookie), r.Header.Get("Accept-Language"))
	if theme := cookieOf(r, themeCookie); theme == "light" || theme == "dark" {
		v.theme = theme
	}
	if s, ok := c.sealer.unseal(cookieOf(r, sessionCookie), c.now()); ok {
		v.session = s
	}
	return v
}

func cookieOf(r *http.Request, name string) string {
	cookie, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// errSignIn says that nobody is signed in, or no longer.
var errSignIn = errors.New("sign in")

// enter lets the visitor in, or not: who is not signed in is led to the door, whose role may not is told so, and a form without the
// session's token is refused.
func (v *visit) enter(to route) error {
	if !isSafe(v.r.Method) {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if err := v.r.ParseForm(); err != nil || !isText(v.r.PostForm) {
			return v.refuse(http.StatusBadRequest, "error.form")
		}
	}
	if v.session.sealed {
		err := v.get("/api-keys/self", nil, &v.Key)
		var refused *apiError
		switch {
		case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
			v.session = session{}
		case err != nil:
			return err
		}
	}
	if !v.session.sealed {
		if to.open {
			return to.answer(v)
		}
		return errSignIn
	}
	if !isSafe(v.r.Method) && !v.console.sealer.holds(v.session, v.token()) {
		return v.refuse(http.StatusForbidden, "error.forged")
	}
	if now := v.console.now(); now.Sub(v.session.seen) > sessionRenewal {
		v.session.seen = now
		v.keep(v.session)
	}
	if !to.open && !to.allowed.has(v.Key.Role) {
		return v.refuse(http.StatusForbidden, "error.role")
	}
	return to.answer(v)
}

// isText reports whether a form is UTF-8, as browsers send it; of anything else no JSON can be made for the API.
func isText(form url.Values) bool {
	for _, values := range form {
		for _, value := range values {
			if !utf8.ValidString(value) {
				return false
			}
		}
	}
	return true
}

// token is the token that the request carries.
func (v *visit) token() string {
	if token := v.r.Header.Get(tokenHeader); token != "" {
		return token
	}
	return v.r.PostForm.Get(tokenField)
}

// Token is what forms carry.
func (v *visit) Token() string {
	if !v.session.sealed {
		return ""
	}
	return v.console.sealer.token(v.session)
}

// SignedIn reports whether somebody is.
func (v *visit) SignedIn() bool { return v.session.sealed && v.Key.ID != "" }

// May reports whether the visitor's role is one of a word's: edit, watch, administer. What may not be done is not shown.
func (v *visit) May(do string) bool {
	switch do {
	case "edit":
		return v.SignedIn() && editors.has(v.Key.Role)
	case "watch":
		return v.SignedIn() && watchers.has(v.Key.Role)
	case "administer":
		return v.SignedIn() && admins.has(v.Key.Role)
	}
	return false
}

// Link is the address of a path of the console, with query parameters as pairs of name and value; pairs without a value are left out.
func (v *visit) Link(path string, pairs ...string) string { return v.console.link(path, pairs...) }

func (c *Console) link(path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Add(pairs[i], pairs[i+1])
		}
	}
	if len(query) == 0 {
		return c.root + path
	}
	return c.root + path + "?" + query.Encode()
}

// isPartial reports whether a script asks for a part of a page, to be put into the one that is open.
func (v *visit) isPartial() bool {
	return v.r.Header.Get("Hx-Request") == "true" && v.r.Header.Get("Hx-History-Restore-Request") != "true"
}

// target is the id of the element that a script will put the answer into; empty without a script.
func (v *visit) target() string {
	if !v.isPartial() {
		return ""
	}
	_, id, _ := strings.Cut(v.r.Header.Get("Hx-Target"), "#")
	return id
}

// redirect leads on to another path of the console, the whole page, with or without scripts.
func (v *visit) redirect(path string, pairs ...string) error {
	to := v.Link(path, pairs...)
	if v.isPartial() {
		v.w.Header().Set("Hx-Redirect", to)
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// fail answers with what went wrong.
func (v *visit) fail(err error) {
	var refused *apiError
	switch {
	case errors.Is(err, errSignIn):
		v.leadToDoor()
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		v.leadToDoor()
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		_ = v.missing()
	case errors.As(err, &refused):
		told := fault{Message: v.Explain(refused), Trace: refused.Trace}
		if err := v.refuseWith(refused.Status, told); err != nil {
			v.log(err)
			v.apologise()
		}
	case v.r.Context().Err() != nil:
		// The visitor has gone.
	default:
		v.log(err)
		v.apologise()
	}
}

// apologise answers that something went wrong here; in plain text when even that page cannot be made.
func (v *visit) apologise() {
	if err := v.refuse(http.StatusInternalServerError, "error.internal"); err != nil {
		v.log(err)
		http.Error(v.w, v.T("error.internal"), http.StatusInternalServerError)
	}
}

func (v *visit) log(err error) {
	v.console.log.ErrorContext(v.r.Context(), "console", "path", v.r.URL.Path, "err", err)
}

// leadToDoor sends to the sign-in page, which leads back to where the visitor was going.
func (v *visit) leadToDoor() {
	if cookieOf(v.r, sessionCookie) != "" {
		v.setCookie(sessionCookie, "", -1, true)
	}
	back := ""
	if isSafe(v.r.Method) && !v.isPartial() {
		back = here(v.r)
		if back == "/" {
			back = ""
		}
	}
	_ = v.redirect("/login", "back", back)
}

// fault is what an error page says.
type fault struct {
	Message string
	Trace   string // finds the cause in the server's log
}

// refuse answers that something may not or cannot be.
func (v *visit) refuse(status int, message string) error {
	return v.refuseWith(status, fault{Message: v.T(message)})
}

// refuseWith answers with a page; to a script that wanted a part of one, with a message at the page's edge.
func (v *visit) refuseWith(status int, told fault) error {
	if v.isPartial() {
		v.w.Header().Set("Hx-Retarget", "#toasts")
		v.w.Header().Set("Hx-Reswap", "beforeend")
		v.w.Header().Set("Hx-Push-Url", "false")
		return v.part(status, "toast/refusal", said{Kind: "bad", Text: told.Message})
	}
	return v.show(status, page{Title: "error.title", Template: "error", Data: told})
}

func (v *visit) missing() error { return v.refuse(http.StatusNotFound, "error.missing") }

// said is a message that is shown on the page after this one.
type said struct {
	Kind string // good, bad
	Text string
}

const saidCookie = "portalhook_said"

// say leaves a message for the next page.
func (v *visit) say(kind, text string) {
	v.setCookie(saidCookie, url.QueryEscape(kind+" "+text), 60, true)
}

// heard takes the message that the page before left; nil when there is none.
func (v *visit) heard() *said {
	value, err := url.QueryUnescape(cookieOf(v.r, saidCookie))
	kind, text, ok := strings.Cut(value, " ")
	if err != nil || !ok {
		return nil
	}
	v.setCookie(saidCookie, "", -1, true)
	return &said{Kind: kind, Text: text}
}

// Explain tells what the API refused, in the reader's language as far as there are words for it.
func (v *visit) Explain(err *apiError) string {
	if v.words.Tag == sourceLanguage {
		return sentence(err.Detail)
	}
	key := "code." + err.Code
	if !v.words.has(key) {
		return sentence(err.Detail)
	}
	return fmt.Sprintf("%s (%s)", v.T(key), err.Detail)
}

// sentence begins a text with a capital letter and ends it with a full stop, as the API's details do not.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

// now is the time of the visit.
func (v *visit) now() time.Time { return v.console.now() }
