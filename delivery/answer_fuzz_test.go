package delivery_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// FuzzAnswerBody: of an answer's body no more is kept than there may be, and what is kept is its beginning, decoded as an independent reader
// decodes it; what cannot be decoded is no fault of the connection.
func FuzzAnswerBody(f *testing.F) {
	zipped := func(text []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(text)
		_ = w.Close()
		return b.Bytes()
	}
	f.Add("", []byte("thanks"), 200, int64(-1))
	f.Add("gzip", zipped([]byte("thanks")), 200, int64(-1))
	f.Add("GZIP", zipped(make([]byte, 1<<20)), 500, int64(0))
	f.Add("gzip", zipped([]byte("thanks"))[:9], 200, int64(-1))
	f.Add("gzip", bytes.Repeat(zipped(nil), 4000), 200, int64(-1))
	f.Add("br", make([]byte, 70<<10), 101, int64(-1))
	f.Fuzz(func(t *testing.T, encoding string, body []byte, status int, length int64) {
		const kept, most = 16 << 10, 64 << 10
		closed := false
		from := &closing{Reader: bytes.NewReader(body), closed: &closed}
		got, truncated, err := delivery.ReadBody(&http.Response{
			StatusCode: status, ContentLength: length, Body: from, Header: http.Header{"Content-Encoding": {encoding}},
		})
		require.NoError(t, err)
		require.True(t, closed)
		require.LessOrEqual(t, len(got), kept)
		require.LessOrEqual(t, len(body)-from.Len(), most+1, "no more is read off the wire")
		if status == http.StatusSwitchingProtocols || length == 0 {
			require.Empty(t, got)
			return
		}
		want, whole := body, true
		if bytes.EqualFold([]byte(encoding), []byte("gzip")) {
			reader, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				require.True(t, truncated && len(got) == 0)
				return
			}
			want, err = io.ReadAll(io.LimitReader(reader, 2*most))
			whole = err == nil
		}
		require.True(t, bytes.HasPrefix(want, got))
		if whole && len(want) <= most && len(body) <= most {
			require.Equal(t, len(want) > kept, truncated)
			require.Len(t, got, min(len(want), kept))
		} else {
			require.True(t, truncated)
		}
	})
}

// closing is a body that tells whether it was closed.
type closing struct {
	*bytes.Reader

	closed *bool
}

func (c *closing) Close() error {
	*c.closed = true
	return nil
}
