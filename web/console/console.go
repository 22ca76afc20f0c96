package console

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"portalhook/triggers"
)

// Config is what a Console needs of the edge around it.
type Config struct {
	// API answers the requests of the JSON API, under its paths without the prefix.
	API http.Handler
	// SignedIn makes requests that carry the context those of the API key with this id, whose role and life the API judges anew.
	SignedIn func(ctx context.Context, keyID string) context.Context
	// Secure says whether a request came over TLS; trusted proxies have been believed.
	Secure func(r *http.Request) bool
	// Prefix stands before every path that clients see; empty, or /such as/this.
	Prefix string
	// Origin is where clients see the server, https://portal.example.com, when a proxy may have changed the Host of requests; else empty.
	Origin string
	// SessionKeys seal sessions, 32 bytes each: the first seals, all open. Without any, one is drawn.
	SessionKeys [][]byte
	// Ended is called when somebody has signed out of a session, with when it would be over by itself; nil: nobody else needs to know, see End.
	Ended func(ctx context.Context, id [16]byte, until time.Time)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log takes what went wrong here; what the API answers it has logged itself.
	Log *slog.Logger
}

// Console is the administrators' pages. It is an http.Handler of everything below /console.
type Console struct {
	config   Config
	log      *slog.Logger
	now      func() time.Time
	root     string // the prefix and /console
	mux      *http.ServeMux
	sealer   *sealer
	forgery  *http.CrossOriginProtection
	speech   *speech
	assets   *assets
	features []feature
}

// roles are those that may open a page; nil is everyone who is signed in. The API judges by itself what each may do.
type roles []triggers.Role

// Who may do what, as the API's route table says it.
var (
	readers  = roles{triggers.RoleAdmin, triggers.RoleUser, triggers.RoleViewer}
	watchers = roles{triggers.RoleAdmin, triggers.RoleViewer}
	editors  = roles{triggers.RoleAdmin, triggers.RoleUser}
	admins   = roles{triggers.RoleAdmin}
)

func (r roles) has(role triggers.Role) bool { return r == nil || slices.Contains(r, role) }

// route is one thing that the console answers to. Patterns are those of http.ServeMux, below /console.
type route struct {
	pattern string // "GET /webhooks/{webhook}"
	open    bool   // anyone may ask, signed in or not
	allowed roles
	answer  func(v *visit) error
}

// feature is a part of the console: its routes, and where the navigation has an entry, that.
type feature struct {
	name   string // names its entry's message, nav.<name>, and its icon
	path   string // of its first page; empty: no entry
	seenBy roles
	routes []route
}

// features are all parts of the console, in the order of the navigation. A new part is a line here and a file of its own.
func (c *Console) parts() []feature {
	return []feature{
		c.overview(),
		c.webhooks(),
		c.events(),
		c.routes(),
		c.catalogueFeature(),
		c.receiversFeature(),
		c.keys(),
		c.settings(),
		c.audit(),
	}
}

// New makes a Console. Its error is a fault of a template, of a message or of a key.
func New(config Config) (*Console, error) {
	c := &Console{
		config: config, log: config.Log, now: config.Now, root: config.Prefix + "/console", mux: http.NewServeMux(),
		forgery: http.NewCrossOriginProtection(),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	keys := config.SessionKeys
	if len(keys) == 0 {
		key := make([]byte, sessionKeyBytes)
		_, _ = rand.Read(key) // never fails
		keys = [][]byte{key}
	}
	var err error
	if config.Origin != "" {
		if err = c.forgery.AddTrustedOrigin(config.Origin); err != nil {
			return nil, fmt.Errorf("origin of the console: %w", err)
		}
	}
	if c.sealer, err = newSealer(keys); err != nil {
		return nil, err
	}
	if c.assets, err = readAssets(c.root); err != nil {
		return nil, err
	}
	if c.speech, err = newSpeech(c); err != nil {
		return nil, err
	}
	c.features = c.parts()
	for _, r := range c.doors() {
		c.handle(r)
	}
	for _, f := range c.features {
		for _, r := range f.routes {
			c.handle(r)
		}
	}
	c.handle(route{pattern: "/", open: true, answer: func(v *visit) error { return v.missing() }})
	return c, nil
}

// doors are the routes around the pages: signing in and out, preferences, the first page.
func (c *Console) doors() []route {
	return []route{
		{pattern: "GET /{$}", answer: func(v *visit) error { return v.redirect(c.firstPage(v.Key.Role)) }},
		{pattern: "GET /login", open: true, answer: showSignIn},
		{pattern: "POST /login", open: true, answer: signIn},
		{pattern: "POST /logout", open: true, answer: signOut},
		{pattern: "POST /preferences", open: true, answer: savePreferences},
	}
}

// firstPage is the first page of the navigation that a role may open.
func (c *Console) firstPage(role triggers.Role) string {
	for _, f := range c.features {
		if f.path != "" && f.seenBy.has(role) {
			return f.path
		}
	}
	return c.features[0].path
}

func (c *Console) handle(r route) {
	method, path, ok := cutMethod(r.pattern)
	pattern := "/console" + path
	if ok {
		pattern = method + " " + pattern
	}
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { c.serve(w, req, r) })
}

// End takes a session for ended that somebody has signed out of elsewhere.
func (c *Console) End(id [16]byte, until time.Time) { c.sealer.ended.add(id, until, c.now()) }

// ServeHTTP answers a request whose path has no prefix any more.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSafety(w.Header())
	if r.URL.Path == "/console" {
		http.Redirect(w, r, c.root+"/", http.StatusMovedPermanently)
		return
	}
	if c.assets.serve(w, r) {
		return
	}
	if err := c.forgery.Check(r); err != nil {
		c.serve(w, r, route{open: true, answer: func(v *visit) error { return v.refuse(http.StatusForbidden, "error.forged") }})
		return
	}
	c.mux.ServeHTTP(w, r)
}

// serve opens a visit, sees that the visitor may make it, and turns what goes wrong into a page.
func (c *Console) serve(w http.ResponseWriter, r *http.Request, to route) {
	v := c.visit(w, r)
	defer func() {
		if fault := recover(); fault != nil {
			if fault == http.ErrAbortHandler { //nolint:errorlint // net/http compares it by value too
				panic(fault)
			}
			c.log.ErrorContext(r.Context(), "console", "path", r.URL.Path, "err", fmt.Sprintf("panic: %v\n%s", fault, debug.Stack()))
			v.apologise()
		}
	}()
	if err := v.enter(to); err != nil {
		v.fail(err)
	}
}
