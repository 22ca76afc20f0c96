package main_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portalhook/storage/storagetest"

	"github.com/stretchr/testify/require"
)

// The whole way, measured beside its yardstick in one run: what plain net/http does on the same machine with the same body over
// the same number of connections, client and server in processes of their own. A delivery is two exchanges, so the ceiling is half.

var (
	throughputStore  = flag.String("throughput.store", storagetest.SQLite, "the database: sqlite or postgres")
	throughputRounds = flag.Int("throughput.rounds", 3, "rounds, each with its own yardstick; medians are reported")
	throughputEvents = flag.Int("throughput.events", 20_000, "events a round")
	throughputConns  = flag.Int("throughput.conns", 64, "connections that emit at once")
)

const (
	steadyRate    = 200 // events a second of the latency run
	steadyEvents  = 2000
	plainReceiver = "PORTALHOOK_TEST_PLAIN_RECEIVER"
)

// TestPlainReceiver is not a test of ours: re-executed with plainReceiver set, it is the yardstick's server process.
func TestPlainReceiver(t *testing.T) {
	if os.Getenv(plainReceiver) == "" {
		return
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Fprintf(os.Stdout, "listening %s\n", listener.Addr())
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
	})}
	_ = server.Serve(listener) // ends with the process, which the parent kills
}

func startPlainReceiver(b *testing.B) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^TestPlainReceiver$")
	cmd.Env = append(os.Environ(), plainReceiver+"=1")
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var address string
	_, err = fmt.Fscanf(out, "listening %s\n", &address)
	require.NoError(b, err)
	return "http://" + address
}

// throughputEvent is an event of about 600 bytes; n travels in its properties to the receiver.
func throughputEvent(n int) []byte {
	return fmt.Appendf(nil, `{"uri":"/items/%032x/update","username":"jdoe","userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521,`+
		`"properties":{"n":%d,"title":"Parcels of the northern district, revised edition","tags":["parcels","cadastre","north","2026"],`+
		`"snippet":"%s"}}`, n%1000, n, strings.Repeat("All parcels with owner, area and assessed value. ", 6))
}

// entrance is where events are emitted to.
type entrance struct{ url, key string }

// post sends events 0 to n-1 over the given number of connections to the entrances in turn, and fails on any answer but want.
func post(b *testing.B, to []entrance, n, conns, want int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var failed atomic.Pointer[string]
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := postOne(client, to[i%len(to)], throughputEvent(i), want); err != nil {
					text := err.Error()
					failed.Store(&text)
				}
			}
		})
	}
	wg.Wait()
	if text := failed.Load(); text != nil {
		b.Fatal(*text)
	}
}

func postOne(client *http.Client, to entrance, body []byte, want int) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if to.key != "" {
		request.Header.Set("Authorization", "Bearer "+to.key)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return err
	}
	if response.StatusCode != want {
		return fmt.Errorf("answer %d: %s", response.StatusCode, answer)
	}
	return nil
}

// arrivals is the receiver of the measured deliveries.
type arrivals struct {
	*httptest.Server
	count atomic.Int64
	at    []atomic.Int64 // by n: nanoseconds since start, of the latency run
	start time.Time
}

func newArrivals(b *testing.B) *arrivals {
	b.Helper()
	a := &arrivals{at: make([]atomic.Int64, steadyEvents), start: time.Now()}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, rest, _ := bytes.Cut(body, []byte(`"n":`))
		digits, _, _ := bytes.Cut(rest, []byte(","))
		if n, err := strconv.Atoi(string(digits)); err == nil && n < 0 && -n <= steadyEvents {
			a.at[-n-1].Store(int64(time.Since(a.start)))
		}
		a.count.Add(1)
		w.WriteHeader(http.StatusOK)
	}))
	b.Cleanup(a.Close)
	return a
}

func BenchmarkThroughput(b *testing.B) {
	conns, events := *throughputConns, *throughputEvents
	plain := startPlainReceiver(b)
	receiver := newArrivals(b)
	server := on(*throughputStore)(b)
	server.createWebhook(b, map[string]any{
		"name": "bench", "url": receiver.URL, "eventTypes": []string{"/items"}, "enabled": true,
		"secret": "0123456789abcdef0123456789abcdef",
	})
	idle := server.memory(b, "VmRSS")

	floor, emit := []entrance{{plain, ""}}, []entrance{server.entrance()}
	post(b, floor, events/10, conns, http.StatusOK)
	post(b, emit, events/10, conns, http.StatusAccepted)
	awaitNoneOpen(b, server)

	var raws, rates, shares, cpus []float64
	for range *throughputRounds {
		start := time.Now()
		post(b, floor, events, conns, http.StatusOK)
		raw := float64(events) / time.Since(start).Seconds()

		before, cpu := receiver.count.Load(), server.cpu(b)
		start = time.Now()
		post(b, emit, events, conns, http.StatusAccepted)
		awaitNoneOpen(b, server)
		end := time.Now()
		require.EqualValues(b, events, receiver.count.Load()-before, "every event arrives once")
		rate := float64(events) / end.Sub(start).Seconds()
		raws, rates = append(raws, raw), append(rates, rate)
		shares = append(shares, rate/(raw/2))
		cpus = append(cpus, (server.cpu(b)-cpu)/float64(events)*10_000)
		b.Logf("plain HTTP %6.0f/s   whole way %6.0f/s   share of half %.3f   server CPU s per 10k %.2f", raw, rate, shares[len(shares)-1], cpus[len(cpus)-1])
	}
	p50, p99 := steady(b, server, emit, receiver)

	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(raws), "plain-http/s")
	b.ReportMetric(median(rates), "events/s")
	b.ReportMetric(median(shares), "share-of-half")
	b.ReportMetric(slices.Min(shares), "share-min")
	b.ReportMetric(slices.Max(shares), "share-max")
	b.ReportMetric(median(cpus), "cpu-s/10k")
	b.ReportMetric(p50, "arrival-p50-ms")
	b.ReportMetric(p99, "arrival-p99-ms")
	b.ReportMetric(idle, "rss-idle-MiB")
	b.ReportMetric(server.memory(b, "VmRSS"), "rss-end-MiB")
	b.ReportMetric(server.memory(b, "VmHWM"), "rss-peak-MiB")
}

func (p *process) entrance() entrance { return entrance{p.url + "/api/v1/events", p.key} }

// steady emits at a fixed rate to the entrances in turn and gives the time from the intended moment of sending to arrival, in milliseconds.
func steady(b *testing.B, server *process, to []entrance, receiver *arrivals) (p50, p99 float64) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	intended := make([]time.Duration, steadyEvents)
	var failed atomic.Int64
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / steadyRate)
	defer tick.Stop()
	for i := range steadyEvents {
		at := <-tick.C
		intended[i] = at.Sub(receiver.start)
		wg.Go(func() {
			if postOne(client, to[i%len(to)], throughputEvent(-i-1), http.StatusAccepted) != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	require.Zero(b, failed.Load())
	awaitNoneOpen(b, server)
	latency := make([]float64, steadyEvents)
	for i := range latency {
		at := receiver.at[i].Load()
		require.NotZero(b, at, "event %d did not arrive", i)
		latency[i] = float64(at-int64(intended[i])) / 1e6
	}
	slices.Sort(latency)
	return latency[steadyEvents/2], latency[steadyEvents*99/100]
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
