package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"portalhook/triggers"
)

// Check is one part that must work before the server is ready.
type Check struct {
	// Name is what /readyz calls the part: store, queue, disk.
	Name string
	// Ready is nil when the part works; it must give up when ctx ends.
	Ready func(ctx context.Context) error
}

// checkTimeout bounds all the checks of one /readyz.
const checkTimeout = 2 * time.Second

// getHealth says that the process answers.
func (s *Server) getHealth(c echo.Context, _ *triggers.APIKey) error {
	writeJSON(c, http.StatusOK, []byte(`{"status":"ok"}`))
	return nil
}

// getReady says whether every part works, and names those that do not: 200 or 503. The causes are in the log only.
func (s *Server) getReady(c echo.Context, _ *triggers.APIKey) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), checkTimeout)
	defer cancel()
	var broken []string
	if s.stopping.Load() {
		broken = append(broken, "server")
	}
	for _, check := range s.config.Checks {
		if err := check.Ready(ctx); err != nil {
			broken = append(broken, check.Name)
			s.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("part", check.Name), slog.Any("err", err))
		}
	}
	o := openObject(nil)
	status := http.StatusOK
	if len(broken) == 0 {
		o.text("status", "ready")
	} else {
		status = http.StatusServiceUnavailable
		o.text("status", "not ready")
		o.texts("notReady", broken)
	}
	writeJSON(c, status, o.close())
	return nil
}

// getMetrics shows the registry in the form that Prometheus reads.
func (s *Server) getMetrics(c echo.Context, _ *triggers.APIKey) error {
	promhttp.HandlerFor(s.config.Registry, promhttp.HandlerOpts{}).ServeHTTP(c.Response(), c.Request())
	return nil
}

// getProductInfo answers what clients of Qlik Cloud ask any host before they call it: without it they take us for another product.
func getProductInfo(c echo.Context, _ *triggers.APIKey) error {
	writeJSON(c, http.StatusOK, []byte(`{"composition":{"deploymentType":"qlikcloudservices"}}`))
	return nil
}
