package main_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// auditRow is a row of GET /api/v1/audit.
type auditRow struct {
	KeyID, UserID, Action, Object, ObjectID, TraceID string

	Before, After json.RawMessage
}

func (p *process) audit(tb testing.TB) []auditRow {
	tb.Helper()
	var page struct {
		Data []auditRow `json:"data"`
	}
	p.call(tb, http.MethodGet, "/api/v1/audit", nil, &page, http.StatusOK)
	return page.Data
}

// What the server does by its flags or on its own account has its row in the audit, like what people do.
func TestTheServersOwnActsAreAudited(t *testing.T) {
	t.Parallel()
	eachStore(t, testTheServersOwnActsAreAudited)
}

func testTheServersOwnActsAreAudited(t *testing.T, startServer starter) {
	t.Helper()
	gone, got := newReceiver(t, http.StatusGone)
	server := startServer(t)
	rows := server.audit(t)
	require.Len(t, rows, 2)
	key, tenant := rows[0], rows[1]
	none := json.RawMessage("null")
	require.Equal(t, auditRow{UserID: "portalhook", Action: "tenant.create", Object: "tenant", ObjectID: "0123456789ABCDEF", Before: none, After: tenant.After}, tenant)
	require.Contains(t, string(tenant.After), `"name":"default"`)
	require.Equal(t, auditRow{UserID: "portalhook", Action: "api-key.create", Object: "api-key", ObjectID: key.ObjectID, Before: none, After: key.After}, key)
	require.Contains(t, string(key.After), `"id":"`+key.ObjectID+`","name":"admin","tenant":"default","role":"admin","operator":true,`)
	require.NotContains(t, string(key.After), processKey)

	const secret, token = "0123456789abcdef0123456789abcdef", "token-0123456789"
	server.createWebhook(t, map[string]any{
		"name": "gone", "url": gone, "eventTypes": []string{"/items"}, "enabled": true, "secret": secret,
		"encryptedHeaders": map[string]string{"Authorization": token},
	})
	server.call(t, http.MethodPost, "/api/v1/events", map[string]any{"uri": "/items/a/delete"}, nil, http.StatusAccepted)
	<-got
	require.Eventually(t, func() bool { rows = server.audit(t); return len(rows) == 4 }, 10*time.Second, 5*time.Millisecond)
	off, created := rows[0], rows[1]
	require.Equal(t, "webhook.create", created.Action)
	require.NotEmpty(t, created.KeyID)
	require.Equal(t, auditRow{
		UserID: "portalhook", Action: "webhook.disable", Object: "webhook", ObjectID: created.ObjectID, Before: off.Before, After: off.After,
	}, off)
	require.JSONEq(t, string(created.After), string(off.Before))
	var after struct {
		Enabled            bool
		DisabledReasonCode string
		DisabledAt         time.Time
		SecretKeyAdded     bool
		EncryptedHeaders   []string
		ChangedSecrets     []string
	}
	require.NoError(t, json.Unmarshal(off.After, &after))
	require.NotZero(t, after.DisabledAt)
	after.DisabledAt = time.Time{}
	require.False(t, after.Enabled)
	require.Equal(t, "GONE", after.DisabledReasonCode)
	require.True(t, after.SecretKeyAdded)
	require.Equal(t, []string{"Authorization"}, after.EncryptedHeaders)
	require.Empty(t, after.ChangedSecrets)
	for _, row := range rows {
		require.NotContains(t, string(row.Before)+string(row.After), secret)
		require.NotContains(t, string(row.Before)+string(row.After), token)
	}

	// A start that changes nothing leaves nothing; flags that do, do.
	server.args = append(server.args, "--portal-url", "https://portal.example.com/portal")
	for range 2 {
		server.stop(t)
		server.start(t)
		rows = server.audit(t)
		require.Len(t, rows, 5)
	}
	require.Equal(t, auditRow{
		UserID: "portalhook", Action: "tenant.update", Object: "tenant", ObjectID: "0123456789ABCDEF", Before: rows[0].Before, After: rows[0].After,
	}, rows[0])
	require.JSONEq(t, string(tenant.After), string(rows[0].Before))
	require.Contains(t, string(rows[0].After), `"portalUrl":"https://portal.example.com/portal/"`)
	server.stop(t)
	server.key = "another-admin-key-0123456789"
	server.start(t)
	rows = server.audit(t)
	require.Len(t, rows, 6)
	require.Equal(t, []string{"portalhook", "api-key.create"}, []string{rows[0].UserID, rows[0].Action})
}
