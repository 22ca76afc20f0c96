package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// Copier copies the store: it is met by *storage.Store.
type Copier interface {
	// Backup is a consistent copy of everything that was acknowledged before, without the key file. The error is a *delivery.BackupError
	// when none can be made now.
	Backup(ctx context.Context) (*delivery.Backup, error)
}

const (
	typeSQLite = "application/vnd.sqlite3"
	// copyChunk is how much of a copy is sent within copyPatience; who takes it slower is cut off.
	copyChunk    = 1 << 20
	copyPatience = time.Minute
)

// createBackup copies the store and answers with the copy: a SQLite database of all tenants, whose length says whether it is whole.
func (s *Server) createBackup(c echo.Context, key *triggers.APIKey) error {
	body, err := readOptions(c.Request())
	if err != nil {
		return err
	}
	if err := eachMember(body, "", func(name string, _ jsontext.Value) error {
		return triggers.Invalid(triggers.CodeUnknownField, name, "a backup takes no options")
	}); err != nil {
		return err
	}
	connection := http.NewResponseController(c.Response())
	if err := connection.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) { // a copy takes as long as it takes
		return err
	}
	made, err := s.config.Copier.Backup(c.Request().Context())
	if err != nil {
		if refused, ok := errors.AsType[*delivery.BackupError](err); ok {
			return &problem{Code: codeUnavailable, Index: -1, Detail: refused.Why, RetryAfter: refused.RetryAfter, cause: err}
		}
		return fmt.Errorf("backup: %w", err)
	}
	defer made.Close()
	// It is written down before a byte is sent: whoever breaks off may have most of it.
	ctx, change := audited(c, key, backupCreate, made.TakenAt.UTC().Format(time.RFC3339))
	change.Tenant = key.Tenant
	o := openObject(nil)
	o.number("bytes", made.Size)
	change.After = o.close()
	if err := s.config.Audit.AddChange(context.WithoutCancel(ctx), change); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	header := c.Response().Header()
	header.Set("Content-Type", typeSQLite)
	header.Set("Content-Length", strconv.FormatInt(made.Size, 10))
	c.Response().WriteHeader(http.StatusOK)
	for err == nil {
		// Without a limit, whoever stops reading would keep the copy's room, and others from making one.
		if err = connection.SetWriteDeadline(time.Now().Add(copyPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			break
		}
		_, err = io.CopyN(c.Response(), made, copyChunk)
	}
	if errors.Is(err, io.EOF) {
		err = errors.Join(connection.Flush(), connection.SetWriteDeadline(time.Time{}))
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.log.Warn("a backup was broken off", "err", err, "trace", traceID(c))
		panic(http.ErrAbortHandler) // so that the client does not take it for whole
	}
	return nil
}
