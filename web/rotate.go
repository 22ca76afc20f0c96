package web

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/payload"
	"portalhook/triggers"
)

// How long a rotated secret goes on signing, in hours.
const (
	defaultValidHours = 24
	maxValidHours     = 7 * 24
)

// rotation is what a rotation asks for.
type rotation struct {
	secret triggers.Secret // none: one is drawn
	hours  int
}

// rotateSecret gives a webhook another secret, beside which the present one goes on signing for a while, and shows it this once.
func (s *Server) rotateSecret(c echo.Context, key *triggers.APIKey) error {
	body, err := readOptions(c.Request())
	if err != nil {
		return err
	}
	asked, err := readRotation(body)
	if err != nil {
		return err
	}
	w, err := s.update(c, key, webhookRotate, func(w *triggers.Webhook) error {
		if w.Secret == asked.secret {
			return triggers.Invalid(triggers.CodeNotAllowed, "secret", "this is the webhook's secret already")
		}
		at := now()
		w.Rotate(asked.secret, at.Add(time.Duration(asked.hours)*time.Hour), at)
		return nil
	})
	if err != nil {
		return err
	}
	o := openObject(nil)
	o.text("webhookId", w.ID.String())
	o.text("secret", w.Secret.Reveal())
	o.time("oldSecretsValidUntil", w.OldSecretsUntil())
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// readRotation reads {"secret","validForHours"}, each of which may be left out.
func readRotation(body jsontext.Value) (rotation, error) {
	asked := rotation{hours: defaultValidHours}
	given := false
	err := eachMember(body, "", func(name string, value jsontext.Value) (err error) {
		switch name {
		case "secret":
			given = true
			text, err := textOf(name, value)
			asked.secret = triggers.NewSecret(text)
			return err
		case "validForHours":
			asked.hours, err = intOf(name, value)
			return err
		}
		return triggers.Invalid(triggers.CodeUnknownField, name, "a rotation takes secret and validForHours")
	})
	switch {
	case err != nil:
		return asked, err
	case asked.hours < 0 || asked.hours > maxValidHours:
		return asked, triggers.Invalid(triggers.CodeOutOfRange, "validForHours", "validForHours is from 0 to %d, not %d", maxValidHours, asked.hours)
	case !given:
		asked.secret = payload.NewSecret()
		return asked, nil
	}
	return asked, checkSecret(asked.secret)
}
