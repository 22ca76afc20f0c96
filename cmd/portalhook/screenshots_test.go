package main_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

var screenshots = flag.String("console.screenshots", "", "the folder that pictures of every page of the console are written to")

// view is one thing of the console to take pictures of.
type view struct {
	name string
	show func(b *browser, s *stage)
}

// views are taken pictures of in both themes, wide and narrow.
var views = []view{
	{"sign-in", func(b *browser, _ *stage) { b.visit("/login") }},
	{"webhooks", func(b *browser, _ *stage) { b.visit("/webhooks"); b.sees("#webhooks", "Shares to the map team") }},
}

// stage is a server that has seen some life.
type stage struct{ server *process }

func setStage(t *testing.T) *stage {
	s := &stage{server: startServer(t)}
	for _, w := range []map[string]any{
		{"name": "Shares to the map team", "description": "Tells the map team's bot", "url": "http://127.0.0.1:9/hooks/map-team", "eventTypes": []string{"/items/share", "/items/*/unshare"}, "enabled": true},
		{"name": "Sign-ins", "url": "http://127.0.0.1:9/siem/collector/v1/portal-sign-ins", "eventTypes": []string{"/users/*/signIn", "/users/*/signOut", "/users/update"}, "enabled": true},
		{"name": "App reloads", "url": "http://127.0.0.1:9/reloads", "eventTypes": []string{"com.qlik.v1.app.reload.finished"}, "level": "user", "ownerId": "jdoe"},
	} {
		s.server.createWebhook(t, w)
	}
	return s
}

// TestScreenshots takes the pictures; it is left alone unless a folder is named.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no folder is named with -console.screenshots")
	}
	s := setStage(t)
	b := openBrowser(t, s.server, "en")
	for i, v := range views {
		if i == 1 {
			b.signIn(s.server.key)
		}
		for _, size := range []struct {
			name string
			size [2]int64
		}{{"wide", wide}, {"narrow", narrow}} {
			b.resize(size.size)
			b.theme("light")
			v.show(b, s)
			for _, theme := range []string{"light", "dark"} {
				b.theme(theme)
				picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
				require.NoError(t, err)
				path := filepath.Join(*screenshots, v.name+"-"+size.name+"-"+theme+".png")
				require.NoError(t, os.MkdirAll(*screenshots, 0o755))
				require.NoError(t, os.WriteFile(path, picture, 0o644))
			}
		}
	}
}
