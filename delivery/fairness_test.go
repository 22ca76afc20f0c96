package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

// TestTheBoundForAHealthyReceiver is what docs/decisions/0004-fair-shares.md states: however many receivers are known to hang, one that
// is well waits for none of them; and up to 384 that begin to hang at one moment do not either.
func TestTheBoundForAHealthyReceiver(t *testing.T) {
	const hanging = 384
	w := &wire{answer: func(r *http.Request, _ int) (int, http.Header, time.Duration, error) {
		if strings.HasPrefix(r.URL.Host, "hang") {
			return 200, nil, hang, nil
		}
		return 200, nil, 10 * time.Millisecond, nil
	}}
	inBubble(t, w, nil, func(h *house) {
		t := h.t
		for i := range hanging {
			h.subscribe(fmt.Sprintf("https://hang%d.example.com/hook", i), nil, "/items")
		}
		h.subscribe("https://well.example.com/hook", nil, "/items/well", "/groups")
		batch := func() (all []*triggers.Event) {
			for range 10 {
				all = append(all, event(t, "/items/sick/update"))
			}
			return all
		}
		for round := range 4 {
			began := time.Now()
			h.emit(batch()...)
			synctest.Wait()
			for range 20 {
				h.emit(event(t, "/groups/g/update"))
			}
			pass(20 * time.Second)
			all := slices.DeleteFunc(w.times("well.example.com", began), func(at time.Duration) bool { return at < 0 })
			require.Len(t, all, 20, "round %d", round)
			require.Less(t, slices.Max(all), 500*time.Millisecond, "round %d", round)
		}
	})
}

// BenchmarkHealthyBesideSick measures how long deliveries to healthy receivers wait for their start, in real time, while 0, 1, 5 and 9
// of 10 receivers hang: 200 events a second for three seconds or more go to all ten.
func BenchmarkHealthyBesideSick(b *testing.B) {
	for _, sick := range []int{0, 1, 5, 9} {
		b.Run(fmt.Sprintf("%d-of-10-hang", sick), func(b *testing.B) {
			queue := new(sink)
			h := benchHouse(b, hangingIf("sick"), queue)
			for i := range 10 {
				kind := "well"
				if i < sick {
					kind = "sick"
				}
				h.subscribe(fmt.Sprintf("https://%s%d.example.com/hook", kind, i), func(w *triggers.Webhook) { w.TimeoutSeconds = 1 })
			}
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for range max(b.N, 600) {
				<-ticker.C
				h.emit(event(b, "/items/a/update"))
			}
			waited := queue.waits()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(waited[len(waited)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(waited[len(waited)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(waited[len(waited)-1].Microseconds()), "max-µs")
		})
	}
}

// hangingIf hangs at hosts whose name begins so, and answers at once at all others.
type hangingIf string

func (prefix hangingIf) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Host, string(prefix)) {
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	}
	return nowhere{}.RoundTrip(r)
}
