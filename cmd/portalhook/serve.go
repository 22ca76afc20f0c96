package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"portalhook/delivery"
	"portalhook/triggers"
	"portalhook/web"
)

type serveCommand struct {
	Config string `help:"A file that sets flags by their names, in YAML or JSON. Variables and the command line win." env:"PORTALHOOK_CONFIG" placeholder:"FILE"`

	Listen    string `help:"Address to listen on; port 0 takes a free one." default:"127.0.0.1:8080" env:"PORTALHOOK_LISTEN" placeholder:"HOST:PORT"`
	Store     string `help:"Where everything is kept: sqlite:FILE, or postgres://USER:PASSWORD@HOST/DATABASE, which any number of servers share." default:"sqlite:portalhook.db" env:"PORTALHOOK_STORE" placeholder:"STORE"`
	PublicURL string `name:"public-url" help:"The URL under which clients see the server, when that is not the address it listens on. A path in it is a prefix of everything served." env:"PORTALHOOK_PUBLIC_URL" placeholder:"URL"`
	PortalURL string `name:"portal-url" help:"The portal's URL, as payloads name it. Kept in the store; at first the public URL." env:"PORTALHOOK_PORTAL_URL" placeholder:"URL"`
	ServerURL string `name:"server-url" help:"The URL of the portal's server, to which changesUrl in payloads of services points. Kept in the store." env:"PORTALHOOK_SERVER_URL" placeholder:"URL"`

	AdminKey      string `help:"An API key that may do everything. Without it the first start draws one and prints it once; another value at a later start adds that key. Better in the environment than on the command line." env:"PORTALHOOK_ADMIN_KEY" placeholder:"KEY"`
	AdminKeyFile  string `help:"A file with that key, for where neither is private." env:"PORTALHOOK_ADMIN_KEY_FILE" placeholder:"FILE"`
	KeyFile       string `help:"Keys that encrypt secrets in the store. Made at the first start; keep it apart from backups of the store (default beside a SQLite file; with PostgreSQL it must be named, and be the same for every server)." env:"PORTALHOOK_KEY_FILE" placeholder:"FILE"`
	ForgetSecrets bool   `help:"Open a store whose key file is lost: webhooks with secrets are switched off, and none is ever sent unsigned." env:"PORTALHOOK_FORGET_SECRETS"`

	AllowTarget []string `help:"Receivers that are allowed though they are not public: a CIDR, an address or a host name; several by commas, or repeat it." env:"PORTALHOOK_ALLOW_TARGET" placeholder:"TARGET"`
	AllowHTTP   bool     `name:"allow-http" help:"Allow receivers without TLS." env:"PORTALHOOK_ALLOW_HTTP"`
	CAFile      string   `name:"ca-file" help:"Certificates (PEM) that receivers' certificates may be signed by, beside the system's." env:"PORTALHOOK_CA_FILE" placeholder:"FILE"`
	Resolver    string   `help:"The DNS server that receivers' names are looked up with; without it the system's." env:"PORTALHOOK_RESOLVER" placeholder:"ADDRESS:PORT"`
	EgressProxy string   `help:"A proxy that all connections to receivers go through: http://, https:// or socks5://, with user:password@ where it asks for them. Better in the environment than on the command line." env:"PORTALHOOK_EGRESS_PROXY" placeholder:"URL"`

	UserAgent string `help:"The User-Agent of deliveries. Receivers made for Qlik Cloud may test it for being Qlik Webhook." default:"Portalhook" env:"PORTALHOOK_USER_AGENT" placeholder:"TEXT"`

	MaxWebhooks         int           `help:"How many webhooks a tenant may have." default:"100" env:"PORTALHOOK_MAX_WEBHOOKS" placeholder:"N"`
	MaxWebhooksPerOwner int           `help:"How many webhooks of user level an owner may have in a tenant." default:"150" env:"PORTALHOOK_MAX_WEBHOOKS_PER_OWNER" placeholder:"N"`
	ManagementRateLimit string        `help:"How often a user may call everything but POST /api/v1/events: off, qlik, or requests a minute that read and that change something, such as 600,60." default:"off" env:"PORTALHOOK_MANAGEMENT_RATE_LIMIT" placeholder:"LIMIT"`
	Retention           time.Duration `help:"How long history is kept: events, deliveries and attempts. At least 24h." default:"168h" env:"PORTALHOOK_RETENTION" placeholder:"TIME"`
	ProbeAfter          time.Duration `help:"How long after the server switched a webhook off that asks for probes its receiver is asked first; each wait after that is twice as long, up to 6h." default:"5m" env:"PORTALHOOK_PROBE_AFTER" placeholder:"TIME"`
	ReachabilityCheck   string        `help:"Ask a receiver for an answer when its webhook is made, switched on or given another URL: off, warn (the log tells of one that does not answer) or require (its webhook is refused)." enum:"off,warn,require" default:"off" env:"PORTALHOOK_REACHABILITY_CHECK" placeholder:"MODE"`
	CloudFormat         string        `help:"How cloud types are sent to webhooks that ask neither for CloudEvents nor for another form: hybrid or legacy." enum:"hybrid,legacy" default:"hybrid" env:"PORTALHOOK_CLOUD_FORMAT" placeholder:"FORM"`
	Catalog             string        `help:"Event types of your own, beside the documented ones: a JSON file." env:"PORTALHOOK_CATALOG" placeholder:"FILE"`

	TLSCert      string   `name:"tls-cert" help:"Serve HTTPS with this certificate (PEM)." env:"PORTALHOOK_TLS_CERT" and:"tls" placeholder:"FILE"`
	TLSKey       string   `name:"tls-key" help:"The certificate's key (PEM)." env:"PORTALHOOK_TLS_KEY" and:"tls" placeholder:"FILE"`
	TrustedProxy []string `help:"Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: a CIDR or an address; several by commas, or repeat it." env:"PORTALHOOK_TRUSTED_PROXY" placeholder:"PROXY"`

	LogFormat string `help:"text or json, on standard error." enum:"text,json" default:"text" env:"PORTALHOOK_LOG_FORMAT" placeholder:"FORMAT"`
	LogLevel  string `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"PORTALHOOK_LOG_LEVEL" placeholder:"LEVEL"`
}

// Help is shown below the summary.
func (serveCommand) Help() string {
	return `Everything has a default, so the first start needs no flags; every flag can be set in the environment or in a file instead.

	portalhook serve
	portalhook serve --allow-http --allow-target 127.0.0.0/8   # receivers on this machine

Ready when /readyz answers 200. The first SIGTERM or SIGINT stops it in good order (status 0): requests and attempts under way
end, within 25 seconds; all else is in the store and goes on at the next start. A second signal ends it at once.`
}

// minRetention holds event identities for as long as a sender may repeat itself, which is a promise of 24 hours.
const minRetention = 24 * time.Hour

// maxProbeAfter is the longest wait between probes.
const maxProbeAfter = 6 * time.Hour

// Run serves until ctx ends.
func (s *serveCommand) Run(ctx context.Context, std streams) error {
	config, err := s.config(std)
	if err != nil {
		return usagef("serve: %w", err)
	}
	limitMemory()
	config.listener, err = listenOn(ctx, s.Listen)
	if err != nil {
		return err
	}
	server, err := openServer(ctx, config)
	if err != nil {
		return errors.Join(err, config.listener.Close())
	}
	if n := len(config.adminKey); n > 0 && n < safeAdminKey {
		config.log.Warn("the admin key is short enough to be guessed", "characters", n, "advised", safeAdminKey)
	}
	if config.proxy != nil {
		config.log.Info("receivers are reached through a proxy", "egressProxy", config.proxy.String())
	}
	config.log.Info("listening", "address", config.listener.Addr().String(), "url", server.url(), "store", storeName(s.Store),
		"keyFile", config.store.KeyFile, "version", version())
	return server.serve(ctx)
}

// config turns flags into what a server is built from, but for the listener. Its errors are the user's.
func (s *serveCommand) config(std streams) (serverConfig, error) {
	config := serverConfig{
		userAgent: s.UserAgent, maxWebhooks: s.MaxWebhooks, maxWebhooksPerOwner: s.MaxWebhooksPerOwner,
		reachability: web.Reachability(s.ReachabilityCheck),
		legacyCloud:  s.CloudFormat == string(triggers.FormatLegacy), retention: s.Retention, probeAfter: s.ProbeAfter, log: s.logger(std.err),
		announcedKey: func(key string) {
			fmt.Fprintf(std.out, "The admin key, shown only this once: %s\n", key)
		},
	}
	if err := errors.Join(s.checkNumbers(), checkUserAgent(s.UserAgent)); err != nil {
		return config, err
	}
	var err error
	if config.adminKey, err = s.adminKey(); err != nil {
		return config, err
	}
	if config.rateLimit, err = web.ParseRateLimit(s.ManagementRateLimit); err != nil {
		return config, fmt.Errorf("--management-rate-limit: %w", err)
	}
	if config.catalog, err = catalogWith(s.Catalog); err != nil {
		return config, err
	}
	if config.store, err = s.storeConfig(config.log); err != nil {
		return config, err
	}
	if config.publicURL, err = absoluteURL("--public-url", s.PublicURL); err != nil {
		return config, err
	}
	for _, flag := range []struct {
		name, value string
		to          *string
	}{{"--portal-url", s.PortalURL, &config.portalURL}, {"--server-url", s.ServerURL, &config.serverURL}} {
		if _, err := absoluteURL(flag.name, flag.value); err != nil {
			return config, err
		}
		*flag.to = flag.value
	}
	if config.targets, err = triggers.ParseTargets(s.AllowTarget, s.AllowHTTP); err != nil {
		return config, fmt.Errorf("--allow-target: %w", err)
	}
	if config.trusted, err = parsePrefixes(s.TrustedProxy); err != nil {
		return config, fmt.Errorf("--trusted-proxy: %w", err)
	}
	if config.rootCAs, err = certificates(s.CAFile); err != nil {
		return config, fmt.Errorf("--ca-file: %w", err)
	}
	if config.resolver, err = resolverAt(s.Resolver); err != nil {
		return config, fmt.Errorf("--resolver: %w", err)
	}
	if config.proxy, err = egressProxy(s.EgressProxy); err != nil {
		return config, fmt.Errorf("--egress-proxy: %w", err)
	}
	if config.tls, err = serverTLS(s.TLSCert, s.TLSKey); err != nil {
		return config, fmt.Errorf("--tls-cert: %w", err)
	}
	return config, nil
}

func (s *serveCommand) checkNumbers() error {
	switch {
	case s.MaxWebhooks < 1:
		return errors.New("--max-webhooks is at least 1")
	case s.MaxWebhooksPerOwner < 1:
		return errors.New("--max-webhooks-per-owner is at least 1")
	case s.Retention < minRetention:
		return errors.New("--retention is at least 24h")
	case s.ProbeAfter <= 0 || s.ProbeAfter > maxProbeAfter:
		return errors.New("--probe-after is more than 0 and at most 6h")
	}
	return nil
}

// Bounds of an admin key, in characters. The server refuses to hash longer ones; one that is shorter than it should be is taken, as
// whoever tries the server out chose it, and warned of at every start.
const (
	safeAdminKey = 16
	maxAdminKey  = 256
)

// adminKey is the key that is given, by itself or in a file: empty without either. Errors show neither.
func (s *serveCommand) adminKey() (string, error) {
	if s.AdminKeyFile == "" {
		return s.AdminKey, checkAdminKey(s.AdminKey)
	}
	if s.AdminKey != "" {
		return "", errors.New("--admin-key and --admin-key-file cannot be used together")
	}
	text, err := os.ReadFile(s.AdminKeyFile)
	if err != nil {
		return "", fmt.Errorf("--admin-key-file: %w", err)
	}
	key := strings.TrimRight(string(text), "\r\n")
	if key == "" {
		return "", fmt.Errorf("--admin-key-file: %s is empty", s.AdminKeyFile)
	}
	if err := checkAdminKey(key); err != nil {
		return "", fmt.Errorf("--admin-key-file: %s: %w", s.AdminKeyFile, err)
	}
	return key, nil
}

// checkAdminKey refuses keys that cannot be sent in a header. The error does not show the key.
func checkAdminKey(key string) error {
	switch {
	case len(key) > maxAdminKey:
		return fmt.Errorf("--admin-key has at most %d characters", maxAdminKey)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("--admin-key is printable ASCII, without blanks")
	}
	return nil
}

// maxUserAgent bounds the User-Agent of deliveries, in characters.
const maxUserAgent = 256

// checkUserAgent refuses what receivers would not get as it was written: a header's value is trimmed, and no control character may be in it.
func checkUserAgent(text string) error {
	if text == "" || len(text) > maxUserAgent || strings.TrimSpace(text) != text || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("--user-agent is 1 to %d characters of printable ASCII, without blanks around them", maxUserAgent)
	}
	return nil
}

func (s *serveCommand) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // one of the enum's
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// absoluteURL reads an http or https URL; nil for an empty one.
func absoluteURL(flag, text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, fmt.Errorf("%s: %q is not a URL such as https://portal.example.com/portal/", flag, withoutUser(text))
	}
	return u, nil
}

// parsePrefixes reads CIDRs and addresses.
func parsePrefixes(entries []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, entry := range entries {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			addr, err := netip.ParseAddr(entry)
			if err != nil {
				return nil, fmt.Errorf("%q is no CIDR and no address", entry)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// certificates gives the system's certificates and those of a file; nil without one.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the file that the operator names
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("system certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// resolverAt asks one DNS server; nil without one.
func resolverAt(address string) (*net.Resolver, error) {
	if address == "" {
		return nil, nil
	}
	server, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not ADDRESS:PORT", address)
	}
	return delivery.ResolverAt(server), nil
}

// egressProxy reads the proxy of deliveries; nil without one.
func egressProxy(text string) (*delivery.Proxy, error) {
	if text == "" {
		return nil, nil
	}
	return delivery.ParseProxy(text)
}

func serverTLS(certificate, key string) (*tls.Config, error) {
	if certificate == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}
