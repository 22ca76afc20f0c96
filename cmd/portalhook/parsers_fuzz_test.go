package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// FuzzPropertiesOf: what pairs make is an object with each name once, whose values are those given, in order.
func FuzzPropertiesOf(f *testing.F) {
	for _, seed := range [][3]string{{"a=1", "b=[1]", "a=2"}, {"=", "a", `a={"b":1,"b":2}`}, {"\xff=1", "a=\xff", ""}, {`a=[`, `a= {}`, "a={}"}, {"ä=ö", "ä=[ ]", ""}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, first, second, third string) {
		pairs := []string{first, second, third}
		object, err := propertiesOf(pairs)
		if err != nil {
			require.Nil(t, object)
			return
		}
		var got map[string]any
		require.NoError(t, json.Unmarshal(object, &got), "%s", object)
		want := map[string][]any{}
		for _, pair := range pairs {
			name, text, _ := strings.Cut(pair, "=")
			var value any = text
			if v := jsontext.Value(text); v.IsValid() && (v.Kind() == '{' || v.Kind() == '[') {
				value = nil // for what is no text
				require.NoError(t, json.Unmarshal(v, &value))
			}
			want[name] = append(want[name], value)
		}
		require.Len(t, got, len(want))
		for name, values := range want {
			if len(values) == 1 {
				require.Equal(t, values[0], got[name])
			} else {
				require.Equal(t, values, got[name])
			}
		}
	})
}

var drawnID = regexp.MustCompile(`"emit-[A-Z2-7]{26}"`)

// wholeFile reads a file of events to its end or its first fault; ids that are drawn are left out.
func wholeFile(in io.Reader) (bodies []string, lines []int, err error) {
	for reader := newEventReader(in); ; {
		event, err := reader.next()
		if errors.Is(err, io.EOF) {
			return bodies, lines, nil
		}
		if err != nil {
			return bodies, lines, err
		}
		bodies, lines = append(bodies, drawnID.ReplaceAllString(string(event.body), "drawn")), append(lines, event.line)
	}
}

// FuzzReadEvents holds the reader of event files to a naive one, which decodes the whole text at once; and to itself when the text comes in
// pieces.
func FuzzReadEvents(f *testing.F) {
	for _, text := range []string{
		`{"uri":"/items/a/delete"}` + "\n" + `{"eventId":"1"}`, "[\n{},\n {\"a\":\n1}]\n", "[]", "", "\n", "[{}]x", "[{}] []", "{}{}", "[1]", "7", "{", "[{},]", "\xef\xbb\xbf{}",
		`{"specversion":"1.0","id":"1"}`, `{"eventId":null}`, `{ }`, `{"a":1,"a":2}`, `[[{}]]`, "{}\r\n{}", "{}\x00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		bodies, lines, err := wholeFile(bytes.NewReader(text))
		again, linesAgain, errAgain := wholeFile(iotest.OneByteReader(bytes.NewReader(text)))
		require.Equal(t, bodies, again)
		require.Equal(t, lines, linesAgain)
		require.Equal(t, err == nil, errAgain == nil, "%v, %v", err, errAgain)

		var want []jsontext.Value
		decoder := jsontext.NewDecoder(bytes.NewBuffer(text))
		var wantErr error
		array := decoder.PeekKind() == '['
		for wantErr == nil {
			var value jsontext.Value
			if value, wantErr = decoder.ReadValue(); wantErr == nil {
				want = append(want, value.Clone())
			}
		}
		good := errors.Is(wantErr, io.EOF)
		if good && array {
			var items []jsontext.Value
			good = len(want) == 1 && json.Unmarshal(want[0], &items) == nil
			want = items
		}
		for _, value := range want {
			good = good && value.Kind() == '{'
		}
		require.Equal(t, good, err == nil, "%v", err)
		if !good {
			require.Regexp(t, `^line [1-9][0-9]*: `, err.Error())
			return
		}
		require.Len(t, bodies, len(want))
		for i, value := range want {
			require.LessOrEqual(t, 1+bytes.Count(text[:bytes.Index(text, value)], []byte("\n")), lines[i])
			var members map[string]jsontext.Value
			require.NoError(t, json.Unmarshal(value, &members))
			if members["eventId"] == nil && members["specversion"] == nil {
				require.Contains(t, bodies[i], `{"eventId":drawn`)
			} else {
				require.Equal(t, string(value), bodies[i])
			}
		}
	})
}

// FuzzImport: whatever a portal lists, what is made of it stays where webhooks are made, no secret gets into what is printed, and what is
// taken from a list is taken from the same in a list of its own.
func FuzzImport(f *testing.F) {
	for _, text := range []string{
		`{"webhooks":[{"name":"a","payloadUrl":"https://a.example.com/","events":["/items"],"isActive":true,"secret":"s3cret-s3cret","config":{"properties":{"federatedServer":1}}}]}`,
		`[{"name":"a","hookUrl":"https://a.example.com/","serviceType":"FeatureServer","folderName":"..","serviceName":"a/../b","changeTypes":["*"],"signatureKey":"**OMITTED**"}]`,
		`{"name":"a","hookUrl":"x","serviceType":"GPServer","serviceName":"%2e%2e","folderName":"/"}`, `{"error":{"code":498,"message":"Invalid token"}}`,
		`{"status":"error","messages":["no"],"code":500}`, `{"webhooks":null}`, `{"webhooks":[1,"a",null,[]],"nextStart":-1}`, `[]`, `7`, `{"a":1,"a":2}`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseArcGISList(text)
		if err != nil {
			return
		}
		alone, err := json.Marshal(list.Webhooks)
		require.NoError(t, err)
		again, err := parseArcGISList(alone)
		if err == nil { // a list of several names of a member is not one of its own
			require.Len(t, again.Webhooks, len(list.Webhooks))
		}
		for _, row := range list.Webhooks {
			w := readArcGIS(row)
			for _, note := range w.notes {
				for _, field := range []string{"secret", "signatureKey"} {
					secret := w.form.Get(field)
					require.False(t, len(secret) > 8 && strings.Contains(note, secret) && !strings.Contains("the property was left out", secret), "%q", note)
				}
			}
			if w.err != nil {
				continue
			}
			require.NotNil(t, w.form)
			at, err := url.Parse(w.path)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(at.EscapedPath(), organisationPath+"/") || strings.HasPrefix(at.EscapedPath(), servicesPath+"/"), w.path)
			require.Equal(t, w.path, path.Clean(w.path), "the path does not climb")
			require.Empty(t, at.RawQuery)
		}
	})
}

// FuzzRetryAfter: whole seconds are what they say, up to a day, and everything else is a date or nothing.
func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"", "1", "-1", "Fri, 31 Dec 1999 23:59:59 GMT", "9223372036854775808", "Sunday, 06-Nov-94 08:49:37 GMT", " 7", "+7", "1e3"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		got := retryAfter(text, now)
		require.GreaterOrEqual(t, got, time.Duration(0))
		require.LessOrEqual(t, got, 24*time.Hour)
		if n, err := strconv.ParseUint(text, 10, 31); err == nil {
			require.Equal(t, min(time.Duration(n)*time.Second, 24*time.Hour), got)
		} else if _, err := http.ParseTime(text); err != nil && strings.Trim(text, "0123456789+- \t") != "" {
			require.Zero(t, got)
		}
	})
}

// FuzzPrintable: nothing that moves a cursor gets through, and what is safe is as it was.
func FuzzPrintable(f *testing.F) {
	for _, text := range []string{"a\x1b[31mb", "a\u202eb\u2066", "a\xffb\x1b", "漢\u0085\u009b", "\x00\x7f", `\u001b`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		require.NotContains(t, strings.Map(func(r rune) rune {
			if unsafeRune(r) {
				return 0
			}
			return 'x'
		}, got), "\x00")
		require.Equal(t, got, printable(got))
		if !strings.ContainsFunc(text, unsafeRune) {
			require.Equal(t, text, got)
		}
	})
}

// FuzzMemoryOf: the memory that the system's files tell of is never below nothing, nor above what either says.
func FuzzMemoryOf(f *testing.F) {
	f.Add("MemTotal:  1024 kB\n", "max\n")
	f.Add("MemTotal:  9223372036854775807 kB\n", "-5")
	f.Add("", "9223372036854775808")
	f.Fuzz(func(t *testing.T, meminfo, limit string) {
		got := memoryOf(func(name string) ([]byte, error) {
			switch name {
			case "/proc/meminfo":
				return []byte(meminfo), nil
			case "/sys/fs/cgroup/memory.max":
				return []byte(limit), nil
			}
			return nil, os.ErrNotExist
		})
		require.GreaterOrEqual(t, got, int64(0))
		if n, err := strconv.ParseInt(strings.TrimSpace(limit), 10, 64); err == nil && n > 0 {
			require.LessOrEqual(t, got, n)
		}
	})
}

// FuzzTrustedProxies holds the list to a naive reading: an address is trusted when one entry, by its bytes, is the beginning of it.
func FuzzTrustedProxies(f *testing.F) {
	for _, seed := range [][2]string{{"10.0.0.0/8,::1", "10.1.1.1"}, {"fe80::1%eth0", "fe80::1"}, {"::ffff:10.0.0.0/104", "10.0.0.1"}, {"0.0.0.0/0", "::ffff:1.1.1.1"}, {"10.0.0.1/33", "x"}, {"", "::"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, list, _ string) {
		entries := strings.Split(list, ",")
		prefixes, err := parsePrefixes(entries)
		for _, entry := range entries {
			_, errPrefix := netip.ParsePrefix(entry)
			_, errAddr := netip.ParseAddr(entry)
			if errPrefix != nil && errAddr != nil {
				require.Error(t, err, entry)
				require.Empty(t, prefixes)
				return
			}
		}
		require.NoError(t, err)
		require.Len(t, prefixes, len(entries))
		for i, p := range prefixes {
			require.True(t, p.IsValid())
			if single, err := netip.ParseAddr(entries[i]); err == nil {
				require.True(t, p.IsSingleIP(), "an address names no other: %s", p)
				require.True(t, p.Contains(single.WithZone("")))
			}
		}
	})
}

// FuzzFlags: what the flags with a grammar of their own take can be used as what it is meant for, and means the same when it is written again.
func FuzzFlags(f *testing.F) {
	for _, text := range []string{
		"https://portal.example.com/portal/", "http://a:0", "https://a?b", "https://a?", "https://u@a", "https://[::1]:8443/x#", "ftp://a", "https:///x", "https://a/%zz", "//a", "https://a b/",
		"127.0.0.1:53", "[::1]:53", "127.0.0.1", "localhost:53", ":53", "sqlite:a.db", "sqlite:", "postgres://a", "Portalhook", " a", "a\r\nb: c", "ä", "a\tb", "\"(a)",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := absoluteURL("--public-url", text); err != nil {
			require.Nil(t, u)
			require.Contains(t, err.Error(), "--public-url")
		} else if u != nil {
			require.Contains(t, []string{"http", "https"}, u.Scheme)
			require.NotEmpty(t, u.Host)
			require.NotContains(t, u.String(), "?")
			require.NotContains(t, u.String(), "@")
			again, err := absoluteURL("--public-url", u.String())
			require.NoError(t, err)
			require.Equal(t, u.String(), again.String())
		}
		resolver, err := resolverAt(text)
		_, errAddress := netip.ParseAddrPort(text)
		require.Equal(t, text != "" && errAddress != nil, err != nil)
		require.Equal(t, errAddress == nil, resolver != nil)

		command := serveCommand{Store: text}
		config, err := command.storeConfig(nil)
		require.Equal(t, strings.HasPrefix(text, "sqlite:") && text != "sqlite:", err == nil)
		if err == nil {
			require.Equal(t, text, "sqlite:"+config.Path)
			require.NotEqual(t, config.Path, config.KeyFile)
		}
		// What goes into a header arrives as it was written.
		if checkUserAgent(text) == nil {
			require.Equal(t, text, overTheWire(t, "User-Agent", text))
		}
		if text != "" && checkAdminKey(text) == nil {
			require.Equal(t, "Bearer "+text, overTheWire(t, "Authorization", "Bearer "+text))
		}
	})
}

// overTheWire is a header's value as it is read at the other end.
func overTheWire(t *testing.T, name, value string) string {
	t.Helper()
	text := fmt.Sprintf("GET / HTTP/1.1\r\nHost: a\r\n%s: %s\r\n\r\n", name, value)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	require.NoError(t, err)
	require.Len(t, r.Header, 1)
	return r.Header.Get(name)
}
