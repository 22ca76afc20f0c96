package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Receivers of the kinds that are written for ArcGIS take what the real server sends them, and check what there is to check: JSON, forms,
// signatures, the challenge. Where there is no Python the test is left out, and says so.
func TestArcGISReceivers(t *testing.T) {
	t.Parallel()
	eachStore(t, testArcGISReceivers)
}

func testArcGISReceivers(t *testing.T, startServer starter) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		const left = "LEFT OUT: receivers as they are written for ArcGIS: python3 is not installed"
		t.Log(left)
		fmt.Fprintln(os.Stderr, left)
		return
	}
	const secret = "any text; of a portal's own, 1 to 256"
	receivers := exec.CommandContext(t.Context(), python, "-I", "../../testdata/clients/arcgis_receivers.py", secret)
	out, err := receivers.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, receivers.Start())
	t.Cleanup(func() {
		_ = receivers.Process.Kill()
		_ = receivers.Wait()
	})
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	at := lines.Text()

	server := startServer(t, "--reachability-check", "require")
	var made struct {
		ID string `json:"id"`
	}
	const plain = `{"properties":{"plainSecretHeader":true}}`
	for _, kind := range []string{"json", "secret", "typed"} {
		config := "{}"
		if kind == "secret" {
			config = plain
		}
		form := url.Values{"name": {kind}, "url": {at + "/" + kind}, "changes": {"manualChanges"}, "events": {"/items/share"}, "secret": {secret}, "config": {config}}
		server.form(t, organisationPath+"/createWebhook", form, &made)
		requireReachability(t, lines, kind)
	}
	services := url.Values{"changeTypes": {"*"}, "signatureKey": {secret}, "active": {"true"}, "crcCheck": {"true"}}
	for kind, more := range map[string]url.Values{
		"json": {}, "form": {"contentType": {"application/x-www-form-urlencoded"}}, "raw": {"contentType": {"application/x-www-form-urlencoded"}, "payloadFormat": {"pjson"}},
	} {
		form := url.Values{"name": {kind + " & more"}, "hookUrl": {at + "/" + kind + "?of=service"}}
		for _, values := range []url.Values{services, more} {
			for name := range values {
				form.Set(name, values.Get(name))
			}
		}
		server.form(t, servicesPath+"City/Water%20%26%20Fire.FeatureServer/webhooks/create", form, &made)
		requireReachability(t, lines, kind)
	}

	server.call(t, http.MethodPost, "/api/v1/events", []map[string]any{
		{"uri": "/items/4adc30bb03054812a846fa592de105de/share", "username": "jdoe", "properties": map[string]any{"sharedToGroups": []string{"Everyone"}}},
		{"uri": "/services/City/Water & Fire/FeatureServer/FeaturesCreated", "serverGens": []int64{1730385704442, 1730385704443}},
	}, nil, http.StatusAccepted)
	got := map[string]received{}
	for range 6 {
		one := nextReceived(t, lines)
		require.True(t, one.OK, "%s: %s", one.Path, one.Why)
		got[one.Path] = one
	}
	require.Len(t, got, 6)
	for _, path := range []string{"/json", "/secret", "/typed"} {
		require.Equal(t, "share", got[path].Body["events"].([]any)[0].(map[string]any)["operation"], path)
	}
	for _, path := range []string{"/json?of=service", "/form?of=service", "/raw?of=service"} {
		require.Equal(t, "FeaturesCreated", got[path].Body["events"].([]any)[0].(map[string]any)["eventType"], path)
		require.Equal(t, "Water & Fire", got[path].Body["serviceName"], path)
	}
	awaitNoneOpen(t, server)

	// What a receiver answers stands in the history.
	var list struct {
		Webhooks []struct {
			ID string `json:"id"`
		} `json:"webhooks"`
	}
	server.form(t, organisationPath, url.Values{}, &list)
	require.Len(t, list.Webhooks, 3)
	for _, w := range list.Webhooks {
		var history struct {
			WebhookStatus []struct {
				IsInvoked    bool   `json:"isInvoked"`
				ResponseText string `json:"responseText"`
			} `json:"WebhookStatus"`
		}
		server.form(t, organisationPath+"/"+w.ID+"/notificationStatus", url.Values{}, &history)
		require.Len(t, history.WebhookStatus, 1)
		require.True(t, history.WebhookStatus[0].IsInvoked)
		require.JSONEq(t, `{"success":"true"}`, history.WebhookStatus[0].ResponseText)
	}
}

// received is a request as a receiver understood it.
type received struct {
	Path string         `json:"path"`
	OK   bool           `json:"ok"`
	Why  string         `json:"why"`
	Body map[string]any `json:"body"`
}

func nextReceived(t *testing.T, lines *bufio.Scanner) received {
	t.Helper()
	require.True(t, lines.Scan(), "the receivers have ended")
	var one received
	require.NoError(t, json.Unmarshal(lines.Bytes(), &one))
	return one
}

// requireReachability takes in the question whether the receiver is there. It is unsigned, and any answer to it will do.
func requireReachability(t *testing.T, lines *bufio.Scanner, kind string) {
	t.Helper()
	one := nextReceived(t, lines)
	require.Contains(t, one.Path, kind)
	require.False(t, one.OK, "the question is unsigned, and no payload")
}
