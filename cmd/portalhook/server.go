package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"portalhook/delivery"
	"portalhook/router"
	"portalhook/storage"
	"portalhook/triggers"
	"portalhook/web"
)

// What the first start makes.
const (
	defaultTenant   = "default"
	defaultPortalID = "0123456789ABCDEF"
	adminName       = "admin" // user id and name of the admin keys, and their name
)

// drainTimeout is how long a server that is told to stop lets requests and attempts under way finish. It is under the 30 s that
// orchestrators give before they kill.
const drainTimeout = 25 * time.Second

// retainInterval is the time between looks for history that is past its retention.
const retainInterval = time.Hour

// keyUseInterval is how late the last use of an API key is stored at most.
const keyUseInterval = 30 * time.Second

// serverConfig is what a server is built from.
type serverConfig struct {
	listener            net.Listener      // closed with the server
	catalog             *triggers.Catalog // nil: triggers.Default()
	store               storage.Config    // its catalogue is the server's
	portalURL           string            // empty: the stored one, and at the first start publicURL or the address listened on
	serverURL           string            // empty: the stored one
	publicURL           *url.URL
	adminKey            string // empty: a first start draws one
	targets             triggers.Targets
	rootCAs             *x509.CertPool  // nil: the system's
	resolver            *net.Resolver   // nil: Go's own
	proxy               *delivery.Proxy // nil: receivers are reached directly
	userAgent           string          // of deliveries; empty: Portalhook
	maxWebhooks         int             // of a tenant
	maxWebhooksPerOwner int             // of user level, of one owner in a tenant
	rateLimit           web.RateLimit
	legacyCloud         bool // cloud types without CloudEvents have their legacy form, not the hybrid one
	reachability        web.Reachability
	retention           time.Duration
	probeAfter          time.Duration // 0: the dispatcher's default
	trusted             []netip.Prefix
	tls                 *tls.Config // nil: plain HTTP
	log                 *slog.Logger
	announcedKey        func(key string) // told the key that a first start draws
}

// server is every part of Portalhook, built and wired.
type server struct {
	config     serverConfig
	store      store
	dispatcher *delivery.Dispatcher
	recoverer  *delivery.Recoverer
	web        *web.Server
	directory  *delivery.Directory
	shared     sharedStore // nil when no other server may have the store open
	background sync.WaitGroup
}

// openServer builds everything, in one straight line. What it has opened it closes again when a later part fails; the listener
// is the caller's until then.
func openServer(ctx context.Context, config serverConfig) (_ *server, err error) {
	if config.catalog == nil {
		config.catalog = triggers.Default()
	}
	config.store.Catalog, config.store.Own = config.catalog, web.OwnWebhookChange
	store, err := openStore(ctx, config.store)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	s := &server{config: config, store: store}
	s.shared, _ = store.(sharedStore)
	config.targets.ListenPort = listenPort(config.listener)

	table := router.NewTable()
	directory, err := delivery.NewDirectory(ctx, delivery.DirectoryConfig{
		Store: store, Table: table, MaxWebhooks: config.maxWebhooks, MaxWebhooksPerOwner: config.maxWebhooksPerOwner,
		LegacyCloud: config.legacyCloud, Own: web.OwnWebhookChange,
	})
	if err != nil {
		return nil, fmt.Errorf("load webhooks: %w", err)
	}
	if err := s.found(ctx, directory); err != nil {
		return nil, err
	}

	inbox := web.NewInbox(s.base())
	if s.shared != nil {
		inbox = web.NewInboxOf(s.base(), s.shared, s.shared.Now)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "portalhook_open_deliveries", Help: "Deliveries that have not ended: waiting, or being sent.",
		}, func() float64 { return float64(store.Open()) }))
	s.dispatcher = delivery.New(delivery.Config{
		Queue: store, Directory: directory, Table: table, Inside: inbox, Gauge: store, Registerer: registry, Logger: config.log,
		UserAgent: config.userAgent, Catalog: config.catalog, ProbeAfter: config.probeAfter, Clock: s.clock(), Leads: s.leads(), Others: s.others(),
		Transport: delivery.NewTransport(delivery.TransportConfig{
			Guard: delivery.NewGuard(config.targets, config.targets.ListenPort), RootCAs: config.rootCAs, Resolver: config.resolver,
			Proxy: config.proxy,
		}),
	})
	s.recoverer = delivery.NewRecoverer(delivery.RecovererConfig{
		Store: store, Dispatcher: s.dispatcher, Catalog: config.catalog, Logger: config.log,
	})
	tokenKey, err := store.DeriveKey("tokens of the sharing API")
	if err != nil {
		return nil, fmt.Errorf("derive the key of tokens: %w", err)
	}
	sessionKeys, err := store.SessionKeys()
	if err != nil {
		return nil, err
	}
	s.web, err = web.New(ctx, web.Config{
		Catalog: config.catalog, Dispatcher: s.dispatcher, Resender: s.dispatcher, Tester: s.dispatcher, Recoverer: s.recoverer,
		Table: table, Directory: directory, Handshaker: s.dispatcher, Reachability: config.reachability,
		History: store, Overview: store, Hosts: s.dispatcher, Tailer: s.dispatcher, Inbox: inbox,
		Keys: store, Audit: store, Copier: store, Targets: config.targets, MaxWebhooks: config.maxWebhooks, Retention: config.retention,
		MaxWebhooksPerOwner: config.maxWebhooksPerOwner, ManagementRateLimit: config.rateLimit, PublicURL: config.publicURL,
		Others: s.others(), TrustedProxies: config.trusted, Registry: registry, Log: config.log, TLS: config.tls, TokenKey: tokenKey, SessionKeys: sessionKeys,
		Checks: []web.Check{
			{Name: "store", Ready: store.Ping}, {Name: "queue", Ready: s.dispatcher.QueueReady}, {Name: "disk", Ready: s.dispatcher.DiskReady},
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// listenPort is the port of l, 0 when it has none.
func listenPort(l net.Listener) uint16 {
	address, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		return 0
	}
	return address.Port()
}

// found makes what a new store begins with, or changes it where the configuration asks for it: one server at a time, so that the others find
// what the first has made.
func (s *server) found(ctx context.Context, directory *delivery.Directory) error {
	s.directory = directory
	founding := func(ctx context.Context) error {
		tenant, err := s.foundTenant(ctx, directory)
		if err != nil {
			return err
		}
		return s.foundAdminKey(ctx, tenant)
	}
	if s.shared != nil {
		return s.shared.Alone(ctx, founding)
	}
	return founding(ctx)
}

// foundTenant gives the default tenant, made or changed where the configuration asks for it.
func (s *server) foundTenant(ctx context.Context, directory *delivery.Directory) (triggers.Tenant, error) {
	tenants, err := s.store.Tenants(ctx)
	if err != nil {
		return triggers.Tenant{}, fmt.Errorf("read tenants: %w", err)
	}
	tenant := triggers.Tenant{Name: defaultTenant, PortalID: defaultPortalID, CreatedAt: time.Now()}
	var before *triggers.Tenant // nil of a first start
	if i := slices.IndexFunc(tenants, func(t triggers.Tenant) bool { return t.Name == defaultTenant }); i >= 0 {
		tenant, before = tenants[i], &tenants[i]
	}
	// Whoever set it knows better than a start without the flag; the address listened on is all that nobody has set.
	unset := tenant.PortalURL == "" || tenant.PortalURL == s.url()+"/"
	switch {
	case s.config.portalURL != "":
		tenant.PortalURL = s.config.portalURL
	case unset && s.config.publicURL != nil:
		tenant.PortalURL = s.config.publicURL.String()
	case unset:
		tenant.PortalURL = s.url()
	}
	if s.config.serverURL != "" {
		tenant.ServerURL = s.config.serverURL
	}
	if !strings.HasSuffix(tenant.PortalURL, "/") {
		tenant.PortalURL += "/"
	}
	if before != nil && tenant == *before {
		return tenant, nil
	}
	if err := directory.SaveTenant(delivery.Audited(ctx, web.OwnTenantChange(before, &tenant)), &tenant); err != nil {
		return triggers.Tenant{}, fmt.Errorf("save tenant %s: %w", tenant.Name, err)
	}
	return tenant, nil
}

// url is where the server is reached from this machine.
func (s *server) url() string {
	scheme := "http"
	if s.config.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + s.config.listener.Addr().String()
}

// base is what the URLs of the built-in receivers begin with: the public URL, or where the server is reached from this machine.
func (s *server) base() string {
	if s.config.publicURL != nil {
		return strings.TrimRight(s.config.publicURL.String(), "/")
	}
	return s.url()
}

// foundAdminKey makes sure that the configured admin key is known, or at a first start without one, that there is any key.
func (s *server) foundAdminKey(ctx context.Context, tenant triggers.Tenant) error {
	keys, err := s.store.APIKeys(ctx)
	if err != nil {
		return fmt.Errorf("read API keys: %w", err)
	}
	text := s.config.adminKey
	if text == "" {
		if len(keys) > 0 {
			return nil
		}
		text = newAdminKey()
	}
	hash := sha256.Sum256([]byte(text))
	if slices.ContainsFunc(keys, func(k triggers.APIKey) bool { return k.Hash == hash }) {
		return nil // a revoked one stays revoked
	}
	key := triggers.APIKey{
		ID: rand.Text(), Hash: hash, Tenant: tenant.Key, Name: adminName, Role: triggers.RoleAdmin, Operator: true,
		UserID: adminName, UserName: adminName, Created: time.Now(),
	}
	if err := s.store.AddAPIKey(delivery.Audited(ctx, web.OwnKeyChange(key, &tenant)), key); err != nil {
		return fmt.Errorf("add admin key: %w", err)
	}
	if s.config.adminKey == "" {
		s.config.announcedKey(text)
	}
	return nil
}

// newAdminKey draws a key of 130 random bits.
func newAdminKey() string { return "phk_" + rand.Text() }

// serve takes up what an earlier run left, answers requests until ctx ends, and then stops in good order: no new requests, the
// attempts under way finished, the rest given back, the store closed.
func (s *server) serve(ctx context.Context) error {
	background, stop := context.WithCancel(ctx)
	defer stop()
	s.dispatcher.Start()
	s.recoverer.Start()
	s.background.Go(func() { s.retain(background) })
	s.background.Go(func() { s.noteKeyUse(background) })
	if s.shared != nil {
		s.background.Go(func() { s.web.Share(background) })
		s.background.Go(func() { s.shared.Follow(background, s.directory.Version(), s.follow, s.hear) })
	}
	ended := make(chan error, 1)
	go func() { ended <- s.web.Serve(s.config.listener) }()

	var failed error
	select {
	case failed = <-ended:
		if failed == nil {
			failed = errors.New("the listener was closed")
		}
	case <-ctx.Done():
		s.config.log.Info("stopping", "open", s.store.Open())
	}
	stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := s.web.Shutdown(drain); err != nil {
		s.config.log.Warn("requests cut off", "err", err)
	}
	s.recoverer.Stop()
	if err := s.dispatcher.Shutdown(drain); err != nil {
		// Their deliveries are in the store, and are tried again after the next start.
		s.config.log.Warn("attempts cut off", "err", err)
	}
	s.background.Wait()
	if err := s.web.SaveKeyUse(drain); err != nil {
		s.config.log.Warn("last use of API keys not stored", "err", err)
	}
	if err := s.store.Close(); err != nil {
		return errors.Join(failed, fmt.Errorf("close store: %w", err))
	}
	return failed
}

// retain drops history that is past its retention, at once and then every retainInterval, until ctx ends.
func (s *server) retain(ctx context.Context) {
	tick := time.NewTicker(retainInterval)
	defer tick.Stop()
	for {
		if err := s.store.Retain(ctx, s.now().Add(-s.config.retention)); err != nil && ctx.Err() == nil {
			s.config.log.Error("retention", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// noteKeyUse stores every keyUseInterval when API keys were last used, until ctx ends.
func (s *server) noteKeyUse(ctx context.Context) {
	tick := time.NewTicker(keyUseInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.web.SaveKeyUse(ctx); err != nil && ctx.Err() == nil {
			s.config.log.Error("store last use of API keys", "err", err)
		}
	}
}
