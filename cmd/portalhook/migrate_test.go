package main_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage/postgrestest"
)

// migrate runs the real program's migrate and gives its status and what it wrote.
func migrate(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	command := exec.Command(path, append([]string{"migrate"}, args...)...)
	written, _ := command.CombinedOutput()
	return command.ProcessState.ExitCode(), string(written)
}

// fillForMigration has a server hold some of everything, in a state in which nothing moves any more.
func fillForMigration(t *testing.T, server *process) {
	t.Helper()
	// Each webhook has a host of its own: what fails to one must not hold up the others.
	receiver := func(status int) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(server.Close)
		return server.URL
	}
	statuses := map[string]int{"/": http.StatusOK, "/bad": http.StatusInternalServerError}
	hook := func(name, path string, change map[string]any) string {
		webhook := map[string]any{"name": name, "url": receiver(statuses[path]), "eventTypes": []string{"/items"}, "enabled": true, "secret": strings.Repeat(name, 32)[:40]}
		maps.Copy(webhook, change)
		var made struct{ ID string }
		server.call(t, http.MethodPost, "/api/v1/webhooks", webhook, &made, http.StatusCreated)
		return made.ID
	}
	good := hook("good", "/", nil)
	lost := hook("lost", "/bad", map[string]any{"retry": "once"})
	slow := hook("slow", "/bad", map[string]any{"ordered": true, "retry": []string{"0s", "5h"}})
	hook("daily", "/", map[string]any{"eventTypes": []string{"/services/*/FeatureServer"}, "schedule": map[string]any{"frequency": "year", "interval": 1}})
	gone := hook("gone", "/bad", map[string]any{"retry": []string{"0s", "5h"}})
	off := hook("off", "/", nil)
	server.call(t, http.MethodPost, "/api/v1/webhooks/"+off+"/actions/disable", nil, nil, http.StatusOK)

	var batch []map[string]any
	for n := range 60 {
		batch = append(batch, map[string]any{
			"uri": fmt.Sprintf("/items/%032x/update", n%20), "eventId": fmt.Sprint("event ", n), "username": []string{"ann", "Bob"}[n%2],
			"properties": map[string]any{"n": n},
		})
	}
	batch = append(batch, map[string]any{"uri": "/groups/" + strings.Repeat("a", 32) + "/update"},
		map[string]any{"uri": "/services/Water/FeatureServer/FeaturesUpdated", "serverGens": []int{1, 2}})
	server.call(t, http.MethodPost, "/api/v1/events", batch, nil, http.StatusAccepted)
	// Some of everything has happened; then whatever would go on is held.
	total := func(id string) (c struct{ Attempts, Succeeded, Exhausted int }) {
		var stats struct{ Total any }
		stats.Total = &c
		server.call(t, http.MethodGet, "/api/v1/webhooks/"+id+"/stats", nil, &stats, http.StatusOK)
		return c
	}
	require.Eventually(t, func() bool {
		return total(good).Succeeded == len(batch)-2 && total(lost).Exhausted > 0 && total(slow).Attempts > 0 && total(gone).Attempts > 0
	}, time.Minute, 20*time.Millisecond)
	server.call(t, http.MethodDelete, "/api/v1/webhooks/"+gone, nil, nil, http.StatusNoContent)
	for _, id := range []string{lost, slow} {
		server.call(t, http.MethodPost, "/api/v1/webhooks/"+id+"/actions/disable", nil, nil, http.StatusOK)
	}
	require.Eventually(t, func() bool {
		var stats struct {
			Now struct{ Open struct{ Sending int } }
		}
		server.call(t, http.MethodGet, "/api/v1/stats", nil, &stats, http.StatusOK)
		return stats.Now.Open.Sending == 0
	}, time.Minute, 20*time.Millisecond)
	var page struct{ Data []struct{ ID string } }
	server.call(t, http.MethodGet, "/api/v1/webhooks/"+good+"/deliveries?limit=1", nil, &page, http.StatusOK)
	server.call(t, http.MethodPost, "/api/v1/webhooks/"+good+"/deliveries/"+page.Data[0].ID+"/actions/resend", nil, nil, http.StatusCreated)
	server.call(t, http.MethodPost, "/api/v1/api-keys", map[string]any{"name": "reader", "role": "viewer"}, nil, http.StatusCreated)
	server.call(t, http.MethodPost, "/api/v1/tenants", map[string]any{"name": "other", "portalId": "FEDCBA9876543210", "portalUrl": "https://other.example.com/"}, nil, http.StatusCreated)
}

// allAnswers is what a server says of everything that does not move.
func allAnswers(t *testing.T, server *process) map[string]any {
	t.Helper()
	all := make(map[string]any)
	get := func(path string) map[string]any {
		var answer map[string]any
		server.call(t, http.MethodGet, path, nil, &answer, http.StatusOK)
		if strings.HasSuffix(path, "/stats") {
			forgetNow(answer)
		}
		all[path] = answer
		return answer
	}
	each := func(path string, do func(id string)) {
		list, _ := get(path)["data"].([]any)
		for _, one := range list {
			row, _ := one.(map[string]any)
			id, _ := row["id"].(string)
			do(id)
		}
	}
	each("/api/v1/events?limit=100", func(id string) { get("/api/v1/events/" + id) })
	for _, query := range []string{
		"outcome=failed", "outcome=pending", "outcome=unmatched", "outcome=cancelled", "username=bob", "eventId=event%207", "uri=/items/update",
		"uri=/items/" + fmt.Sprintf("%032x", 3), "sort=acceptedAt",
	} {
		list, _ := get("/api/v1/events?limit=100&" + query)["data"].([]any)
		require.NotEmpty(t, list, query)
	}
	each("/api/v1/webhooks?limit=100", func(id string) {
		get("/api/v1/webhooks/" + id)
		get("/api/v1/webhooks/" + id + "/stats")
		get("/api/v1/webhooks/" + id + "/recoveries")
		get("/api/v1/webhooks/" + id + "/deliveries?eventType=/items/update&limit=100")
		each("/api/v1/webhooks/"+id+"/deliveries?limit=100", func(delivery string) { get("/api/v1/webhooks/" + id + "/deliveries/" + delivery) })
	})
	get("/api/v1/audit?limit=100")
	get("/api/v1/tenants")
	get("/api/v1/stats")
	keys, _ := get("/api/v1/api-keys")["data"].([]any)
	for _, key := range keys {
		row, _ := key.(map[string]any)
		delete(row, "lastUsedAt") // asking is using
	}
	return all
}

// forgetNow takes away when counters were asked for, and how long what is open has waited by then.
func forgetNow(answer map[string]any) {
	for key, value := range answer {
		if key == "from" || key == "to" || key == "now" {
			delete(answer, key)
		}
		if inner, ok := value.(map[string]any); ok {
			forgetNow(inner)
		}
	}
}

func sameAnswers(t *testing.T, want, got map[string]any) {
	t.Helper()
	require.Len(t, got, len(want))
	for path := range want {
		require.Equal(t, want[path], got[path], path)
	}
}

// A server on the other store answers as the one before, also after the way back. Killed in the middle, a migration goes on; meanwhile no
// server takes what there is for the store.
func TestMigrationKeepsEveryAnswer(t *testing.T) {
	server := startServer(t, "--portal-url", "https://portal.example.com/")
	database := postgrestest.Database(t, "", nil)
	fillForMigration(t, server)
	from, key := "sqlite:"+server.store, server.store+".key"
	status, out := migrate(t, "--from", from, "--to", database)
	require.Equal(t, 1, status)
	require.Contains(t, out, "stop the server first")
	want := allAnswers(t, server)
	server.stop(t)
	status, out = migrate(t, "--from", from, "--to", database, "--dry-run")
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "nothing was copied")

	// The way back of nothing makes the tables. Then deliveries hold the copier up, until it is killed.
	status, out = migrate(t, "--from", database, "--to", "sqlite:"+filepath.Join(t.TempDir(), "empty.db"), "--key-file", key)
	require.Equal(t, 0, status, out)
	postgrestest.Exec(t, database, `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END';
CREATE TRIGGER hold BEFORE INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION hold()`)
	path, err := binary()
	require.NoError(t, err)
	killed := exec.Command(path, "migrate", "--from", from, "--to", database)
	var written bytes.Buffer
	killed.Stderr = &written
	require.NoError(t, killed.Start())
	postgrestest.Exec(t, database, `DO $$ BEGIN
  WHILE NOT EXISTS (SELECT 1 FROM meta WHERE name LIKE 'transfer event_2%' AND value LIKE '%after%') LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$`)
	require.NoError(t, killed.Process.Signal(syscall.SIGKILL))
	require.Error(t, killed.Wait(), written.String())
	postgrestest.Exec(t, database, `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'portalhook migrate' AND pid <> pg_backend_pid();
DROP TRIGGER hold ON delivery`)
	refused, err := exec.Command(path, "serve", "--listen", "127.0.0.1:0", "--store", database, "--key-file", key).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(refused), "run portalhook migrate --from "+from+" once more")

	status, out = migrate(t, "--from", from, "--to", database)
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "by an earlier run")
	require.Contains(t, out, "they are the same")
	server.database = database
	server.start(t)
	sameAnswers(t, want, allAnswers(t, server))
	server.stop(t)

	back := filepath.Join(t.TempDir(), "back.db")
	status, out = migrate(t, "--from", database, "--to", "sqlite:"+back, "--key-file", key)
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "--key-file "+key)
	server.database = ""
	server.store = back
	server.args = append(server.args, "--key-file", key)
	server.start(t)
	sameAnswers(t, want, allAnswers(t, server))
}
