package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// maxNumber is the largest that every reader of JSON takes for itself.
const maxNumber = 1<<53 - 1

// receiverMethods are those that a built-in receiver answers; HEAD comes with GET.
var receiverMethods = []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet}

// postArrival takes whatever a built-in receiver is sent, and answers as that was told. Whoever knows the token may send.
func (s *Server) postArrival(c echo.Context, _ *triggers.APIKey) error {
	r := c.Request()
	body, err := io.ReadAll(io.LimitReader(r.Body, keptArrivalBody+1))
	if err != nil {
		return bodyFailed(err)
	}
	told, err := s.config.Inbox.take(r.Context(), c.Param("receiver"), newArrival(r.Method, r.Header.Clone(), r.Host, body, r.ContentLength))
	if err != nil {
		return receiverError(err)
	}
	if err := told.wait(r.Context().Done(), s.ending.Done()); err != nil {
		return &problem{Code: codeUnavailable, Index: -1, Detail: "the request or the server ended before the answer was due", cause: err}
	}
	c.Response().Header()["Content-Type"] = typeText
	c.Response().WriteHeader(told.status)
	_, _ = c.Response().Write(told.body()) // the client may be gone: nothing is left to tell it
	return nil
}

func noReceiver() *problem {
	return fault(codeNotFound, "there is no such receiver, or nobody has used it for a day")
}

// receiverError says that there is no such receiver, or that the store cannot be asked.
func receiverError(err error) error {
	if errors.Is(err, triggers.ErrNotFound) {
		return noReceiver()
	}
	return err
}

// targetsFor are the targets that a webhook's URL is judged by: the server's, and the built-in receiver of its tenant that it names.
func (s *Server) targetsFor(w *triggers.Webhook) triggers.Targets {
	if s.config.Inbox.Inside(w.Tenant, w.URL) == nil {
		return s.config.Targets
	}
	return s.config.Targets.WithInside(w.URL)
}

// createReceiver makes a built-in receiver.
func (s *Server) createReceiver(c echo.Context, key *triggers.APIKey) error {
	body, err := readOptions(c.Request())
	if err != nil {
		return err
	}
	asked := receiver{tenant: key.Tenant, owner: key.UserID, answer: answerTold{status: http.StatusOK}}
	if err := readReceiver(&asked, body); err != nil {
		return err
	}
	made, ok, err := s.config.Inbox.make(c.Request().Context(), asked)
	if err != nil {
		return err
	}
	if !ok {
		return triggers.Invalid(triggers.CodeTooMany, "",
			"a tenant has at most %d receivers, and the server %d; delete one first, or let one be for a day", maxTenantReceivers, maxReceivers)
	}
	writeJSON(c, http.StatusCreated, appendReceiver(nil, &made))
	return nil
}

// readReceiver reads what a receiver may be told; what is left out stays as it is.
func readReceiver(r *receiver, body jsontext.Value) error {
	return eachMember(body, "", func(name string, value jsontext.Value) (err error) {
		var n int
		switch name {
		case "name":
			if r.name, err = textOf(name, value); err == nil && utf8.RuneCountInString(r.name) > triggers.MaxNameLength {
				err = triggers.Invalid(triggers.CodeTooLong, name, "the name has at most %d characters", triggers.MaxNameLength)
			}
		case "secret":
			var text string
			if text, err = textOf(name, value); err == nil && utf8.RuneCountInString(text) > triggers.MaxSecretLength {
				err = triggers.Invalid(triggers.CodeTooLong, name, "the secret has at most %d characters", triggers.MaxSecretLength)
			}
			r.secret = triggers.NewSecret(text)
		case "status":
			if n, err = intOf(name, value); err == nil && (n < 200 || n > 599) {
				err = triggers.Invalid(triggers.CodeOutOfRange, name, "the status is %d; it must be from 200 to 599", n)
			}
			r.answer.status = n
		case "delayMs":
			n, err = intOf(name, value)
			r.answer.delay = time.Duration(n) * time.Millisecond
			if err == nil && (n < 0 || r.answer.delay > maxReceiverDelay) {
				err = triggers.Invalid(triggers.CodeOutOfRange, name, "the delay is %d ms; it must be from 0 to %d", n, maxReceiverDelay.Milliseconds())
			}
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, name, "a receiver has name, secret, status and delayMs only, no %q", name)
		}
		return err
	})
}

// sees reports whether a key may look at a receiver of its tenant: one of the role user at those of its own user.
func sees(key *triggers.APIKey, r *receiver) bool {
	return r.tenant == key.Tenant && (key.Role != triggers.RoleUser || r.owner == key.UserID)
}

// withReceiver lets visit look at the receiver that the path names, or change it; that counts as use.
func (s *Server) withReceiver(c echo.Context, key *triggers.APIKey, visit func(r *receiver) error) error {
	return receiverError(s.config.Inbox.change(c.Request().Context(), c.Param("receiver"), func(r *receiver) (*arrival, error) {
		if !sees(key, r) {
			return nil, triggers.ErrNotFound
		}
		r.used = s.config.Inbox.now()
		return nil, visit(r)
	}))
}

func (s *Server) listReceivers(c echo.Context, key *triggers.APIKey) error {
	list, err := s.config.Inbox.list(c.Request().Context(), key.Tenant, func(r *receiver) bool { return sees(key, r) })
	if err != nil {
		return err
	}
	o := openObject(nil)
	o.array("data", len(list), func(dst []byte, i int) []byte { return appendReceiver(dst, &list[i]) })
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

func (s *Server) getReceiver(c echo.Context, key *triggers.APIKey) error {
	var answer []byte
	err := s.withReceiver(c, key, func(r *receiver) error {
		answer = appendReceiver(nil, r)
		return nil
	})
	if err == nil {
		writeJSON(c, http.StatusOK, answer)
	}
	return err
}

// patchReceiver tells a receiver to answer otherwise from now on, or to check by another secret.
func (s *Server) patchReceiver(c echo.Context, key *triggers.APIKey) error {
	body, err := readJSON(c.Request())
	if err != nil {
		return err
	}
	var answer []byte
	err = s.withReceiver(c, key, func(r *receiver) error {
		changed := *r
		if err := readReceiver(&changed, body); err != nil {
			return err
		}
		*r = changed
		answer = appendReceiver(nil, r)
		return nil
	})
	if err == nil {
		writeJSON(c, http.StatusOK, answer)
	}
	return err
}

func (s *Server) deleteReceiver(c echo.Context, key *triggers.APIKey) error {
	if err := s.withReceiver(c, key, func(*receiver) error { return nil }); err != nil {
		return err
	}
	if err := s.config.Inbox.store.RemoveReceiver(c.Request().Context(), c.Param("receiver")); err != nil {
		return err
	}
	writeNoContent(c)
	return nil
}

// sampleReceiver sends a built-in receiver one event, signed by its secret, as a webhook that points there would be sent it; nothing is stored.
// It answers as a test of a webhook does.
func (s *Server) sampleReceiver(c echo.Context, key *triggers.APIKey) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("draw an id: %w", err)
	}
	draft := &triggers.Webhook{
		ID: triggers.WebhookID(id), Tenant: key.Tenant, Level: triggers.TenantLevel, Format: triggers.FormatAuto, EnableCloudEventDelivery: true,
		Retry: triggers.Retry{Profile: triggers.RetryOnce},
	}
	err = s.withReceiver(c, key, func(r *receiver) error {
		draft.Name, draft.URL, draft.Secret = r.name, r.url, r.secret
		return nil
	})
	if err != nil {
		return err
	}
	body, err := readJSON(c.Request()) // not before: whether a receiver is there is not told by how a body is refused
	if err != nil {
		return err
	}
	asked, err := s.readTest(draft, body)
	if err != nil {
		return err
	}
	trial, err := s.config.Tester.TestDraft(c.Request().Context(), draft, asked.event)
	if err != nil {
		return s.webhookError("send a sample", err)
	}
	return s.writeTrial(c, trial, asked)
}

// listArrivals answers what a receiver was sent, the newest first; with after those only that came later than the one of that number.
func (s *Server) listArrivals(c echo.Context, key *triggers.APIKey) error {
	after := int64(0)
	if text := c.QueryParam("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 || after > maxNumber {
			return triggers.Invalid(triggers.CodeOutOfRange, "after", "after is %q; it must be the number of a request", text)
		}
	}
	received := int64(0)
	err := s.withReceiver(c, key, func(r *receiver) error {
		received = r.received
		return nil
	})
	if err != nil {
		return err
	}
	list, err := s.config.Inbox.store.Arrivals(c.Request().Context(), c.Param("receiver"), after)
	if err != nil {
		return err
	}
	o := openObject(nil)
	o.number("received", received)
	o.array("data", len(list), func(dst []byte, i int) []byte { return append(dst, list[i].Body...) })
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

func appendReceiver(dst []byte, r *receiver) []byte {
	o := openObject(dst)
	o.text("token", r.token)
	o.text("name", r.name)
	o.text("url", r.url)
	o.flag("secretAdded", !r.secret.IsZero())
	r.answer.write(o)
	o.number("received", r.received)
	o.number("kept", int64(r.kept))
	o.time("createdAt", r.made)
	o.time("expiresAt", r.expires())
	return o.close()
}
