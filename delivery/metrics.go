package delivery

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Why events were refused, as the metric's label says it.
const (
	refusedQueue    = "queue-full"
	refusedDisk     = "disk-full"
	refusedStore    = "store"
	refusedStopping = "stopping"
)

// metrics counts what happens. Counters with labels are looked up once, here, and not on the way.
type metrics struct {
	events, duplicates, unmatched, planned prometheus.Counter
	refusals                               map[string]prometheus.Counter
	attempts, tests, probes                map[Outcome]prometheus.Counter
	warnings                               map[string]prometheus.Counter
	took, waited                           prometheus.Histogram
	ends                                   map[State]prometheus.Counter
	settleBatches, stale, settleFailures   prometheus.Counter
	claims, claimFailures                  prometheus.Counter
	dropped                                prometheus.Counter
}

// newMetrics registers the metrics of d. With a nil registerer they are counted for nobody.
func newMetrics(registerer prometheus.Registerer, d *Dispatcher) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "portalhook_" + name, Help: help})
		register(registerer, c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "portalhook_" + name, Help: help, Buckets: buckets})
		register(registerer, h)
		return h
	}
	gauge := func(name, help string, value func() float64) {
		register(registerer, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "portalhook_" + name, Help: help}, value))
	}
	durations := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	delays := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 120, 600}
	m := &metrics{
		events:         counter("events_accepted_total", "Events stored, duplicates left out."),
		duplicates:     counter("events_duplicate_total", "Events that had been accepted before."),
		unmatched:      counter("events_unmatched_total", "Events stored that no webhook wanted."),
		planned:        counter("deliveries_planned_total", "Deliveries that accepted events led to, skipped ones included."),
		took:           histogram("attempt_duration_seconds", "From the start of an attempt to its end.", durations),
		waited:         histogram("attempt_wait_seconds", "From the time a delivery was due to the start of its attempt.", delays),
		settleBatches:  counter("settle_batches_total", "Batches of ended attempts that were recorded."),
		stale:          counter("settlements_stale_total", "Settlements that changed nothing, since the lease was no longer theirs."),
		settleFailures: counter("settle_failures_total", "Batches of ended attempts that could not be recorded at first."),
		claims:         counter("deliveries_claimed_total", "Deliveries fetched from the store."),
		claimFailures:  counter("claim_failures_total", "Claims that failed."),
		dropped:        counter("own_events_dropped_total", "Events about webhooks that could not be told, whatever is tried."),
		refusals: counters(registerer, "events_refused_total", "Batches of events refused because of our own state.", "reason",
			refusedQueue, refusedDisk, refusedStore, refusedStopping),
		attempts: counters(registerer, "attempts_total", "Attempts by what they came to.", "outcome", Outcomes...),
		tests:    counters(registerer, "webhook_tests_total", "Tests of webhooks by what they came to.", "outcome", Outcomes...),
		probes:   counters(registerer, "webhook_probes_total", "Probes of webhooks that the server switched off, by what they came to.", "outcome", Outcomes...),
		warnings: counters(registerer, "webhook_warnings_total", "Webhooks that came to a step on their way to being switched off.", "percent", "50", "70", "90"),
		ends: counters(registerer, "deliveries_ended_total", "Deliveries by how they ended.", "state",
			Succeeded, Exhausted, Cancelled),
	}
	gauge("attempts_in_flight", "Attempts under way.", d.underLock(func() int { return d.shares.running }))
	gauge("deliveries_in_memory", "Deliveries reserved, waiting in memory or under way.", d.underLock(func() int { return d.shares.leased }))
	gauge("tail_listeners", "Those who listen to what happens.", func() float64 { return float64(len(d.tail.all())) })
	gauge("breakers_open", "Hosts that are given a rest.", d.underLock(d.shares.openBreakers))
	return m
}

func (d *Dispatcher) underLock(value func() int) func() float64 {
	return func() float64 {
		d.mu.Lock()
		defer d.mu.Unlock()
		return float64(value())
	}
}

// counters makes one counter for each value of a label.
func counters[K ~string](registerer prometheus.Registerer, name, help, label string, values ...K) map[K]prometheus.Counter {
	vector := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "portalhook_" + name, Help: help}, []string{label})
	register(registerer, vector)
	all := make(map[K]prometheus.Counter, len(values))
	for _, value := range values {
		all[value] = vector.WithLabelValues(string(value))
	}
	return all
}

func register(registerer prometheus.Registerer, c prometheus.Collector) {
	if registerer != nil {
		registerer.MustRegister(c)
	}
}

func (m *metrics) refused(reason string) { m.refusals[reason].Inc() }

func (m *metrics) accepted(r *Receipt, planned int) {
	switch {
	case r.Duplicate:
		m.duplicates.Inc()
		return
	case planned == 0:
		m.unmatched.Inc()
	default:
		m.planned.Add(float64(planned))
	}
	m.events.Inc()
}

func (m *metrics) attempted(a answer) {
	m.attempts[a.outcome].Inc()
	m.took.Observe(seconds(a.attempt.Total))
	m.waited.Observe(seconds(a.attempt.Waited))
}

func (m *metrics) tested(a answer) { m.tests[a.outcome].Inc() }

func (m *metrics) probed(a answer) { m.probes[a.outcome].Inc() }

func (m *metrics) warned(percent int) { m.warnings[strconv.Itoa(percent)].Inc() }

func (m *metrics) claimed(n int) { m.claims.Add(float64(n)) }

func (m *metrics) noticesDropped(n int) { m.dropped.Add(float64(n)) }

func (m *metrics) claimFailed() { m.claimFailures.Inc() }

func (m *metrics) settled(batch []Settlement, stale int) {
	m.settleBatches.Inc()
	m.stale.Add(float64(stale))
	for i := range batch {
		if ended, ok := m.ends[batch[i].State]; ok {
			ended.Inc()
		}
	}
}

func (m *metrics) settleFailed() { m.settleFailures.Inc() }

func seconds(d time.Duration) float64 { return d.Seconds() }
