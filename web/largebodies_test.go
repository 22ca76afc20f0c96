package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Large bodies find a bounded room: what does not fit is refused for now, whether it says its length or not, and small events go on.
func TestLargeBodiesShareARoom(t *testing.T) {
	e := newEdge(t)
	large := `[` + strings.Repeat(share+",", 2500) + share + `]`
	post := func(body string, length int64, limit time.Duration) *httptest.ResponseRecorder {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/events", strings.NewReader(body))
		r.ContentLength = length
		r.Header.Set("Authorization", "Bearer "+adminKey)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.server.ServeHTTP(w, r)
		return w
	}
	release := e.server.FillLargeBodies()
	for _, length := range []int64{int64(len(large)), -1} {
		refused := post(large, length, time.Millisecond)
		require.Equal(t, http.StatusServiceUnavailable, refused.Code)
		require.Equal(t, "1", refused.Header().Get("Retry-After"))
		require.Contains(t, refused.Body.String(), "OVERLOADED")
		require.Equal(t, http.StatusAccepted, post(share, int64(len(share)), time.Minute).Code, "a small event needs no room")
	}
	release()
	for _, length := range []int64{int64(len(large)), -1} {
		require.Equal(t, http.StatusAccepted, post(large, length, time.Minute).Code)
	}
	e.server.FillLargeBodies()() // all of it was given back
}
