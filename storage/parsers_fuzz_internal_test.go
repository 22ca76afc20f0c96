package storage

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// FuzzParseTimes: what was written comes back, and damaged rows give no more dates than they have bytes.
func FuzzParseTimes(f *testing.F) {
	f.Add([]byte{}, int64(0), int64(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, int64(1<<62), int64(-1))
	f.Fuzz(func(t *testing.T, blob []byte, first, second int64) {
		require.LessOrEqual(t, len(parseTimes(blob)), len(blob))
		const most = int64(1) << 50                                                          // beyond any date
		want := []time.Time{time.UnixMilli(first%most | 1), time.UnixMilli(second%most | 1)} // none is 1970's first moment, which stands for none
		got := parseTimes(appendTimes(nil, want))
		require.Len(t, got, 2)
		require.True(t, want[0].Equal(got[0]) && want[1].Equal(got[1]), "%v %v", want, got)
	})
}

// FuzzParseLatency: what was written comes back.
func FuzzParseLatency(f *testing.F) {
	f.Add([]byte{2, 4, 6})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		counts := delivery.HourCounts{Latency: parseLatency(blob)}
		require.Equal(t, counts.Latency, parseLatency(latencyBlob(&counts)))
	})
}

// FuzzReadSegment holds the reader of the search index to a naive one: a list of hashes and steps.
func FuzzReadSegment(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 5, 1, 0, 0, 0, 0, 2, 0, 0, 0, 1}, uint64(1))
	f.Add([]byte{1, 0, 0}, uint64(1))
	f.Add([]byte{1, 0, 0, 0, 0x80}, uint64(1))
	f.Fuzz(func(t *testing.T, body []byte, hash uint64) {
		var want []triggers.ID
		event, rest := triggers.ID(1000), body
		for len(rest) > 4 {
			step, n := binary.Uvarint(rest[4:])
			if n <= 0 {
				break
			}
			event += triggers.ID(step)
			if binary.LittleEndian.Uint32(rest) == uint32(hash) && (len(want) == 0 || want[len(want)-1] != event) {
				want = append(want, event)
			}
			rest = rest[4+n:]
		}
		got, err := readSegment(body, 1000, hash)
		if len(rest) > 0 {
			require.ErrorIs(t, err, errSegment)
			require.Empty(t, got)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// FuzzKeyFile: a key file opens when each of its lines is an id and 32 bytes, the newest seals, all open what they sealed, and no error shows
// a line of it.
func FuzzKeyFile(f *testing.F) {
	key := base64.StdEncoding.EncodeToString(make([]byte, keyLength))
	for _, text := range []string{
		"", "# nothing\n", "a " + key, "a " + key + "\r\nb " + key + "\n\n", "a  " + key, key, "a " + key[:40], " " + key, "a:b " + key, "a " + key + "\na " + key,
		"a " + strings.Replace(key, "=", "", 1), "a\t" + key,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		lines, good := 0, true
		var words []string
		ids := map[string]bool{}
		for line := range strings.SplitSeq(text, "\n") {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			lines++
			id, encoded, _ := strings.Cut(line, " ")
			words = append(words, strings.TrimSpace(encoded))
			raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
			good = good && err == nil && len(raw) == keyLength && !strings.Contains(id, ":") && !ids[id]
			ids[id] = true
		}
		ring, err := openKeyRing(path)
		if err != nil {
			require.False(t, lines > 0 && good, err)
			for _, word := range words {
				require.False(t, len(word) > 20 && strings.Contains(err.Error(), word), "the error shows a key")
			}
			return
		}
		require.True(t, lines > 0 && good)
		at := sealPlace{1, triggers.WebhookID{2}, "secret"}
		secret := triggers.NewSecret("of the first key")
		opened, err := ring.open(ring.seal(secret, at), at)
		require.NoError(t, err)
		require.Equal(t, secret, opened)
	})
}

// FuzzOpenSealed: what was not sealed by us does not open, whatever it is.
func FuzzOpenSealed(f *testing.F) {
	path := filepath.Join(f.TempDir(), "key")
	ring, err := makeKeyRing(path)
	require.NoError(f, err)
	f.Add("", 0, byte(0))
	f.Add(ring.newest+":AAAA", 3, byte(1))
	f.Add("none:", 40, byte(0x80))
	f.Fuzz(func(t *testing.T, forged string, where int, flip byte) {
		at := sealPlace{1, triggers.WebhookID{2}, "secret"}
		opened, err := ring.open(forged, at)
		if forged != "" {
			require.ErrorIs(t, err, ErrSecrets)
		}
		require.True(t, opened.IsZero())
		sealed := []byte(ring.seal(triggers.NewSecret("a secret of ours"), at))
		sealed[uint(where)%uint(len(sealed))] ^= flip
		if opened, err = ring.open(string(sealed), at); err == nil {
			require.Equal(t, "a secret of ours", opened.Reveal(), "nothing was changed, or what does not count")
		}
	})
}

// FuzzDataSource: the name of a file stays that name in the driver's form of it, and brings no setting with it.
func FuzzDataSource(f *testing.F) {
	for _, path := range []string{"/var/lib/a.db", "/a?mode=memory", "/a%2e#x", "/ü \x00", "//host/a", "/a/../b", "/a&_sync=0", "/\xff"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		path = "/" + strings.TrimLeft(path, "/")
		text, ok := strings.CutPrefix(dataSource(path, writerPragmas), "file:")
		require.True(t, ok)
		name, pragmas, ok := strings.Cut(text, "?")
		require.True(t, ok)
		require.Equal(t, writerPragmas, pragmas)
		require.NotContains(t, name, "#")
		back, err := url.PathUnescape(name)
		require.NoError(t, err)
		require.Equal(t, path, back)
	})
}

// FuzzJobSource holds the source of a job's identity to what it was made of, and has anything else refused or read within its bounds.
func FuzzJobSource(f *testing.F) {
	f.Add("", "Water")
	f.Add("city", "1:Water")
	f.Add("4:x", "")
	f.Fuzz(func(t *testing.T, folder, service string) {
		gotFolder, gotService, err := parseJobSource(jobSource(folder, service))
		require.NoError(t, err)
		require.Equal(t, [2]string{folder, service}, [2]string{gotFolder, gotService})
		if gotFolder, gotService, err = parseJobSource(folder); err == nil {
			require.LessOrEqual(t, len(gotFolder)+len(gotService), len(folder))
		}
	})
}
