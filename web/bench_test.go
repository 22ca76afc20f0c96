package web_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
	"portalhook/web"
)

// idle is a dispatcher that does nothing, so that what is left is the edge itself.
type idle struct{}

func (idle) Dispatch(_ context.Context, _ uint32, events []*triggers.Event) ([]delivery.Receipt, error) {
	return make([]delivery.Receipt, len(events)), nil
}

// event600 is an event of about 600 bytes.
var event600 = strings.Replace(share, `["Everyone"]`, `["Everyone"`+strings.Repeat(`,"a4e6e37e2f7d4bb5b64d587c91d39a2c"`, 12)+`]`, 1)

// BenchmarkPostEvent is one event posted to a dispatcher that does nothing: by the handler alone, and over loopback beside a plain
// handler of net/http that reads the same body and writes an answer of the same size.
func BenchmarkPostEvent(b *testing.B) {
	e := newEdge(b, func(c *web.Config) {
		c.Dispatcher = idle{}
		c.Log = nil
	})
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		body := strings.NewReader(event600)
		r := httptest.NewRequest(http.MethodPost, "/api/v1/events", io.NopCloser(body))
		r.ContentLength = int64(len(event600))
		r.Header.Set("Authorization", "Bearer "+adminKey)
		r.Header.Set("Content-Type", "application/json")
		w := &discard{header: http.Header{}}
		for b.Loop() {
			body.Reset(event600)
			e.server.ServeHTTP(w, r)
		}
		require.Equal(b, http.StatusAccepted, w.status)
	})
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"id":"evt_0000000000000","matched":0}`)
	}))
	defer plain.Close()
	for name, url := range map[string]string{"loopback": e.url, "floor": plain.URL} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(32)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/api/v1/events", bytes.NewReader([]byte(event600)))
					if err != nil {
						b.Error(err)
						return
					}
					r.Header.Set("Authorization", "Bearer "+adminKey)
					r.Header.Set("Content-Type", "application/json")
					resp, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != http.StatusAccepted {
						b.Errorf("status %d", resp.StatusCode)
						return
					}
				}
			})
		})
	}
}

// discard is a response writer that keeps the status only.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
