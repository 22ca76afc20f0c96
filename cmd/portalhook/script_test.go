package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"portalhook/storage/postgrestest"
)

// driven are the tests in which another program does the work: a browser, clients in JavaScript and Python, a compiler, a container. -short, which is how the
// race detector runs, leaves them out: what they ask of a server the other tests ask, too, and more at once.
const driven = "^Test(Console|Qlik|CloudEventsFromJavaScript|ArcGISClient|GeneratedClient|Image|UnitBySystemd)"

// short leaves them out.
func short() {
	flag.Parse()
	if skip := flag.Lookup("test.skip"); testing.Short() && skip.Value.String() == "" {
		if err := skip.Value.Set(driven); err != nil {
			panic(err)
		}
	}
}

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"portalhook": main})
}

// leakless fails a run that leaves goroutines behind.
type leakless struct{ *testing.M }

func (l leakless) Run() int {
	short()
	status := postgrestest.Main(l.M)
	if status == 0 {
		if err := goleak.Find(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
	}
	return status
}

// TestScript runs testdata/script. Beside testscript's own commands the scripts have
//
//	status N program args…      runs a program that must end with status N
//	start NAME program args…    starts a program in the background, waits until it says where it listens, and sets $NAME to that URL, $NAME_addr
//	                            to its address
//	interrupt NAME              sends it SIGTERM, expects status 0, and leaves NAME.out and NAME.err
//	finish NAME N               waits until it has ended with status N by itself, and leaves the same
//	webhook NAME URL SECRET TRIGGER… subscribes at $PORTALHOOK_SERVER
//	resend WEBHOOK              sends the newest delivery of a webhook again, by the command
//	post URL FILE [NAME:VALUE…] sends a file to a receiver; stdout is the answer's status
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Values[started{}] = map[string]*background{}
			env.Setenv("PORTALHOOK_KEY", "")
			env.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": scriptStatus, "start": scriptStart, "interrupt": scriptInterrupt, "finish": scriptFinish, "post": scriptPost,
			"webhook": scriptWebhook, "resend": scriptResend,
		},
	})
}

func scriptStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

// background is a program that a script has started.
type background struct {
	cmd      *exec.Cmd
	out, err *bytes.Buffer
	drained  chan struct{} // closed when standard error has ended
}

type started struct{}

// listening finds where a program of ours says it listens: in a sentence, or in a log line.
var listening = regexp.MustCompile(`listening on (http://\S+)|address"?[=:]"?([0-9.:\[\]]+)`)

func scriptStart(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	path := args[1]
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if file := filepath.Join(dir, args[1]); isFile(file) {
			path = file
			break
		}
	}
	b := &background{cmd: exec.Command(path, args[2:]...), out: new(bytes.Buffer), err: new(bytes.Buffer), drained: make(chan struct{})}
	b.cmd.Dir = ts.MkAbs(".")
	b.cmd.Env = append(os.Environ(), "PORTALHOOK_KEY="+ts.Getenv("PORTALHOOK_KEY"), "PORTALHOOK_SERVER="+ts.Getenv("PORTALHOOK_SERVER"))
	b.cmd.Stdout = b.out
	stderr, err := b.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(b.cmd.Start())
	ts.Defer(func() {
		if b.cmd.ProcessState == nil {
			_ = b.cmd.Process.Kill()
			<-b.drained
			_ = b.cmd.Wait()
		}
	})
	address := make(chan string, 1)
	go func() {
		defer close(b.drained)
		defer close(address)
		found := false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			b.err.WriteString(lines.Text() + "\n")
			if match := listening.FindStringSubmatch(lines.Text()); match != nil && !found {
				found = true
				address <- strings.TrimSuffix("http://"+strings.TrimPrefix(match[1]+match[2], "http://"), "/")
			}
		}
	}()
	url, ok := <-address
	if !ok {
		ts.Fatalf("%s ended before it listened: %s", name, b.err)
	}
	ts.Setenv(name, url)
	ts.Setenv(name+"_addr", strings.TrimPrefix(url, "http://"))
	ts.Value(started{}).(map[string]*background)[name] = b
}

func (b *background) end(ts *testscript.TestScript, name string, want int) {
	<-b.drained
	_ = b.cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs(name+".out"), b.out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(name+".err"), b.err.Bytes(), 0o600))
	if got := b.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%s ended with status %d, want %d: %s", name, got, want, b.err)
	}
}

func scriptInterrupt(ts *testscript.TestScript, _ bool, args []string) {
	b := ts.Value(started{}).(map[string]*background)[args[0]]
	ts.Check(b.cmd.Process.Signal(syscall.SIGTERM))
	b.end(ts, args[0], exitOK)
}

func scriptFinish(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Value(started{}).(map[string]*background)[args[0]].end(ts, args[0], want)
}

func scriptPost(ts *testscript.TestScript, _ bool, args []string) {
	request, err := http.NewRequest(http.MethodPost, args[0], strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	for _, header := range args[2:] {
		name, value, _ := strings.Cut(header, ":")
		request.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	response, err := client.Do(request)
	ts.Check(err)
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	_, _ = ts.Stdout().Write([]byte(strconv.Itoa(response.StatusCode) + "\n"))
}

func scriptWebhook(ts *testscript.TestScript, _ bool, args []string) {
	api := (&serverFlags{Server: ts.Getenv("PORTALHOOK_SERVER"), Key: ts.Getenv("PORTALHOOK_KEY")}).client()
	defer api.http.CloseIdleConnections()
	webhook := newWebhook{Name: args[0], URL: args[1], Secret: args[2], EventTypes: args[3:], Enabled: true}
	ts.Check(api.call(context.Background(), http.MethodPost, webhooksPath, webhook, nil))
}

func scriptResend(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("portalhook", "deliveries", "list", args[0], "--limit", "1", "--json"))
	id := regexp.MustCompile(`dlv_[0-9a-v]{13}`).FindString(ts.ReadFile("stdout"))
	ts.Check(ts.Exec("portalhook", "deliveries", "resend", args[0], id))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
