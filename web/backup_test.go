package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/delivery"
)

// storeCopy is what the store in memory is as a copy: longer than is sent at once.
var storeCopy = []byte(strings.Repeat("SQLite format 3\x00", 100_000))

// Backup implements web.Copier; copyClosed is closed with the newest copy.
func (m *memory) Backup(context.Context) (*delivery.Backup, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return nil, m.failure
	}
	m.copyClosed = make(chan struct{})
	return &delivery.Backup{
		ReadCloser: &openCopy{bytes.NewReader(storeCopy), m.copyClosed}, Size: int64(len(storeCopy)), TakenAt: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC),
	}, nil
}

type openCopy struct {
	io.Reader
	closed chan struct{}
}

func (o *openCopy) Close() error {
	close(o.closed)
	return nil
}

func TestBackup(t *testing.T) {
	e := newEdge(t)
	a := e.as(t, operatorKey, "POST", "/api/v1/backups", "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, string(storeCopy), a.body)
	require.Equal(t, "application/vnd.sqlite3", a.header.Get("Content-Type"))
	require.Equal(t, "1600000", a.header.Get("Content-Length"))
	<-e.copyClosed
	require.Equal(t, http.StatusOK, e.as(t, operatorKey, "POST", "/api/v1/backups", "{}").status)

	rows := e.list(t, operatorKey, "/api/v1/audit?object=backup")
	require.Equal(t, []string{"backup.create", "backup.create"}, rows.names("action"))
	require.Equal(t, []string{"2026-11-25T03:00:00Z", "2026-11-25T03:00:00Z"}, rows.names("objectId"))

	require.Equal(t, http.StatusForbidden, e.as(t, adminKey, "POST", "/api/v1/backups", "").status, "an admin sees one tenant only")
	a = e.as(t, operatorKey, "POST", "/api/v1/backups", `{"path":"/etc/passwd"}`)
	require.Equal(t, http.StatusBadRequest, a.status, a.body)
	require.Contains(t, a.body, `"field":"path"`)

	e.failure = &delivery.BackupError{Why: "another backup is under way", RetryAfter: 10 * time.Second}
	a = e.as(t, operatorKey, "POST", "/api/v1/backups", "")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.body, `"UNAVAILABLE"`)
	require.Contains(t, a.body, "another backup is under way")
	require.Equal(t, "10", a.header.Get("Retry-After"))
	e.failure = errors.New("the disk is on fire")
	a = e.as(t, operatorKey, "POST", "/api/v1/backups", "")
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.NotContains(t, a.body, "fire")
}
