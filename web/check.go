package web

import (
	"errors"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// checkTriggers judges triggers one by one as a webhook's would be, and stores nothing: 200 whatever comes of it.
func (s *Server) checkTriggers(c echo.Context, _ *triggers.APIKey) error {
	body, err := readJSON(c.Request())
	if err != nil {
		return err
	}
	var texts []string
	given := false
	err = eachMember(body, "", func(name string, value jsontext.Value) (err error) {
		if name != "eventTypes" {
			return triggers.Invalid(triggers.CodeUnknownField, name, "a check takes eventTypes only")
		}
		given = true
		texts, err = textsOf(name, value)
		return err
	})
	switch {
	case err != nil:
		return err
	case !given:
		return triggers.Invalid(triggers.CodeRequired, "eventTypes", "name the triggers to check")
	case len(texts) > triggers.MaxTriggers:
		return triggers.Invalid(triggers.CodeTooMany, "eventTypes", "at most %d triggers can be checked at once", triggers.MaxTriggers)
	}
	o := openObject(nil)
	o.array("data", len(texts), func(dst []byte, i int) []byte { return s.appendCheck(dst, texts[i]) })
	writeJSON(c, http.StatusOK, o.close())
	return nil
}

// appendCheck writes a trigger as it would be stored, or what is wrong with it and the nearest one that would do.
func (s *Server) appendCheck(dst []byte, text string) []byte {
	o := openObject(dst)
	o.text("given", text)
	t, err := s.config.Catalog.ParseTrigger(text)
	o.flag("valid", err == nil)
	if err != nil {
		p := problemOf(err)
		o.text("code", p.Code)
		o.text("detail", p.Detail)
		if f, ok := errors.AsType[*triggers.FieldError](err); ok && f.Suggestion != "" {
			o.text("suggestion", f.Suggestion)
		}
		return o.close()
	}
	o.text("trigger", t.Text)
	levels := []triggers.Level{triggers.TenantLevel, triggers.UserLevel}
	if t.TenantOnly {
		levels = levels[:1]
	}
	o.texts("levels", levelNames(levels))
	entries := s.config.Catalog.Entries()
	if at := slices.IndexFunc(entries, func(e triggers.Entry) bool { return e.Name == t.Text }); at >= 0 {
		o.text("title", entries[at].Title)
	}
	return o.close()
}
