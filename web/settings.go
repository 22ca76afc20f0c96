package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"portalhook/triggers"
)

// getSettings tells what of the operator's settings those have to know who manage webhooks.
func (s *Server) getSettings(c echo.Context, _ *triggers.APIKey) error {
	o := openObject(nil)
	o.number("retentionSeconds", int64(s.config.Retention/time.Second))
	o.number("maxWebhooks", int64(s.config.MaxWebhooks))
	o.number("maxWebhooksPerOwner", int64(s.config.MaxWebhooksPerOwner))
	writeJSON(c, http.StatusOK, o.close())
	return nil
}
