package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// command runs a client command against the server, and gives its standard output.
func (p *process) command(t *testing.T, status int, args ...string) string {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "PORTALHOOK_SERVER="+p.url, "PORTALHOOK_KEY="+p.key, "NO_COLOR=1")
	out, err := cmd.Output()
	if status == 0 {
		require.NoError(t, err, "%s", out)
	}
	require.Equal(t, status, cmd.ProcessState.ExitCode(), "%s", out)
	return string(out)
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// settable is a list without what the server itself gives each webhook.
func settable(t *testing.T, list string) []map[string]any {
	t.Helper()
	var read struct {
		Webhooks []map[string]any `json:"webhooks"`
	}
	require.NoError(t, json.Unmarshal([]byte(list), &read))
	for _, w := range read.Webhooks {
		for _, name := range []string{"id", "accountId", "ownerId", "modifiedId", "created", "modified"} {
			delete(w, name)
		}
	}
	return read.Webhooks
}

// The lists are as the documentation prints them.
const (
	portalList = `{"webhooks":[
 {"id":"35f930b31df64b62873127613d047a1b","accountId":"0123456789ABCDEF","payloadUrl":"https://flow.example.com:443/x?a=1&b=%20","secret":"","isActive":true,
  "name":"All Updates","config":{"deactivationPolicy":{"numberOfFailures":5,"daysInPast":5}},"ownerId":"86ccfe86be2d490a8507eaea82749dc6",
  "created":1548289054928,"modified":1548289054928,"events":["/"]},
 {"id":"35f930b31df64b62873127613d047a1c","accountId":"0123456789ABCDEF","payloadUrl":"https://receiver.example.com/hook","secret":"","isActive":false,
  "name":"Sharing, & more","config":{"deactivationPolicy":{"numberOfFailures":7,"daysInPast":3},"properties":{"plainSecretHeader":true}},
  "ownerId":"86ccfe86be2d490a8507eaea82749dc6","created":1548289054928,"modified":1548289054928,
  "events":["/items/share","/groups/4adc30bb03054812a846fa592de105de/update","/users/add"]}]}`
	servicesList = `{"webhooks":[
 {"id":"a6a89a71-2cb1-47ff-89d4-46e6425e2908","folderName":"","serviceName":"myService","serviceType":"FeatureServer","name":"WebHook1",
  "changeTypes":["FeaturesCreated","AttachmentsCreated"],"signatureKey":"","hookUrl":"https://receiver.example.com/hook","active":true,
  "contentType":"application/x-www-form-urlencoded",
  "scheduleInfo":{"name":"every 20 seconds","state":"enabled","startAt":1651189590498,"recurrenceInfo":{"interval":20,"frequency":"second"}},
  "payloadFormat":"pjson","created":0,"modified":0,"ownerId":"admin","modifiedId":"admin"},
 {"id":"a6a89a71-2cb1-47ff-89d4-46e6425e2909","folderName":"City","serviceName":"Buffer","serviceType":"GPServer","name":"WebHook2",
  "changeTypes":["*"],"signatureKey":"","hookUrl":"https://receiver.example.com/jobs","active":false,"contentType":"application/json",
  "payloadFormat":"json","created":0,"modified":0,"ownerId":"admin","modifiedId":"admin"}]}`
)

func TestWhatIsImportedIsExportedTheSame(t *testing.T) {
	t.Parallel()
	eachStore(t, testWhatIsImportedIsExportedTheSame)
}

func testWhatIsImportedIsExportedTheSame(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	for _, c := range []struct {
		list string
		args []string
	}{{portalList, nil}, {servicesList, []string{"--services"}}} {
		export := append([]string{"export", "arcgis"}, c.args...)
		dry := server.command(t, 0, "import", "arcgis", file(t, c.list), "--dry-run")
		require.Contains(t, dry, "would be made")
		require.Empty(t, settable(t, server.command(t, 0, export...)), "a dry run makes nothing")
		server.command(t, 0, "import", "arcgis", file(t, c.list))
		exported := server.command(t, 0, export...)
		require.Equal(t, settable(t, c.list), settable(t, exported))

		// What was exported is a list, too; its names are taken here, and free elsewhere.
		again := server.command(t, 1, "import", "arcgis", file(t, exported))
		require.Contains(t, again, "NOT MADE")
		other := startServer(t)
		other.command(t, 0, "import", "arcgis", file(t, exported))
		to := filepath.Join(t.TempDir(), "exported.json")
		other.command(t, 0, append(export, to)...)
		text, err := os.ReadFile(to)
		require.NoError(t, err)
		require.Equal(t, settable(t, c.list), settable(t, string(text)))
	}
}

func TestImportSaysWhatItCouldNotTake(t *testing.T) {
	t.Parallel()
	eachStore(t, testImportSaysWhatItCouldNotTake)
}

func testImportSaysWhatItCouldNotTake(t *testing.T, startServer starter) {
	t.Helper()
	server := startServer(t)
	out := server.command(t, 1, "import", "arcgis", file(t, `{"webhooks":[
 {"name":"notebook","isActive":true,"events":["/items"],"config":{"properties":{"federatedServer":{"itemId":"x","tokenTypeToSend":"owner"}}}},
 {"name":"hidden","payloadUrl":"https://receiver.example.com/a","secret":"**OMITTED**","isActive":true,"events":["/items"],"config":{}},
 {"name":"wrong","payloadUrl":"https://receiver.example.com/b","isActive":true,"events":["/itemz"],"config":{}},
 {"name":"nowhere","payloadUrl":"https://intranet/c","isActive":true,"events":["/items"],"config":{}},
 {"name":"good","payloadUrl":"https://receiver.example.com/d","secret":"any 1 to 256","isActive":true,"events":["/items"],"config":{}}]}`))
	require.Regexp(t, `good +organisation +made\n`, out)
	require.Regexp(t, `nowhere +organisation +NOT MADE +url: `, out)
	require.Regexp(t, `wrong +organisation +NOT MADE .*nearest trigger`, out)
	require.Regexp(t, `hidden +organisation +made +its secret is not in the list: made without one, and off`, out)
	require.Regexp(t, `notebook +organisation +NOT MADE +its receiver is on a Notebook Server`, out)
	list := settable(t, server.command(t, 0, "export", "arcgis"))
	require.Len(t, list, 2)
	require.Equal(t, []any{"hidden", false, "", "good", true, "**OMITTED**"}, []any{
		list[0]["name"], list[0]["isActive"], list[0]["secret"], list[1]["name"], list[1]["isActive"], list[1]["secret"],
	})
}

// A portal's list comes in pages, to whoever has a token.
func TestImportFollowsThePagesOfAPortal(t *testing.T) {
	t.Parallel()
	eachStore(t, testImportFollowsThePagesOfAPortal)
}

func testImportFollowsThePagesOfAPortal(t *testing.T, startServer starter) {
	t.Helper()
	const webhooks, page = 7, 3
	var asked atomic.Int64
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("X-Esri-Authorization") != "Bearer the token" || r.URL.Query().Get("f") != "json" || r.URL.Query().Get("x") != "y" {
			_, _ = w.Write([]byte(`{"error":{"code":499,"message":"Token Required","details":[]}}`))
			return
		}
		start, _ := strconv.Atoi(r.URL.Query().Get("start"))
		answer := map[string]any{"total": webhooks, "start": start, "num": page, "nextStart": start + page}
		var list []map[string]any
		for n := start; n < min(start+page, webhooks+1); n++ {
			list = append(list, map[string]any{
				"name": fmt.Sprintf("webhook %d", n), "payloadUrl": "https://receiver.example.com/hook", "isActive": true, "events": []string{"/items"},
			})
		}
		if start+page > webhooks {
			answer["nextStart"] = -1
		}
		answer["webhooks"] = list
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer portal.Close()
	server := startServer(t)
	source := portal.URL + "/sharing/rest/portals/self/webhooks?" + url.Values{"x": {"y"}}.Encode()
	server.command(t, 3, "import", "arcgis", source)
	asked.Store(0)
	server.command(t, 0, "import", "arcgis", source, "--token", "the token")
	require.EqualValues(t, 3, asked.Load())
	list := settable(t, server.command(t, 0, "export", "arcgis"))
	require.Len(t, list, webhooks)
	require.Equal(t, "webhook 1", list[0]["name"], "the order stays")
	require.Equal(t, "webhook 7", list[6]["name"])
}
