package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type healthCommand struct {
	Server  string        `help:"The server's URL." default:"http://127.0.0.1:8080" env:"PORTALHOOK_SERVER" placeholder:"URL"`
	Live    bool          `help:"Ask whether the process answers, and not whether it is ready: what a supervisor restarts by."`
	Timeout time.Duration `help:"How long to wait for the answer." default:"4s" placeholder:"TIME"`
}

// Help is shown below the summary.
func (healthCommand) Help() string {
	return `Asks /readyz, or with --live /healthz, and prints the answer. Status 0: yes. 1: it says no, and which part is not ready.
3: nothing answers. Made for where there is no other program to ask with, such as in the container image.`
}

// Validate is called by kong once the flags are read.
func (h *healthCommand) Validate() error { return (&serverFlags{Server: h.Server}).Validate() }

// maxHealth is the longest answer that is shown, in bytes.
const maxHealth = 4 << 10

// Run asks once.
func (h *healthCommand) Run(ctx context.Context, std streams) error {
	path := "/readyz"
	if h.Live {
		path = "/healthz"
	}
	api := (&serverFlags{Server: h.Server}).client()
	api.http.Timeout = h.Timeout
	defer api.http.CloseIdleConnections()
	request, err := api.request(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	response, err := api.http.Do(request)
	if err != nil {
		return api.undone(ctx, http.MethodGet, path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxHealth))
	if err != nil {
		return unanswered(withoutUser(api.base)+" broke off its answer", err)
	}
	text := printable(strings.TrimSpace(string(answer)))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s%s answers %s: %s", withoutUser(api.base), path, response.Status, text)
	}
	_, err = fmt.Fprintln(std.out, text)
	return err
}
