package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"portalhook/delivery"
	"portalhook/router"
	"portalhook/triggers"
	"portalhook/web/console"
)

// Config is all that a Server needs.
type Config struct {
	Catalog    *triggers.Catalog
	Dispatcher Dispatcher
	Table      Matcher
	Directory  Directory
	Resender   Resender
	Tester     Tester
	Recoverer  Recoverer
	Handshaker Handshaker
	History    History
	Overview   Overview
	Hosts      Hosts
	Tailer     Tailer
	Inbox      *Inbox // the built-in receivers; nil makes one that the dispatcher knows nothing of
	Keys       KeyStore
	Audit      AuditLog
	Copier     Copier
	// Targets says which URLs a webhook may have.
	Targets triggers.Targets
	// MaxWebhooks and MaxWebhooksPerOwner are the directory's bounds, which refusals name; 0 is the default below.
	MaxWebhooks, MaxWebhooksPerOwner int
	// Retention is how long history is kept.
	Retention time.Duration
	// ManagementRateLimit bounds how often users may call everything but POST /events. The zero value is no bound.
	ManagementRateLimit RateLimit
	// PublicURL is the address under which clients see the server. Its path is a prefix of every path served. Nil: links are built
	// from the request.
	PublicURL *url.URL
	// Reachability says whether receivers are asked for an answer when webhooks are made or changed; empty: off.
	Reachability Reachability
	// Others is how servers of one store tell each other of calls that count against ManagementRateLimit, see Share; nil: there are no others.
	Others delivery.Others
	// TrustedProxies are the addresses whose X-Forwarded-* headers are believed.
	TrustedProxies []netip.Prefix
	// Checks are what /readyz asks.
	Checks []Check
	// Registry collects the server's metrics and is what /metrics shows; nil makes one.
	Registry *prometheus.Registry
	// Log is where requests and faults are written; nil writes nowhere.
	Log *slog.Logger
	// TokenKey makes and checks the tokens of the ArcGIS surfaces: 32 bytes, the same on every node and at every start. Nil draws one, and
	// tokens end with the process.
	TokenKey []byte
	// TLS, when not nil, is how connections are encrypted.
	TLS *tls.Config
	// SessionKeys seal the console's sessions, 32 bytes each: the first seals, all open. Without any, one is drawn, and sessions end with
	// the process.
	SessionKeys [][]byte
}

// How many webhooks there may be, unless Config says otherwise: in one tenant, and of user level of one owner in it.
const (
	DefaultMaxWebhooks         = 100
	DefaultMaxWebhooksPerOwner = 150
)

// Server is the HTTP edge. It is an http.Handler.
type Server struct {
	config   Config
	log      *slog.Logger
	echo     *echo.Echo
	http     *http.Server
	keys     keyring
	guesses  *guesses
	tenancy  sync.Mutex // held while a tenant is made or changed
	naming   sync.Mutex // held while a webhook gets a name where names are unique
	prefix   string     // of PublicURL's path, without a slash at its end
	metrics  *metrics
	limiter  *rateLimiter // nil without a limit
	stopping atomic.Bool
	// ending ends, by end, when a shutdown begins: answers that would go on for ever end with it.
	ending context.Context //nolint:containedctx // it is the life of the server, not of a call
	end    context.CancelFunc
	beat   time.Duration // of the tail
	// largeBodies is the room for bodies of events that are large.
	largeBodies *semaphore.Weighted
	// The answers of GET /triggers and of GET /webhooks/event-types are the same for everyone, and made when first asked for.
	triggers func() ([]byte, error)
	types    func() []byte
	// So are those of GET /openapi.json and GET /docs.
	openAPI func() ([]byte, error)
	docs    func() ([]byte, error)
	console *console.Console
}

// handler answers one request of a caller who may make it; key is nil where anyone may.
type handler func(c echo.Context, key *triggers.APIKey) error

// route is one row of the list of everything that is served.
type route struct {
	method, path string
	allowed      roles
	handle       handler
	// quiet routes are logged at debug: they are many, or asked by machines all day.
	quiet bool
	// tier is the management rate limit that calls count against.
	tier tier
}

// corePrefix is the newer of the two prefixes of webhooks.
const corePrefix = "/api/core/webhooks"

// routes is the one list of everything that is served and who may call it. The webhook routes stand once and are served under both
// prefixes.
func (s *Server) routes() []route {
	list := []route{
		{method: http.MethodPost, path: "/api/v1/events", allowed: admin | emitter, handle: s.postEvents, quiet: true, tier: noTier},
		{method: http.MethodGet, path: "/api/v1/events", allowed: admin | viewer, handle: s.listEvents},
		{method: http.MethodGet, path: "/api/v1/events/:event", allowed: admin | viewer, handle: s.getEvent},
		{method: http.MethodGet, path: "/api/v1/events/:event/matches", allowed: admin | viewer, handle: s.listMatches},
		{method: http.MethodGet, path: "/api/v1/stats", allowed: admin | viewer, handle: s.getOverview},
		{method: http.MethodGet, path: "/api/v1/tail", allowed: tailRoles, handle: s.getTail, tier: noTier},
		{method: http.MethodGet, path: "/api/v1/routes", allowed: admin | user | viewer, handle: s.getBranches},
		{method: http.MethodPost, path: "/api/v1/match", allowed: admin | viewer, handle: s.postMatch, tier: readTier},
		{method: http.MethodGet, path: "/api/v1/triggers", allowed: admin | user | emitter | viewer, handle: s.getTriggers},
		{method: http.MethodPost, path: "/api/v1/triggers/check", allowed: admin | user | viewer, handle: s.checkTriggers},
		{method: http.MethodGet, path: "/api/openapi.json", allowed: anyone, handle: s.getSpecification},
		{method: http.MethodGet, path: "/api/docs", allowed: anyone, handle: s.getDocs},

		{method: http.MethodGet, path: "/api/v1/settings", allowed: admin | user | viewer, handle: s.getSettings},
		{method: http.MethodGet, path: "/api/v1/tenants", allowed: operator, handle: s.listTenants},
		{method: http.MethodPost, path: "/api/v1/tenants", allowed: operator, handle: s.createTenant},
		{method: http.MethodGet, path: "/api/v1/tenants/:tenant", allowed: operator, handle: s.getTenant},
		{method: http.MethodPatch, path: "/api/v1/tenants/:tenant", allowed: operator, handle: s.patchTenant},
		{method: http.MethodGet, path: "/api/v1/api-keys", allowed: admin | viewer, handle: s.listKeys},
		{method: http.MethodPost, path: "/api/v1/api-keys", allowed: admin, handle: s.createKey},
		{method: http.MethodGet, path: "/api/v1/api-keys/self", allowed: admin | user | emitter | viewer, handle: s.getOwnKey},
		{method: http.MethodGet, path: "/api/v1/api-keys/:key", allowed: admin | viewer, handle: s.getKey},
		{method: http.MethodDelete, path: "/api/v1/api-keys/:key", allowed: admin, handle: s.revokeKey},
		{method: http.MethodGet, path: "/api/v1/audit", allowed: admin | viewer, handle: s.listAudit},
		{method: http.MethodPost, path: "/api/v1/backups", allowed: operator, handle: s.createBackup},

		{method: http.MethodGet, path: "/api/v1/receivers", allowed: admin | user, handle: s.listReceivers},
		{method: http.MethodPost, path: "/api/v1/receivers", allowed: admin | user, handle: s.createReceiver},
		{method: http.MethodGet, path: "/api/v1/receivers/:receiver", allowed: admin | user, handle: s.getReceiver},
		{method: http.MethodPatch, path: "/api/v1/receivers/:receiver", allowed: admin | user, handle: s.patchReceiver},
		{method: http.MethodDelete, path: "/api/v1/receivers/:receiver", allowed: admin | user, handle: s.deleteReceiver},
		{method: http.MethodGet, path: "/api/v1/receivers/:receiver/requests", allowed: admin | user, handle: s.listArrivals},
		{method: http.MethodPost, path: "/api/v1/receivers/:receiver/actions/sample", allowed: admin | user, handle: s.sampleReceiver},
		// What the console asks of the API is logged as a request of its own.
		{method: http.MethodGet, path: "/console", allowed: anyone, handle: s.serveConsole, quiet: true},
		{method: http.MethodGet, path: "/console/*", allowed: anyone, handle: s.serveConsole, quiet: true},
		{method: http.MethodPost, path: "/console/*", allowed: anyone, handle: s.serveConsole, quiet: true},

		{method: http.MethodGet, path: "/healthz", allowed: anyone, handle: s.getHealth, quiet: true},
		{method: http.MethodGet, path: "/readyz", allowed: anyone, handle: s.getReady, quiet: true},
		{method: http.MethodGet, path: "/metrics", allowed: anyone, handle: s.getMetrics, quiet: true},
		{method: http.MethodGet, path: "/resources/autogenerated/product-info.json", allowed: anyone, handle: getProductInfo, quiet: true},
	}
	for _, method := range receiverMethods {
		list = append(list, route{method: method, path: delivery.InsidePath + ":receiver", allowed: anyone, handle: s.postArrival, quiet: true})
	}
	for _, prefix := range []string{"/api/v1/webhooks", corePrefix} {
		for _, r := range []route{
			{method: http.MethodGet, path: "", allowed: admin | user | viewer, handle: s.listWebhooks},
			{method: http.MethodPost, path: "", allowed: admin | user, handle: s.createWebhook},
			{method: http.MethodGet, path: "/event-types", allowed: admin | user | emitter | viewer, handle: s.getEventTypes},
			{method: http.MethodGet, path: "/:webhook", allowed: admin | user | viewer, handle: s.getWebhook},
			{method: http.MethodPut, path: "/:webhook", allowed: admin | user, handle: s.putWebhook},
			{method: http.MethodPatch, path: "/:webhook", allowed: admin | user, handle: s.patchWebhook},
			{method: http.MethodDelete, path: "/:webhook", allowed: admin | user, handle: s.deleteWebhook},
			{method: http.MethodPost, path: "/:webhook/actions/enable", allowed: admin | user, handle: s.enableWebhook},
			{method: http.MethodPost, path: "/:webhook/actions/disable", allowed: admin | user, handle: s.disableWebhook},
			{method: http.MethodPost, path: "/:webhook/actions/test", allowed: admin | user, handle: s.testWebhook},
			{method: http.MethodPost, path: "/:webhook/actions/rotate-secret", allowed: admin | user, handle: s.rotateSecret},
			{method: http.MethodGet, path: "/:webhook/stats", allowed: admin | user | viewer, handle: s.getStats},
			{method: http.MethodGet, path: "/:webhook/deliveries", allowed: admin | user | viewer, handle: s.listDeliveries},
			{method: http.MethodGet, path: "/:webhook/deliveries/:delivery", allowed: admin | user | viewer, handle: s.getDelivery},
			{method: http.MethodPost, path: "/:webhook/deliveries/:delivery/actions/resend", allowed: admin | user, handle: s.resendDelivery},
			{method: http.MethodPost, path: "/:webhook/actions/recover", allowed: admin | user, handle: s.recoverWebhook},
			{method: http.MethodGet, path: "/:webhook/recoveries", allowed: admin | user | viewer, handle: s.listRecoveries},
			{method: http.MethodGet, path: "/:webhook/recoveries/:recovery", allowed: admin | user | viewer, handle: s.getRecovery},
			{method: http.MethodPost, path: "/:webhook/recoveries/:recovery/actions/pause", allowed: admin | user, handle: s.pauseRecovery},
			{method: http.MethodPost, path: "/:webhook/recoveries/:recovery/actions/resume", allowed: admin | user, handle: s.resumeRecovery},
			{method: http.MethodPost, path: "/:webhook/recoveries/:recovery/actions/cancel", allowed: admin | user, handle: s.cancelRecovery},
		} {
			r.path = prefix + r.path
			list = append(list, r)
		}
	}
	return slices.Concat(list, s.sharingRoutes(), s.servicesRoutes())
}

// What the edge calls is met by the packages below; the store is met in cmd, as the two never import each other.
var (
	_ Dispatcher = (*delivery.Dispatcher)(nil)
	_ Resender   = (*delivery.Dispatcher)(nil)
	_ Tester     = (*delivery.Dispatcher)(nil)
	_ Hosts      = (*delivery.Dispatcher)(nil)
	_ Tailer     = (*delivery.Dispatcher)(nil)
	_ Recoverer  = (*delivery.Recoverer)(nil)
	_ Handshaker = (*delivery.Dispatcher)(nil)
	_ Directory  = (*delivery.Directory)(nil)
	_ Matcher    = (*router.Table)(nil)
)

// New makes a Server and reads the API keys. It starts nothing.
func New(ctx context.Context, config Config) (*Server, error) {
	s := &Server{
		config: config, log: config.Log, beat: tailBeat, guesses: newGuesses(), largeBodies: semaphore.NewWeighted(largeBodies),
	}
	s.ending, s.end = context.WithCancel(context.WithoutCancel(ctx))
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.config.MaxWebhooks = cmp.Or(config.MaxWebhooks, DefaultMaxWebhooks)
	s.config.MaxWebhooksPerOwner = cmp.Or(config.MaxWebhooksPerOwner, DefaultMaxWebhooksPerOwner)
	if config.ManagementRateLimit != (RateLimit{}) {
		s.limiter = newRateLimiter(config.ManagementRateLimit, s.keys.users, time.Now)
	}
	if s.config.Registry == nil {
		s.config.Registry = prometheus.NewRegistry()
	}
	if s.config.Inbox == nil {
		s.config.Inbox = NewInbox("")
	}
	switch len(s.config.TokenKey) {
	case 0:
		s.config.TokenKey = make([]byte, tokenKeySize)
		_, _ = rand.Read(s.config.TokenKey) // never fails
	case tokenKeySize:
	default:
		return nil, fmt.Errorf("the key of tokens has %d bytes, not %d", len(s.config.TokenKey), tokenKeySize)
	}
	if config.PublicURL != nil {
		s.prefix = strings.TrimRight(config.PublicURL.Path, "/")
	}
	if err := s.ReloadKeys(ctx); err != nil {
		return nil, fmt.Errorf("read API keys: %w", err)
	}
	var err error
	if s.metrics, err = newMetrics(s.config.Registry); err != nil {
		return nil, err
	}
	s.triggers = sync.OnceValues(func() ([]byte, error) { return triggersAnswer(config.Catalog) })
	s.types = sync.OnceValue(func() []byte { return eventTypesAnswer(config.Catalog) })
	s.openAPI = sync.OnceValues(func() ([]byte, error) { return specificationAnswer(s.prefix) })
	s.docs = sync.OnceValues(func() ([]byte, error) { return docsPage(s.prefix) })

	s.echo = echo.New()
	s.echo.IPExtractor, s.echo.SchemeExtractor = extractors(config.TrustedProxies)
	if s.console, err = s.newConsole(); err != nil {
		return nil, err
	}
	s.echo.HTTPErrorHandler = s.unrouted
	s.echo.Logger.SetOutput(io.Discard)
	for _, r := range s.routes() {
		if r.allowed == 0 {
			return nil, fmt.Errorf("route %s %s: nobody is said to be allowed", r.method, r.path)
		}
		answer := s.answer(r)
		s.echo.Add(r.method, r.path, answer)
		if r.method == http.MethodGet {
			s.echo.Add(http.MethodHead, r.path, answer)
		}
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: writeStall},
		TLSConfig:         config.TLS,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// extractors decide whose word counts for a client's address and scheme: the connection's own, unless it comes from a trusted proxy.
func extractors(trusted []netip.Prefix) (echo.IPExtractor, echo.SchemeExtractor) {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect(), echo.ExtractSchemeDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, prefix := range trusted {
		trust = append(trust, echo.TrustIPRange(&net.IPNet{
			IP: prefix.Masked().Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(trust...), echo.ExtractSchemeFromHeaders(trust...)
}

// Serve answers requests on l until Shutdown, and then returns nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	var err error
	if s.config.TLS != nil {
		err = s.http.ServeTLS(l, "", "")
	} else {
		err = s.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown takes no new requests and waits, as long as ctx lasts, for those under way; then it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	s.end()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// ServeHTTP takes the public prefix and doubled slashes out of the path, and hands over to the routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.setSafety(w.Header(), r)
	if s.prefix != "" || r.URL.RawPath != "" || strings.Contains(r.URL.Path, "//") || strings.HasSuffix(r.URL.Path, "/") {
		r = rerouted(r, s.prefix)
	}
	s.echo.ServeHTTP(w, r)
}

// rerouted gives r under the path that the routes know. A path without the prefix is let through as it is: a proxy may have taken
// the prefix off, and probes come past the proxy.
func rerouted(r *http.Request, prefix string) *http.Request {
	path := r.URL.Path
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	if surfaceAt(path) != plain {
		path = strings.TrimSuffix(path, "/") // clients join addresses as it comes
	}
	u := *r.URL
	u.Path, u.RawPath = path, ""
	clone := *r
	clone.URL = &u
	return &clone
}
