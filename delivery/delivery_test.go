package delivery_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"portalhook/delivery"
	"portalhook/delivery/deliverytest"
	"portalhook/router"
	"portalhook/triggers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a dispatcher with everything around it but a database.
type house struct {
	*delivery.Dispatcher
	queue     *deliverytest.Queue
	directory *delivery.Directory
	tenant    uint32
	t         testing.TB
}

// open builds a house that may reach loopback; adjust changes its configuration before it starts.
func open(tb testing.TB, adjust func(*delivery.Config)) *house {
	tb.Helper()
	return reopen(tb, deliverytest.NewQueue(time.Now), adjust)
}

func reopen(tb testing.TB, queue *deliverytest.Queue, adjust func(*delivery.Config)) *house {
	tb.Helper()
	ctx := context.Background()
	tenants, err := queue.Tenants(ctx)
	require.NoError(tb, err)
	if len(tenants) == 0 {
		tenants = []triggers.Tenant{{Name: "default", PortalID: "0123456789ABCDEF", PortalURL: "https://portal.example.com/"}}
		require.NoError(tb, queue.SaveTenant(ctx, &tenants[0]))
	}
	table := router.NewTable()
	directory, err := delivery.NewDirectory(ctx, delivery.DirectoryConfig{Store: queue, Table: table, MaxWebhooks: 20_000})
	require.NoError(tb, err)
	config := delivery.Config{Queue: queue, Directory: directory, Table: table, Gauge: queue, Random: func() float64 { return 0 }}
	if adjust != nil {
		adjust(&config)
	}
	if config.Transport == nil {
		transport := delivery.NewTransport(delivery.TransportConfig{Guard: delivery.NewGuard(loopback(tb), 0)})
		tb.Cleanup(transport.CloseIdleConnections)
		config.Transport = transport
	}
	h := &house{delivery.New(config), queue, directory, tenants[0].Key, tb}
	h.Start()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(tb, h.Shutdown(ctx))
	})
	return h
}

func loopback(tb testing.TB) triggers.Targets {
	tb.Helper()
	targets, err := triggers.ParseTargets([]string{"127.0.0.0/8", "::1/128"}, true)
	require.NoError(tb, err)
	return targets
}

// silent keeps test servers from logging what was provoked.
var silent = log.New(io.Discard, "", 0)

var webhookNumbers atomic.Uint32

// subscribe creates an enabled webhook; change adjusts it first.
func (h *house) subscribe(target string, change func(*triggers.Webhook), names ...string) *triggers.Webhook {
	h.t.Helper()
	if len(names) == 0 {
		names = []string{"/"}
	}
	n := webhookNumbers.Add(1)
	w := &triggers.Webhook{
		ID: triggers.WebhookID{15: byte(n), 14: byte(n >> 8), 13: byte(n >> 16)}, Tenant: h.tenant,
		Name: fmt.Sprintf("webhook %d", n), URL: target, Enabled: true, Level: triggers.TenantLevel, Format: triggers.FormatAuto,
		Secret: triggers.NewSecret("0123456789abcdef0123456789abcdef"),
	}
	for _, name := range names {
		trigger, err := triggers.Default().ParseTrigger(name)
		require.NoError(h.t, err)
		w.Triggers = append(w.Triggers, trigger)
	}
	if change != nil {
		change(w)
	}
	require.NoError(h.t, h.directory.Create(context.Background(), w))
	return w
}

// event is a plain one.
func event(tb testing.TB, uri string) *triggers.Event {
	tb.Helper()
	e, err := triggers.Default().ParseEvent(fmt.Appendf(nil, `{"uri":%q,"username":"jdoe","when":1543192196521}`, uri))
	require.NoError(tb, err)
	return e
}

func (h *house) emit(events ...*triggers.Event) []delivery.Receipt {
	h.t.Helper()
	receipts, err := h.Dispatch(context.Background(), h.tenant, events)
	require.NoError(h.t, err)
	return receipts
}

// eventually waits until a delivery has ended or has had the number of attempts.
func (h *house) delivered(id triggers.ID, until func(*delivery.Record) bool) *delivery.Record {
	h.t.Helper()
	var record *delivery.Record
	require.Eventually(h.t, func() bool {
		var err error
		record, err = h.queue.Delivery(context.Background(), h.tenant, id)
		return err == nil && until(record)
	}, 20*time.Second, time.Millisecond)
	return record
}

func ended(r *delivery.Record) bool { return !r.EndedAt.IsZero() }

// receiver is a local one. Its host is an address, which the tests' guard admits.
func receiver(tb testing.TB, handler http.HandlerFunc) string {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(tb, err)
	_, err = netip.ParseAddrPort(u.Host)
	require.NoError(tb, err)
	return server.URL + "/hook"
}

func TestTheStraightWay(t *testing.T) {
	bodies := make(chan string, 1)
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		_ = r.Header.Write(&b)
		bodies <- b.String()
		w.WriteHeader(http.StatusNoContent)
	})
	h := open(t, nil)
	w := h.subscribe(target, nil, "/items/*/share", "/items")
	receipts := h.emit(event(t, "/items/4adc30bb03054812a846fa592de105de/update"))
	require.Equal(t, 1, receipts[0].Matched)
	record := h.delivered(receipts[0].ID+1, ended)
	require.Equal(t, delivery.Succeeded, record.State)
	require.Equal(t, w.Key, record.Webhook)
	t.Log(<-bodies)
}
