package triggers_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

func targets(t *testing.T, allowHTTP bool, allow ...string) triggers.Targets {
	t.Helper()
	parsed, err := triggers.ParseTargets(allow, allowHTTP)
	require.NoError(t, err)
	return parsed
}

// TestCase29CheckURL holds what is refused when a webhook is saved, and with which words.
func TestCase29CheckURL(t *testing.T) {
	const (
		complete = "the url is not a complete one, such as https://receiver.example.com/hook"
		blank    = "the url must not hold blanks, at its end neither; one that is meant is written %20"
		number   = "the host must be a name, and its last label must not be a number"
	)
	literal := func(addr string) string {
		return "the host must be a name, not the IP address " + addr + ", unless the server allows that address"
	}
	strict, plain := targets(t, false), targets(t, true)
	local := targets(t, true, "127.0.0.0/8", "fd00::/8", "localhost", "Build.Intern", "192.0.2.7")
	for _, c := range []struct {
		name    string
		targets triggers.Targets
		url     string
		code    string // empty: accepted
		detail  string
	}{
		{"https", strict, "https://receiver.example.com/hook?a=b", "", ""},
		{"https, scheme in capitals", strict, "HTTPS://Receiver.Example.com", "", ""},
		{"443", strict, "https://a.example:443/", "", ""},
		{"8443", strict, "https://a.example:8443/", "", ""},
		{"1024", strict, "https://a.example:1024/", "", ""},
		{"65535", strict, "https://a.example:65535/", "", ""},
		{"an international name", strict, "https://xn--bcher-kva.example/", "", ""},
		{"an underscore", strict, "https://my_host.example/", "", ""},
		{"digits within", strict, "https://1.2.3.4.example/", "", ""},
		{"http, allowed", plain, "http://a.example/", "", ""},
		{"http on 80, allowed", plain, "http://a.example:80/", "", ""},
		{"allowed address", local, "http://127.0.0.1:9000/hook", "", ""},
		{"allowed address, any port", local, "https://127.9.9.9:22/hook", "", ""},
		{"allowed address, mapped", local, "http://[::ffff:127.0.0.1]:9000/", "", ""},
		{"allowed IPv6 address", local, "http://[fd00::1]:25/", "", ""},
		{"allowed single address", local, "https://192.0.2.7/", "", ""},
		{"allowed name, one label", local, "http://localhost:9000/", "", ""},
		{"allowed name, any port and case", local, "https://BUILD.intern:25/", "", ""},

		{"none", strict, "", "REQUIRED", "the url is missing"},
		{"too long", strict, "https://a.example/" + strings.Repeat("é", 2031), "TOO_LONG", "the url has at most 2048 characters, not 2049"},
		{"no scheme", strict, "a.example/hook", "BAD_URI", complete},
		{"no host", strict, "https:///hook", "BAD_URI", complete},
		{"a blank copied along", strict, "https://a.example/hook ", "BAD_URI", blank},
		{"a blank within", strict, "https://a.example/a b?c=d", "BAD_URI", blank},
		{"a blank that is no space", strict, "https://a.example/hook\u00a0", "BAD_URI", blank},
		{"opaque", strict, "https:a.example", "BAD_URI", complete},
		{"leading space", strict, " https://a.example", "BAD_URI", complete},
		{"line break", strict, "https://a.example/\nx", "BAD_URI", complete},
		{"backslash in the host", strict, `https://a.example\@b.example/`, "BAD_URI", complete},
		{"percent-encoded host", strict, "https://%31%32%37.0.0.1/", "BAD_URI", complete},
		{"http", strict, "http://a.example/", "NOT_ALLOWED", "the url must begin with https://; http is not allowed on this server"},
		{"another scheme", plain, "ftp://a.example/", "NOT_ALLOWED", "the url must begin with https://, not ftp://"},
		{"user info", strict, "https://user:hush@a.example/", "NOT_ALLOWED", "the url must not hold a user name or password; send credentials in a header"},
		{"fragment", strict, "https://a.example/#x", "NOT_ALLOWED", "the url must not have a fragment (#…): it is never sent"},
		{"empty fragment", strict, "https://a.example/#", "NOT_ALLOWED", "the url must not have a fragment (#…): it is never sent"},
		{"port 22", strict, "https://a.example:22/", "NOT_ALLOWED", "the port must be 443, 8443 or from 1024 up, not 22"},
		{"https on 80", plain, "https://a.example:80/", "NOT_ALLOWED", "the port must be 443, 8443 or from 1024 up, not 80"},
		{"port 0", strict, "https://a.example:0/", "OUT_OF_RANGE", "the port 0 is not from 1 to 65535"},
		{"port too high", strict, "https://a.example:65536/", "OUT_OF_RANGE", "the port 65536 is not from 1 to 65535"},
		{"one label", strict, "https://localhost/", "NOT_ALLOWED", `the host must be a full name with a dot, not "localhost", unless the server allows that host`},
		{
			"localhost where its address is allowed", targets(t, true, "127.0.0.0/8"), "http://localhost/", "NOT_ALLOWED",
			`the host must be a full name with a dot, not "localhost", unless the server allows that host`,
		},
		{"trailing dot", strict, "https://a.example./", "NOT_ALLOWED", "the host must not end in a dot"},
		{"localhost with a dot", strict, "https://localhost./", "NOT_ALLOWED", "the host must not end in a dot"},
		{"empty label", strict, "https://a..example/", "NOT_ALLOWED", "each label of the host has from 1 to 63 characters"},
		{"long label", strict, "https://" + strings.Repeat("a", 64) + ".example/", "NOT_ALLOWED", "each label of the host has from 1 to 63 characters"},
		{"long name", strict, "https://" + strings.Repeat("a.", 124) + "example/", "NOT_ALLOWED", "a host name has at most 253 characters"},
		{"hyphen first", strict, "https://-a.example/", "NOT_ALLOWED", "no label of the host may begin or end with a hyphen"},
		{"not ASCII", strict, "https://bücher.example/", "NOT_ALLOWED", "the host must be in ASCII: write an international name in its xn-- form"},
		{"dots of another script", strict, "https://a。example/", "NOT_ALLOWED", "the host must be in ASCII: write an international name in its xn-- form"},
		{"circled digits", strict, "https://①②⑦.⓪.⓪.①/", "NOT_ALLOWED", "the host must be in ASCII: write an international name in its xn-- form"},
		{"odd character", strict, "https://a!b.example/", "NOT_ALLOWED", "the character '!' cannot be in a host name"},
		{"IPv4", strict, "https://93.184.216.34/", "NOT_ALLOWED", literal("93.184.216.34")},
		{"loopback", strict, "https://127.0.0.1/", "NOT_ALLOWED", literal("127.0.0.1")},
		{"loopback with a dot", strict, "https://127.0.0.1./", "NOT_ALLOWED", number},
		{"metadata", local, "http://169.254.169.254/latest", "NOT_ALLOWED", literal("169.254.169.254")},
		{"decimal", local, "http://2130706433/", "NOT_ALLOWED", number},
		{"octal", local, "http://0177.0.0.1/", "NOT_ALLOWED", number},
		{"hexadecimal", local, "http://0x7f000001/", "NOT_ALLOWED", number},
		{"hexadecimal parts", local, "http://0x7f.0.0.0x1/", "NOT_ALLOWED", number},
		{"bare 0x", local, "http://127.0.0.0x/", "NOT_ALLOWED", number},
		{"short", local, "http://127.1/", "NOT_ALLOWED", number},
		{"a number too many", strict, "https://1.2.3.4.5/", "NOT_ALLOWED", number},
		{"fullwidth digits", strict, "https://１２７.0.0.1/", "NOT_ALLOWED", number},
		{"IPv6", strict, "https://[::1]/", "NOT_ALLOWED", literal("::1")},
		{"mapped", strict, "https://[::ffff:127.0.0.1]/", "NOT_ALLOWED", literal("::ffff:127.0.0.1")},
		{"zone", local, "http://[fe80::1%25eth0]/", "NOT_ALLOWED", "the host must not have a zone (%…)"},
		{"allowed network with a zone", local, "http://[fd00::1%25eth0]/", "NOT_ALLOWED", "the host must not have a zone (%…)"},
		{"no IPv6", strict, "https://[a:b]/", "BAD_URI", complete},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := c.targets.CheckURL(c.url)
			if c.code == "" {
				require.NoError(t, err)
				require.NotEmpty(t, u.Hostname())
				return
			}
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.detail, e.Detail)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, "url", e.Field)
			require.NotContains(t, err.Error(), "hush")
		})
	}
}

func TestParseTargets(t *testing.T) {
	for _, entry := range []string{
		"10.0.0.0/33", "10.0.0/8", "a/b", "http://a.example", "a.example:443", "a b", "*.example.com", "fe80::1%eth0", "127.1", "a.example.", "::1/x",
	} {
		t.Run("refuses "+entry, func(t *testing.T) {
			_, err := triggers.ParseTargets([]string{entry}, false)
			require.ErrorContains(t, err, entry)
		})
	}
	t.Run("empty entries are left out", func(t *testing.T) {
		got := targets(t, false, "", " ")
		require.False(t, got.AdmitsHost(""))
	})
}

func TestTargetsAdmit(t *testing.T) {
	got := targets(t, false, "10.1.2.3/8", "::ffff:192.168.0.0/112", "fd00::/8", "Localhost", "2001:db8::1")
	for text, want := range map[string]bool{
		"10.255.0.1": true, "::ffff:10.0.0.1": true, "11.0.0.1": false, "192.168.7.7": true, "192.169.0.1": false, "fdff::1": true,
		"fdff::1%eth0": false, "fe80::1": false, "2001:db8::1": true, "2001:db8::2": false,
	} {
		require.Equal(t, want, got.AdmitsAddr(netip.MustParseAddr(text)), text)
	}
	require.False(t, got.AdmitsAddr(netip.Addr{}))
	require.True(t, got.AdmitsHost("LOCALHOST"))
	require.False(t, got.AdmitsHost("a.localhost"))
	require.False(t, triggers.Targets{}.AdmitsHost("localhost"), "the zero value allows nothing beyond the rule")
	require.False(t, triggers.Targets{}.AdmitsAddr(netip.MustParseAddr("10.0.0.1")))
}
