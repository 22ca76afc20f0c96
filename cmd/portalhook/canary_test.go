package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// canaries are secrets of every kind that can be known again wherever they turn up, and what was found where they could.
type canaries struct {
	secrets map[string][]byte // by what they are
	found   map[string][]byte // by where it was found
	// may says of a secret where it may be: in what has one of these beginnings.
	may map[string][]string
}

func newCanaries() *canaries {
	return &canaries{secrets: map[string][]byte{}, found: map[string][]byte{}, may: map[string][]string{}}
}

// draw makes a secret of a kind that may be seen where it is said.
func (c *canaries) draw(kind string, may ...string) string {
	return c.know(kind, "canary-"+strings.ToLower(rand.Text()), may...)
}

// know takes up a secret that somebody else has drawn.
func (c *canaries) know(kind, secret string, may ...string) string {
	c.secrets[kind], c.may[kind] = []byte(secret), may
	return secret
}

// forms are the ways in which a secret can be written: as it is, with the escapes of JSON, HTML and URLs, in hex, and in base64 with anything before it.
func forms(secret []byte) map[string][]byte {
	text := string(secret)
	quoted, _ := json.Marshal(text)
	all := map[string][]byte{
		"plain": secret, "JSON": bytes.Trim(quoted, `"`), "HTML": []byte(html.EscapeString(text)), "a query": []byte(url.QueryEscape(text)), "a path": []byte(url.PathEscape(text)),
		"hex": []byte(hex.EncodeToString(secret)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(secret))),
		"reversed": reversedBytes(secret),
	}
	for shift, cut := range []int{0, 2, 3} { // the characters that depend on what stands before
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64 of URLs": base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(append(make([]byte, shift), secret...))
			whole := (shift + len(secret)) / 3 * 4 // and after that, on what follows
			all[fmt.Sprintf("%s, %d", name, shift)] = []byte(encoded[cut:whole])
		}
	}
	return all
}

func reversedBytes(of []byte) []byte {
	of = slices.Clone(of)
	slices.Reverse(of)
	return of
}

// see keeps what was found somewhere.
func (c *canaries) see(where string, what []byte) {
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s #%d", where, n); c.found[name] == nil {
			c.found[name] = append([]byte{' '}, what...)
			return
		}
	}
}

// seeFiles keeps the files of a folder, but for the one that is left out.
func (c *canaries) seeFiles(t *testing.T, where, folder, leftOut string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.Name() == leftOut || entry.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		require.NoError(t, err)
		c.see("file "+where+" "+entry.Name(), text)
	}
}

// hunt looks for every secret in all its forms everywhere.
func (c *canaries) hunt(t *testing.T) {
	t.Helper()
	for kind, secret := range c.secrets {
		require.GreaterOrEqual(t, len(secret), 12, kind)
		looked := map[string]bool{}
		for form, text := range forms(secret) {
			if looked[string(text)] {
				continue
			}
			looked[string(text)] = true
			for where, what := range c.found {
				allowed := slices.ContainsFunc(c.may[kind], func(beginning string) bool { return strings.HasPrefix(where, beginning) })
				if at := bytes.Index(what, text); at >= 0 && !allowed {
					t.Errorf("%s, written as %s, is in %s: …%q…", kind, form, where, what[max(0, at-120):min(len(what), at+len(text)+40)])
				}
			}
		}
	}
}

// TestCanariesAreFound is what makes hunt worth something: it finds each form.
func TestCanariesAreFound(t *testing.T) {
	c := newCanaries()
	secret := []byte(c.draw("it") + `<&"\ ü`)
	for name, text := range forms(secret) {
		for _, before := range []string{"", "a", "ab", "abc"} {
			where := []byte(before + string(text) + "z")
			require.True(t, bytes.Contains(where, text), name)
		}
	}
	for shift := range 7 {
		encoded := []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + string(secret) + "yy")))
		hits := 0
		for _, text := range forms(secret) {
			if bytes.Contains(encoded, text) {
				hits++
			}
		}
		require.Positive(t, hits, "base64 after %d bytes", shift)
	}
}

// watched is a server process all of whose output is kept in files.
type watched struct {
	*canaries
	url, key, folder string
	cmd              *exec.Cmd
	out, err         string
}

// watch starts a server that logs all it can.
func (c *canaries) watch(t *testing.T, folder, key string, args ...string) *watched {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	output := t.TempDir()
	w := &watched{canaries: c, key: key, folder: folder, out: filepath.Join(output, "out"), err: filepath.Join(output, "err")}
	stdout, err := os.Create(w.out)
	require.NoError(t, err)
	defer stdout.Close()
	stderr, err := os.Create(w.err)
	require.NoError(t, err)
	defer stderr.Close()
	w.cmd = exec.Command(path, append([]string{
		"serve", "--listen", "127.0.0.1:0", "--store", "sqlite:" + filepath.Join(folder, "portalhook.db"), "--log-format", "json", "--log-level", "debug",
		"--allow-http", "--allow-target", "127.0.0.0/8", "--reachability-check", "warn",
	}, args...)...)
	w.cmd.Env = append(os.Environ(), "PORTALHOOK_ADMIN_KEY="+key)
	w.cmd.Stdout, w.cmd.Stderr = stdout, stderr
	require.NoError(t, w.cmd.Start())
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(w.err)
		for line := range bytes.Lines(text) {
			var at struct {
				Address string `json:"address"`
			}
			if json.Unmarshal(line, &at) == nil && at.Address != "" {
				w.url = "http://" + at.Address
			}
		}
		return w.url != ""
	}, time.Minute, 10*time.Millisecond)
	return w
}

// end ends the process by a signal and keeps what it wrote.
func (w *watched) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, w.cmd.Process.Signal(signal))
	_ = w.cmd.Wait()
	for name, file := range map[string]string{"standard output": w.out, "the log": w.err} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		w.see(name, text)
	}
}

// ask makes a request and keeps the answer, its headers too, but for cookies. What is asked for by somebody who has a secret in hand is named so
// that it can be said where that may be.
func (w *watched) ask(t *testing.T, named, method, path, contentType, body string, header ...string) (status int, answer []byte, cookies []*http.Cookie) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	require.NoError(t, err)
	cookies = response.Cookies()
	response.Header.Del("Set-Cookie")
	var head bytes.Buffer
	require.NoError(t, response.Header.Write(&head))
	if named == "" {
		named = "the answer to " + method + " " + path
	}
	w.see(named, append(append(head.Bytes(), '\n'), answer...))
	return response.StatusCode, answer, cookies
}

// api is ask with the admin's key and a body in JSON; it decodes the answer and wants a success.
func (w *watched) api(t *testing.T, named, method, path string, in any) (object map[string]any) {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	status, answer, _ := w.ask(t, named, method, path, "application/json", string(body), "Authorization", "Bearer "+w.key)
	require.Less(t, status, 300, "%s %s: %s", method, path, answer)
	if len(answer) > 0 {
		require.NoError(t, json.Unmarshal(answer, &object), string(answer))
	}
	return object
}

// command runs the program against the server and keeps what it prints; it may fail.
func (w *watched) command(t *testing.T, env []string, args ...string) {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, args...)
	cmd.Env = append(append(os.Environ(), "PORTALHOOK_SERVER="+w.url, "PORTALHOOK_KEY="+w.key), env...)
	out, _ := cmd.CombinedOutput()
	w.see("command "+args[0], out)
}
