package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// shifted is how much of the page has moved since it was first painted, without anybody touching it: the browser's own sum of layout shifts. What moved is
// named.
const shifted = `new Promise(resolve => {
  const moved = [];
  const observer = new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput)
      moved.push({Value: entry.value, What: entry.sources.map(s => s.node?.outerHTML?.slice(0, 120) ?? s.node?.textContent ?? '').join(' | ')});
  });
  observer.observe({type: 'layout-shift', buffered: true});
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => {
    for (const entry of observer.takeRecords()) if (!entry.hadRecentInput) moved.push({Value: entry.value, What: ''});
    resolve(moved);
  }, 0)));
})`

// still is how much may move: a hundredth of what is called good.
const still = 0.001

// A page stands still once it is seen: what scripts put in place has its room already.
func TestConsoleStandsStill(t *testing.T) {
	s := setScene(t, startServer)
	s.administer(t)
	b := openBrowser(t, s.server, "en")
	b.signIn(s.server.key)
	for _, size := range [][2]int64{narrow, wide, large} {
		b.resize(size)
		for _, path := range []string{
			"/overview", "/webhooks", "/webhooks/new", "/webhooks/" + s.shares, "/webhooks/" + s.ailing, "/webhooks/" + s.stopped, "/webhooks/" + s.late,
			"/events", "/events/" + s.event, "/routes", "/routes?ask=/items/x/share", "/catalogue", "/receivers", "/receivers/" + s.inbox, "/keys", "/settings", "/audit",
		} {
			b.visit(path)
			b.truth("document.readyState === 'complete'")
			moved, err := evaluate[[]struct {
				Value float64
				What  string
			}](b, shifted)
			require.NoError(t, err, path)
			sum := 0.0
			for _, m := range moved {
				sum += m.Value
			}
			require.Less(t, sum, still, "%s at %d pixels: %v", path, size[0], moved)
		}
	}
}
