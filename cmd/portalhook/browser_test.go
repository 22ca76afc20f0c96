package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// patience is how long a person waits for something to show; under load a page takes its time.
const patience = 30 * time.Second

// Window sizes that pages are judged in.
var (
	wide   = [2]int64{1440, 900}
	narrow = [2]int64{360, 740}
	large  = [2]int64{1920, 1080}
)

// browser is a Chromium with a profile of its own, in the hands of a person: what is done is done with the mouse and the keyboard, to
// what can be seen. A test fails when a page writes an error to the console, breaks its content security policy, asks another
// host for anything, or is answered that something is missing or broken.
type browser struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // chromedp keeps a tab in it
	server *process
	mu     sync.Mutex
	faults []string
	// excused are statuses that a test means to see.
	excused []int64
}

// browserPath finds Chromium under the names that distributions give it.
func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// openBrowser opens a browser on the console of a server; nil where there is no browser, which is said in one line.
func openBrowser(t *testing.T, server *process, language string) *browser {
	t.Helper()
	path := browserPath()
	if path == "" {
		leaveOut(t, "the console in a browser: Chromium is not installed")
		t.SkipNow()
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("lang", language), chromedp.Flag("accept-lang", language), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.WSURLReadTimeout(patience),
	)
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocated)
	b := &browser{t: t, ctx: ctx, server: server}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		closeTab()
		stop()
		require.Empty(t, b.seen(), "what the browser complains of")
	})
	// The first run starts the browser, whose life is that of the context it is given.
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	b.do(
		command(cdplog.Enable, cdp.Empty{}), command(network.Enable, network.EnableParams{}), command(runtime.Enable, cdp.Empty{}),
		command(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Rome"}),
		command(emulation.SetLocaleOverride, emulation.SetLocaleOverrideParams{Locale: strings.ReplaceAll(language, "-", "_")}),
		command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}}),
	)
	b.resize(wide)
	return b
}

// command is an action that sends one command of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// do runs actions of the browser, within the patience of a person.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, actions...))
}

// listen notes what a page must not do.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var said []string
			for _, arg := range e.Args {
				said = append(said, string(arg.Value)+arg.Description)
			}
			b.faults = append(b.faults, "console: "+strings.Join(said, " "))
		}
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, fmt.Sprintf("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *cdplog.EventEntryAdded:
		// What the network answers is judged below.
		if e.Entry.Source != cdplog.EntrySourceNetwork && (e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning) {
			b.faults = append(b.faults, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.server.url+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			b.faults = append(b.faults, "leaves the host: "+e.Request.URL)
		}
	case *network.EventResponseReceived:
		if status := e.Response.Status; (status == 404 || status >= 500) && !slices.Contains(b.excused, status) {
			b.faults = append(b.faults, fmt.Sprintf("%d %s", status, e.Response.URL))
		}
	}
}

func (b *browser) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// visit opens a path of the console by its address.
func (b *browser) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.server.url + "/console" + path))
}

// signIn goes through the door with a key, to the webhooks.
func (b *browser) signIn(key string) {
	b.t.Helper()
	b.visit("/webhooks")
	b.fill("API key", key)
	b.press("Sign in")
	b.sees("nav", "Webhooks")
}

func (b *browser) resize(size [2]int64) {
	b.t.Helper()
	b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: size[0], Height: size[1], DeviceScaleFactor: 1}))
}

// theme makes the system's theme light or dark.
func (b *browser) theme(name string) {
	b.t.Helper()
	b.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	}))
}

// finder finds what can be seen and be named so, in the topmost dialog if one is open: by what it says, by its label, exactly
// before in part. It gives the middle of it, after scrolling there.
const finder = `((kinds, name, scroll) => {
  if (document.readyState !== 'complete') return null;
  const open = [...document.querySelectorAll('dialog[open]')].pop() ?? document;
  const said = el => (el.ariaLabel || (el.labels?.length ? [...el.labels].map(l => l.innerText).join(' ') : '') || el.innerText || el.textContent || el.title || '').replace(/\s+/g, ' ').trim();
  const shown = el => el.checkVisibility({visibilityProperty: true, opacityProperty: true}) && el.getClientRects().length > 0;
  const all = [...open.querySelectorAll(kinds)].filter(shown);
  const popped = all.filter(el => el.closest('[popover]:popover-open'));
  const pool = popped.length ? popped.concat(all) : all;
  const el = pool.find(el => said(el) === name) ?? pool.find(el => said(el).startsWith(name)) ?? pool.find(el => said(el).includes(name));
  // A person is slower than a page that is still learning what its links do.
  if (!el || el.closest('[hx-get],[hx-post]')?.hasAttribute('data-htmx-powered') === false) return null;
  if (scroll) el.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
  const box = el.getBoundingClientRect();
  const at = {x: box.x + box.width / 2, y: box.y + box.height / 2};
  const top = document.elementFromPoint(at.x, at.y);
  return !scroll || top && (el.contains(top) || top.contains(el)) ? at : null;
})`

// point is a place on the page.
type point struct{ X, Y float64 }

// find waits until something of a kind, CSS selectors, that is named so can be reached and stands still.
func (b *browser) find(kinds, name string) point {
	b.t.Helper()
	call := fmt.Sprintf("%s(%s,%s,true)", finder, quoted(kinds), quoted(name))
	var at *point
	b.until(func() bool {
		before := at
		at, _ = evaluate[*point](b, call)
		// What moves is not clicked: the page is still being put in place.
		return at != nil && before != nil && *at == *before
	}, "%s named %q", kinds, name)
	return *at
}

func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// evaluate gives what an expression of the page comes to; an error while the page is changing.
func evaluate[T any](b *browser, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits for something to become true, and shows the page where it does not.
func (b *browser) until(met func() bool, what string, args ...any) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if met() {
			return
		}
	}
	address, _ := evaluate[string](b, "location.href")
	text, _ := evaluate[string](b, "document.body.innerText")
	require.FailNow(b.t, "not seen: "+fmt.Sprintf(what, args...), "at %s, which says\n%s\n%v", address, text, b.seen())
}

const (
	pressable = "button,a,summary,[role=button],label.check"
	fillable  = "input:not([type=checkbox],[type=radio],[type=hidden]),textarea"
)

// press clicks a button, link or the like by its name.
func (b *browser) press(name string) {
	b.t.Helper()
	b.click(pressable, name)
}

// click clicks what is named so.
func (b *browser) click(kinds, name string) {
	b.t.Helper()
	at := b.find(kinds, name)
	b.do(chromedp.MouseClickXY(at.X, at.Y))
}

// fill types into a field, in the place of what stood there.
func (b *browser) fill(label, text string) {
	b.t.Helper()
	b.click(fillable, label)
	b.do(chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.KeyEvent(kb.Delete))
	if text != "" {
		b.do(chromedp.KeyEvent(text))
	}
}

// choose chooses an option of a select by its words, as the keyboard does.
func (b *browser) choose(label, choice string) {
	b.t.Helper()
	b.find("select", label)
	done, err := evaluate[bool](b, fmt.Sprintf(`((label, choice) => {
		const open = [...document.querySelectorAll('dialog[open]')].pop() ?? document;
		const el = [...open.querySelectorAll('select')].find(el => (el.ariaLabel || [...el.labels].map(l => l.innerText).join(' ')).trim().startsWith(label));
		const option = el && [...el.options].find(o => o.text === choice);
		if (!option) return false;
		el.focus();
		el.value = option.value;
		el.dispatchEvent(new Event('input', {bubbles: true}));
		el.dispatchEvent(new Event('change', {bubbles: true}));
		return true;
	})(%s,%s)`, quoted(label), quoted(choice)))
	require.NoError(b.t, err)
	require.True(b.t, done, "%s has no choice %s", label, choice)
}

// tick turns a check box over.
func (b *browser) tick(label string) {
	b.t.Helper()
	b.click("input[type=checkbox],label.check", label)
}

// keys types keys where the focus is.
func (b *browser) keys(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
}

// text is what can be read in the first place of a selector; empty when it is not there.
func (b *browser) text(selector string) string {
	text, _ := evaluate[string](b, fmt.Sprintf("document.querySelector(%s)?.innerText ?? ''", quoted(selector)))
	return text
}

// sees waits until a text can be read within a place.
func (b *browser) sees(selector, text string) {
	b.t.Helper()
	b.until(func() bool { return strings.Contains(b.text(selector), text) }, "%q in %s", text, selector)
}

// misses waits until a text cannot be read within a place any more.
func (b *browser) misses(selector, text string) {
	b.t.Helper()
	b.until(func() bool { return !strings.Contains(b.text(selector), text) }, "%s without %q", selector, text)
}

// truth waits until an expression of the page is true.
func (b *browser) truth(expression string) {
	b.t.Helper()
	b.until(func() bool { is, _ := evaluate[bool](b, "!!("+expression+")"); return is }, "%s", expression)
}

// focused is what has the focus: how it is named.
func (b *browser) focused() string {
	name, _ := evaluate[string](b, `(el => (el.ariaLabel || [...(el.labels ?? [])].map(l => l.innerText).join(' ') || el.innerText || '').trim())(document.activeElement)`)
	return name
}

// tabTo presses Tab until something named so has the focus.
func (b *browser) tabTo(name string) {
	b.t.Helper()
	for range 200 {
		if strings.HasPrefix(b.focused(), name) {
			return
		}
		b.keys(kb.Tab)
	}
	require.FailNow(b.t, "the keyboard does not reach "+name)
}

// axe is the accessibility checker of Deque.
var axe = newNpmProject("clients", "axe-core@4.14.1")

var (
	axeOnce   sync.Once
	axeSource string
	axeReason string
)

// violation is what axe finds fault with.
type violation struct {
	ID, Help string
	Nodes    []struct{ HTML, FailureSummary string }
}

// accessible lets axe judge the page as it is, in both themes; and no part of it may be wider than the window. Where axe cannot be
// had that part is left out, and said so once.
func (b *browser) accessible(what string) {
	b.t.Helper()
	axeOnce.Do(func() {
		var dir string
		dir, axeReason = axe.made()
		if axeReason == "" {
			text, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
			require.NoError(b.t, err)
			axeSource = string(text)
		} else {
			leaveOut(b.t, "the console judged by axe-core: "+axeReason)
		}
	})
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		over, err := evaluate[[]string](b, `(w => document.documentElement.scrollWidth > w ? [...document.querySelectorAll('body *')].filter(el => el.getBoundingClientRect().right > w + 1).slice(0, 5).map(el => el.outerHTML.slice(0, 120)) : [])(document.documentElement.clientWidth)`)
		require.NoError(b.t, err)
		require.Empty(b.t, over, "%s: wider than the window", what)
		if axeReason != "" {
			continue
		}
		_, err = evaluate[chromedp.Void](b, axeSource)
		require.NoError(b.t, err)
		violations, err := evaluate[[]violation](b, `axe.run({resultTypes: ['violations']}).then(r => r.violations)`)
		require.NoError(b.t, err)
		for _, v := range violations {
			for _, node := range v.Nodes {
				b.t.Errorf("%s, %s: axe: %s: %s\n%s\n%s", what, theme, v.ID, v.Help, node.HTML, node.FailureSummary)
			}
		}
	}
	b.theme("light")
}
