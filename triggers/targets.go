package triggers

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxURLCharacters bounds the URL of a webhook.
const MaxURLCharacters = 2048

// The ports that receivers may have without being allowed by name.
const (
	portHTTP  = 80
	portHTTPS = 443
	// portFree is the first port that any program may listen on; 8443 is above it.
	portFree = 1024
)

// Targets says which receivers webhooks may have. The zero value is the strict rule: https to public names.
type Targets struct {
	// AllowHTTP admits plain http, on port 80 too.
	AllowHTTP bool
	// ListenPort is our own port, which stays closed on every local address, whatever is allowed; 0 when unknown. It is judged at
	// the dial, as are the addresses of names.
	ListenPort uint16

	inside string // the URL of a receiver within this process, admitted letter for letter; empty: none

	hosts map[string]bool
	nets  []netip.Prefix
}

// ParseTargets reads the allow-list: CIDRs, single addresses and host names, each admitting just what it names, on every port. Empty
// entries are left out.
func ParseTargets(allow []string, allowHTTP bool) (Targets, error) {
	t := Targets{AllowHTTP: allowHTTP, hosts: make(map[string]bool)}
	for _, entry := range allow {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		prefix, err := parsePrefix(entry)
		switch {
		case err == nil:
			t.nets = append(t.nets, prefix)
		case strings.ContainsAny(entry, "/:") || endsInNumber(entry):
			return Targets{}, fmt.Errorf("allowed target %q is no CIDR, address or host name", entry)
		default:
			if problem := hostProblem(entry); problem != "" {
				return Targets{}, fmt.Errorf("allowed target %q: %s", entry, problem)
			}
			t.hosts[strings.ToLower(entry)] = true
		}
	}
	return t, nil
}

// parsePrefix reads a CIDR or an address; IPv4 within IPv6 becomes IPv4, as addresses asked about do.
func parsePrefix(entry string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(entry); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q has a zone", entry)
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		return netip.Prefix{}, err
	}
	const mapped = 96 // bits before the IPv4 part
	if prefix.Addr().Is4In6() && prefix.Bits() >= mapped {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
	}
	return prefix.Masked(), nil
}

// AdmitsHost reports whether a host name is allowed by name. A name that is not may still be reached at a public address.
func (t Targets) AdmitsHost(host string) bool { return t.hosts[strings.ToLower(host)] }

// AdmitsAddr reports whether an address is within an allowed CIDR. One that is not may still be public.
func (t Targets) AdmitsAddr(addr netip.Addr) bool {
	addr = addr.Unmap()
	if addr.Zone() != "" {
		return false
	}
	for _, n := range t.nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// WithInside gives targets that admit this very URL too: it is that of a receiver within this process, and is never dialled.
func (t Targets) WithInside(url string) Targets {
	t.inside = url
	return t
}

// CheckURL judges the URL of a webhook when it is saved, without looking its name up. The error is a *FieldError on the field url.
func (t Targets) CheckURL(raw string) (*url.URL, error) {
	switch n := utf8.RuneCountInString(raw); {
	case raw == "":
		return nil, Invalid(CodeRequired, "url", "the url is missing")
	case n > MaxURLCharacters:
		return nil, Invalid(CodeTooLong, "url", "the url has at most %d characters, not %d", MaxURLCharacters, n)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Hostname() == "" {
		// url.Error would repeat the URL, which may hold a password.
		return nil, Invalid(CodeBadURI, "url", "the url is not a complete one, such as https://receiver.example.com/hook")
	}
	switch {
	case raw == t.inside:
		return u, nil
	case u.Scheme == "http" && !t.AllowHTTP:
		return nil, Invalid(CodeNotAllowed, "url", "the url must begin with https://; http is not allowed on this server")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, Invalid(CodeNotAllowed, "url", "the url must begin with https://, not %s://", clip(u.Scheme))
	case u.User != nil:
		return nil, Invalid(CodeNotAllowed, "url", "the url must not hold a user name or password; send credentials in a header")
	case strings.ContainsFunc(raw, unicode.IsSpace):
		return nil, Invalid(CodeBadURI, "url", "the url must not hold blanks, at its end neither; one that is meant is written %%20")
	case strings.Contains(raw, "#"):
		return nil, Invalid(CodeNotAllowed, "url", "the url must not have a fragment (#…): it is never sent")
	}
	admitted, err := t.checkHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	if err := checkPort(u, admitted); err != nil {
		return nil, err
	}
	return u, nil
}

// checkHost judges a host as it stands in a URL; admitted is true when the allow-list names it.
func (t Targets) checkHost(host string) (admitted bool, err error) {
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && addr.Zone() != "":
		return false, Invalid(CodeNotAllowed, "url", "the host must not have a zone (%%…)")
	case err == nil && t.AdmitsAddr(addr):
		return true, nil
	case err == nil:
		return false, Invalid(CodeNotAllowed, "url", "the host must be a name, not the IP address %s, unless the server allows that address", clip(host))
	case endsInNumber(host):
		// Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as addresses.
		return false, Invalid(CodeNotAllowed, "url", "the host must be a name, and its last label must not be a number")
	}
	if problem := hostProblem(host); problem != "" {
		return false, Invalid(CodeNotAllowed, "url", "%s", problem)
	}
	switch {
	case t.AdmitsHost(host):
		return true, nil
	case !strings.Contains(host, "."):
		return false, Invalid(CodeNotAllowed, "url", "the host must be a full name with a dot, not %q, unless the server allows that host", clip(host))
	}
	return false, nil
}

// checkPort judges the port: of an admitted host any, else 443, 8443 and those from 1024 up, for http also 80.
func checkPort(u *url.URL, admitted bool) error {
	text := u.Port()
	if text == "" {
		return nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil || port == 0:
		return Invalid(CodeOutOfRange, "url", "the port %s is not from 1 to 65535", clip(text))
	case admitted, port == portHTTPS, port >= portFree, port == portHTTP && u.Scheme == "http":
		return nil
	}
	return Invalid(CodeNotAllowed, "url", "the port must be 443, 8443 or from 1024 up, not %d", port)
}

// endsInNumber reports whether the last label of a host is a number, decimal or hexadecimal, which makes the whole an IPv4 address in
// the eyes of some resolvers (WHATWG URL Standard, 3.5). One trailing dot is overlooked.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	label := host[strings.LastIndexByte(host, '.')+1:]
	if rest, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// hostProblem says in one sentence why a text is no host name, or nothing when it is one.
func hostProblem(host string) string {
	const maxHost, maxLabel = 253, 63 // RFC 1035, section 2.3.4
	switch {
	case len(host) > maxHost:
		return fmt.Sprintf("a host name has at most %d characters", maxHost)
	case strings.HasSuffix(host, "."):
		return "the host must not end in a dot"
	}
	for label := range strings.SplitSeq(host, ".") {
		switch {
		case label == "" || len(label) > maxLabel:
			return fmt.Sprintf("each label of the host has from 1 to %d characters", maxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return "no label of the host may begin or end with a hyphen"
		}
		for _, c := range label {
			switch {
			case c >= utf8.RuneSelf:
				// Some characters turn into dots and digits when a client normalises them.
				return "the host must be in ASCII: write an international name in its xn-- form"
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return fmt.Sprintf("the character %q cannot be in a host name", c)
			}
		}
	}
	return ""
}
