package deliverytest

import (
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/triggers"
)

// job is an acceptance that tells the end of a geoprocessing job at a service, with an id of the sender's and a digest of its body.
func (f *fixture) job(service, job, eventID, body string, planned ...delivery.Planned) delivery.Acceptance {
	f.Helper()
	a := f.named(eventID, body, planned...)
	uri, err := triggers.Default().ParseURI("/services/" + service + "/GPServer")
	require.NoError(f, err)
	a.Event.URI, a.Event.Service = uri, &triggers.ServiceFacts{JobID: job, Status: "succeeded"}
	return a
}

func testJob(f *fixture) {
	h := f.webhook()
	first := f.enqueue(f.job("City/Buffer", "j1", "e1", `{"n":1}`, h.waiting(), h.skipped()))[0]
	require.False(f, first.Duplicate)
	want := delivery.Receipt{ID: first.ID, Matched: 2, Duplicate: true}
	for _, again := range []delivery.Acceptance{
		f.job("City/Buffer", "j1", "e1", `{"n":1}`, h.waiting()),
		f.job("City/Buffer", "j1", "e1", `{"n":2}`),
		f.job("City/Buffer", "j1", "e2", `{"n":3}`),
		f.job("city/BUFFER", "j1", "", `{"n":4}`),
	} {
		require.Equal(f, []delivery.Receipt{want}, f.enqueue(again))
	}
	sourced := f.job("City/Buffer", "j1", "e1", `{"n":5}`)
	sourced.Event.Source = "urn:other"
	require.Equal(f, want, f.enqueue(sourced)[0])
	require.Equal(f, 1, f.store.Open())
	require.Equal(f, "e1", f.stored(first.ID).EventID, "the sender's id is still told")
	require.Equal(f, "e1", f.claimOne().Events[0].EventID)
}

func testJobInBatch(f *fixture) {
	h := f.webhook()
	receipts := f.enqueue(
		f.job("Buffer", "j1", "e1", `{"n":1}`, h.waiting()), f.event(h.waiting()), f.job("Buffer", "j1", "e2", `{"n":2}`, h.waiting()),
	)
	require.False(f, receipts[0].Duplicate)
	require.Equal(f, delivery.Receipt{ID: receipts[0].ID, Matched: 1, Duplicate: true}, receipts[2])
	require.Len(f, f.claim(), 2)
}

func testJobIdentity(f *fixture) {
	f.enqueue(f.job("City/Buffer", "j1", "e1", `{"n":1}`))
	foreign := f.job("City/Buffer", "j1", "e1", `{"n":2}`)
	foreign.Tenant = f.newTenant("other")
	others := []delivery.Acceptance{
		foreign, f.job("City/Buffer", "J1", "e1", `{"n":3}`), f.job("City/Clip", "j1", "e1", `{"n":4}`), f.job("Buffer", "j1", "e1", `{"n":5}`),
		f.named("e1", `{"n":6}`), // an event that is no job's may have the id of one that is
	}
	for i, receipt := range f.enqueue(others...) {
		require.False(f, receipt.Duplicate)
		require.Equal(f, delivery.Receipt{ID: receipt.ID, Duplicate: true}, f.enqueue(others[i])[0], "each is known from now on")
	}
	_, err := f.store.Enqueue(f.Context(), []delivery.Acceptance{f.named("e1", `{"n":7}`)})
	var conflict *delivery.ConflictError
	require.ErrorAs(f, err, &conflict, "the id is compared with events that are no job's")
}

func testJobLasts(f *fixture) {
	first := f.enqueue(f.job("Buffer", "j1", "e1", `{"n":1}`))[0]
	f.restart()
	f.clock.Advance(24*time.Hour - time.Second)
	require.Equal(f, delivery.Receipt{ID: first.ID, Duplicate: true}, f.enqueue(f.job("Buffer", "j1", "", `{"n":2}`))[0])
}
