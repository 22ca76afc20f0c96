package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// A test goes out as a delivery would: same URL, headers, secret and format, under an id of its own.
func TestATestIsSentAsADeliveryIs(t *testing.T) {
	type seen struct {
		header http.Header
		body   []byte
	}
	requests := make(chan seen, 1)
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Header.Clone(), body}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "you sent top-secret-token")
	})
	h := open(t, nil)
	w := h.subscribe(target, func(w *triggers.Webhook) {
		w.Enabled, w.Format = false, triggers.FormatCloudEvents
		w.EncryptedHeaders = []triggers.Header{{Name: "Authorization", Value: triggers.NewSecret("top-secret-token")}}
		w.OldSecrets = []triggers.OldSecret{{Secret: triggers.NewSecret("rotated-and-still-valid"), Until: time.Now().Add(time.Hour)}}
	}, "/groups")
	for range 2 {
		trial, err := h.Test(t.Context(), h.tenant, w.ID, event(t, "/items/a/update"))
		require.NoError(t, err)
		got := <-requests
		require.Regexp(t, `^test_[a-z2-7]{26}$`, trial.ID)
		require.Equal(t, trial.ID, got.header.Get("Webhook-Id"))
		require.Equal(t, "top-secret-token", got.header.Get("Authorization"))
		verified, err := payload.Verify(payload.Received{
			Secrets: []triggers.Secret{w.Secret}, Header: got.header.Get, Body: got.body, Now: time.Now(),
		})
		require.NoError(t, err)
		require.Equal(t, []string{payload.HeaderSignature, payload.HeaderEsri}, verified)
		_, err = payload.Verify(payload.Received{
			Secrets: []triggers.Secret{w.OldSecrets[0].Secret},
			Header: func(name string) string {
				if name == payload.HeaderEsri {
					return "" // which knows of no rotation
				}
				return got.header.Get(name)
			},
			Body: got.body, Now: time.Now(),
		})
		require.NoError(t, err, "a rotated secret signs, too")

		body, err := payload.Build(nil, &trial.Revision, trial.BuiltAt, trial.Events)
		require.NoError(t, err)
		require.Equal(t, string(body), string(got.body), "what is shown is what was sent")
		var told struct {
			ID string `json:"id"`
		}
		require.NoError(t, json.Unmarshal(body, &told))
		require.Equal(t, trial.ID, told.ID, "of a CloudEvent, too")
		require.Equal(t, delivery.Rejected, trial.Attempt.Outcome)
		require.Equal(t, http.StatusTeapot, trial.Attempt.StatusCode)
		require.Equal(t, "you sent **OMITTED**", string(trial.Attempt.ResponseBody))
		require.NotContains(t, fmt.Sprintf("%+v", trial), "top-secret-token")
		require.Positive(t, trial.Attempt.Total)
	}
}

func TestATestKeepsTheEventsOwnID(t *testing.T) {
	target := receiver(t, func(http.ResponseWriter, *http.Request) {})
	h := open(t, nil)
	w := h.subscribe(target, nil)
	ev := event(t, "/items/a/update")
	ev.EventID = "own"
	trial, err := h.Test(t.Context(), h.tenant, w.ID, ev)
	require.NoError(t, err)
	require.Equal(t, "own", trial.Events[0].EventID)
}

// Whatever a test comes to, nothing is stored and the webhook and its host are as they were.
func TestATestCountsForNothing(t *testing.T) {
	gone := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	h := open(t, nil)
	for name, c := range map[string]struct {
		url  string
		want delivery.Outcome
	}{
		"gone":    {gone, delivery.Gone},
		"refused": {"http://127.0.0.1:1/hook", delivery.Refused},
		"blocked": {"http://10.0.0.1:9000/hook", delivery.Blocked},
	} {
		t.Run(name, func(t *testing.T) {
			w := h.subscribe(c.url, func(w *triggers.Webhook) {
				w.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: 1, DaysInPast: 1}
			})
			for range 12 { // more than open a breaker
				trial, err := h.Test(t.Context(), h.tenant, w.ID, event(t, "/items/a/update"))
				require.NoError(t, err)
				require.Equal(t, c.want, trial.Attempt.Outcome)
				if c.want != delivery.Gone {
					require.NotEmpty(t, trial.Attempt.Error)
				}
			}
			require.True(t, h.directory.Get(w.Key).Enabled)
		})
	}
	require.Zero(t, h.queue.Open())
}

func TestATestRefused(t *testing.T) {
	h := open(t, nil)
	w := h.subscribe("http://127.0.0.1:1/hook", nil)
	_, err := h.Test(t.Context(), h.tenant, triggers.WebhookID{1}, event(t, "/items/a/update"))
	require.ErrorIs(t, err, triggers.ErrNotFound)
	_, err = h.Test(t.Context(), h.tenant+1, w.ID, event(t, "/items/a/update"))
	require.ErrorIs(t, err, triggers.ErrNotFound)
	_, err = h.Test(t.Context(), h.tenant, w.ID, event(t, "/items/a/share"))
	var field *triggers.FieldError
	require.ErrorAs(t, err, &field)
	require.Equal(t, "properties.sharedToGroups", field.Field)
	require.NoError(t, h.Shutdown(t.Context()))
	_, err = h.Test(t.Context(), h.tenant, w.ID, event(t, "/items/a/update"))
	var overload *delivery.Overload
	require.ErrorAs(t, err, &overload)
	require.Equal(t, http.StatusServiceUnavailable, overload.Status)
}

// The tests of one tenant are bounded, and each ends when whoever asked for it goes away.
func TestTestsAreBounded(t *testing.T) {
	const most = 8
	arrived := make(chan struct{}, most)
	target := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the end of the connection is seen from here on
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	h := open(t, nil)
	w := h.subscribe(target, nil)
	outcomes := make(chan delivery.Outcome, most)
	begin := func(ctx context.Context) {
		ev := event(t, "/items/a/update")
		go func() { outcomes <- tested(ctx, h, w, ev) }()
		<-arrived
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range most {
		begin(ctx)
	}
	_, err := h.Test(t.Context(), h.tenant, w.ID, event(t, "/items/a/update"))
	var overload *delivery.Overload
	require.ErrorAs(t, err, &overload)
	require.Equal(t, http.StatusTooManyRequests, overload.Status)
	require.Positive(t, overload.RetryAfter)
	cancel()
	for range most {
		require.Equal(t, delivery.Infrastructure, <-outcomes)
	}
	ctx, cancel = context.WithCancel(t.Context())
	begin(ctx)
	cancel()
	require.Equal(t, delivery.Infrastructure, <-outcomes, "a place is free again")
}

// tested is what a test comes to, or its error's text. It may be called from any goroutine.
func tested(ctx context.Context, h *house, w *triggers.Webhook, ev *triggers.Event) delivery.Outcome {
	trial, err := h.Test(ctx, h.tenant, w.ID, ev)
	if err != nil {
		return delivery.Outcome(err.Error())
	}
	return trial.Attempt.Outcome
}

// A shutdown that runs out of time ends a test as it ends attempts.
func TestAShutdownEndsATest(t *testing.T) {
	arrived := make(chan struct{})
	target := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	h := open(t, nil)
	w := h.subscribe(target, nil)
	outcome := make(chan delivery.Outcome, 1)
	ev := event(t, "/items/a/update")
	go func() { outcome <- tested(t.Context(), h, w, ev) }()
	<-arrived
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, h.Shutdown(over))
	require.Equal(t, delivery.ShutDown, <-outcome)
}
