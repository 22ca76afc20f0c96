package delivery_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// FuzzParseProxy: what is taken for a proxy can be reached as it is printed, is the same when that is read again, and shows no password in any way;
// nor does an error.
func FuzzParseProxy(f *testing.F) {
	for _, text := range []string{
		"http://proxy.example.com:3128", "https://user:p4ssw0rd-p4ssw0rd@proxy", "socks5://[::1]:1080/", "http://a:b%40c@d:0", "http://:b@c", "ftp://a", "http://a?", "http://a/b", "http://us%3aer@a",
		"http://a:99999", "http://%zz", "//a", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := delivery.ParseProxy(text)
		u, errURL := url.Parse(text)
		password := ""
		if errURL == nil {
			password, _ = u.User.Password()
		}
		secret := len(password) > 12 && !strings.Contains(u.Host, password)
		if err != nil {
			require.Nil(t, p)
			require.False(t, secret && strings.Contains(err.Error(), password) && strings.Count(text, password) == 1)
			return
		}
		shown := p.String()
		again, err := delivery.ParseProxy(shown)
		require.NoError(t, err)
		require.Equal(t, shown, again.String())
		_, address, ok := strings.Cut(shown, "://")
		require.True(t, ok)
		host, _, err := net.SplitHostPort(address)
		require.NoError(t, err)
		require.Equal(t, u.Hostname(), host)
		require.False(t, secret && strings.Contains(fmt.Sprintf("%v %+v %#v", p, *p, *p), password))
	})
}
